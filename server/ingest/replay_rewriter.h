// The bytes of an update at a position: as recorded in pass 0, changed for the pass in later ones.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/ingest/replay_timeline.h"

namespace everstate::replay {

struct UpdateBody {
  std::string_view bytes;            // the field of the oneof, tag included
  std::shared_ptr<const void> hold;  // what keeps `bytes`; empty when they are the recorded ones
};

// Streams of one replay mostly read the same place, so the changed bytes are made a step at a time, once for all.
// Thread: any. Borrows: the timeline, which must outlive it.
class ReplayRewriter {
 public:
  explicit ReplayRewriter(const ReplayTimeline& timeline) : timeline_(timeline) {}

  UpdateBody Body(Position at);

  // The bytes without the cache.
  static std::string Rewrite(const ReplayTimeline& timeline, Position at);

 private:
  using Step = std::vector<std::string>;
  struct Cached {
    uint64_t step = 0;
    uint64_t used = 0;
    std::shared_ptr<const Step> bytes;
  };
  static constexpr size_t kStepsCached = 64;

  std::shared_ptr<const Step> FindStep(uint64_t step);

  const ReplayTimeline& timeline_;
  std::mutex mutex_;  // guards the rest
  uint64_t uses_ = 0;
  std::vector<Cached> cache_;
};

// An account update with only these (offset, length) slices of its data, one after the other.
std::string SliceAccount(std::string_view body, const std::vector<std::pair<uint64_t, uint64_t>>& slices);

// The transaction status update of a transaction update.
std::string StatusOfTransaction(std::string_view body);

}  // namespace everstate::replay
