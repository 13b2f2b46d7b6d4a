#include "server/base/stop_signal.h"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <ctime>

namespace everstate {
namespace {

// Any thread may be the one that a signal interrupts, and several at once.
std::atomic<std::time_t> stop_time_s = 0;  // of the first signal; written before it is
std::atomic<int> stop_signal = 0;
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<std::time_t>::is_always_lock_free);

// One that follows at once is the same Ctrl-C, delivered by the terminal and by a parent.
void OnSignal(int signal) {
  const std::time_t now_s = std::time(nullptr);
  if (stop_signal == 0) {
    stop_time_s = now_s;
    stop_signal = signal;
  } else if (now_s - stop_time_s > 1) {
    ::_exit(128 + signal);
  }
}

}  // namespace

bool StopRequested() {
  static const bool installed = [] {
    std::signal(SIGINT, OnSignal);
    std::signal(SIGTERM, OnSignal);
    std::signal(SIGPIPE, SIG_IGN);
    return true;
  }();
  return installed && stop_signal != 0;
}

}  // namespace everstate
