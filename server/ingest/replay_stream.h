// One Subscribe call of a replay: its requests in, its updates out.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
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

  std::chrono::milliseconds ping_interval{10000};

  const ReplayIndex index;
  const ReplayTimeline timeline;
  ReplayRewriter rewriter;
  ReplayClock clock;
  std::atomic<bool> someone_hungry = false;  // a stream stopped looking for a match and wants to be woken at once

  std::mutex event_mutex;  // guards on_subscribe
  std::function<void(const ReplaySubscribe&)> on_subscribe;

  std::mutex streams_mutex;  // guards the rest
  absl::flat_hash_set<ReplayStream*> streams;
  uint64_t streams_ever = 0;
  bool stopping = false;  // streams that come now end at once
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
  // The rest under mutex_.
  void Pump();
  void PlaceCursor();
  bool FindNext();
  void EncodeNext();
  void Queue(const geyser::SubscribeUpdate& update);

  const std::shared_ptr<ReplayCore> core_;
  uint64_t id_ = 0;
  std::shared_ptr<ReplayStream> self_;
  grpc::ByteBuffer in_;  // of the read that is on its way

  std::mutex mutex_;      // guards the rest
  grpc::ByteBuffer out_;  // of the write that is on its way
  bool writing_ = false;
  bool finished_ = false;  // Finish was called; nothing may be started any more
  std::optional<grpc::Status> end_;
  std::deque<std::string> control_;  // pings and pongs, which go before updates
  SteadyTime next_ping_;

  ReplayFilters filters_;
  bool subscribed_ = false;
  bool waited_ = false;                // counted by the clock before it began
  std::optional<uint64_t> from_slot_;  // until there is a cursor
  std::optional<ReplayCursor> cursor_;
  std::vector<Output> outputs_;  // what of the cursor's item is still to be sent
};

grpc::Status ToGrpc(const absl::Status& status);

}  // namespace everstate::replay
