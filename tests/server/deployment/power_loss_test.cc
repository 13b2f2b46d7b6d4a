// What lies on the disk when a rewind puts its generation in force.
#include <gtest/gtest.h>

#include "storage/checkpoint.h"
#include "tests/server/deployment/deployment_support.h"
#include "tests/support/synced_files.h"

namespace everstate::testing {
namespace {

using PowerLossTest = RewindTest;

// A power loss right after the switch must not find less than a provider could bring again: the generation was filled
// faster than the log's timer syncs.
TEST_F(PowerLossTest, TheLogOfANewGenerationIsSyncedBeforeTheSwitch) {
  StartProvider(200, std::nullopt);
  auto options = Options("data");
  options.store.wal_sync_interval_ms = 24 * 3600 * 1000;  // by the timer, never
  auto deployment = RunPastCheckpoint(options);
  ASSERT_LT(checkpoint_.watermark.block.slot, kLast);
  WaitForSlot(*deployment, kLast);
  EXPECT_GT(LogBytesAtRisk(folder_ / "data" / "1"), 0u) << "this test would see nothing";
  ASSERT_TRUE(deployment->ResumeFrom({.slot = kLast}).ok());
  WaitForRewind(*deployment);
  ASSERT_EQ(deployment->status().rewind->state, RewindState::kDone) << deployment->status().rewind->error;
  // `current` is written and synced under this name, then renamed.
  EXPECT_TRUE(LogsSyncedBefore(folder_ / "data" / "2", folder_ / "data" / "current.new"));
}

}  // namespace
}  // namespace everstate::testing
