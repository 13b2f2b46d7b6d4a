// SplStream over recorded blocks: the final entities are those that a program which knows the stack, but no projection
// machine, computed from the same recording.
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "server/ingest/ledger.h"
#include "server/ingest/recording.h"
#include "tests/server/vm/vm_fixture.h"

namespace everstate::vm {
namespace {

using nlohmann::json;

constexpr size_t kExpectedElements = 100;  // the expected arrays hold the newest ones

std::vector<BlockRef> BlocksOf(const std::string& file) {
  std::vector<BlockRef> blocks;
  auto reader = RecordingReader::Open(file);
  if (!reader.ok()) return blocks;
  ingest::LedgerCounters counters;
  ingest::Ledger ledger(ingest::LedgerOptions(), &counters);
  ledger.BeginConnection();
  std::vector<ingest::LedgerEvent> events;
  std::chrono::steady_clock::time_point now;
  while (true) {
    auto message = reader->Next();
    EXPECT_TRUE(message.ok()) << message.status();
    if (!message.ok() || !message->has_value()) break;
    const absl::Status status =
        ledger.Add(std::string((*message)->bytes), now += std::chrono::milliseconds(1), &events);
    EXPECT_TRUE(status.ok()) << status;
  }
  for (ingest::LedgerEvent& event : events) {
    EXPECT_TRUE(std::holds_alternative<BlockRef>(event));
    if (auto* block = std::get_if<BlockRef>(&event)) blocks.push_back(std::move(*block));
  }
  return blocks;
}

// What the expected entities leave out.
bool LeftOut(const std::string& path, const json& value) {
  return value.is_null() || path.ends_with("/raw") || path.ends_with("/derived/last_slot") ||
         path.ends_with("/timestamp") || path.ends_with("/_seq") || path.ends_with("/state/mint_authority");
}

void Compare(const std::string& path, const json& expected, const json& actual, size_t* leaves) {
  if (expected.is_object() && actual.is_object()) {
    for (const auto& [key, value] : expected.items()) {
      if (key.ends_with("_total")) continue;  // how many elements there were in all
      ASSERT_TRUE(actual.contains(key)) << path << "/" << key;
      Compare(absl::StrCat(path, "/", key), value, actual[key], leaves);
    }
    for (const auto& [key, value] : actual.items()) {
      if (expected.contains(key) || LeftOut(absl::StrCat(path, "/", key), value)) continue;
      if (value.is_object() && std::all_of(value.begin(), value.end(), [&](const json& v) { return v.is_null(); }))
        continue;
      if (value.is_object() && key == "derived" && value.size() == 1) continue;
      ADD_FAILURE() << path << "/" << key << " is not expected: " << value;
    }
  } else if (expected.is_array() && actual.is_array()) {
    ASSERT_GE(actual.size(), expected.size()) << path;
    ASSERT_TRUE(actual.size() == expected.size() || expected.size() == kExpectedElements) << path;
    const size_t skip = actual.size() - expected.size();
    for (size_t i = 0; i < expected.size(); ++i)
      Compare(absl::StrCat(path, "/", i), expected[i], actual[skip + i], leaves);
  } else {
    ++*leaves;
    if (expected.is_number_integer() && actual.is_string())
      EXPECT_EQ(expected.dump(), actual.get<std::string>()) << path;
    else
      EXPECT_EQ(expected, actual) << path;
  }
}

void CheckRecording(const std::string& recording, const std::string& expected_file, size_t leaves_least) {
  const std::vector<BlockRef> blocks = BlocksOf(recording);
  std::ifstream file(expected_file);
  if (blocks.empty() || !file) GTEST_SKIP() << recording << " or " << expected_file << " is not here";
  auto stack = stack::LoadStack(EVERSTATE_SOURCE_DIR "/tests/stacks/SplStream.stack.json");
  ASSERT_TRUE(stack.ok()) << stack.status();
  auto projection = Projection::Compile(*stack, Settings());
  ASSERT_TRUE(projection.ok()) << projection.status();
  Machine machine(*projection);
  MapView view;
  for (const BlockRef& block : blocks) {
    machine.Begin(block->id, &view);
    for (const TransactionUpdate& t : block->transactions) ASSERT_TRUE(machine.Feed(t).ok());
    for (const AccountUpdate& a : block->accounts) ASSERT_TRUE(machine.Feed(a).ok());
    auto layer = machine.Seal();
    ASSERT_TRUE(layer.ok()) << layer.status();
    view.Apply(*layer->batch);
  }
  json actual;
  const RowSchema& schema = *(*projection)->schema();
  for (const auto& [id, row] : view.rows) {
    std::string text;
    AppendEntityJson(schema, schema.entity(id.first), *row, &text);
    actual[schema.entity(id.first).name][id.second] = json::parse(text);
  }
  size_t leaves = 0;
  Compare("", json::parse(file), actual, &leaves);
  EXPECT_GE(leaves, leaves_least);
  for (const Fault& fault : machine.faults()) {
    EXPECT_EQ(fault.reason, FaultReason::kArgumentsPadded)
        << fault.handler << ": " << Name(fault.reason) << ", e.g. " << fault.sample;
  }
  EXPECT_GT(machine.counters().mutations, view.rows.size());
}

TEST(SplStreamTest, SmallRecording) {
  CheckRecording(EVERSTATE_SOURCE_DIR "/tests/recordings/spl-small.updates",
                 EVERSTATE_SOURCE_DIR "/tests/recordings/spl-small.entities.json", 1000);
}
TEST(SplStreamTest, WholeRecording) {
  const std::string data = EVERSTATE_SOURCE_DIR "/../shared/data";
  CheckRecording(data + "/recordings/spl.updates", data + "/expected/spl.entities.json", 5000);
}

}  // namespace
}  // namespace everstate::vm
