#include "server/ingest/replay_clock.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"

namespace everstate::replay {
namespace {

constexpr std::chrono::milliseconds kIdleTick{100};

absl::Status TooNew() { return absl::InternalError("failed to get replay response"); }

}  // namespace

void ReplayCursor::Advance(const ReplayTimeline& timeline) {
  if (!InReplay()) {
    ++live;
    return;
  }
  ++in_block;
  while (InReplay()) {
    if (in_block == timeline.Block(block).in_replay.size()) {
      ++block;
      in_block = 0;
    } else if (timeline.BlockItem(block, in_block) >= replay_before) {
      ++in_block;
    } else {
      return;
    }
  }
}

ReplayClock::ReplayClock(const ReplayTimeline& timeline, const ReplayClockOptions& options)
    : timeline_(timeline), options_(options) {}

std::optional<BlockNumber> ReplayClock::Tip() const {
  if (!begun()) return std::nullopt;
  return timeline_.TipAt(head());
}

BlockNumber ReplayClock::Oldest(BlockNumber tip) const {
  if (!options_.replay_slots || *options_.replay_slots > tip) return 0;
  return tip + 1 - *options_.replay_slots;
}

absl::Status ReplayClock::CheckFromSlot(uint64_t from_slot, std::optional<BlockNumber> tip) const {
  if (!replay_supported()) return absl::InternalError("from_slot is not supported");
  std::optional<BlockNumber> block = timeline_.BlockAtOrAfter(from_slot);
  if (!block) return TooNew();
  uint64_t oldest_slot = timeline_.BlockSlot(tip ? Oldest(*tip) : 0);
  if (from_slot < oldest_slot) {
    return absl::OutOfRangeError(
        absl::StrCat("broadcast from ", from_slot, " is not available, last available: ", oldest_slot));
  }
  return tip && *block > *tip ? TooNew() : absl::OkStatus();
}

absl::Status ReplayClock::Subscribe(std::optional<uint64_t> from_slot) {
  std::lock_guard lock(mutex_);
  if (begun()) {
    if (!from_slot) return absl::OkStatus();
    std::optional<BlockNumber> tip = Tip();
    return tip || !replay_supported() ? CheckFromSlot(*from_slot, tip) : TooNew();
  }
  if (from_slot) {
    if (absl::Status s = CheckFromSlot(*from_slot, begin_block_); !s.ok()) return s;
    if (!begin_block_) begin_block_ = timeline_.BlockAtOrAfter(*from_slot);
  }
  ++waiting_;
  return absl::OkStatus();
}

void ReplayClock::Unsubscribe() {
  std::lock_guard lock(mutex_);
  if (begun()) return;
  if (--waiting_ == 0) begin_block_.reset();
}

absl::StatusOr<ReplayCursor> ReplayClock::Place(std::optional<uint64_t> from_slot, bool waited) const {
  const Position head_now = head();
  ReplayCursor cursor;
  if (!from_slot) {
    if (!waited) {
      cursor.live = timeline_.StepBegin(timeline_.StepAt(head_now));
      return cursor;
    }
    std::lock_guard lock(mutex_);
    cursor.live = timeline_.StepBegin(begin_step_);
    return cursor;
  }
  std::optional<BlockNumber> tip = timeline_.TipAt(head_now);
  if (!tip && replay_supported()) return TooNew();
  if (absl::Status s = CheckFromSlot(*from_slot, tip); !s.ok()) return s;
  cursor.block = *timeline_.BlockAtOrAfter(*from_slot);
  cursor.block_end = *tip + 1;
  cursor.replay_before = head_now;
  // Blocks behind the tip may already be out in part; the live part begins before them.
  cursor.live = head_now;
  if (timeline_.HasBlock(cursor.block_end)) {
    cursor.live = std::min(head_now, timeline_.BlockLiveFrom(cursor.block_end));
  }
  return cursor;
}

void ReplayClock::Begin(SteadyTime now) {
  if (begin_block_) {
    const Position ready = timeline_.BlockReady(*begin_block_);
    begin_step_ = timeline_.StepAt(ready);
    if (timeline_.StepBegin(begin_step_) < ready) ++begin_step_;
  }
  begun_at_ = now;
  // At full pace the head begins where waiting streams do, with the block of from_slot behind it.
  head_.store(timeline_.StepBegin(begin_step_), std::memory_order_release);
  if (!options_.slots_per_second) limit_.store(timeline_.end(), std::memory_order_release);
}

SteadyTime ReplayClock::Tick(SteadyTime now) {
  std::lock_guard lock(mutex_);
  if (!begun()) {
    if (waiting_ < options_.wait_subscribers) {
      all_waiting_since_.reset();
      return now + kIdleTick;
    }
    if (!all_waiting_since_) all_waiting_since_ = now;
    if (SteadyTime at = *all_waiting_since_ + options_.start_delay; now < at) return std::min(at, now + kIdleTick);
    Begin(now);
  }
  SteadyTime next = now + kIdleTick;
  if (options_.slots_per_second) {
    const double rate = *options_.slots_per_second;
    const auto steps = static_cast<uint64_t>(std::chrono::duration<double>(now - begun_at_).count() * rate);
    const Position at = timeline_.StepBegin(begin_step_ + 1 + steps);
    limit_.store(at, std::memory_order_release);
    head_.store(at, std::memory_order_release);
    const auto due = std::chrono::duration<double>(static_cast<double>(steps + 1) / rate);
    next = std::min(next, begun_at_ + std::chrono::ceil<std::chrono::microseconds>(due));
  }
  begun_.store(true, std::memory_order_release);
  return next;
}

void ReplayClock::Reached(Position at) {
  if (options_.slots_per_second) return;  // time alone moves the head
  Position seen = head_.load(std::memory_order_relaxed);
  while (seen < at && !head_.compare_exchange_weak(seen, at, std::memory_order_acq_rel)) {
  }
}

}  // namespace everstate::replay
