#include "server/config.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "server/progress_line.h"

namespace everstate {
namespace {

TEST(ConfigTest, CommitmentIsConfirmedOrFinalizedAndProcessedIsRefusedByName) {
  EXPECT_EQ(*ParseCommitment("confirmed"), Commitment::kConfirmed);
  EXPECT_EQ(*ParseCommitment("finalized"), Commitment::kFinalized);
  EXPECT_NE(ParseCommitment("processed").status().message().find("processed"), absl::string_view::npos);
  EXPECT_NE(ParseCommitment("Confirmed").status().message().find("Confirmed"), absl::string_view::npos);
}

TEST(ConfigTest, ATokenFileIsItsFirstLineAndAnErrorNeverHoldsIt) {
  const auto file = std::filesystem::temp_directory_path() / ("config_test_" + std::to_string(::getpid()));
  std::ofstream(file) << "secret\r\nsecond line\n";
  EXPECT_EQ(*ReadTokenFile(file.string()), "secret");
  std::ofstream(file) << "\nsecret\n";
  const absl::Status status = ReadTokenFile(file.string()).status();
  EXPECT_NE(status.message().find(file.string()), absl::string_view::npos);
  EXPECT_EQ(status.message().find("secret"), absl::string_view::npos);
  std::filesystem::remove(file);
  EXPECT_FALSE(ReadTokenFile(file.string()).ok());
}

TEST(ProgressLineTest, SaysSlotLagRateEntitiesAndSessionsWithUnits) {
  EXPECT_EQ(ProgressLine::Text({.slot = 5, .lag_slots = 1, .updates = 9, .entities_estimate = 3, .sessions = 2}, 1234.4),
            "slot 5  lag 1 slots  1234 updates/s  3 entities  2 sessions");
}

}  // namespace
}  // namespace everstate
