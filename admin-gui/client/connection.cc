#include "admin-gui/client/connection.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "admin-gui/client/channel.h"

namespace everstate::console {

using std::chrono::milliseconds;

// The status stream. Deletes itself when gRPC is done with it. A context keeps the channel, and a channel must not end
// on a thread of gRPC's, which would wait for itself: so every context is gone before the client is told that it may
// go.
class Connection::StatusStream : public grpc::ClientReadReactor<api::Status> {
 public:
  explicit StatusStream(Connection* connection) : connection_(connection) {
    request_.set_interval_ms(static_cast<uint32_t>(connection->options_.status_interval.count()));
    connection->stub_->async()->WatchStatus(&context_, &request_, this);
    StartRead(&status_);
    StartCall();
  }
  void Cancel() { context_.TryCancel(); }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    connection_->Post(StatusArrived{std::move(status_)});
    status_.Clear();
    StartRead(&status_);
  }
  void OnDone(const grpc::Status& status) override {
    Connection* const connection = connection_;
    const std::lock_guard lock(connection->mutex_);
    connection->status_stream_ = nullptr;
    connection->status_end_ = status;
    delete this;
    connection->changed_.notify_all();
  }

 private:
  Connection* const connection_;
  grpc::ClientContext context_;
  api::WatchStatusRequest request_;
  api::Status status_;
};

// The tail. Reads and writes are started under the connection's mutex: gRPC runs no callback inside of them.
class Connection::TailStream : public grpc::ClientBidiReactor<api::TailRequest, api::TailChunk> {
 public:
  TailStream(Connection* connection, const api::TailRequest& request) : connection_(connection), writing_(request) {
    connection->stub_->async()->TailBus(&context_, this);
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
    const std::lock_guard lock(connection_->mutex_);
    write_under_way_ = false;
    if (!ok || ended_ || !next_) return;
    const api::TailRequest request = *std::exchange(next_, std::nullopt);
    SendLocked(request);
  }
  void OnReadDone(bool ok) override {
    {
      const std::lock_guard lock(connection_->mutex_);
      if (!ok) return EndLocked();
      connection_->tail_pause_ = milliseconds(0);
      connection_->PostLocked(TailArrived{std::move(chunk_)});
      chunk_.Clear();
      if (connection_->inbox_.full()) {
        parked_ = true;
      } else {
        StartRead(&chunk_);
      }
    }
    connection_->Wake();
  }
  void OnDone(const grpc::Status& status) override {
    Connection* const connection = connection_;
    const ClientOptions& options = connection->options_;
    const std::lock_guard lock(connection->mutex_);
    connection->tail_stream_ = nullptr;
    connection->tail_pause_ = std::clamp(connection->tail_pause_ * 2, options.retry_first, options.retry_max);
    connection->tail_not_before_ = Clock::now() + connection->tail_pause_;
    connection->PostLocked(TailEnded{Words(status), connection->tail_not_before_});
    connection->Wake();
    delete this;
    connection->changed_.notify_all();
  }

 private:
  void EndLocked() {
    if (std::exchange(ended_, true)) return;
    RemoveHold();
  }

  Connection* const connection_;
  grpc::ClientContext context_;
  api::TailRequest writing_;
  std::optional<api::TailRequest> next_;
  api::TailChunk chunk_;
  bool write_under_way_ = true, parked_ = false, ended_ = false;
};

void Connection::Inbox::Add(Event event) {
  if (std::holds_alternative<StatusArrived>(event.what)) {
    if (++statuses > kStatusesMax) {
      events.erase(std::find_if(events.begin(), events.end(),
                                [](const Event& one) { return std::holds_alternative<StatusArrived>(one.what); }));
      --statuses;
    }
  } else if (const auto* tail = std::get_if<TailArrived>(&event.what)) {
    frames += static_cast<size_t>(tail->chunk.frames_size());
    bytes += tail->chunk.ByteSizeLong();
  }
  events.push_back(std::move(event));
}

std::vector<Event> Connection::Inbox::Take() {
  std::vector<Event> taken(std::make_move_iterator(events.begin()), std::make_move_iterator(events.end()));
  *this = {};
  return taken;
}

Connection::Connection(const ClientOptions& options, api::Admin::Stub* stub) : options_(options), stub_(stub) {
  keeper_ = std::thread([this] { Keep(); });
}

Connection::~Connection() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    if (get_info_) get_info_->TryCancel();
    changed_.notify_all();
  }
  keeper_.join();
}

std::vector<Event> Connection::Take() {
  const std::lock_guard lock(mutex_);
  std::vector<Event> taken = inbox_.Take();
  if (tail_stream_) tail_stream_->ReadOnLocked();
  return taken;
}

void Connection::SetTail(const api::TailRequest& request) {
  const std::lock_guard lock(mutex_);
  tail_wanted_ = request;
  if (tail_stream_) {
    tail_stream_->SendLocked(request);
  } else {
    // A request of another kind may be one that the server takes.
    tail_not_before_ = {};
    changed_.notify_all();
  }
}

void Connection::Post(decltype(Event::what) what) {
  {
    const std::lock_guard lock(mutex_);
    PostLocked(std::move(what));
  }
  Wake();
}

void Connection::PostLocked(decltype(Event::what) what) {
  const Time now = Clock::now();
  if (std::holds_alternative<StatusArrived>(what)) heard_at_ = now;
  inbox_.Add({now, std::move(what)});
}

grpc::Status Connection::GetInfo(api::Info* info) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + options_.call_timeout);
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return grpc::Status::CANCELLED;
    get_info_ = &context;
  }
  grpc::Status status = stub_->GetInfo(&context, {}, info);
  const std::lock_guard lock(mutex_);
  get_info_ = nullptr;
  return status;
}

void Connection::Keep() {
  milliseconds pause = options_.retry_first;
  for (uint64_t attempt = 1;; ++attempt) {
    Post(Connecting{attempt});
    bool answered = false;
    std::optional<std::string> why = FollowOnce(&answered);
    if (!why) return;
    if (answered) {
      attempt = 0;
      pause = options_.retry_first;
    }
    const Time retry_at = Clock::now() + pause;
    Post(Lost{*std::move(why), retry_at});
    std::unique_lock lock(mutex_);
    if (changed_.wait_until(lock, retry_at, [&] { return stopping_; })) return;
    pause = std::min(pause * 2, options_.retry_max);
  }
}

std::optional<std::string> Connection::FollowOnce(bool* answered) {
  api::Info info;
  const grpc::Status got = GetInfo(&info);
  if (!got.ok() && got.error_code() != grpc::UNIMPLEMENTED) {
    const std::lock_guard lock(mutex_);
    if (stopping_) return std::nullopt;
    return Words(got);
  }
  Post(Connected{got.ok() ? std::optional(std::move(info)) : std::nullopt});

  std::unique_lock lock(mutex_);
  if (stopping_) return std::nullopt;
  const Time began = heard_at_ = Clock::now();
  status_end_.reset();
  tail_not_before_ = {};
  tail_pause_ = milliseconds(0);
  status_stream_ = new StatusStream(this);
  bool silent = false;
  while (!status_end_ && !stopping_) {
    const Time silent_at = heard_at_ + options_.silence_max;
    if (Clock::now() >= silent_at) {
      silent = true;
      break;
    }
    changed_.wait_until(lock, std::min(silent_at, KeepTailLocked()));
  }
  // The connection ends as a whole: a tail must not outlive the status that says how to read it.
  if (status_stream_) status_stream_->Cancel();
  if (tail_stream_) tail_stream_->CancelLocked();
  changed_.wait(lock, [&] { return !status_stream_ && !tail_stream_; });
  *answered = heard_at_ > began;
  if (stopping_) return std::nullopt;
  return silent ? absl::StrCat("it has sent no status for ", options_.silence_max.count() / 1000, " s")
                : Words(*status_end_);
}

Time Connection::KeepTailLocked() {
  if (!tail_wanted_ || tail_stream_) return Time::max();
  if (Clock::now() < tail_not_before_) return tail_not_before_;
  tail_stream_ = new TailStream(this, *tail_wanted_);
  return Time::max();
}

}  // namespace everstate::console
