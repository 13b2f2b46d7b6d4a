#include "server/admin/tail.h"

#include <thread>
#include <utility>

#include "server/admin/text.h"

namespace everstate {
namespace {

namespace pb = admin::v1;
using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kLook{50};   // how long a request, a stop or a client that went may go unnoticed
constexpr std::chrono::milliseconds kNews{250};  // counters alone are sent at most so often
constexpr size_t kChunkBytesMax = 1u << 20;      // with one frame more it stays below the 4 MiB that gRPC clients take
constexpr size_t kFrameJsonBytesMax = 1u << 20;  // what a larger frame holds is left out
constexpr size_t kKeyBytesMax = 64u << 10;

int64_t NowUnixMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

void FillFrame(const TappedFrame& frame, pb::TailFrame* message) {
  message->set_view(ProtoText(frame.view));
  message->set_key(ProtoText(frame.key, kKeyBytesMax));
  message->set_op(ProtoText(frame.op));
  if (frame.json.size() <= kFrameJsonBytesMax) message->set_json(ProtoText(frame.json, 3 * kFrameJsonBytesMax));
  message->set_number(frame.number);
  message->set_at_unix_ms(NowUnixMs());
}

}  // namespace

grpc::Status Tail::Run() {
  std::thread writer([this] { Write(); });
  absl::Status refused;
  pb::TailRequest request;
  while (refused.ok() && stream_->Read(&request)) {
    auto filter = TailFilter::Parse(request, backend_->info().views);
    if (!filter.ok()) {
      refused = filter.status();
      End(refused);
      break;
    }
    std::lock_guard lock(mutex_);
    requested_ = *std::move(filter);
    changed_.notify_one();
  }
  // A client that has said all that it wants to say goes on listening; one that has gone is noticed by the writer.
  writer.join();
  if (!refused.ok()) return ToGrpc(refused);
  std::lock_guard lock(mutex_);
  return ToGrpc(failure_);
}

bool Tail::Ended() const { return ended_.load() || stopping_->load() || context_->IsCancelled(); }

void Tail::End(absl::Status status) {
  std::lock_guard lock(mutex_);
  if (!ended_.exchange(true)) failure_ = std::move(status);
  changed_.notify_one();
}

std::optional<TailFilter> Tail::NextRequest() {
  std::lock_guard lock(mutex_);
  return std::exchange(requested_, std::nullopt);
}

void Tail::WaitForRequest() {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, kLook, [this] { return requested_.has_value() || ended_.load(); });
}

void Tail::Write() {
  Listen();
  tap_.reset();
  const bool refused = ended_.load();
  if (stopping_->load()) End(absl::UnavailableError("the server is shutting down"));
  // The thread of the call may be waiting for a request that never comes. When it refused one it has left by itself,
  // and what it answers must reach the client.
  if (!refused) context_->TryCancel();
}

void Tail::Listen() {
  std::vector<TappedFrame> frames;
  while (!Ended()) {
    if (std::optional<TailFilter> filter = NextRequest()) {
      if (!Adopt(*std::move(filter))) return;
    }
    if (tap_ == nullptr) {
      WaitForRequest();
      continue;
    }
    frames.clear();
    if (tap_->Next(steady_clock::now() + kLook, &frames, &missed_)) {
      if (!Forward(frames)) return;
    }
    if (CountersAreNews(steady_clock::now())) {
      pb::TailChunk chunk;
      if (!Send(&chunk)) return;
    }
  }
}

// A tap is kept while its views stay the same, so that a change of the other fields loses nothing and repeats nothing.
bool Tail::Adopt(TailFilter filter) {
  const bool keep = tap_ != nullptr && !filter.paused() && filter.views() == filter_->views();
  if (!keep && tap_ != nullptr) {
    tap_.reset();
    missed_before_ += std::exchange(missed_, 0);
  }
  if (!keep && !filter.paused()) {
    auto tap = backend_->OpenTap(filter.views());
    if (!tap.ok()) {
      std::lock_guard lock(mutex_);
      failure_ = tap.status();
      return false;
    }
    tap_ = *std::move(tap);
  }
  if (!filter_.has_value() || filter.frames_per_second_max() != filter_->frames_per_second_max())
    sampler_.emplace(filter.frames_per_second_max());
  filter_ = std::move(filter);
  pb::TailChunk chunk;
  return Send(&chunk);
}

bool Tail::Forward(const std::vector<TappedFrame>& frames) {
  pb::TailChunk chunk;
  size_t chunk_bytes = 0;
  const auto now = steady_clock::now();
  for (const TappedFrame& frame : frames) {
    if (!filter_->Matches(frame)) continue;
    if (!sampler_->Take(now)) {
      ++skipped_;
      continue;
    }
    FillFrame(frame, chunk.add_frames());
    chunk_bytes += frame.json.size() + frame.key.size();
    if (chunk_bytes < kChunkBytesMax) continue;
    if (Ended() || !Send(&chunk)) return false;
    chunk.Clear();
    chunk_bytes = 0;
  }
  return chunk.frames_size() == 0 || Send(&chunk);
}

bool Tail::CountersAreNews(steady_clock::time_point now) const {
  return (skipped_ != skipped_said_ || missed_before_ + missed_ != missed_said_) && now - said_at_ >= kNews;
}

bool Tail::Send(pb::TailChunk* chunk) {
  skipped_said_ = skipped_;
  missed_said_ = missed_before_ + missed_;
  said_at_ = steady_clock::now();
  chunk->set_skipped_by_sampling(skipped_said_);
  chunk->set_missed(missed_said_);
  chunk->set_paused(filter_->paused());
  return stream_->Write(*chunk);
}

}  // namespace everstate
