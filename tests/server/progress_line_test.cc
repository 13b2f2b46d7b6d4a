#include "server/progress_line.h"

#include <gtest/gtest.h>

namespace everstate {
namespace {

TEST(ProgressLineTest, SaysSlotLagRateEntitiesAndSessionsWithUnits) {
  EXPECT_EQ(
      ProgressLine::Text({.slot = 5, .lag_slots = 1, .updates = 9, .entities_estimate = 3, .sessions = 2}, 1234.4),
      "slot 5  lag 1 slots  1234 updates/s  3 entities  2 sessions");
}

// The tests' output is no terminal: a line each ten seconds.
TEST(ProgressLineTest, IsDueAtOnceAndThenEveryTenSeconds) {
  using std::chrono::seconds;
  const std::chrono::steady_clock::time_point begin{seconds(1000)};
  ProgressLine line;
  EXPECT_TRUE(line.Due(begin));
  ::testing::internal::CaptureStdout();
  line.Update({.slot = 5, .updates = 100}, begin);
  EXPECT_FALSE(line.Due(begin + seconds(9)));
  EXPECT_TRUE(line.Due(begin + seconds(10)));
  line.Update({.slot = 6, .updates = 150}, begin + seconds(10));
  line.Finish();
  EXPECT_EQ(::testing::internal::GetCapturedStdout(),
            "slot 5  lag 0 slots  0 updates/s  0 entities  0 sessions\n"
            "slot 6  lag 0 slots  5 updates/s  0 entities  0 sessions\n");
}

}  // namespace
}  // namespace everstate
