// One Subscribe call of a replay: its requests in, its updates out.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "proto/geyser.pb.h"
#include "server/ingest/replay.h"
#include "server/ingest/replay_clock.h"
#include "server/ingest/replay_filters.h"
#include "server/ingest/replay_rewriter.h"
#include "server/ingest/replay_timeline.h"

namespace everstate::replay {

class ReplayStream;

// What all streams of a replay share; it lives until the last of them is gone.
struct ReplayCore {
  ReplayCore(ReplayIndex loaded, bool loop, const ReplayClockOptions& options)
      : index(std::move(loaded)), timeline(index, loop), rewriter(timeline), clock(timeline, options) {}

  const ReplayIndex index;
  const ReplayTimeline timeline;
  ReplayRewriter rewriter;
  ReplayClock clock;
  std::atomic<bool> someone_hungry = false;  // a stream stopped looking for a match and wants to be woken at once

  absl::Mutex event_mutex;
  std::function<void(const ReplaySubscribe&)> on_subscribe ABSL_GUARDED_BY(event_mutex);

  absl::Mutex streams_mutex;
  absl::flat_hash_set<ReplayStream*> streams ABSL_GUARDED_BY(streams_mutex);
  uint64_t streams_ever ABSL_GUARDED_BY(streams_mutex) = 0;
  bool stopping ABSL_GUARDED_BY(streams_mutex) = false;  // streams that come now end at once
};

// Works on raw message buffers: an update goes out as the bytes of its filter names, its recorded body and the time of
// sending, copied once. One write is on its way at a time, so a slow client holds nothing but its own place.
// Thread: gRPC's threads and the ticker; its own mutex. Owns: itself, from Open until gRPC is done with it.
class ReplayStream final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                           public std::enable_shared_from_this<ReplayStream> {
 public:
  static ReplayStream* Open(std::shared_ptr<ReplayCore> core);
  explicit ReplayStream(std::shared_ptr<ReplayCore> core) : core_(std::move(core)) {}

  // The clock went on, or time did.
  void Wake(SteadyTime now);
  // Ends the call with this status after the write that is on its way.
  void End(grpc::Status status);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  struct Output {
    std::string names;
    bool as_status = false;  // the transaction status of the item instead of the item
  };

  // False when the stream is at its end.
  bool HandleRequest();
  absl::Status Subscribe(const geyser::SubscribeRequest& request);
  absl::Status Apply(const geyser::SubscribeRequest& request);
  void Pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void PlaceCursor() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool FindNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EncodeNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Queue(const geyser::SubscribeUpdate& update) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::shared_ptr<ReplayCore> core_;
  uint64_t id_ = 0;
  std::shared_ptr<ReplayStream> self_;
  grpc::ByteBuffer in_;  // of the read that is on its way

  absl::Mutex mutex_;
  grpc::ByteBuffer out_ ABSL_GUARDED_BY(mutex_);  // of the write that is on its way
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;  // Finish was called; nothing may be started any more
  std::optional<grpc::Status> end_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::string> control_ ABSL_GUARDED_BY(mutex_);  // pings and pongs, which go before updates
  SteadyTime next_ping_ ABSL_GUARDED_BY(mutex_);

  ReplayFilters filters_ ABSL_GUARDED_BY(mutex_);
  bool subscribed_ ABSL_GUARDED_BY(mutex_) = false;
  bool waited_ ABSL_GUARDED_BY(mutex_) = false;                // counted by the clock before it began
  std::optional<uint64_t> from_slot_ ABSL_GUARDED_BY(mutex_);  // until there is a cursor
  std::optional<ReplayCursor> cursor_ ABSL_GUARDED_BY(mutex_);
  std::vector<Output> outputs_ ABSL_GUARDED_BY(mutex_);  // what of the cursor's item is still to be sent
};

grpc::Status ToGrpc(const absl::Status& status);

}  // namespace everstate::replay
