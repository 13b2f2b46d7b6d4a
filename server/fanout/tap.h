// Taps: listeners inside the process. One lane gives them its publications, as it gives them to its sessions.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/fanout/fanout.h"
#include "server/fanout/publication.h"
#include "server/fanout/views.h"

namespace everstate {

class TapQueue;

// Taps
//   Thread:    Open from any; Offer on one lane.
//   Owns:      nothing: a tap lives as long as the one who opened it wants, and its queue with it.
//   Invariant: Offer waits for no reader of a tap.
class Taps {
 public:
  // Batches dropped for any tap are counted in *dropped, too.
  Taps(size_t batches_max, size_t bytes_max, Counter* dropped)
      : batches_max_(batches_max), bytes_max_(bytes_max), dropped_(dropped) {}

  absl::StatusOr<std::unique_ptr<BusTap>> Open(const ViewTable* views, const std::vector<std::string>& ids);
  void Offer(const std::shared_ptr<const Publication>& publication);

 private:
  const size_t batches_max_, bytes_max_;
  Counter* const dropped_;
  std::atomic<size_t> count_{0};  // of queues_, read without the mutex
  std::mutex mutex_;
  std::vector<std::weak_ptr<TapQueue>> queues_;
};

}  // namespace everstate
