// ReplayReach: how far back the provider can replay. Inside this room only.
#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <utility>

#include "absl/status/statusor.h"
#include "storage/model.h"

namespace everstate {

// ReplayReach
//   Thread:    any; who asks makes the others wait for the same answer.
//   Errors:    those of Ingest::FirstReplayable. An error is an answer, too: it is as old as any other.
class ReplayReach {
 public:
  ReplayReach(std::function<absl::StatusOr<Slot>()> ask, std::chrono::milliseconds max_age)
      : ask_(std::move(ask)), max_age_(max_age) {}

  // The first slot that can be replayed, as the provider says it now.
  absl::StatusOr<Slot> First() {
    std::lock_guard lock(mutex_);
    return AskLocked();
  }
  // As it said it not longer than `max_age` ago: a list of checkpoints asks for each of them.
  absl::StatusOr<Slot> RecentFirst() {
    std::lock_guard lock(mutex_);
    return asked_ && std::chrono::steady_clock::now() - asked_at_ < max_age_ ? first_ : AskLocked();
  }

 private:
  absl::StatusOr<Slot> AskLocked() {
    first_ = ask_();
    asked_ = true;
    asked_at_ = std::chrono::steady_clock::now();
    return first_;
  }

  const std::function<absl::StatusOr<Slot>()> ask_;
  const std::chrono::milliseconds max_age_;
  std::mutex mutex_;  // guards the rest
  bool asked_ = false;
  std::chrono::steady_clock::time_point asked_at_;
  absl::StatusOr<Slot> first_;
};

}  // namespace everstate
