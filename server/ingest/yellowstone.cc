#include "server/ingest/yellowstone.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/byte_buffer.h>
#include <grpcpp/impl/codegen/rpc_method.h>
#include <grpcpp/impl/codegen/sync_stream.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proto/geyser.grpc.pb.h"
#include "server/base/base58.h"
#include "server/base/log.h"

namespace everstate::ingest {
namespace {

using Clock = std::chrono::steady_clock;
using Stream = grpc::ClientReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>;

constexpr char kSubscribeMethod[] = "/geyser.Geyser/Subscribe";
constexpr size_t kReadAheadBytesMax = 64u << 20;  // read but not asked for; beyond it HTTP/2's flow control holds the server back
constexpr int kLookaheadBytes = 8 << 20;
constexpr int kMaxFrameBytes = 1 << 20;

absl::Status Translate(const grpc::Status& status) {
  if (status.ok()) return absl::UnavailableError("the server ended the stream");
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

geyser::CommitmentLevel LevelOf(Commitment commitment) {
  return commitment == Commitment::kFinalized ? geyser::FINALIZED : geyser::CONFIRMED;
}

geyser::SubscribeRequest MakeRequest(const Subscription& subscription, std::optional<Slot> from_slot) {
  geyser::SubscribeRequest request;
  if (!subscription.account_owners.empty()) {
    auto& accounts = (*request.mutable_accounts())["accounts"];
    for (const auto& owner : subscription.account_owners) accounts.add_owner(EncodeBase58(owner));
  }
  if (!subscription.transaction_programs.empty()) {
    auto& transactions = (*request.mutable_transactions())["transactions"];
    transactions.set_vote(false);
    transactions.set_failed(false);
    for (const auto& program : subscription.transaction_programs) transactions.add_account_include(EncodeBase58(program));
  }
  // filter_by_commitment would also filter the statuses between slots, DEAD among them.
  (*request.mutable_slots())["slots"].set_interslot_updates(true);
  (*request.mutable_blocks_meta())["blocks_meta"];
  request.set_commitment(LevelOf(subscription.commitment));
  if (from_slot.has_value()) request.set_from_slot(*from_slot);
  return request;
}

grpc::ByteBuffer Serialize(const google::protobuf::MessageLite& message) {
  grpc::Slice slice(message.SerializeAsString());
  return grpc::ByteBuffer(&slice, 1);
}

// One copy out of gRPC's slices: a message must lie in one piece, because everything later points into it.
std::string Flatten(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (!buffer.Dump(&slices).ok()) return bytes;
  bytes.reserve(buffer.Length());
  for (const grpc::Slice& slice : slices) bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return bytes;
}

// A server ping is SubscribeUpdate with field 6 (ping). Pings are small, so only small messages are looked at.
bool IsPing(const std::string& message) {
  if (message.size() > 64) return false;
  geyser::SubscribeUpdate update;
  return update.ParseFromString(message) && update.has_ping();
}

// YellowstoneConnection: one Subscribe call.
//   Thread:  its reader thread reads; Next, from one thread, takes what was read and writes the pings.
class YellowstoneConnection : public Connection {
 public:
  YellowstoneConnection(const std::shared_ptr<grpc::Channel>& channel, const YellowstoneOptions& options, const geyser::SubscribeRequest& request)
      : channel_(channel), ping_interval_(options.ping_interval_ms), next_ping_(Clock::now() + ping_interval_) {
    if (!options.x_token.empty()) context_.AddMetadata("x-token", options.x_token);
    const grpc::internal::RpcMethod method(kSubscribeMethod, grpc::internal::RpcMethod::BIDI_STREAMING, channel_);
    stream_.reset(grpc::internal::ClientReaderWriterFactory<grpc::ByteBuffer, grpc::ByteBuffer>::Create(channel_.get(), method, &context_));
    stream_->Write(Serialize(request));  // a failed write shows as the end of the stream
    reader_ = std::thread([this] { Read(); });
  }

  ~YellowstoneConnection() override {
    Cancel();
    reader_.join();
  }

  absl::StatusOr<std::optional<std::string>> Next(Clock::time_point deadline) override {
    if (taken_.empty()) {
      SendPingIfDue();
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
    std::string message = std::move(taken_.front());
    taken_.pop_front();
    return std::optional<std::string>(std::move(message));
  }

  void Cancel() override {
    context_.TryCancel();
    std::lock_guard lock(mutex_);
    cancelled_ = true;
    room_.notify_one();
  }

 private:
  void Read() {
    grpc::ByteBuffer buffer;
    while (stream_->Read(&buffer)) {
      std::string message = Flatten(buffer);
      const bool ping = IsPing(message);
      std::unique_lock lock(mutex_);
      room_.wait(lock, [&] { return read_bytes_ < kReadAheadBytesMax || cancelled_; });
      if (cancelled_) break;
      answer_ping_ |= ping;
      read_bytes_ += message.size();
      read_.push_back(std::move(message));
      if (read_.size() == 1) readable_.notify_one();
    }
    context_.TryCancel();
    const grpc::Status status = stream_->Finish();
    std::lock_guard lock(mutex_);
    ended_ = true;
    end_ = cancelled_ ? absl::CancelledError("cancelled") : Translate(status);
    readable_.notify_one();
  }

  // Proxies close a stream on which the client is silent, so it speaks: at its interval, and when the server pings.
  void SendPingIfDue() {
    const Clock::time_point now = Clock::now();
    {
      std::lock_guard lock(mutex_);
      if (ended_ || cancelled_) return;
      if (now < next_ping_ && !answer_ping_) return;
      answer_ping_ = false;
    }
    next_ping_ = now + ping_interval_;
    geyser::SubscribeRequest request;  // a request with a ping must carry nothing else
    request.mutable_ping()->set_id(++ping_id_);
    stream_->Write(Serialize(request));
  }

  const std::shared_ptr<grpc::Channel> channel_;
  grpc::ClientContext context_;
  std::unique_ptr<Stream> stream_;
  std::deque<std::string> taken_;  // Next's own

  const std::chrono::milliseconds ping_interval_;
  Clock::time_point next_ping_;
  int32_t ping_id_ = 0;

  std::mutex mutex_;  // guards all below
  std::condition_variable readable_, room_;
  std::deque<std::string> read_;
  size_t read_bytes_ = 0;
  bool answer_ping_ = false, ended_ = false, cancelled_ = false;
  absl::Status end_;

  std::thread reader_;
};

class YellowstoneSource : public Source {
 public:
  YellowstoneSource(YellowstoneOptions options, std::string target, bool tls) : options_(std::move(options)), target_(std::move(target)), tls_(tls) {}

  absl::StatusOr<std::unique_ptr<Connection>> Connect(const Subscription& subscription, std::optional<Slot> from_slot) override {
    channel_ = OpenChannel();
    const auto deadline = std::chrono::system_clock::now() + std::chrono::milliseconds(options_.connect_timeout_ms);
    if (!channel_->WaitForConnected(deadline)) return absl::UnavailableError(absl::StrCat("cannot connect to ", options_.endpoint));
    spdlog::info("connected to {}{}", options_.endpoint, from_slot.has_value() ? absl::StrCat(", from_slot ", *from_slot) : std::string());
    return std::make_unique<YellowstoneConnection>(channel_, options_, MakeRequest(subscription, from_slot));
  }

  absl::StatusOr<Slot> Tip(Commitment commitment) override {
    if (channel_ == nullptr) return absl::FailedPreconditionError("not connected");
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(options_.connect_timeout_ms));
    if (!options_.x_token.empty()) context.AddMetadata("x-token", options_.x_token);
    geyser::GetSlotRequest request;
    request.set_commitment(LevelOf(commitment));
    geyser::GetSlotResponse response;
    const grpc::Status status = geyser::Geyser::NewStub(channel_)->GetSlot(&context, request, &response);
    if (!status.ok()) return Translate(status);
    return response.slot();
  }

 private:
  std::shared_ptr<grpc::Channel> OpenChannel() const {
    grpc::ChannelArguments args;
    args.SetMaxReceiveMessageSize(static_cast<int>(options_.receive_bytes_max));
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
    args.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
    const auto credentials = tls_ ? grpc::SslCredentials(grpc::SslCredentialsOptions()) : grpc::InsecureChannelCredentials();
    return grpc::CreateCustomChannel(target_, credentials, args);
  }

  const YellowstoneOptions options_;
  const std::string target_;
  const bool tls_;
  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Source>> OpenYellowstone(const YellowstoneOptions& options) {
  const auto bad = [&](const char* rule) { return absl::InvalidArgumentError(absl::StrCat("--endpoint \"", options.endpoint, "\": ", rule)); };
  std::string target = options.endpoint;
  bool tls = false;
  if (absl::StartsWith(target, "https://")) {
    tls = true;
    target.erase(0, 8);
  } else if (absl::StartsWith(target, "http://")) {
    target.erase(0, 7);
  } else {
    return bad("it must begin with http:// or https://");
  }
  while (!target.empty() && target.back() == '/') target.pop_back();
  if (target.empty()) return bad("it names no host");
  if (absl::StrContains(target, "/")) return bad("a path is not part of a gRPC endpoint");
  const size_t colon = target.rfind(':');
  const bool has_port = colon != std::string::npos && target.find(']', colon) == std::string::npos && colon + 1 < target.size() &&
                        std::all_of(target.begin() + static_cast<std::ptrdiff_t>(colon) + 1, target.end(), [](unsigned char c) { return c >= '0' && c <= '9'; });
  if (!has_port) {
    if (colon != std::string::npos && target.find(']', colon) == std::string::npos && target.find('[') == std::string::npos) return bad("its port is no number");
    target += tls ? ":443" : ":80";
  }
  return std::make_unique<YellowstoneSource>(options, std::move(target), tls);
}

}  // namespace everstate::ingest
