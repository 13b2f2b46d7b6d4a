#include "server/progress_line.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

namespace everstate {

ProgressLine::ProgressLine() : terminal_(isatty(STDOUT_FILENO) == 1), interval_(terminal_ ? 250 : 10000) {}

std::string ProgressLine::Text(const Progress& progress, double updates_per_s) {
  return fmt::format("slot {}  lag {} slots  {:.0f} updates/s  {} entities  {} sessions", progress.slot,
                     progress.lag_slots, updates_per_s, progress.entities_estimate, progress.sessions);
}

bool ProgressLine::Due(std::chrono::steady_clock::time_point now) const {
  return last_ == std::chrono::steady_clock::time_point{} || now - last_ >= interval_;
}

void ProgressLine::Update(const Progress& progress, std::chrono::steady_clock::time_point now) {
  const double seconds = std::chrono::duration<double>(now - last_).count();
  const double rate = last_ == std::chrono::steady_clock::time_point{}
                          ? 0
                          : static_cast<double>(progress.updates - last_updates_) / seconds;
  last_ = now;
  last_updates_ = progress.updates;
  const std::string text = Text(progress, rate);
  // ESC [ K clears what a longer line left behind.
  std::fputs(terminal_ ? ("\r" + text + "\x1b[K").c_str() : (text + "\n").c_str(), stdout);
  std::fflush(stdout);
  open_ = terminal_;
}

void ProgressLine::Finish() {
  if (open_) std::fputs("\n", stdout);
  std::fflush(stdout);
  open_ = false;
}

}  // namespace everstate
