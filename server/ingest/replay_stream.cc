#include "server/ingest/replay_stream.h"

#include <grpcpp/impl/codegen/proto_utils.h>

#include <ctime>

#include "server/ingest/replay_wire.h"

namespace everstate::replay {
namespace {

constexpr int kScanMax = 65536;       // items looked at in one go without a match
constexpr size_t kControlMax = 1024;  // unsent pongs of a client that pings and does not read

// SubscribeUpdate.created_at, now.
std::string CreatedAt() {
  timespec now = {};
  clock_gettime(CLOCK_REALTIME, &now);
  std::string time;
  AppendNumberField(1, static_cast<uint64_t>(now.tv_sec), &time);
  AppendNumberField(2, static_cast<uint64_t>(now.tv_nsec), &time);
  std::string out;
  AppendBytesField(11, time, &out);
  return out;
}

grpc::ByteBuffer Concat(std::string_view names, std::string_view body, std::string_view created) {
  grpc_slice slice = grpc_slice_malloc(names.size() + body.size() + created.size());
  char* p = reinterpret_cast<char*>(GRPC_SLICE_START_PTR(slice));
  for (std::string_view part : {names, body, created}) p += part.copy(p, part.size());
  grpc::Slice owned(slice, grpc::Slice::STEAL_REF);
  return grpc::ByteBuffer(&owned, 1);
}

}  // namespace

grpc::Status ToGrpc(const absl::Status& status) {
  return {static_cast<grpc::StatusCode>(status.code()), std::string(status.message())};
}

ReplayStream* ReplayStream::Open(std::shared_ptr<ReplayCore> core) {
  auto stream = std::make_shared<ReplayStream>(std::move(core));
  stream->self_ = stream;
  bool stopping = false;
  {
    ReplayCore& shared = *stream->core_;
    std::lock_guard lock(shared.streams_mutex);
    stream->id_ = ++shared.streams_ever;
    shared.streams.insert(stream.get());
    stopping = shared.stopping;
  }
  if (stopping) stream->End({grpc::StatusCode::UNAVAILABLE, "server is shutting down"});
  stream->Wake(std::chrono::steady_clock::now());  // the first ping
  std::lock_guard lock(stream->mutex_);
  if (!stream->finished_) stream->StartRead(&stream->in_);
  return stream.get();
}

void ReplayStream::OnReadDone(bool ok) {
  // A client that closed its side only goes on listening; one that is gone is reported by OnCancel.
  if (!ok || !HandleRequest()) return;
  std::lock_guard lock(mutex_);
  if (!finished_ && !end_) StartRead(&in_);
}

bool ReplayStream::HandleRequest() {
  geyser::SubscribeRequest request;
  if (!grpc::SerializationTraits<geyser::SubscribeRequest>::Deserialize(&in_, &request).ok()) {
    End({grpc::StatusCode::INTERNAL, "failed to decode Protobuf message"});
    return false;
  }
  if (request.has_ping()) {
    geyser::SubscribeUpdate pong;
    pong.mutable_pong()->set_id(request.ping().id());
    std::lock_guard lock(mutex_);
    if (control_.size() == kControlMax) {
      end_ = grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED,
                          "too many pings that the client did not read the answers of");
    } else {
      Queue(pong);
    }
    Pump();
    return !end_;
  }
  absl::Status status = Subscribe(request);
  if (!status.ok()) End(ToGrpc(status));
  return status.ok();
}

absl::Status ReplayStream::Subscribe(const geyser::SubscribeRequest& request) {
  absl::Status status = Apply(request);
  ReplaySubscribe event;
  event.stream = id_;
  if (request.has_from_slot()) event.from_slot = request.from_slot();
  event.accounts = request.accounts().size();
  event.transactions = request.transactions().size();
  event.transactions_status = request.transactions_status().size();
  event.slots = request.slots().size();
  event.blocks_meta = request.blocks_meta().size();
  event.entry = request.entry().size();
  event.status = status;
  std::lock_guard lock(core_->event_mutex);
  if (core_->on_subscribe) core_->on_subscribe(event);
  return status;
}

absl::Status ReplayStream::Apply(const geyser::SubscribeRequest& request) {
  absl::StatusOr<ReplayFilters> filters = ReplayFilters::Compile(request, core_->index);
  if (!filters.ok()) return filters.status();
  std::optional<uint64_t> from_slot;
  if (request.has_from_slot()) from_slot = request.from_slot();

  std::lock_guard lock(mutex_);
  if (finished_ || end_) return absl::OkStatus();
  if (!cursor_ || from_slot) {
    if (waited_) core_->clock.Unsubscribe();
    const bool begun = core_->clock.begun();
    absl::Status status = core_->clock.Subscribe(from_slot);
    // The clock may begin while a waiting stream asks again: it waited all the same.
    if (!begun) waited_ = status.ok();
    if (!status.ok()) return status;
    cursor_.reset();
    from_slot_ = from_slot;
  }
  filters_ = *std::move(filters);
  outputs_.clear();
  subscribed_ = true;
  Pump();
  return absl::OkStatus();
}

void ReplayStream::Wake(SteadyTime now) {
  std::lock_guard lock(mutex_);
  if (now >= next_ping_) {
    next_ping_ = now + core_->ping_interval;
    geyser::SubscribeUpdate ping;
    ping.mutable_ping();
    if (control_.empty()) Queue(ping);  // a client that does not read gets no second one
  }
  Pump();
}

void ReplayStream::End(grpc::Status status) {
  std::lock_guard lock(mutex_);
  if (!end_) end_ = std::move(status);
  Pump();
}

void ReplayStream::OnWriteDone(bool ok) {
  std::lock_guard lock(mutex_);
  writing_ = false;
  if (!ok && !end_) end_ = grpc::Status::CANCELLED;
  Pump();
}

void ReplayStream::OnCancel() { End(grpc::Status::CANCELLED); }

void ReplayStream::OnDone() {
  {
    std::lock_guard lock(core_->streams_mutex);
    core_->streams.erase(this);
  }
  {
    std::lock_guard lock(mutex_);
    if (waited_) core_->clock.Unsubscribe();
  }
  // The last owner may be a thread that is just waking this stream; it finds it finished.
  std::shared_ptr<ReplayStream> self = std::move(self_);
}

void ReplayStream::Queue(const geyser::SubscribeUpdate& update) { control_.push_back(update.SerializeAsString()); }

void ReplayStream::Pump() {
  if (writing_ || finished_) return;
  if (!end_ && subscribed_ && !cursor_ && core_->clock.begun()) PlaceCursor();
  if (end_) {
    finished_ = true;
    Finish(*end_);
    return;
  }
  grpc::WriteOptions options;
  if (!control_.empty()) {
    out_ = Concat({}, control_.front(), CreatedAt());
    control_.pop_front();
  } else if (FindNext()) {
    EncodeNext();
    // More is ready: the transport may wait for it and send both in one go.
    if (FindNext()) options.set_buffer_hint();
  } else {
    return;
  }
  writing_ = true;
  StartWrite(&out_, options);
}

void ReplayStream::PlaceCursor() {
  absl::StatusOr<ReplayCursor> placed = core_->clock.Place(from_slot_, waited_);
  if (!placed.ok()) {
    end_ = ToGrpc(placed.status());
    return;
  }
  cursor_ = *placed;
  from_slot_.reset();
}

bool ReplayStream::FindNext() {
  if (!cursor_) return false;
  const ReplayTimeline& timeline = core_->timeline;
  const Position limit = core_->clock.limit();
  for (int scanned = 0; outputs_.empty(); ++scanned) {
    const Position at = cursor_->At(timeline);
    if (!cursor_->InReplay()) {
      core_->clock.Reached(at);
      if (at >= limit) return false;
    }
    if (scanned == kScanMax) {
      core_->someone_hungry.store(true, std::memory_order_relaxed);
      return false;
    }
    if (timeline.Served(at)) {
      const ReplayItem& item = timeline.Item(at);
      const uint64_t pass = timeline.Pass(at);
      Output output;
      if (filters_.Match(item, pass, &output.names)) outputs_.push_back(std::move(output));
      Output status{{}, true};
      if (filters_.MatchStatus(item, pass, &status.names)) outputs_.push_back(std::move(status));
    }
    if (outputs_.empty()) cursor_->Advance(timeline);
  }
  return true;
}

void ReplayStream::EncodeNext() {
  const Position at = cursor_->At(core_->timeline);
  const Output output = std::move(outputs_.front());
  outputs_.erase(outputs_.begin());
  const UpdateBody body = core_->rewriter.Body(at);
  if (output.as_status) {
    out_ = Concat(output.names, StatusOfTransaction(body.bytes), CreatedAt());
  } else if (core_->timeline.Item(at).kind == UpdateKind::kAccount && !filters_.data_slices().empty()) {
    out_ = Concat(output.names, SliceAccount(body.bytes, filters_.data_slices()), CreatedAt());
  } else {
    out_ = Concat(output.names, body.bytes, CreatedAt());
  }
  if (outputs_.empty()) cursor_->Advance(core_->timeline);
}

}  // namespace everstate::replay
