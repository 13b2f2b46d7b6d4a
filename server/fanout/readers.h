// Readers: the few threads that may touch the disk for a session.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace everstate {

// Readers
//   Thread:    Run from any; jobs run on the readers' threads, in order of arrival.
//   Invariant: a subscription has at most one job here, so the queue is bounded by the subscriptions.
class Readers {
 public:
  explicit Readers(unsigned count);
  ~Readers() { Stop(); }

  void Run(std::function<void()> job);
  void Stop();  // does what is queued, then joins

 private:
  void Loop();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace everstate
