// Buckets: what a histogram is made of, as plain atomics.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace everstate {

// Buckets: how many values lie between two of a few bounds. `kBounds` is an array of ascending uint64_t; a value
// belongs to the first bound that is not below it, else to one bucket more. And the sum of the values.
//   Thread:    any. A copy is not of one moment.
template <const auto& kBounds>
class Buckets {
 public:
  static constexpr size_t kCount = kBounds.size() + 1;

  Buckets() = default;
  Buckets(const Buckets& other) { *this = other; }
  Buckets& operator=(const Buckets& other) {
    for (size_t i = 0; i < kCount; ++i) counts_[i].store(other.count(i), std::memory_order_relaxed);
    sum_.store(other.sum(), std::memory_order_relaxed);
    return *this;
  }

  void Count(uint64_t value) {
    size_t i = 0;
    while (i < kBounds.size() && kBounds[i] < value) ++i;
    counts_[i].fetch_add(1, std::memory_order_relaxed);
    sum_.fetch_add(value, std::memory_order_relaxed);
  }
  void Add(const Buckets& more) {
    for (size_t i = 0; i < kCount; ++i) counts_[i].fetch_add(more.count(i), std::memory_order_relaxed);
    sum_.fetch_add(more.sum(), std::memory_order_relaxed);
  }
  uint64_t count(size_t bucket) const { return counts_[bucket].load(std::memory_order_relaxed); }
  uint64_t sum() const { return sum_.load(std::memory_order_relaxed); }

 private:
  std::array<std::atomic<uint64_t>, kCount> counts_{};
  std::atomic<uint64_t> sum_{0};
};

}  // namespace everstate
