// Checkpointer: makes checkpoints when the schedule says so. Inside this room only.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "absl/status/status.h"
#include "server/deployment/deployment.h"
#include "storage/model.h"

namespace everstate {

// Checkpointer
//   Thread:  Applied from the projector's, the rest from the owner's. `make` runs on a thread of its own, one at a
//            time.
//   Errors:  a checkpoint that failed is tried again when the next one is due.
class Checkpointer {
 public:
  struct Made {
    Slot slot = 0;
    std::chrono::steady_clock::time_point at;
  };
  // `last`: the newest one there is; the schedule goes on from it.
  Checkpointer(const CheckpointSchedule& schedule, const Made& last, std::function<void()> make);
  ~Checkpointer();  // waits for the one being made

  // A batch was applied; cheap.
  void Applied(Slot slot);

 private:
  void Run();
  bool DueLocked() const;
  bool SlotsDueLocked() const;

  const CheckpointSchedule schedule_;
  const std::function<void()> make_;

  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  Slot last_, newest_;  // last_: of the newest checkpoint made or tried
  std::chrono::steady_clock::time_point last_at_;
  std::thread thread_;  // last: it uses everything above
};

}  // namespace everstate
