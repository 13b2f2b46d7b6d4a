// What of the bus a client wants to see: which frames, and how many of them a second.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/admin.pb.h"
#include "server/fanout/fanout.h"
#include "storage/model.h"

namespace everstate {

// TailFilter: a checked TailRequest.
class TailFilter {
 public:
  // InvalidArgument names the field: a view that the stack does not have or does not serve, an op that there is none
  // of, a text or a list beyond its limit.
  static absl::StatusOr<TailFilter> Parse(const admin::v1::TailRequest& request, const std::vector<ViewDef>& views);

  bool Matches(const TappedFrame& frame) const;                     // of the views asked for
  const std::vector<std::string>& views() const { return views_; }  // ascending, each once; empty: all that are served
  uint32_t frames_per_second_max() const { return frames_per_second_max_; }  // 0: all
  bool paused() const { return paused_; }

 private:
  std::vector<std::string> views_, ops_;
  std::string key_, text_;
  uint32_t frames_per_second_max_ = 0;
  bool paused_ = false;
};

// Sampler: lets so many a second through, spread over the second: what was not used of a tenth of a second is not saved
// up.
//   Thread:  one.
class Sampler {
 public:
  explicit Sampler(uint32_t per_second_max) : per_second_max_(per_second_max) {}
  bool Take(std::chrono::steady_clock::time_point now);

 private:
  const uint32_t per_second_max_;  // 0: all
  double allowance_ = 1;
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace everstate
