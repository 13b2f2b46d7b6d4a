#include "server/fanout/readers.h"

#include <algorithm>

namespace everstate {

Readers::Readers(unsigned count) {
  for (unsigned i = 0; i < std::max(count, 1u); ++i) threads_.emplace_back([this] { Loop(); });
}

void Readers::Run(std::function<void()> job) {
  {
    std::unique_lock lock(mutex_);
    if (stopping_) {
      lock.unlock();
      job();
      return;
    }
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
}

void Readers::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void Readers::Loop() {
  while (true) {
    std::function<void()> job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job();
  }
}

}  // namespace everstate
