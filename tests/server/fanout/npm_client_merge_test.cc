// What the unmodified hyperstack-typescript client holds in the end, merged by its own code from what this server sent:
// it must be what the rows hold, whatever happened to them.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "tests/server/fanout/fanout_fixture.h"
#include "tests/support/source_dir.h"

namespace everstate::testing {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr int kBatchesBefore = 20, kBatchesLive = 400;

class NpmClientMergeTest : public FanoutTest {
 protected:
  void SetUp() override {
    if (const char* root = std::getenv("TEST_NPM_ROOT"); root != nullptr) root_ = root;
    node_ = root_ + "/node_modules/node/bin/node";
    if (!fs::exists(node_)) GTEST_SKIP() << "no pinned Node and npm client in TEST_NPM_ROOT";
    out_ = fs::path(::testing::TempDir()) / ("npm_client_merge_" + std::to_string(getpid()));
    fs::create_directories(out_);
    ASSERT_EQ(mkfifo((out_ / "stdin").c_str(), 0600), 0);
  }
  void TearDown() override {
    FanoutTest::TearDown();
    std::error_code ignored;
    fs::remove_all(out_, ignored);
  }

  // Any change that a handler can make, of a few rows.
  void ChangeSomething() {
    const std::string key = "k" + std::to_string(random_() % 7);
    const auto maybe = [this] { return random_() % 2 == 0 ? std::optional<uint64_t>() : random_() % 5; };
    switch (random_() % 6) {
      case 0:
        if (world_.Exists(key)) return world_.Delete(key);
        [[fallthrough]];
      case 1:
        return world_.SetRank(key, random_() % 1000);
      case 2:
        return world_.AddEv(key, random_());
      case 3:
        return world_.Edit(key, [](RowEditor& editor) { editor.Set(kKind, Value::Null()); });
      default:
        return world_.SetKind(key, maybe(), maybe());
    }
  }
  std::map<std::string, json> Dumped() {
    std::map<std::string, json> rows;
    std::ifstream file(out_ / "Thing.list.jsonl");
    for (std::string line; std::getline(file, line);) {
      const json row = json::parse(line);
      rows[row.at("key")] = row.at("data");
    }
    return rows;
  }

  std::mt19937_64 random_{7};
  std::string root_, node_;
  fs::path out_;
};

TEST_F(NpmClientMergeTest, HoldsWhatTheRowsHold) {
  Start();
  for (int i = 0; i < kBatchesBefore; ++i) {
    ChangeSomething();
    Commit();
  }
  const std::string last_seq = std::to_string(1000 + kBatchesBefore + kBatchesLive) + ":000000000001";
  const std::string command = node_ + " " + InSource("tests/end_to_end/oracle/npm_client.mjs") + " ws://" +
                              fanout_->address() + "/ Thing/list --out " + out_.string() + " --until-seq " + last_seq +
                              " 0<>" + (out_ / "stdin").string();  // it dumps when its input ends, which never happens
  FILE* client = popen(command.c_str(), "r");
  ASSERT_NE(client, nullptr);
  char line[4096];
  while (std::fgets(line, sizeof line, client) != nullptr && std::string_view(line) != "complete Thing/list\n") {
  }
  for (int i = 0; i < kBatchesLive; ++i) {
    ChangeSomething();
    Commit();
  }
  world_.SetRank("end", 1);
  Commit();
  while (std::fgets(line, sizeof line, client) != nullptr) {
  }
  EXPECT_EQ(pclose(client), 0);
  EXPECT_EQ(json(Dumped()), json(world_.Truth()));
}

}  // namespace
}  // namespace everstate::testing
