// Rates from two statuses of one process: counters' difference divided by the difference of the server's uptime, so
// that neither the network's delay nor a wall clock shows in them. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "proto/admin.pb.h"

namespace everstate::console {

// Absent: not known (one status only, a counter that fell, or a part that the server did not send).
struct StageRate {
  std::string name, unit;
  std::optional<double> per_s;
  std::optional<double> busy;         // share of the time, 0 to 1
  std::optional<double> us_per_unit;  // absent too when no unit passed
};

struct ViewRate {
  std::string id;
  uint64_t frames = 0, bytes = 0, listeners = 0;
  std::optional<double> frames_per_s, bytes_per_s;
};

struct Rates {
  std::optional<double> seconds;  // what they were measured over
  std::optional<double> messages_per_s, bytes_per_s, blocks_per_s, updates_per_s;
  std::vector<StageRate> stages;  // in the server's order
  std::vector<ViewRate> views;    // in the server's order
};

// `older` may be null: every rate is then absent. updates_per_s is that of the first stage that counts updates.
Rates RatesBetween(const admin::v1::Status* older, const admin::v1::Status& newer);

}  // namespace everstate::console
