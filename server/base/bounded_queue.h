// BoundedQueue: the hand-over between two threads, bounded by count and by bytes, with a name so that it can be shown.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace everstate {

struct QueueStats {
  std::string name;
  size_t count = 0, count_max = 0;
  size_t bytes = 0, bytes_max = 0;
};

// BoundedQueue<T>
//   Thread:    any number of threads may push and pop; FIFO.
//   Units:     `bytes` is what the pusher says the item weighs.
//   Invariant: an item is accepted while count < count_max and bytes < bytes_max before the push, so that one item
//              larger than bytes_max still passes alone; nothing is ever dropped.
template <typename T>
class BoundedQueue {
 public:
  BoundedQueue(std::string name, size_t count_max, size_t bytes_max)
      : name_(std::move(name)), count_max_(count_max), bytes_max_(bytes_max) {}

  // Waits for room. False when the queue was closed: the item was not taken.
  [[nodiscard]] bool Push(T item, size_t bytes) {
    std::unique_lock lock(mutex_);
    not_full_.wait(lock, [&] { return closed_ || (items_.size() < count_max_ && bytes_ < bytes_max_); });
    if (closed_) return false;
    items_.emplace_back(std::move(item), bytes);
    bytes_ += bytes;
    not_empty_.notify_one();
    return true;
  }

  // Waits for an item until `deadline`. Empty when the time is over, or when the queue is closed and drained.
  template <typename Clock, typename Duration>
  std::optional<T> PopUntil(std::chrono::time_point<Clock, Duration> deadline) {
    std::unique_lock lock(mutex_);
    not_empty_.wait_until(lock, deadline, [&] { return closed_ || !items_.empty(); });
    return TakeFront();
  }

  // Waits for an item. Empty when the queue is closed and drained.
  std::optional<T> Pop() {
    std::unique_lock lock(mutex_);
    not_empty_.wait(lock, [&] { return closed_ || !items_.empty(); });
    return TakeFront();
  }

  // No push succeeds from here on; what is queued can still be popped.
  void Close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    not_full_.notify_all();
    not_empty_.notify_all();
  }

  bool closed() const {
    std::lock_guard lock(mutex_);
    return closed_;
  }

  QueueStats stats() const {
    std::lock_guard lock(mutex_);
    return {name_, items_.size(), count_max_, bytes_, bytes_max_};
  }

 private:
  std::optional<T> TakeFront() {
    if (items_.empty()) return std::nullopt;
    auto [item, bytes] = std::move(items_.front());
    items_.pop_front();
    bytes_ -= bytes;
    not_full_.notify_all();
    return std::optional<T>(std::move(item));
  }

  const std::string name_;
  const size_t count_max_, bytes_max_;
  mutable std::mutex mutex_;
  std::condition_variable not_full_, not_empty_;
  std::deque<std::pair<T, size_t>> items_;
  size_t bytes_ = 0;
  bool closed_ = false;
};

}  // namespace everstate
