// Waiting in tests.
#pragma once

#include <chrono>
#include <functional>
#include <thread>

namespace everstate {

// Waits for something that has to come true; false when it does not. The deadline is for a machine that is very busy.
inline bool Eventually(const std::function<bool()>& holds, std::chrono::seconds within = std::chrono::seconds(60)) {
  const auto deadline = std::chrono::steady_clock::now() + within;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

}  // namespace everstate
