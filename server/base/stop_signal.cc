#include "server/base/stop_signal.h"

#include <unistd.h>

#include <csignal>
#include <ctime>

namespace everstate {
namespace {

volatile std::sig_atomic_t stop_signal = 0;
volatile std::time_t stop_time_s = 0;

// One that follows at once is the same Ctrl-C, delivered by the terminal and by a parent.
void OnSignal(int signal) {
  const std::time_t now_s = std::time(nullptr);
  if (stop_signal == 0) {
    stop_signal = signal;
    stop_time_s = now_s;
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
