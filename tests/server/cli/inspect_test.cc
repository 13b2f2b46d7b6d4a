// `everstate inspect` where the data directory holds what nobody expects.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "server/cli/cli.h"
#include "server/config.h"
#include "tests/storage/store_support.h"

namespace everstate {
namespace {

TEST(InspectCommandTest, ADirectoryOfAnyNameIsReported) {
  TemporaryFolder folder;
  OpenTestStore(folder.path()).Close();
  std::filesystem::create_directories(folder / "checkpoints" / "caf\xe9");  // Latin-1
  CLI::App app;
  int exit_code = 0;
  cli::AddInspectCommand(app, &exit_code);
  ::testing::internal::CaptureStdout();
  std::vector<std::string> arguments{folder.path().string(), "--data", "inspect"};  // CLI11 takes them from the back
  app.parse(std::move(arguments));
  const std::string out = ::testing::internal::GetCapturedStdout();
  EXPECT_EQ(exit_code, static_cast<int>(ExitCode::kOrderly));
  const auto report = nlohmann::json::parse(out);
  ASSERT_EQ(report["checkpoints"].size(), 1u);
  EXPECT_EQ(report["checkpoints"][0]["name"], "caf\xef\xbf\xbd");
  EXPECT_TRUE(report["checkpoints"][0]["damage"].is_string());
}

}  // namespace
}  // namespace everstate
