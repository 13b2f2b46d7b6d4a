// Counters: what the rooms count, as plain atomics. The owner of a struct of counters adds; anybody may read, or copy
// the struct to have all values at (nearly) one moment. A struct of counters is followed by one list that describes its
// members; whoever shows counters walks the list, so that none is forgotten.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string_view>
#include <variant>

namespace everstate {

// Counter: only rises.   Thread: any.
class Counter {
 public:
  Counter() = default;
  Counter(const Counter& other) : value_(other.value()) {}
  void Add(uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// Gauge: the present value of something.   Thread: any.
class Gauge {
 public:
  Gauge() = default;
  Gauge(const Gauge& other) : value_(other.value()) {}
  void Set(uint64_t v) { value_.store(v, std::memory_order_relaxed); }
  void Add(uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  void Sub(uint64_t n = 1) { value_.fetch_sub(n, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// A counter only rises. A gauge is a present value. A position is a gauge of which 0 says that it is not known yet.
enum class CountKind : uint8_t { kCounter, kGauge, kPosition };

// Described: one member of S, a struct of counters. A value that no other thread reads while it is counted may be a
// plain uint64_t, a time a std::chrono::nanoseconds.
//   name: words joined by _. A time ends in its unit, _us or _ms; a member of nanoseconds is read in microseconds.
//   help: what is counted, in one sentence without its full stop.
template <typename S>
struct Described {
  using Member = std::variant<Counter S::*, Gauge S::*, uint64_t S::*, std::chrono::nanoseconds S::*>;

  constexpr Described(std::string_view n, Counter S::*m, std::string_view h) : name(n), help(h), member(m) {}
  constexpr Described(std::string_view n, Gauge S::*m, std::string_view h, CountKind k = CountKind::kGauge)
      : name(n), help(h), kind(k), member(m) {}
  constexpr Described(std::string_view n, uint64_t S::*m, std::string_view h, CountKind k = CountKind::kCounter)
      : name(n), help(h), kind(k), member(m) {}
  constexpr Described(std::string_view n, std::chrono::nanoseconds S::*m, std::string_view h)
      : name(n), help(h), member(m) {}

  uint64_t Of(const S& counters) const {
    return std::visit([&](auto m) { return Read(counters.*m); }, member);
  }
  // Adds, so that a process goes on counting where an earlier owner of such a struct ended. Gauges are left alone.
  void Add(const S& more, S* to) const {
    if (kind != CountKind::kCounter) return;
    std::visit([&](auto m) { Raise(more.*m, &(to->*m)); }, member);
  }

  std::string_view name, help;
  CountKind kind = CountKind::kCounter;
  Member member;

 private:
  static uint64_t Read(const Counter& c) { return c.value(); }
  static uint64_t Read(const Gauge& g) { return g.value(); }
  static uint64_t Read(uint64_t n) { return n; }
  static uint64_t Read(std::chrono::nanoseconds t) {
    return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(t).count());
  }
  static void Raise(const Counter& more, Counter* to) { to->Add(more.value()); }
  static void Raise(const Gauge&, Gauge*) {}
  template <typename T>
  static void Raise(const T& more, T* to) {
    *to += more;
  }
};

// True when each member of S is in the list, once: for a static_assert behind the list. `other_bytes` is what S holds
// besides counters: structs that have lists of their own.
template <typename S, size_t N>
constexpr bool DescribesAll(const std::array<Described<S>, N>& list, size_t other_bytes = 0) {
  for (size_t i = 0; i < N; ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (list[i].member == list[j].member || list[i].name == list[j].name) return false;
    }
  }
  return N * sizeof(Counter) + other_bytes == sizeof(S);
}

static_assert(sizeof(Counter) == sizeof(uint64_t) && sizeof(Gauge) == sizeof(uint64_t) &&
              sizeof(std::chrono::nanoseconds) == sizeof(uint64_t));

}  // namespace everstate
