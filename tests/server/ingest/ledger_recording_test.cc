// The ledger on recorded streams.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <random>
#include <set>

#include "proto/geyser.pb.h"
#include "server/ingest/recording.h"
#include "tests/server/ingest/ledger_support.h"
#include "tests/support/source_dir.h"

namespace everstate::ingest {
namespace {

using std::chrono::milliseconds;

// Reads a recording as one live connection, 10 ms between messages.
struct Recorded {
  std::vector<std::string> messages;
  std::map<Slot, size_t> first_message;  // of each slot that has a block
  std::set<Slot> confirmed_with_meta;
  Slot first_begun = 0;
};

std::optional<Recorded> Read(const std::string& file) {
  auto recording = RecordingReader::Open(file);
  if (!recording.ok()) return std::nullopt;
  Recorded out;
  std::set<Slot> metas, confirmed;
  while (true) {
    const auto message = recording->Next();
    if (!message.ok() || !message->has_value()) break;
    out.messages.emplace_back((*message)->bytes);
    geyser::SubscribeUpdate update;
    EXPECT_TRUE(update.ParseFromString(out.messages.back()));
    if (update.has_block_meta()) metas.insert(update.block_meta().slot());
    if (!update.has_slot()) continue;
    out.first_message.emplace(update.slot().slot(), out.messages.size() - 1);
    const auto status = update.slot().status();
    if (status == geyser::SLOT_CONFIRMED) confirmed.insert(update.slot().slot());
    if (out.first_begun == 0 && (status == geyser::SLOT_FIRST_SHRED_RECEIVED || status == geyser::SLOT_CREATED_BANK)) {
      out.first_begun = update.slot().slot();
    }
  }
  std::set_intersection(metas.begin(), metas.end(), confirmed.begin(), confirmed.end(),
                        std::inserter(out.confirmed_with_meta, out.confirmed_with_meta.end()));
  return out;
}

void CheckRecording(const std::string& file, bool whole) {
  const auto recorded = Read(file);
  if (!recorded.has_value()) GTEST_SKIP() << file << " is not here";
  Rig rig;
  uint64_t content = 0;
  for (const std::string& message : recorded->messages) {
    rig.now += milliseconds(10);
    const absl::Status status = rig.Add(message);
    ASSERT_TRUE(status.ok()) << status;
  }
  std::set<Slot> expected, out;
  for (const Slot slot : recorded->confirmed_with_meta) {
    if (slot >= recorded->first_begun) expected.insert(slot);
  }
  for (const BlockRef& block : rig.blocks) {
    out.insert(block->id.slot);
    content += block->transactions.size();
  }
  EXPECT_EQ(out, expected);
  EXPECT_EQ(out.size(), rig.blocks.size());
  EXPECT_EQ(rig.counters.gaps.value(), 0u);
  EXPECT_EQ(rig.counters.malformed_messages.value(), 0u);
  for (size_t i = 1; i < rig.blocks.size(); ++i) {
    EXPECT_EQ(rig.blocks[i]->id.parent_slot, rig.blocks[i - 1]->id.slot);
    EXPECT_EQ(rig.blocks[i]->id.parent_blockhash, rig.blocks[i - 1]->id.blockhash);
  }
  if (whole) {
    EXPECT_EQ(content, rig.counters.transactions.value());
  }
  std::printf(
      "%s: %zu messages, %zu blocks, %lu transactions; dead %lu, incomplete %lu, late %lu, account writes dropped "
      "%lu\n",
      file.substr(file.rfind('/') + 1).c_str(), recorded->messages.size(), rig.blocks.size(), content,
      rig.counters.blocks_dead.value(), rig.counters.slots_incomplete.value(), rig.counters.late_messages.value(),
      rig.counters.accounts_duplicate.value());
}

TEST(LedgerOnRecordings, SplSmall) { CheckRecording(InSource("tests/recordings/spl-small.updates"), true); }
TEST(LedgerOnRecordings, Spl) { CheckRecording(InSharedData("recordings/spl.updates"), true); }
TEST(LedgerOnRecordings, PumpSim) { CheckRecording(InSharedData("recordings/pump-sim.updates"), true); }
TEST(LedgerOnRecordings, OreSteady) { CheckRecording(InSharedData("recordings/ore-steady.updates"), false); }
TEST(LedgerOnRecordings, OreOrder) { CheckRecording(InSharedData("recordings/ore-order.updates"), false); }
TEST(LedgerOnRecordings, MainnetSlots) { CheckRecording(InSharedData("recordings/slots-mainnet.updates"), false); }

// Cut anywhere and continued from the position with an overlap, a feed gives the blocks of the uncut one.
TEST(LedgerOnRecordings, CutsAnywhereGiveTheSameBlocks) {
  const auto recorded = Read(InSource("tests/recordings/spl-small.updates"));
  ASSERT_TRUE(recorded.has_value());
  Rig whole;
  ASSERT_TRUE(whole.AddAll(recorded->messages).ok());
  std::mt19937 random(3);
  for (int round = 0; round < 20; ++round) {
    Rig rig;
    size_t at = 0;
    while (at < recorded->messages.size()) {
      const size_t end = std::min(recorded->messages.size(), at + 300 + random() % 700);
      for (; at < end; ++at) ASSERT_TRUE(rig.Add(recorded->messages[at]).ok());
      if (at == recorded->messages.size()) break;
      rig.ledger.BeginConnection(false);
      at = rig.ledger.position().has_value() ? recorded->first_message.at(rig.ledger.position()->slot) : 0;
    }
    ASSERT_EQ(rig.events, whole.events) << "round " << round;
    for (size_t i = 0; i < rig.blocks.size(); ++i)
      ASSERT_EQ(testing::TextOf(*rig.blocks[i]), testing::TextOf(*whole.blocks[i]));
  }
}

}  // namespace
}  // namespace everstate::ingest
