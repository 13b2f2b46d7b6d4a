// ProgressLine: one line on stdout that lives. On a terminal it is rewritten in place four times a second; elsewhere a
// line is printed every ten seconds.
#pragma once

#include <chrono>
#include <string>

#include "server/health/health.h"

namespace everstate {

// ProgressLine
//   Thread:  one.
class ProgressLine {
 public:
  ProgressLine();
  bool Due(std::chrono::steady_clock::time_point now) const;
  void Update(const Progress& progress, std::chrono::steady_clock::time_point now);
  void Finish();  // ends the line on a terminal

  // "slot 398210118  lag 1 slots  1234 updates/s  190 entities  2 sessions"
  static std::string Text(const Progress& progress, double updates_per_s);

 private:
  const bool terminal_;
  const std::chrono::milliseconds interval_;
  std::chrono::steady_clock::time_point last_{};
  uint64_t last_updates_ = 0;
  bool open_ = false;
};

}  // namespace everstate
