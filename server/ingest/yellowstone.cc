#include "server/ingest/yellowstone.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/byte_buffer.h>
#include <grpcpp/impl/codegen/rpc_method.h>
#include <grpcpp/impl/codegen/sync_stream.h>

#include <algorithm>
#include <condition_variable>
#include <limits>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "proto/geyser.grpc.pb.h"
#include "server/base/log.h"
#include "server/ingest/endpoint.h"
#include "server/ingest/endpoint_hint.h"
#include "server/ingest/subscribe_request.h"
#include "server/ingest/tls_fault.h"
#include "server/ingest/wire.h"

namespace everstate::ingest {
namespace {

using Clock = std::chrono::steady_clock;
using Stream = grpc::ClientReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>;

constexpr char kSubscribeMethod[] = "/geyser.Geyser/Subscribe";
constexpr size_t kReadAheadBytesMax =
    64u << 20;  // read but not asked for; beyond it HTTP/2's flow control holds the server back
constexpr int kLookaheadBytes = 8 << 20;
constexpr int kMaxFrameBytes = 1 << 20;
constexpr size_t kRequestBytesMax = 4u << 20;  // what a Yellowstone server accepts as one request
constexpr size_t kPingBytesMax = 256;          // a ping is empty but for its filters and time
constexpr std::chrono::milliseconds kPingEveryMin{1000};
constexpr std::chrono::milliseconds kCancelLook{100};
constexpr uint32_t kVersionTimeoutMs = 2000;
constexpr Slot kNothingYet = std::numeric_limits<Slot>::max();  // SubscribeReplayInfo's word while nothing is stored

// Who said it, what was said word for word, and what may help. gRPC's and absl's codes are the same numbers. A server
// may repeat the token in its answer; it goes no further.
absl::Status Translate(const grpc::Status& status, const YellowstoneOptions& options) {
  if (status.ok()) return absl::UnavailableError(absl::StrCat(options.endpoint, ": the server ended the stream"));
  std::string text = status.error_message();
  if (!options.x_token.empty()) text = absl::StrReplaceAll(text, {{options.x_token, "[token]"}});
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  return absl::Status(code, absl::StrCat(options.endpoint, ": ", text, HintFor({code, text}, options)));
}

grpc::ByteBuffer Serialize(const google::protobuf::MessageLite& message) {
  grpc::Slice slice(message.SerializeAsString());
  return grpc::ByteBuffer(&slice, 1);
}

// Reads messages out of gRPC's slices.   Thread: one.
class Flattener {
 public:
  // One copy: a message must lie in one piece, because everything later points into it.
  std::string Flatten(grpc::ByteBuffer* buffer) {
    std::string bytes;
    grpc::Slice single;
    if (buffer->TrySingleSlice(&single).ok()) {
      bytes.assign(reinterpret_cast<const char*>(single.begin()), single.size());
    } else if (buffer->Dump(&slices_).ok()) {
      bytes.reserve(buffer->Length());
      for (const grpc::Slice& slice : slices_) bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
      slices_.clear();
    }
    return bytes;
  }

 private:
  std::vector<grpc::Slice> slices_;
};

bool IsPing(const std::string& message) {
  if (message.size() > kPingBytesMax) return false;
  const absl::StatusOr<WalkedMessage> walked = WalkMessage(message);
  return walked.ok() && walked->kind == WalkedMessage::Kind::kPing;
}

// YellowstoneConnection: one Subscribe call.
//   Thread:    a reader thread reads, a pinger thread writes; Next takes what was read, all that is there at a time, so
//              that a busy stream wakes it once per many messages.
//   Invariant: the write side stays open as long as the call lives: some servers end a stream that the client closed.
class YellowstoneConnection : public Connection {
 public:
  YellowstoneConnection(std::shared_ptr<grpc::Channel> channel, const YellowstoneOptions& options,
                        const geyser::SubscribeRequest& request)
      : channel_(std::move(channel)), options_(options), ping_interval_(options.ping_interval_ms) {
    if (!options_.x_token.empty()) context_.AddMetadata("x-token", options_.x_token);
    const grpc::internal::RpcMethod method(kSubscribeMethod, grpc::internal::RpcMethod::BIDI_STREAMING, channel_);
    stream_.reset(grpc::internal::ClientReaderWriterFactory<grpc::ByteBuffer, grpc::ByteBuffer>::Create(
        channel_.get(), method, &context_));
    reader_ = std::thread([this] { Read(); });
    pinger_ = std::thread([this, first = Serialize(request)] { Write(first); });
  }

  ~YellowstoneConnection() override {
    Cancel();
    pinger_.join();
    reader_.join();
  }

  absl::StatusOr<std::optional<std::string>> Next(Clock::time_point deadline) override {
    if (taken_next_ == taken_.size()) {
      taken_.clear();
      taken_next_ = 0;
      std::unique_lock lock(mutex_);
      readable_.wait_until(lock, deadline, [&] { return !read_.empty() || ended_; });
      if (read_.empty()) {
        if (ended_) return end_;
        return std::optional<std::string>();
      }
      taken_.swap(read_);
      read_bytes_ = 0;
      room_.notify_one();
    }
    return std::optional<std::string>(std::move(taken_[taken_next_++]));
  }

  void Cancel() override {
    context_.TryCancel();
    std::lock_guard lock(mutex_);
    cancelled_ = true;
    room_.notify_one();
    ping_.notify_one();
  }

 private:
  void Read() {
    grpc::ByteBuffer buffer;
    Flattener flattener;
    while (stream_->Read(&buffer)) {
      std::string message = flattener.Flatten(&buffer);
      const bool ping = IsPing(message);
      std::unique_lock lock(mutex_);
      room_.wait(lock, [&] { return read_bytes_ < kReadAheadBytesMax || cancelled_; });
      if (cancelled_) break;  // Cancel has told the call
      read_bytes_ += message.size();
      read_.push_back(std::move(message));
      if (read_.size() == 1) readable_.notify_one();
      if (!ping) continue;
      answer_ping_ = true;
      ping_.notify_one();
    }
    // A call that ended by itself is not cancelled: a cancel could overtake the server's status, which has the reason.
    const grpc::Status status = stream_->Finish();
    std::lock_guard lock(mutex_);
    ended_ = true;
    end_ = cancelled_ ? absl::CancelledError("cancelled") : Translate(status, options_);
    readable_.notify_one();
    ping_.notify_one();
  }

  // The request, then pings: proxies close a stream on which the client is silent, so it speaks at its interval and
  // whenever the server pings, but not more often than once in kPingEveryMin.
  void Write(const grpc::ByteBuffer& first) {
    bool writable = stream_->Write(first);  // a failed write shows as the end of the stream
    Clock::time_point last = Clock::now();
    for (int32_t id = 1; writable; ++id) {
      {
        std::unique_lock lock(mutex_);
        const auto over = [&] { return ended_ || cancelled_; };
        ping_.wait_until(lock, last + std::min(kPingEveryMin, ping_interval_), over);
        ping_.wait_until(lock, last + ping_interval_, [&] { return over() || answer_ping_; });
        if (over()) return;
        answer_ping_ = false;
      }
      last = Clock::now();
      geyser::SubscribeRequest request;  // a request with a ping must carry nothing else
      request.mutable_ping()->set_id(id);
      writable = stream_->Write(Serialize(request));
    }
  }

  const std::shared_ptr<grpc::Channel> channel_;
  const YellowstoneOptions options_;
  const std::chrono::milliseconds ping_interval_;
  grpc::ClientContext context_;
  std::unique_ptr<Stream> stream_;
  std::vector<std::string> taken_;  // Next's own, as is the next line
  size_t taken_next_ = 0;

  std::mutex mutex_;  // guards the following
  std::condition_variable readable_, room_, ping_;
  std::vector<std::string> read_;
  size_t read_bytes_ = 0;
  bool answer_ping_ = false, ended_ = false, cancelled_ = false;
  absl::Status end_;

  std::thread reader_, pinger_;
};

class YellowstoneSource : public Source {
 public:
  YellowstoneSource(YellowstoneOptions options, Endpoint target)
      : options_(std::move(options)), target_(std::move(target)) {}

  absl::StatusOr<std::unique_ptr<Connection>> Connect(const Subscription& subscription,
                                                      std::optional<Slot> from_slot) override {
    {
      std::lock_guard lock(mutex_);
      channel_ = OpenChannel();
    }
    const geyser::SubscribeRequest request = MakeRequest(subscription, from_slot);
    if (request.ByteSizeLong() > kRequestBytesMax) {
      return absl::InvalidArgumentError(absl::StrCat("the subscription takes ", request.ByteSizeLong(),
                                                     " bytes, a server accepts ", kRequestBytesMax));
    }
    if (absl::Status status = WaitForChannel(); !status.ok()) return status;
    if (absl::Status status = Greet(); !status.ok()) return status;
    return std::make_unique<YellowstoneConnection>(channel_, options_, request);
  }

  absl::StatusOr<Slot> Tip(Commitment commitment) override {
    if (channel_ == nullptr) return absl::FailedPreconditionError("not connected");
    geyser::GetSlotRequest request;
    request.set_commitment(LevelOf(commitment));
    geyser::GetSlotResponse response;
    const absl::Status status =
        Unary(options_.connect_timeout_ms, [&](geyser::Geyser::Stub* stub, grpc::ClientContext* context) {
          return stub->GetSlot(context, request, &response);
        });
    if (!status.ok()) return status;
    return response.slot();
  }

  absl::StatusOr<Slot> FirstReplayable() override {
    {
      std::lock_guard lock(mutex_);
      if (channel_ == nullptr) return absl::FailedPreconditionError("not connected");
    }
    geyser::SubscribeReplayInfoResponse response;
    const absl::Status status =
        Unary(options_.replay_info_timeout_ms, [&](geyser::Geyser::Stub* stub, grpc::ClientContext* context) {
          return stub->SubscribeReplayInfo(context, geyser::SubscribeReplayInfoRequest(), &response);
        });
    if (!status.ok()) return status;
    if (!response.has_first_available()) return absl::NotFoundError("the provider replays nothing");
    if (response.first_available() == kNothingYet) return absl::NotFoundError("the provider has nothing to replay yet");
    return response.first_available();
  }

  void Cancel() override {
    std::lock_guard lock(mutex_);
    cancelled_ = true;
    for (grpc::ClientContext* unary : unaries_) unary->TryCancel();
  }

 private:
  bool IsCancelled() {
    std::lock_guard lock(mutex_);
    return cancelled_;
  }

  // Until the channel is connected, or cannot be for now: then the next call fails at once and says why.
  absl::Status WaitForChannel() {
    const auto deadline = std::chrono::system_clock::now() + std::chrono::milliseconds(options_.connect_timeout_ms);
    while (true) {
      const grpc_connectivity_state state = channel_->GetState(true);
      if (state == GRPC_CHANNEL_READY || state == GRPC_CHANNEL_TRANSIENT_FAILURE) return absl::OkStatus();
      if (IsCancelled()) return absl::CancelledError("cancelled");
      const auto now = std::chrono::system_clock::now();
      if (now >= deadline)
        return Explained(absl::UnavailableError(
            absl::StrCat("no connection to ", options_.endpoint, " within ", options_.connect_timeout_ms, " ms")));
      channel_->WaitForStateChange(state, std::min(deadline, now + kCancelLook));
    }
  }

  // One call without a stream, which Cancel can end.
  template <typename F>
  absl::Status Unary(uint32_t timeout_ms, F call) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(timeout_ms));
    if (!options_.x_token.empty()) context.AddMetadata("x-token", options_.x_token);
    std::shared_ptr<grpc::Channel> channel;
    {
      std::lock_guard lock(mutex_);
      if (cancelled_) return absl::CancelledError("cancelled");
      unaries_.insert(&context);
      channel = channel_;
    }
    const grpc::Status status = call(geyser::Geyser::NewStub(channel).get(), &context);
    std::lock_guard lock(mutex_);
    unaries_.erase(&context);
    return status.ok() ? absl::OkStatus() : Translate(status, options_);
  }

  // How a server behaves depends on its version; people who read the log want to know it. It need not answer, but when
  // there is no connection this call says why.
  absl::Status Greet() {
    geyser::GetVersionResponse response;
    const absl::Status status = Unary(std::min(options_.connect_timeout_ms, kVersionTimeoutMs),
                                      [&](geyser::Geyser::Stub* stub, grpc::ClientContext* context) {
                                        return stub->GetVersion(context, geyser::GetVersionRequest(), &response);
                                      });
    if (!status.ok() && channel_->GetState(false) != GRPC_CHANNEL_READY) return Explained(status);
    LogInfo(Room::kIngest, "connected to {}, version {}", options_.endpoint,
            status.ok() ? response.version() : "unknown (" + status.ToString() + ")");
    return absl::OkStatus();
  }

  // There is no connection: why, and what may help.
  absl::Status Explained(const absl::Status& status) const {
    const std::string text(status.message());
    if (target_.tls && (absl::StrContains(text, "andshake") || absl::StrContains(text, "certificate"))) {
      const std::string fault = TlsFault(target_.host, target_.port, kVersionTimeoutMs);
      if (!fault.empty()) return absl::Status(status.code(), absl::StrCat(options_.endpoint, ": ", fault));
    }
    // Any other word is somebody's answer, whose connection was closed behind it.
    if (!absl::IsUnavailable(status) && !absl::IsDeadlineExceeded(status)) return status;
    return absl::Status(status.code(), absl::StrCat(text, HintForNoConnection(text, target_.tls)));
  }

  std::shared_ptr<grpc::Channel> OpenChannel() const {
    grpc::ChannelArguments args;
    args.SetMaxReceiveMessageSize(
        static_cast<int>(std::min<size_t>(options_.receive_bytes_max, std::numeric_limits<int>::max())));
    // Only "identity": else a Yellowstone server compresses every message by itself, at the cost of both sides.
    args.SetInt(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1);
    args.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 1);
    args.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kLookaheadBytes);
    args.SetInt(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, kMaxFrameBytes);
    args.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20000);
    args.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000);
    args.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    args.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    // A new connection each time: name resolution and the choice of a node begin anew.
    args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    const auto credentials =
        target_.tls ? grpc::SslCredentials(grpc::SslCredentialsOptions()) : grpc::InsecureChannelCredentials();
    return grpc::CreateCustomChannel(absl::StrCat(target_.host_in_url, ":", target_.port), credentials, args);
  }

  const YellowstoneOptions options_;
  const Endpoint target_;
  std::shared_ptr<grpc::Channel> channel_;

  std::mutex mutex_;  // guards the following
  bool cancelled_ = false;
  std::set<grpc::ClientContext*> unaries_;  // the calls that are waited for
};

}  // namespace

absl::Status CheckEndpoint(const std::string& endpoint) { return ParseEndpoint(endpoint).status(); }

// gRPC gives up the whole process over a metadata value that HTTP/2 cannot carry.
absl::Status CheckToken(const std::string& x_token) {
  const auto printable = [](char c) { return c >= 0x20 && c < 0x7f; };
  if (std::all_of(x_token.begin(), x_token.end(), printable)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "holds characters that a header cannot carry: only printable ASCII may stand in it");
}

absl::StatusOr<std::unique_ptr<Source>> OpenYellowstone(const YellowstoneOptions& options) {
  auto target = ParseEndpoint(options.endpoint);
  if (!target.ok()) return absl::InvalidArgumentError(absl::StrCat("endpoint ", target.status().message()));
  if (target->tls) {
    if (absl::Status status = CheckTlsRoots(); !status.ok()) return status;
  }
  if (absl::Status status = CheckToken(options.x_token); !status.ok())
    return absl::InvalidArgumentError(absl::StrCat("x_token ", status.message()));
  return std::make_unique<YellowstoneSource>(options, *std::move(target));
}

}  // namespace everstate::ingest
