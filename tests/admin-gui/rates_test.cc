#include "admin-gui/rates.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

namespace everstate::console {
namespace {

admin::v1::Status At(uint64_t uptime_us, uint64_t units) {
  admin::v1::Status status;
  status.set_uptime_us(uptime_us);
  auto* stage = status.add_stages();
  stage->set_name("receive");
  stage->set_unit("updates");
  stage->set_units(units);
  stage->set_busy_us(units * 5);
  auto* view = status.add_views();
  view->set_id("A/list");
  view->set_frames(units);
  view->set_bytes(units * 700);
  status.mutable_stream()->set_messages(units);
  return status;
}

TEST(Rates, AreDifferencesOverTheServersUptime) {
  const auto older = At(1000000, 100), newer = At(3000000, 300);
  const Rates rates = RatesBetween(&older, newer);
  EXPECT_DOUBLE_EQ(*rates.seconds, 2);
  EXPECT_DOUBLE_EQ(*rates.updates_per_s, 100);
  EXPECT_DOUBLE_EQ(*rates.messages_per_s, 100);
  EXPECT_DOUBLE_EQ(*rates.stages[0].per_s, 100);
  EXPECT_DOUBLE_EQ(*rates.stages[0].busy, 0.0005);
  EXPECT_DOUBLE_EQ(*rates.stages[0].us_per_unit, 5);
  EXPECT_DOUBLE_EQ(*rates.views[0].frames_per_s, 100);
  EXPECT_DOUBLE_EQ(*rates.views[0].bytes_per_s, 70000);
}

TEST(Rates, OfOneStatusAreUnknown) {
  const Rates rates = RatesBetween(nullptr, At(1, 100));
  EXPECT_FALSE(rates.seconds || rates.updates_per_s || rates.messages_per_s);
  ASSERT_EQ(rates.stages.size(), 1u);
  EXPECT_FALSE(rates.stages[0].per_s || rates.stages[0].busy || rates.stages[0].us_per_unit);
  EXPECT_FALSE(rates.views[0].frames_per_s);
  EXPECT_EQ(rates.views[0].frames, 100u);
}

TEST(Rates, OfAQuietStageAreZeroAndItsCostUnknown) {
  const auto older = At(1000000, 100), newer = At(2000000, 100);
  const Rates rates = RatesBetween(&older, newer);
  EXPECT_EQ(rates.stages[0].per_s, 0);
  EXPECT_EQ(rates.stages[0].busy, 0);
  EXPECT_FALSE(rates.stages[0].us_per_unit);
}

TEST(Rates, AStageWhoseTimeIsNotMeasuredIsNotIdle) {
  auto older = At(1000000, 100), newer = At(2000000, 200);
  for (auto* status : {&older, &newer}) status->mutable_stages(0)->clear_busy_us();
  const Rates rates = RatesBetween(&older, newer);
  EXPECT_EQ(rates.stages[0].per_s, 100);
  EXPECT_FALSE(rates.stages[0].busy || rates.stages[0].us_per_unit);
}

TEST(Rates, OfWhatTheServerDoesNotSayAreUnknown) {
  auto older = At(1000000, 100), newer = At(2000000, 200);
  older.clear_stages();
  older.clear_stream();
  older.clear_views();
  const Rates rates = RatesBetween(&older, newer);
  EXPECT_FALSE(rates.updates_per_s || rates.messages_per_s || rates.bytes_per_s || rates.views[0].frames_per_s);
}

// Whatever two statuses say: no rate is negative, and none is known when time or the counter went back.
RC_GTEST_PROP(Rates, NeverNegative, (uint32_t uptime_before, uint32_t uptime_after, uint32_t before, uint32_t after)) {
  const auto older = At(uptime_before, before), newer = At(uptime_after, after);
  const Rates rates = RatesBetween(&older, newer);
  const bool known = uptime_after > uptime_before && after >= before;
  RC_ASSERT(rates.updates_per_s.has_value() == known);
  RC_ASSERT(rates.views[0].bytes_per_s.has_value() == known);
  if (known) RC_ASSERT(*rates.updates_per_s >= 0);
}

}  // namespace
}  // namespace everstate::console
