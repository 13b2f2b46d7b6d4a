#include "server/base/counters.h"

#include <gtest/gtest.h>

namespace everstate {
namespace {

struct Some {
  Counter a;
  Gauge b;
  uint64_t c = 0;
  std::chrono::nanoseconds d{0};
};

constexpr Described<Some> kA{"a", &Some::a, "A"}, kB{"b", &Some::b, "B"}, kC{"c", &Some::c, "C"},
    kD{"d_us", &Some::d, "D"};

constexpr auto kAll = std::to_array({kA, kB, kC, kD});
static_assert(DescribesAll(kAll));
static_assert(DescribesAll(kAll, 0) && !DescribesAll(kAll, 8));
static_assert(!DescribesAll(std::to_array({kA, kB, kC})), "one is missing");
static_assert(!DescribesAll(std::to_array({kA, kB, kC, kC})), "one is twice in it");
static_assert(!DescribesAll(std::to_array({kA, kB, kC, Described<Some>{"a", &Some::d, "D"}})), "two have one name");

TEST(DescribedTest, ReadsEveryKindOfMember) {
  Some some;
  some.a.Add(3);
  some.b.Set(4);
  some.c = 5;
  some.d = std::chrono::microseconds(6) + std::chrono::nanoseconds(999);
  EXPECT_EQ(kA.Of(some), 3u);
  EXPECT_EQ(kB.Of(some), 4u);
  EXPECT_EQ(kC.Of(some), 5u);
  EXPECT_EQ(kD.Of(some), 6u);
}

TEST(DescribedTest, AddsWhatIsCountedAndLeavesGaugesAlone) {
  Some earlier, now;
  earlier.a.Add(3);
  earlier.b.Set(4);
  earlier.c = 5;
  earlier.d = std::chrono::microseconds(6);
  now.a.Add(10);
  now.b.Set(20);
  now.c = 30;
  now.d = std::chrono::microseconds(40);
  for (const auto& counter : kAll) counter.Add(earlier, &now);
  EXPECT_EQ(kA.Of(now), 13u);
  EXPECT_EQ(kB.Of(now), 20u);
  EXPECT_EQ(kC.Of(now), 35u);
  EXPECT_EQ(kD.Of(now), 46u);
}

}  // namespace
}  // namespace everstate
