// `everstate checkpoint`, with and without a server on the data directory.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "server/cli/cli.h"
#include "server/config.h"
#include "storage/data_dir.h"
#include "tests/server/admin/fake_backend.h"

namespace everstate {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

class CheckpointCommandTest : public AdminFixture {
 protected:
  void SetUp() override {
    AdminFixture::SetUp();
    dir_ = fs::temp_directory_path() / ("checkpoint_command_" + std::to_string(::getpid()));
    fs::remove_all(dir_);
    fs::create_directories(dir_ / "data" / "checkpoints");
    fs::create_directories(dir_ / "other");
    backend_->fields.data_dir = dir_ / "data";
  }
  void TearDown() override { fs::remove_all(dir_); }

  // Runs the command line and leaves what it printed in out_.
  ExitCode Run(std::vector<std::string> arguments, const std::string& data = "data") {
    arguments.insert(arguments.begin(), "checkpoint");
    const bool asks_server = arguments[1] != "verify";
    for (const std::string& more : {std::string("--data"), (dir_ / data).string()}) arguments.push_back(more);
    if (asks_server) arguments.insert(arguments.end(), {"--admin", server_->address()});
    std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
    CLI::App app;
    int exit_code = 0;
    cli::AddCheckpointCommand(app, &exit_code);
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    try {
      app.parse(std::move(arguments));
    } catch (const CLI::ParseError& error) {
      exit_code = static_cast<int>(ExitCode::kConfiguration);
    }
    out_ = ::testing::internal::GetCapturedStdout();
    error_ = ::testing::internal::GetCapturedStderr();
    return static_cast<ExitCode>(exit_code);
  }
  std::vector<Json> Lines() const {
    std::vector<Json> lines;
    std::istringstream in(out_);
    for (std::string line; std::getline(in, line);) lines.push_back(Json::parse(line));
    return lines;
  }

  fs::path dir_;
  std::string out_, error_;
};

TEST_F(CheckpointCommandTest, ARunningServerMakesOne) {
  auto held = DataDir::Lock(dir_ / "data");
  ASSERT_TRUE(held.ok()) << held.status();
  backend_->create = [] { return FakeCheckpoint("500-abc-12", 500, "ours"); };
  EXPECT_EQ(Run({"create", "--json"}), ExitCode::kOrderly) << error_;
  ASSERT_EQ(Lines().size(), 1u);
  EXPECT_EQ(Lines()[0]["name"], "500-abc-12");
  EXPECT_EQ(Lines()[0]["slot"], 500);
  EXPECT_EQ(Lines()[0]["ours"], true);
  EXPECT_EQ(Lines()[0]["reach"], "whole");
  backend_->create = [] { return absl::ResourceExhaustedError("the disk is full"); };
  EXPECT_EQ(Run({"create"}), ExitCode::kStore);
  EXPECT_NE(error_.find("the disk is full"), std::string::npos) << error_;
}

TEST_F(CheckpointCommandTest, WithoutAServerAndAStoreNothingIsMadeAndItSaysSo) {
  EXPECT_EQ(Run({"create"}, "other"), ExitCode::kConfiguration);
  EXPECT_NE(error_.find("there is no store in " + (dir_ / "other").string()), std::string::npos) << error_;
  EXPECT_EQ(Run({"create"}, "nowhere"), ExitCode::kConfiguration);
  EXPECT_FALSE(fs::exists(dir_ / "nowhere"));
}

TEST_F(CheckpointCommandTest, AnotherDirectorysServerIsNotAsked) {
  auto held = DataDir::Lock(dir_ / "other");
  ASSERT_TRUE(held.ok()) << held.status();
  backend_->create = []() -> absl::StatusOr<CheckpointInfo> {
    ADD_FAILURE() << "the wrong server was told to make one";
    return absl::InternalError("wrong");
  };
  EXPECT_EQ(Run({"create"}, "other"), ExitCode::kConfiguration);
  EXPECT_NE(error_.find((dir_ / "data").string()), std::string::npos) << error_;
  EXPECT_NE(error_.find("--admin"), std::string::npos) << error_;
}

TEST_F(CheckpointCommandTest, AServerThatDoesNotAnswerIsNamed) {
  auto held = DataDir::Lock(dir_ / "data");
  ASSERT_TRUE(held.ok()) << held.status();
  const std::string address = server_->address();
  server_->Stop();
  EXPECT_EQ(Run({"prune"}), ExitCode::kConfiguration);
  EXPECT_NE(error_.find(address), std::string::npos) << error_;
}

TEST_F(CheckpointCommandTest, TheListOfARunningServerKnowsWhatReaches) {
  CheckpointInfo unread;
  unread.name = "300-b-1";
  backend_->entries = {{FakeCheckpoint("50-a-1", 50, "ours"), absl::OkStatus()},
                       {FakeCheckpoint("200-b-1", 200, "theirs"), absl::OkStatus()},
                       {unread, absl::DataLossError("CHECKPOINT is missing")}};
  EXPECT_EQ(Run({"list", "--json"}), ExitCode::kOrderly) << error_;
  const auto lines = Lines();
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0]["reach"], "slots 7 to 9 are missing");
  EXPECT_EQ(lines[0]["damage"], nullptr);
  EXPECT_EQ(lines[1]["ours"], false);
  EXPECT_EQ(lines[2]["damage"], "CHECKPOINT is missing");
  EXPECT_EQ(lines[2]["slot"], nullptr);
  EXPECT_EQ(lines[2]["ours"], nullptr);
  EXPECT_EQ(Run({"list"}), ExitCode::kOrderly);
  for (const char* text : {"SLOT", "50-a-1", "3.4 KiB", "slots 7 to 9 are missing", "damaged: CHECKPOINT is missing"}) {
    EXPECT_NE(out_.find(text), std::string::npos) << text << "\n" << out_;
  }
}

TEST_F(CheckpointCommandTest, AFolderThatIsNoStoreIsNotTakenForOneWithoutCheckpoints) {
  for (const std::string command : {"list", "verify", "prune"}) {
    EXPECT_EQ(Run({command}, "other"), ExitCode::kConfiguration) << command;
    EXPECT_NE(error_.find("there is no store in " + (dir_ / "other").string()), std::string::npos) << error_;
  }
  std::ofstream(dir_ / "other" / "current") << "1\n";
  for (const std::string command : {"list", "verify"}) {
    EXPECT_EQ(Run({command}, "other"), ExitCode::kOrderly) << error_;
    EXPECT_NE(out_.find("has no checkpoints"), std::string::npos) << out_;
  }
  EXPECT_EQ(Run({"verify", "--json"}, "other"), ExitCode::kOrderly) << error_;
  EXPECT_EQ(out_, "");
}

TEST_F(CheckpointCommandTest, WithoutAServerTheListComesFromTheFiles) {
  fs::create_directories(dir_ / "other" / "checkpoints" / "12-abcdefgh-0011");
  EXPECT_EQ(Run({"list", "--json"}, "other"), ExitCode::kOrderly) << error_;
  ASSERT_EQ(Lines().size(), 1u) << out_;
  EXPECT_EQ(Lines()[0]["name"], "12-abcdefgh-0011");
  EXPECT_TRUE(Lines()[0]["damage"].is_string());
  EXPECT_EQ(Lines()[0]["reach"], nullptr);
}

TEST_F(CheckpointCommandTest, VerifySaysWhichIsDamaged) {
  fs::create_directories(dir_ / "data" / "checkpoints" / "12-abcdefgh-0011");
  EXPECT_EQ(Run({"verify"}), ExitCode::kStore);
  EXPECT_NE(out_.find("12-abcdefgh-0011 cannot be used"), std::string::npos) << out_;
  EXPECT_EQ(Run({"verify", "../data"}), ExitCode::kConfiguration);
  std::ofstream(dir_ / "other" / "checkpoints") << "no directory";
  EXPECT_EQ(Run({"verify"}, "other"), ExitCode::kStore) << "what cannot be listed is not verified";
}

TEST_F(CheckpointCommandTest, PruneIsTheServersWorkWhileOneRuns) {
  size_t kept = 0;
  backend_->prune = [&](size_t keep) -> absl::StatusOr<std::vector<std::string>> {
    kept = keep;
    return std::vector<std::string>{"50-a-1"};
  };
  {
    auto held = DataDir::Lock(dir_ / "data");
    ASSERT_TRUE(held.ok()) << held.status();
    EXPECT_EQ(Run({"prune", "--keep", "3", "--json"}), ExitCode::kOrderly) << error_;
    EXPECT_EQ(kept, 3u);
    EXPECT_EQ(Lines().at(0)["deleted"], "50-a-1");
    EXPECT_EQ(Run({"prune", "--keep", "0"}), ExitCode::kConfiguration);
  }
  kept = 0;
  EXPECT_EQ(Run({"prune"}), ExitCode::kConfiguration);
  EXPECT_EQ(kept, 0u) << "nobody holds the directory: it is done here, and there is no store";
  EXPECT_NE(error_.find("there is no store in"), std::string::npos) << error_;
}

}  // namespace
}  // namespace everstate
