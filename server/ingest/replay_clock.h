// How far a replay has got, when it begins, and where a stream starts.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>

#include "absl/status/statusor.h"
#include "server/ingest/replay_timeline.h"

namespace everstate::replay {

using SteadyTime = std::chrono::steady_clock::time_point;

// Where a stream is: first a replay of whole blocks, then live positions.
//   for (; cursor.At(timeline) < limit of the clock; cursor.Advance(timeline)) ...
struct ReplayCursor {
  BlockNumber block = 0;
  BlockNumber block_end = 0;  // the replay is over when block gets here
  size_t in_block = 0;
  Position replay_before = 0;  // what is not out yet at the time of the request is left to the live part
  Position live = 0;

  bool InReplay() const { return block < block_end; }
  Position At(const ReplayTimeline& timeline) const { return InReplay() ? timeline.BlockItem(block, in_block) : live; }
  void Advance(const ReplayTimeline& timeline);
};

struct ReplayClockOptions {
  std::optional<double> slots_per_second;
  uint32_t wait_subscribers = 1;
  std::chrono::milliseconds start_delay{0};
  std::optional<uint64_t> replay_slots;
};

// The clock releases the recording step by step (a step is a slot not seen before). At the pace "as fast as possible"
// it releases everything at once, and its head is where the fastest stream is. Thread: any; Tick from one. Borrows: the
// timeline.
class ReplayClock {
 public:
  ReplayClock(const ReplayTimeline& timeline, const ReplayClockOptions& options);

  // A stream has filters now. Before the beginning it is counted, and the first from_slot among those that wait decides
  // where the clock begins. Errors are the stream's end, with Yellowstone's texts.
  absl::Status Subscribe(std::optional<uint64_t> from_slot);
  // A stream that Subscribe counted has gone before the beginning.
  void Unsubscribe();

  // The place of a stream once begun() holds. `waited` = it subscribed before the beginning.
  absl::StatusOr<ReplayCursor> Place(std::optional<uint64_t> from_slot, bool waited) const;

  // Advances the clock; gives when to call again, at most.
  SteadyTime Tick(SteadyTime now);

  bool begun() const { return begun_.load(std::memory_order_acquire); }
  Position limit() const { return limit_.load(std::memory_order_acquire); }  // released: positions below it
  Position head() const { return head_.load(std::memory_order_acquire); }
  void Reached(Position at);  // a stream has sent everything below

  std::optional<BlockNumber> Tip() const;  // newest block that is out; empty before the beginning too
  BlockNumber Oldest(BlockNumber tip) const;
  bool replay_supported() const { return options_.replay_slots != 0; }

 private:
  absl::Status CheckFromSlot(uint64_t from_slot, std::optional<BlockNumber> tip) const;
  void Begin(SteadyTime now);  // under mutex_

  const ReplayTimeline& timeline_;
  const ReplayClockOptions options_;
  std::atomic<bool> begun_ = false;
  std::atomic<Position> limit_ = 0;
  std::atomic<Position> head_ = 0;
  mutable std::mutex mutex_;  // guards the rest
  uint32_t waiting_ = 0;
  std::optional<BlockNumber> begin_block_;  // set by the first from_slot
  uint64_t begin_step_ = 0;
  std::optional<SteadyTime> all_waiting_since_;
  SteadyTime begun_at_;
};

}  // namespace everstate::replay
