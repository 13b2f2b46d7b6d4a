// The ledger on made streams, where the right answer is known: what is in a block, and when it is whole and settled.
#include "server/ingest/ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <random>

#include "proto/geyser.pb.h"
#include "tests/server/ingest/ledger_support.h"

namespace everstate::ingest {
namespace {

using std::chrono::milliseconds;
using testing::BlockSpec;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Ledger, BlockHoldsWhatCameInItsOrder) {
  Rig rig(After({.slot = 9, .parent = 8}));
  ASSERT_TRUE(rig.AddAll(testing::MessagesOf({.slot = 10, .parent = 9})).ok());
  ASSERT_EQ(rig.blocks.size(), 1u);
  const Block& block = *rig.blocks.front();
  EXPECT_EQ(block.id.block_time, 1'700'000'010);
  ASSERT_EQ(block.transactions.size(), 3u);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(block.transactions[i].index, i);
  // Four accounts, the second write of each; the one that no transaction wrote is the last.
  ASSERT_EQ(block.accounts.size(), 4u);
  std::vector<uint64_t> versions;
  for (const AccountUpdate& account : block.accounts) versions.push_back(account.write_version);
  EXPECT_THAT(versions, ElementsAre(10001, 10003, 10005, 10007));
  EXPECT_EQ(block.accounts.back().signature, nullptr);
  EXPECT_EQ(rig.counters.accounts_duplicate.value(), 4u);
  EXPECT_EQ(rig.counters.open_bytes.value(), 0u);
  EXPECT_EQ(rig.counters.open_slots.value(), 0u);
  EXPECT_GT(block.bytes, 1000u);
}

// Whatever the order and the number of duplicates: the same block, as long as all of it comes before the status.
TEST(Ledger, ArrivalOrderAndDuplicatesDoNotMatter) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    const BlockSpec spec{.slot = 10,
                         .parent = 9,
                         .transactions = static_cast<int>(random() % 8),
                         .accounts = static_cast<int>(random() % 12)};
    const std::string expected = TextOfOnly(testing::MessagesOf(spec));
    std::vector<std::string> messages = testing::MessagesOf(spec);
    const std::string status = messages.back();
    messages.pop_back();
    for (uint32_t i = random() % 6; i > 0; --i) {
      const std::string& again = messages[2 + random() % (messages.size() - 2)];
      messages.push_back(again);
    }
    std::shuffle(messages.begin(), messages.end(), random);
    messages.push_back(status);
    // A bank that is created twice is a reset; only one may stand in the shuffled part, and it does.
    EXPECT_EQ(TextOfOnly(messages), expected) << "round " << round;
  }
}

// For the console: from the first word about the slot on this connection to the moment at which it was settled.
TEST(Ledger, ABlockKnowsWhenItWasFirstHeardOfAndSettled) {
  const BlockSpec spec{.slot = 10, .parent = 9};
  const auto at = [](int64_t ms) { return std::chrono::steady_clock::time_point(milliseconds(ms)); };
  for (const bool on_another_connection : {false, true}) {
    Rig rig(After({.slot = 9, .parent = 8}));
    rig.now = at(1000);
    ASSERT_TRUE(rig.Add(testing::SlotUpdate(10, geyser::SLOT_FIRST_SHRED_RECEIVED)).ok());
    rig.now = at(2000);
    ASSERT_TRUE(rig.Add(testing::SlotUpdate(10, geyser::SLOT_CREATED_BANK)).ok());
    if (on_another_connection) rig.ledger.BeginConnection(false);
    rig.now = at(3000);
    ASSERT_TRUE(rig.AddAll(testing::ContentOf(spec)).ok());
    ASSERT_TRUE(rig.Add(testing::SlotUpdate(10, geyser::SLOT_CREATED_BANK)).ok());  // begun anew, heard of before
    ASSERT_TRUE(rig.AddAll(testing::ContentOf(spec)).ok());
    rig.now = at(4000);
    ASSERT_TRUE(rig.Add(testing::SlotUpdate(10, geyser::SLOT_CONFIRMED)).ok());
    rig.now = at(5000);
    ASSERT_TRUE(rig.Add(testing::MetaUpdate(spec)).ok());
    ASSERT_EQ(rig.blocks.size(), 1u);
    EXPECT_EQ(rig.blocks.front()->first_heard, at(on_another_connection ? 3000 : 1000));
    EXPECT_EQ(rig.blocks.front()->settled, at(5000));
  }
}

TEST(Ledger, TheStatusMayComeBeforeTheMeta) {
  const BlockSpec spec{.slot = 10, .parent = 9};
  std::vector<std::string> messages = testing::MessagesOf(spec);
  std::swap(messages[messages.size() - 1], messages[messages.size() - 2]);
  EXPECT_EQ(TextOfOnly(messages), TextOfOnly(testing::MessagesOf(spec)));
}

TEST(Ledger, FinalizedSettlesAConfirmedFeedToo) {
  std::vector<std::string> messages = testing::MessagesOf({.slot = 10, .parent = 9});
  messages.back() = testing::SlotUpdate(10, geyser::SLOT_FINALIZED).SerializeAsString();
  EXPECT_NE(TextOfOnly(messages), "");
}

TEST(Ledger, OfEqualWriteVersionsTheLaterWriteCounts) {
  Rig rig(After({.slot = 9, .parent = 8}));
  ASSERT_TRUE(rig.Add(testing::AccountMessage(10, "sysvar", 0, "first", std::nullopt)).ok());
  ASSERT_TRUE(rig.Add(testing::AccountMessage(10, "sysvar", 0, "second", std::nullopt)).ok());
  ASSERT_TRUE(rig.AddAll(testing::ReplayOf({.slot = 10, .parent = 9, .transactions = 0, .accounts = 0})).ok());
  ASSERT_EQ(rig.blocks.size(), 1u);
  ASSERT_EQ(rig.blocks[0]->accounts.size(), 1u);
  const auto data = rig.blocks[0]->accounts[0].data;
  EXPECT_EQ(std::string(data.begin(), data.end()), "second");
}

TEST(Ledger, AnIndexThatCameTwiceIsKeptOnce) {
  Rig rig(After({.slot = 9, .parent = 8}));
  geyser::SubscribeUpdate other = testing::TransactionMessage(10, 1);
  other.mutable_transaction()->mutable_transaction()->set_index(0);
  ASSERT_TRUE(rig.Add(testing::TransactionMessage(10, 0)).ok());
  ASSERT_TRUE(rig.Add(testing::TransactionMessage(10, 0)).ok());
  ASSERT_TRUE(rig.Add(other).ok());
  ASSERT_TRUE(rig.AddAll(testing::ReplayOf({.slot = 10, .parent = 9, .transactions = 0, .accounts = 0})).ok());
  ASSERT_EQ(rig.blocks.size(), 1u);
  EXPECT_EQ(rig.blocks[0]->transactions.size(), 1u);
  EXPECT_EQ(rig.counters.transactions_duplicate.value(), 2u);
  EXPECT_EQ(rig.counters.transactions_conflicting.value(), 1u);
}

TEST(Ledger, ABankThatIsCreatedAgainBeginsTheSlotAnew) {
  Rig rig(After({.slot = 9, .parent = 8}));
  const BlockSpec spec{.slot = 10, .parent = 9};
  ASSERT_TRUE(rig.Add(testing::SlotUpdate(10, geyser::SLOT_CREATED_BANK)).ok());
  ASSERT_TRUE(rig.Add(testing::AccountMessage(10, "void", 1, "of the first bank", std::nullopt)).ok());
  ASSERT_TRUE(rig.AddAll(testing::MessagesOf(spec)).ok());  // with a CREATED_BANK of its own
  ASSERT_EQ(rig.blocks.size(), 1u);
  EXPECT_EQ(testing::TextOf(*rig.blocks[0]), TextOfOnly(testing::MessagesOf(spec)));
  EXPECT_EQ(rig.counters.bank_resets.value(), 1u);
  EXPECT_EQ(rig.counters.open_bytes.value(), 0u);
}

TEST(Ledger, DeadSlotsAreDroppedAndCountedOnce) {
  Rig rig(After({.slot = 9, .parent = 8}));
  std::vector<std::string> dying = testing::MessagesOf({.slot = 10, .parent = 9});
  dying.resize(dying.size() - 2);
  ASSERT_TRUE(rig.AddAll(dying).ok());
  EXPECT_GT(rig.counters.open_bytes.value(), 0u);
  ASSERT_TRUE(rig.Add(testing::SlotUpdate(10, geyser::SLOT_DEAD)).ok());
  ASSERT_TRUE(rig.Add(testing::SlotUpdate(10, geyser::SLOT_DEAD)).ok());
  EXPECT_EQ(rig.counters.open_bytes.value(), 0u);
  ASSERT_TRUE(rig.AddAll(testing::MessagesOf({.slot = 11, .parent = 9})).ok());
  EXPECT_THAT(rig.events, ElementsAre("block 11"));
  EXPECT_EQ(rig.counters.blocks_dead.value(), 1u);
}

TEST(Ledger, ADeadSlotMayComeToLifeAgain) {
  Rig rig(After({.slot = 9, .parent = 8}));
  ASSERT_TRUE(rig.Add(testing::SlotUpdate(10, geyser::SLOT_CREATED_BANK)).ok());
  ASSERT_TRUE(rig.Add(testing::SlotUpdate(10, geyser::SLOT_DEAD)).ok());
  ASSERT_TRUE(rig.AddAll(testing::MessagesOf({.slot = 10, .parent = 9})).ok());
  EXPECT_THAT(rig.events, ElementsAre("block 10"));
}

TEST(Ledger, OneSlotWithTwoBlockhashesEndsTheConnection) {
  Rig rig(After({.slot = 9, .parent = 8}));
  ASSERT_TRUE(rig.Add(testing::MetaUpdate({.slot = 10, .parent = 9})).ok());
  EXPECT_EQ(rig.Add(testing::MetaUpdate({.slot = 10, .parent = 9, .fork = "other"})).code(),
            absl::StatusCode::kInvalidArgument);
  rig.ledger.BeginConnection(false);
  ASSERT_TRUE(rig.AddAll(testing::ReplayOf({.slot = 10, .parent = 9, .fork = "other"})).ok());
  EXPECT_THAT(rig.events, ElementsAre("block 10"));
}

// A connection is cut inside a slot: what was heard of it is forgotten, and the next one brings it whole.
TEST(Ledger, ACutInsideASlotLosesAndDoublesNothing) {
  const BlockSpec spec{.slot = 10, .parent = 9};
  const std::vector<std::string> messages = testing::MessagesOf(spec);
  for (size_t cut = 0; cut <= messages.size(); ++cut) {
    Rig rig(After({.slot = 9, .parent = 8}));
    ASSERT_TRUE(rig.AddAll({messages.begin(), messages.begin() + static_cast<std::ptrdiff_t>(cut)}).ok());
    rig.ledger.BeginConnection(false);
    EXPECT_EQ(rig.counters.open_bytes.value(), 0u);
    for (const Slot slot : {9, 10, 11})
      ASSERT_TRUE(rig.AddAll(testing::ReplayOf({.slot = slot, .parent = slot - 1})).ok());
    ASSERT_THAT(rig.events, ElementsAre("block 10", "block 11")) << "cut at " << cut;
    EXPECT_EQ(testing::TextOf(*rig.blocks[0]), TextOfOnly(messages));
  }
}

LedgerOptions FinalizedAfter(const BlockSpec& spec) {
  LedgerOptions options = After(spec);
  options.commitment = Commitment::kFinalized;
  return options;
}

TEST(Ledger, FinalizedBlocksSettleWithTheirDescendants) {
  Rig rig(FinalizedAfter({.slot = 9, .parent = 8}));
  for (const Slot slot : {10, 11, 12, 13})
    ASSERT_TRUE(rig.AddAll(testing::MessagesOf({.slot = slot, .parent = slot - 1})).ok());
  EXPECT_THAT(rig.events, ElementsAre());
  ASSERT_TRUE(rig.Add(testing::SlotUpdate(12, geyser::SLOT_FINALIZED)).ok());
  EXPECT_THAT(rig.events, ElementsAre("block 10", "block 11", "block 12"));
  // The status before the meta: it goes on to the ancestors when the meta names the parent.
  ASSERT_TRUE(rig.Add(testing::SlotUpdate(14, geyser::SLOT_FINALIZED)).ok());
  EXPECT_EQ(rig.events.size(), 3u);
  ASSERT_TRUE(rig.AddAll(testing::ContentOf({.slot = 14, .parent = 13})).ok());
  ASSERT_TRUE(rig.Add(testing::MetaUpdate({.slot = 14, .parent = 13})).ok());
  EXPECT_THAT(rig.events, ElementsAre("block 10", "block 11", "block 12", "block 13", "block 14"));
}

// On a finalized stream CONFIRMED is heard long before the content; it is no barrier there.
TEST(Ledger, OnAFinalizedStreamConfirmedSettlesNothing) {
  Rig rig(FinalizedAfter({.slot = 9, .parent = 8}));
  const BlockSpec spec{.slot = 10, .parent = 9};
  ASSERT_TRUE(rig.Add(testing::SlotUpdate(10, geyser::SLOT_CONFIRMED)).ok());
  ASSERT_TRUE(rig.Add(testing::MetaUpdate(spec)).ok());
  ASSERT_TRUE(rig.AddAll(testing::ContentOf(spec)).ok());
  EXPECT_THAT(rig.events, ElementsAre());
  ASSERT_TRUE(rig.Add(testing::SlotUpdate(10, geyser::SLOT_FINALIZED)).ok());
  ASSERT_EQ(rig.blocks.size(), 1u);
  EXPECT_EQ(testing::TextOf(*rig.blocks[0]), TextOfOnly(testing::MessagesOf(spec)));
}

TEST(Ledger, ForksThatTheChainLeftAreDropped) {
  Rig rig(FinalizedAfter({.slot = 9, .parent = 8}));
  ASSERT_TRUE(rig.AddAll(testing::MessagesOf({.slot = 10, .parent = 9})).ok());
  ASSERT_TRUE(rig.AddAll(testing::MessagesOf({.slot = 11, .parent = 9})).ok());
  ASSERT_TRUE(rig.Add(testing::SlotUpdate(11, geyser::SLOT_FINALIZED)).ok());
  EXPECT_THAT(rig.events, ElementsAre("block 11"));
  EXPECT_EQ(rig.counters.blocks_dead.value(), 1u);
  EXPECT_EQ(rig.counters.open_bytes.value(), 0u);
}

TEST(Ledger, BlocksWithoutContentMoveOn) {
  Rig rig(After({.slot = 9, .parent = 8}));
  ASSERT_TRUE(rig.AddAll(testing::ReplayOf({.slot = 10, .parent = 9, .transactions = 0, .accounts = 0})).ok());
  EXPECT_THAT(rig.events, ElementsAre("block 10"));
}

TEST(Ledger, MalformedMessagesAreCountedAndNamed) {
  Rig rig(After({.slot = 9, .parent = 8}));
  geyser::SubscribeUpdate broken = testing::TransactionMessage(10, 2);
  broken.mutable_transaction()
      ->mutable_transaction()
      ->mutable_transaction()
      ->mutable_message()
      ->mutable_instructions(0)
      ->set_program_id_index(77);
  const absl::Status status = rig.Add(broken);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), ::testing::AllOf(HasSubstr("slot 10"), HasSubstr("transaction 2")));
  EXPECT_EQ(rig.Add(std::string("\x12\x7f", 2)).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(rig.counters.malformed_messages.value(), 2u);
  geyser::SubscribeUpdate empty;
  empty.mutable_transaction()->set_slot(10);
  EXPECT_EQ(rig.Add(empty).code(), absl::StatusCode::kInvalidArgument);
  geyser::SubscribeUpdate entry;
  entry.mutable_entry()->set_slot(10);
  EXPECT_TRUE(rig.Add(entry).ok());
  EXPECT_EQ(rig.counters.unknown_messages.value(), 1u);
}

TEST(Ledger, MemoryIsBounded) {
  LedgerOptions options = After({.slot = 9, .parent = 8});
  options.open_bytes_max = 100'000;
  options.open_slots_max = 20;
  Rig bytes(options);
  absl::Status status;
  for (int i = 0; i < 1000 && status.ok(); ++i)
    status = bytes.Add(testing::AccountMessage(10, "a", 1, std::string(1000, 'x'), std::nullopt));
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  Rig slots(options);
  status = absl::OkStatus();
  for (Slot slot = 10; slot < 1000 && status.ok(); ++slot)
    status = slots.Add(testing::SlotUpdate(slot, geyser::SLOT_CREATED_BANK));
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("no statuses or block metas"));
}

}  // namespace
}  // namespace everstate::ingest
