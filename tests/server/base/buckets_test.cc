#include "server/base/buckets.h"

#include <gtest/gtest.h>

#include <vector>

namespace everstate {
namespace {

constexpr std::array<uint64_t, 3> kBounds = {1, 10, 100};
using Few = Buckets<kBounds>;

std::vector<uint64_t> Counts(const Few& buckets) {
  std::vector<uint64_t> counts;
  for (size_t i = 0; i < Few::kCount; ++i) counts.push_back(buckets.count(i));
  return counts;
}

TEST(BucketsTest, AValueBelongsToTheFirstBoundThatIsNotBelowIt) {
  Few buckets;
  for (const uint64_t value : {0u, 1u, 2u, 10u, 11u, 100u, 101u}) buckets.Count(value);
  buckets.Count(UINT64_MAX);
  EXPECT_EQ(Counts(buckets), (std::vector<uint64_t>{2, 2, 2, 2}));
}

TEST(BucketsTest, CopiesAreTheirOwnAndAdd) {
  Few a, b;
  a.Count(5);
  b = a;
  Few c(b);
  b.Count(5);
  c.Add(b);
  EXPECT_EQ(Counts(a), (std::vector<uint64_t>{0, 1, 0, 0}));
  EXPECT_EQ(Counts(b), (std::vector<uint64_t>{0, 2, 0, 0}));
  EXPECT_EQ(Counts(c), (std::vector<uint64_t>{0, 3, 0, 0}));
  EXPECT_EQ(a.sum(), 5u);
  EXPECT_EQ(b.sum(), 10u);
  EXPECT_EQ(c.sum(), 15u);
}

}  // namespace
}  // namespace everstate
