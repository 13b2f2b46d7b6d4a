#include "admin-gui/console_client.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/admin.grpc.pb.h"

namespace everstate::console {
namespace {

using std::chrono::milliseconds;
using std::chrono::system_clock;

constexpr int kMessageBytesMax = 64 << 20;
constexpr milliseconds kCommandTimeout{60000};
constexpr milliseconds kVerifyTimeout{std::chrono::minutes(30)};  // it reads the whole checkpoint

std::shared_ptr<grpc::Channel> Connect(const ClientOptions& options) {
  grpc::ChannelArguments arguments;
  // A server on this machine is not behind a proxy.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // The pauses between tries are ours; the channel's own must not outlast them. The minimum is how long one try may
  // take.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, static_cast<int>(options.retry_first.count()));
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, static_cast<int>(options.retry_first.count()));
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, static_cast<int>(options.call_timeout.count()));
  arguments.SetMaxReceiveMessageSize(kMessageBytesMax);
  return grpc::CreateCustomChannel(options.address, grpc::InsecureChannelCredentials(), arguments);
}

std::string Name(grpc::StatusCode code) {
  switch (code) {
    case grpc::UNIMPLEMENTED:
      return "this server does not know that";
    case grpc::DEADLINE_EXCEEDED:
      return "no answer in time";
    case grpc::UNAVAILABLE:
      return "unreachable";
    case grpc::CANCELLED:
      return "the server ended the call";
    case grpc::DATA_LOSS:
      return "damaged";
    case grpc::FAILED_PRECONDITION:
      return "refused";
    default:
      return absl::StrCat("gRPC code ", static_cast<int>(code));
  }
}

std::string Words(const grpc::Status& status) {
  if (status.ok()) return "the server ended the stream";
  return status.error_message().empty() ? Name(status.error_code())
                                        : absl::StrCat(Name(status.error_code()), ": ", status.error_message());
}

}  // namespace

struct ConsoleClient::Impl {
  class StatusStream;
  class TailStream;

  explicit Impl(ClientOptions given)
      : options(std::move(given)), channel(Connect(options)), stub(api::Admin::NewStub(channel)) {}

  void Keep();  // the keeping thread
  // One connection from GetInfo to its end, and why it ended; absent when stopping. `answered`: a status came.
  std::optional<std::string> FollowOnce(bool* answered);
  Time KeepTailLocked();  // opens a wanted tail; when to look again
  grpc::Status GetInfo(api::Info* info);
  void Post(decltype(Event::what) what);
  void PostLocked(decltype(Event::what) what);
  void Wake() const {
    if (options.wake) options.wake();
  }

  template <typename Request, typename Reply>
  struct Call {
    grpc::ClientContext context;
    Request request;
    Reply reply;
  };
  // Starts a unary call; `done` runs on a thread of gRPC's and must only post.
  template <typename Request, typename Reply, typename Start>
  void Begin(Request request, milliseconds timeout, Start start, std::function<void(const grpc::Status&, Reply*)> done);
  template <typename Request, typename Reply, typename Start>
  void Command(const char* command, Request request, milliseconds timeout, Start start,
               std::function<std::string(const Reply&)> words);

  const ClientOptions options;
  const std::shared_ptr<grpc::Channel> channel;
  const std::unique_ptr<api::Admin::Stub> stub;

  std::mutex mutex;
  std::condition_variable changed;
  bool stopping = false;
  std::deque<Event> inbox;
  size_t inbox_statuses = 0, inbox_frames = 0;
  std::set<grpc::ClientContext*> calls;  // under way

  StatusStream* status_stream = nullptr;
  std::optional<grpc::Status> status_end;
  Time heard_at{};  // the newest status

  std::optional<api::TailRequest> tail_wanted;
  TailStream* tail_stream = nullptr;
  Time tail_not_before{};
  milliseconds tail_pause{0};

  std::thread keeper;
};

// The status stream. Deletes itself when gRPC is done with it. A context keeps the channel, and a channel must not end
// on a thread of gRPC's, which would wait for itself: so every context is gone before the client is told that it may
// go.
class ConsoleClient::Impl::StatusStream : public grpc::ClientReadReactor<api::Status> {
 public:
  explicit StatusStream(Impl* impl) : impl_(impl) {
    request_.set_interval_ms(static_cast<uint32_t>(impl->options.status_interval.count()));
    impl->stub->async()->WatchStatus(&context_, &request_, this);
    StartRead(&status_);
    StartCall();
  }
  void Cancel() { context_.TryCancel(); }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    impl_->Post(StatusArrived{std::move(status_)});
    status_.Clear();
    StartRead(&status_);
  }
  void OnDone(const grpc::Status& status) override {
    Impl* const impl = impl_;
    const std::lock_guard lock(impl->mutex);
    impl->status_stream = nullptr;
    impl->status_end = status;
    delete this;
    impl->changed.notify_all();
  }

 private:
  Impl* const impl_;
  grpc::ClientContext context_;
  api::WatchStatusRequest request_;
  api::Status status_;
};

// The tail. Reads and writes are started under the client's mutex: gRPC runs no callback inside of them.
class ConsoleClient::Impl::TailStream : public grpc::ClientBidiReactor<api::TailRequest, api::TailChunk> {
 public:
  TailStream(Impl* impl, const api::TailRequest& request) : impl_(impl), writing_(request) {
    impl->stub->async()->TailBus(&context_, this);
    AddHold();  // writes are started from outside of the callbacks
    StartWrite(&writing_);
    StartRead(&chunk_);
    StartCall();
  }

  void SendLocked(const api::TailRequest& request) {
    if (ended_) return;
    if (write_under_way_) {
      next_ = request;
      return;
    }
    writing_ = request;
    write_under_way_ = true;
    StartWrite(&writing_);
  }
  void CancelLocked() {
    context_.TryCancel();
    if (parked_) EndLocked();
  }
  void ReadOnLocked() {
    if (!parked_ || ended_) return;
    parked_ = false;
    StartRead(&chunk_);
  }

  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(impl_->mutex);
    write_under_way_ = false;
    if (!ok || ended_ || !next_) return;
    const api::TailRequest request = *std::exchange(next_, std::nullopt);
    SendLocked(request);
  }
  void OnReadDone(bool ok) override {
    {
      const std::lock_guard lock(impl_->mutex);
      if (!ok) return EndLocked();
      impl_->tail_pause = milliseconds(0);
      impl_->PostLocked(TailArrived{std::move(chunk_)});
      chunk_.Clear();
      if (impl_->inbox_frames > kTailFramesMax) {
        parked_ = true;
      } else {
        StartRead(&chunk_);
      }
    }
    impl_->Wake();
  }
  void OnDone(const grpc::Status& status) override {
    Impl* const impl = impl_;
    const std::lock_guard lock(impl->mutex);
    impl->tail_stream = nullptr;
    impl->tail_pause = std::clamp(impl->tail_pause * 2, impl->options.retry_first, impl->options.retry_max);
    impl->tail_not_before = Clock::now() + impl->tail_pause;
    impl->PostLocked(TailEnded{Words(status), impl->tail_not_before});
    impl->Wake();
    delete this;
    impl->changed.notify_all();
  }

 private:
  void EndLocked() {
    if (std::exchange(ended_, true)) return;
    RemoveHold();
  }

  Impl* const impl_;
  grpc::ClientContext context_;
  api::TailRequest writing_;
  std::optional<api::TailRequest> next_;
  api::TailChunk chunk_;
  bool write_under_way_ = true, parked_ = false, ended_ = false;
};

void ConsoleClient::Impl::Post(decltype(Event::what) what) {
  {
    const std::lock_guard lock(mutex);
    PostLocked(std::move(what));
  }
  Wake();
}

void ConsoleClient::Impl::PostLocked(decltype(Event::what) what) {
  const Time now = Clock::now();
  if (std::holds_alternative<StatusArrived>(what)) {
    heard_at = now;
    if (++inbox_statuses > kStatusesMax) {
      inbox.erase(std::find_if(inbox.begin(), inbox.end(),
                               [](const Event& event) { return std::holds_alternative<StatusArrived>(event.what); }));
      --inbox_statuses;
    }
  } else if (const auto* tail = std::get_if<TailArrived>(&what)) {
    inbox_frames += static_cast<size_t>(tail->chunk.frames_size());
  }
  inbox.push_back({now, std::move(what)});
}

grpc::Status ConsoleClient::Impl::GetInfo(api::Info* info) {
  grpc::ClientContext context;
  context.set_deadline(system_clock::now() + options.call_timeout);
  {
    const std::lock_guard lock(mutex);
    if (stopping) return grpc::Status::CANCELLED;
    calls.insert(&context);
  }
  const grpc::Status status = stub->GetInfo(&context, {}, info);
  const std::lock_guard lock(mutex);
  calls.erase(&context);
  return status;
}

void ConsoleClient::Impl::Keep() {
  milliseconds pause = options.retry_first;
  for (uint64_t attempt = 1;; ++attempt) {
    Post(Connecting{attempt});
    bool answered = false;
    std::optional<std::string> why = FollowOnce(&answered);
    if (!why) return;
    if (answered) {
      attempt = 0;
      pause = options.retry_first;
    }
    const Time retry_at = Clock::now() + pause;
    Post(Lost{*std::move(why), retry_at});
    std::unique_lock lock(mutex);
    if (changed.wait_until(lock, retry_at, [&] { return stopping; })) return;
    pause = std::min(pause * 2, options.retry_max);
  }
}

std::optional<std::string> ConsoleClient::Impl::FollowOnce(bool* answered) {
  api::Info info;
  const grpc::Status got = GetInfo(&info);
  if (!got.ok() && got.error_code() != grpc::UNIMPLEMENTED) {
    const std::lock_guard lock(mutex);
    if (stopping) return std::nullopt;
    return Words(got);
  }
  Post(Connected{got.ok() ? std::optional(std::move(info)) : std::nullopt});

  std::unique_lock lock(mutex);
  if (stopping) return std::nullopt;
  const Time began = heard_at = Clock::now();
  status_end.reset();
  tail_not_before = {};
  tail_pause = milliseconds(0);
  status_stream = new StatusStream(this);
  bool silent = false;
  while (!status_end && !stopping) {
    const Time silent_at = heard_at + options.silence_max;
    if (Clock::now() >= silent_at) {
      silent = true;
      break;
    }
    changed.wait_until(lock, std::min(silent_at, KeepTailLocked()));
  }
  // The connection ends as a whole: a tail must not outlive the status that says how to read it.
  if (status_stream) status_stream->Cancel();
  if (tail_stream) tail_stream->CancelLocked();
  changed.wait(lock, [&] { return !status_stream && !tail_stream; });
  *answered = heard_at > began;
  if (stopping) return std::nullopt;
  return silent ? absl::StrCat("it has sent no status for ", options.silence_max.count() / 1000, " s")
                : Words(*status_end);
}

Time ConsoleClient::Impl::KeepTailLocked() {
  if (!tail_wanted || tail_stream) return Time::max();
  if (Clock::now() < tail_not_before) return tail_not_before;
  tail_stream = new TailStream(this, *tail_wanted);
  return Time::max();
}

template <typename Request, typename Reply, typename Start>
void ConsoleClient::Impl::Begin(Request request, milliseconds timeout, Start start,
                                std::function<void(const grpc::Status&, Reply*)> done) {
  auto* const call = new Call<Request, Reply>;
  call->request = std::move(request);
  call->context.set_deadline(system_clock::now() + timeout);
  {
    const std::lock_guard lock(mutex);
    calls.insert(&call->context);
  }
  start(&call->context, &call->request, &call->reply, [this, call, done = std::move(done)](grpc::Status status) {
    done(status, &call->reply);
    Wake();
    // The last touch of this client: once the set is empty it may be gone.
    const std::lock_guard lock(mutex);
    calls.erase(&call->context);
    delete call;
    changed.notify_all();
  });
}

template <typename Request, typename Reply, typename Start>
void ConsoleClient::Impl::Command(const char* command, Request request, milliseconds timeout, Start start,
                                  std::function<std::string(const Reply&)> words) {
  Post(CommandStarted{command});
  Begin<Request, Reply>(std::move(request), timeout, start,
                        [this, command, words = std::move(words)](const grpc::Status& status, Reply* reply) {
                          const std::lock_guard lock(mutex);
                          PostLocked(CommandDone{command, status.ok(), status.ok() ? words(*reply) : Words(status)});
                        });
}

ConsoleClient::ConsoleClient(ClientOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {
  impl_->keeper = std::thread([impl = impl_.get()] { impl->Keep(); });
}

ConsoleClient::~ConsoleClient() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
    for (grpc::ClientContext* context : impl_->calls) context->TryCancel();
    impl_->changed.notify_all();
  }
  impl_->keeper.join();
  std::unique_lock lock(impl_->mutex);
  impl_->changed.wait(lock, [&] { return impl_->calls.empty(); });
}

std::vector<Event> ConsoleClient::Take() {
  const std::lock_guard lock(impl_->mutex);
  std::vector<Event> taken(std::make_move_iterator(impl_->inbox.begin()), std::make_move_iterator(impl_->inbox.end()));
  impl_->inbox.clear();
  impl_->inbox_statuses = impl_->inbox_frames = 0;
  if (impl_->tail_stream) impl_->tail_stream->ReadOnLocked();
  return taken;
}

void ConsoleClient::SetTail(const api::TailRequest& request) {
  const std::lock_guard lock(impl_->mutex);
  impl_->tail_wanted = request;
  if (impl_->tail_stream) {
    impl_->tail_stream->SendLocked(request);
  } else {
    // A request of another kind may be one that the server takes.
    impl_->tail_not_before = {};
    impl_->changed.notify_all();
  }
}

void ConsoleClient::ListCheckpoints() {
  Impl* const impl = impl_.get();
  impl->Begin<api::ListCheckpointsRequest, api::Checkpoints>(
      {}, kCommandTimeout, [impl](auto... arguments) { impl->stub->async()->ListCheckpoints(std::move(arguments)...); },
      [impl](const grpc::Status& status, api::Checkpoints* reply) {
        const std::lock_guard lock(impl->mutex);
        if (status.ok()) {
          impl->PostLocked(CheckpointsArrived{std::move(*reply)});
        } else {
          impl->PostLocked(CheckpointsFailed{Words(status)});
        }
      });
}

void ConsoleClient::CreateCheckpoint() {
  Impl* const impl = impl_.get();
  impl->Command<api::CreateCheckpointRequest, api::Checkpoint>(
      kCreateCheckpoint, {}, kCommandTimeout,
      [impl](auto... arguments) { impl->stub->async()->CreateCheckpoint(std::move(arguments)...); },
      [](const api::Checkpoint& made) { return absl::StrCat("made ", made.name(), " at slot ", made.slot()); });
}

void ConsoleClient::VerifyCheckpoint(const std::string& name) {
  Impl* const impl = impl_.get();
  api::VerifyCheckpointRequest request;
  request.set_name(name);
  impl->Command<api::VerifyCheckpointRequest, api::Checkpoint>(
      kVerifyCheckpoint, std::move(request), kVerifyTimeout,
      [impl](auto... arguments) { impl->stub->async()->VerifyCheckpoint(std::move(arguments)...); },
      [](const api::Checkpoint& good) {
        return good.damage().empty() ? absl::StrCat(good.name(), " is whole: ", good.entities(), " entities")
                                     : absl::StrCat(good.name(), " is damaged: ", good.damage());
      });
}

void ConsoleClient::PruneCheckpoints(uint32_t keep) {
  Impl* const impl = impl_.get();
  api::PruneCheckpointsRequest request;
  request.set_keep(keep);
  impl->Command<api::PruneCheckpointsRequest, api::PrunedCheckpoints>(
      kPruneCheckpoints, std::move(request), kCommandTimeout,
      [impl](auto... arguments) { impl->stub->async()->PruneCheckpoints(std::move(arguments)...); },
      [](const api::PrunedCheckpoints& gone) {
        return gone.names().empty() ? std::string("nothing to delete")
                                    : absl::StrCat("deleted ", absl::StrJoin(gone.names(), ", "));
      });
}

void ConsoleClient::ResumeFrom(uint64_t slot, bool again, bool accept_gap) {
  Impl* const impl = impl_.get();
  api::ResumeFromRequest request;
  request.set_slot(slot);
  request.set_again(again);
  request.set_accept_gap(accept_gap);
  impl->Command<api::ResumeFromRequest, api::ResumeFromReply>(
      kRewind, std::move(request), kCommandTimeout,
      [impl](auto... arguments) { impl->stub->async()->ResumeFrom(std::move(arguments)...); },
      [](const api::ResumeFromReply& reply) {
        if (reply.nothing_to_do())
          return absl::StrCat("nothing to do: generation ", reply.generation(),
                              " was made by this rewind; repeat it with \"again\"");
        return absl::StrCat("begun from ", reply.checkpoint(), ", filling generation ", reply.generation());
      });
}

absl::StatusOr<Probe> ProbeServer(const ClientOptions& options, milliseconds over) {
  const auto stub = api::Admin::NewStub(Connect(options));
  const auto failed = [&](const grpc::Status& status) {
    return absl::UnavailableError(absl::StrCat(options.address, ": ", Words(status)));
  };
  Probe probe;
  {
    grpc::ClientContext context;
    context.set_deadline(system_clock::now() + options.call_timeout);
    api::Info info;
    const grpc::Status got = stub->GetInfo(&context, {}, &info);
    if (!got.ok() && got.error_code() != grpc::UNIMPLEMENTED) return failed(got);
    if (got.ok()) probe.info = std::move(info);
  }
  grpc::ClientContext context;
  context.set_deadline(system_clock::now() + options.call_timeout + over);
  api::WatchStatusRequest request;
  request.set_interval_ms(static_cast<uint32_t>(over.count()));
  const auto reader = stub->WatchStatus(&context, request);
  const bool both = reader->Read(&probe.first) && reader->Read(&probe.second);
  context.TryCancel();
  const grpc::Status ended = reader->Finish();
  if (!both) return failed(ended);
  return probe;
}

}  // namespace everstate::console
