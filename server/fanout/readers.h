// Readers: the few threads that may touch the disk for a session.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace everstate {

// Readers
//   Thread:    Run from any; jobs run on the readers' threads, in order of arrival.
//   Invariant: a session's view has at most one look here, so the queue is bounded by them. After Stop, Run does the
//              job at once on the caller's thread.
class Readers {
 public:
  explicit Readers(unsigned count);
  ~Readers() { Stop(); }

  void Run(std::function<void()> job);
  void Stop();  // does what is queued, then joins

  // The same thing, for many to hold: whoever lets go of it last, it is a reader that destroys it.
  template <class T>
  std::shared_ptr<T> Keep(std::shared_ptr<T> thing) {
    T* const raw = thing.get();
    return std::shared_ptr<T>(raw, [this, thing = std::move(thing)](T*) mutable { Run([last = std::move(thing)] {}); });
  }

 private:
  void Loop();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace everstate
