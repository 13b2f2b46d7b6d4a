// The ledger on made streams, where the right answer is known, and on recorded ones.
#include "server/ingest/ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <random>
#include <set>

#include "proto/geyser.pb.h"
#include "server/base/base58.h"
#include "server/ingest/recording.h"
#include "tests/support/geyser_builder.h"
#include "tests/support/source_dir.h"

namespace everstate::ingest {
namespace {

using std::chrono::milliseconds;
using testing::BlockSpec;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

BlockId IdOf(const BlockSpec& spec) {
  return {spec.slot, testing::BlockhashOf(spec.slot, spec.fork), spec.parent,
          testing::BlockhashOf(spec.parent, spec.parent_fork), std::nullopt};
}

LedgerOptions After(const BlockSpec& spec) {
  LedgerOptions options;
  options.position = IdOf(spec);
  return options;
}

LedgerOptions From(Slot slot) {
  LedgerOptions options;
  options.from_slot = slot;
  return options;
}

// A ledger with its own time; what comes out is kept as text: "block 5", "gap 5 9".
struct Rig {
  explicit Rig(LedgerOptions options = {}) : ledger(std::move(options), &counters) {}

  absl::Status Add(const std::string& message) {
    return Take([&](auto* out) { return ledger.Add(message, now, out); });
  }
  absl::Status Add(const geyser::SubscribeUpdate& update) { return Add(update.SerializeAsString()); }
  absl::Status AddAll(const std::vector<std::string>& messages) {
    for (const std::string& message : messages) {
      if (absl::Status status = Add(message); !status.ok()) return status;
    }
    return absl::OkStatus();
  }
  absl::Status Wait(milliseconds time) {
    now += time;
    return Take([&](auto* out) { return ledger.Tick(now, out); });
  }
  template <typename F>
  absl::Status Take(F call) {
    std::vector<LedgerEvent> out;
    absl::Status status = call(&out);
    for (const LedgerEvent& event : out) {
      if (const auto* gap = std::get_if<Gap>(&event)) {
        events.push_back("gap " + std::to_string(gap->from) + " " + std::to_string(gap->to));
      } else {
        blocks.push_back(std::get<BlockRef>(event));
        events.push_back("block " + std::to_string(blocks.back()->id.slot));
      }
    }
    return status;
  }

  LedgerCounters counters;
  Ledger ledger;
  std::chrono::steady_clock::time_point now{};
  std::vector<std::string> events;
  std::vector<BlockRef> blocks;
};

std::string TextOfOnly(const std::vector<std::string>& messages) {
  Rig rig(After({.slot = 9, .parent = 8}));
  EXPECT_TRUE(rig.AddAll(messages).ok());
  EXPECT_EQ(rig.blocks.size(), 1u);
  return rig.blocks.empty() ? "" : testing::TextOf(*rig.blocks.front());
}

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
    if (on_another_connection) rig.ledger.BeginConnection();
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

TEST(Ledger, BlocksOutOfOrderComeOutInChainOrder) {
  std::mt19937 random(11);
  for (int round = 0; round < 50; ++round) {
    std::vector<BlockSpec> chain;
    std::vector<std::string> expected;
    Slot parent = 9;
    for (int i = 0; i < 8; ++i) {
      chain.push_back({.slot = parent + 1 + random() % 3, .parent = parent, .transactions = 1, .accounts = 1});
      parent = chain.back().slot;
      expected.push_back("block " + std::to_string(parent));
    }
    std::shuffle(chain.begin(), chain.end(), random);
    Rig rig(After({.slot = 9, .parent = 8}));
    for (const BlockSpec& spec : chain) ASSERT_TRUE(rig.AddAll(testing::ReplayOf(spec)).ok());
    EXPECT_EQ(rig.events, expected);
    EXPECT_EQ(rig.counters.gaps.value(), 0u);
  }
}

TEST(Ledger, AMissingParentIsWaitedForThenThereIsAGap) {
  Rig rig(After({.slot = 9, .parent = 8}));
  ASSERT_TRUE(rig.AddAll(testing::ReplayOf({.slot = 12, .parent = 11})).ok());
  ASSERT_TRUE(rig.AddAll(testing::ReplayOf({.slot = 13, .parent = 12})).ok());
  ASSERT_TRUE(rig.Wait(milliseconds(1999)).ok());
  EXPECT_THAT(rig.events, ElementsAre());
  EXPECT_FALSE(rig.ledger.proven());
  ASSERT_TRUE(rig.Wait(milliseconds(1)).ok());
  EXPECT_THAT(rig.events, ElementsAre("gap 9 12", "block 12", "block 13"));
  EXPECT_EQ(rig.counters.gaps.value(), 1u);
  EXPECT_EQ(rig.ledger.position()->slot, 13u);
  // What was missing comes after all: it lies behind.
  ASSERT_TRUE(rig.AddAll(testing::ReplayOf({.slot = 11, .parent = 9})).ok());
  EXPECT_EQ(rig.events.size(), 3u);
  EXPECT_EQ(rig.counters.blocks_below_watermark.value(), 1u);
}

TEST(Ledger, AParentThatComesWithinTheWaitHealsTheHole) {
  Rig rig(After({.slot = 9, .parent = 8}));
  ASSERT_TRUE(rig.AddAll(testing::ReplayOf({.slot = 12, .parent = 11})).ok());
  ASSERT_TRUE(rig.Wait(milliseconds(1500)).ok());
  ASSERT_TRUE(rig.AddAll(testing::ReplayOf({.slot = 11, .parent = 9})).ok());
  EXPECT_THAT(rig.events, ElementsAre("block 11", "block 12"));
}

TEST(Ledger, AParentWhoseStatusWasWithheldIsSettledByItsChild) {
  Rig rig(After({.slot = 9, .parent = 8}));
  std::vector<std::string> withheld = testing::ReplayOf({.slot = 10, .parent = 9});
  withheld.pop_back();
  ASSERT_TRUE(rig.AddAll(withheld).ok());
  ASSERT_TRUE(rig.AddAll(testing::ReplayOf({.slot = 11, .parent = 10})).ok());
  EXPECT_THAT(rig.events, ElementsAre());
  ASSERT_TRUE(rig.Wait(milliseconds(2000)).ok());
  EXPECT_THAT(rig.events, ElementsAre("block 10", "block 11"));
}

TEST(Ledger, AConfirmedSlotWithoutItsMetaIsCountedAndLeavesAGap) {
  Rig rig(After({.slot = 9, .parent = 8}));
  std::vector<std::string> without = testing::ContentOf({.slot = 10, .parent = 9});
  without.push_back(testing::SlotUpdate(10, geyser::SLOT_CONFIRMED).SerializeAsString());
  ASSERT_TRUE(rig.AddAll(without).ok());
  ASSERT_TRUE(rig.AddAll(testing::ReplayOf({.slot = 11, .parent = 10})).ok());
  ASSERT_TRUE(rig.Wait(milliseconds(2000)).ok());
  EXPECT_THAT(rig.events, ElementsAre("gap 9 11", "block 11"));
  EXPECT_EQ(rig.counters.slots_incomplete.value(), 1u);
}

TEST(Ledger, AnotherChainIsRefusedAtAnyTime) {
  const auto refused = [](Rig* rig, const BlockSpec& spec) {
    const absl::Status status = rig->AddAll(testing::ReplayOf(spec));
    EXPECT_EQ(status.code(), absl::StatusCode::kAborted) << status;
    return std::string(status.message());
  };
  // The slot of the position with another hash.
  Rig rig(After({.slot = 9, .parent = 8}));
  EXPECT_THAT(refused(&rig, {.slot = 9, .parent = 8, .fork = "other"}),
              ::testing::AllOf(HasSubstr("slot 9"), HasSubstr(EncodeBase58(testing::BlockhashOf(9))),
                               HasSubstr(EncodeBase58(testing::BlockhashOf(9, "other")))));
  // A child of another block of the position's slot.
  Rig child(After({.slot = 9, .parent = 8}));
  EXPECT_THAT(refused(&child, {.slot = 10, .parent = 9, .parent_fork = "other"}), HasSubstr("slot 9"));
  // A chain that passes the position by.
  Rig past(After({.slot = 9, .parent = 8}));
  EXPECT_THAT(refused(&past, {.slot = 10, .parent = 8}), HasSubstr("slot 9"));
  // A slot that only the store remembers.
  LedgerOptions options = After({.slot = 9, .parent = 8});
  options.applied_blockhash = [](Slot slot) {
    return slot == 5 ? std::optional(testing::BlockhashOf(5)) : std::nullopt;
  };
  Rig stored(options);
  ASSERT_TRUE(stored.AddAll(testing::ReplayOf({.slot = 5, .parent = 4})).ok());
  EXPECT_EQ(stored.counters.blocks_duplicate.value(), 1u);
  ASSERT_TRUE(stored.AddAll(testing::ReplayOf({.slot = 6, .parent = 5, .fork = "whatever"})).ok());
  EXPECT_EQ(stored.counters.blocks_below_watermark.value(), 1u);
  EXPECT_THAT(refused(&stored, {.slot = 5, .parent = 4, .fork = "other"}), HasSubstr("slot 5"));
  // A slot that this ledger handed over, also on a later connection.
  Rig handed(After({.slot = 9, .parent = 8}));
  ASSERT_TRUE(handed.AddAll(testing::ReplayOf({.slot = 10, .parent = 9})).ok());
  ASSERT_TRUE(handed.AddAll(testing::ReplayOf({.slot = 11, .parent = 10})).ok());
  handed.ledger.BeginConnection();
  EXPECT_THAT(refused(&handed, {.slot = 10, .parent = 9, .fork = "other"}), HasSubstr("slot 10"));
}

TEST(Ledger, OneSlotWithTwoBlockhashesEndsTheConnection) {
  Rig rig(After({.slot = 9, .parent = 8}));
  ASSERT_TRUE(rig.Add(testing::MetaUpdate({.slot = 10, .parent = 9})).ok());
  EXPECT_EQ(rig.Add(testing::MetaUpdate({.slot = 10, .parent = 9, .fork = "other"})).code(),
            absl::StatusCode::kInvalidArgument);
  rig.ledger.BeginConnection();
  ASSERT_TRUE(rig.AddAll(testing::ReplayOf({.slot = 10, .parent = 9, .fork = "other"})).ok());
  EXPECT_THAT(rig.events, ElementsAre("block 10"));
}

TEST(Ledger, AnOverlapIsDroppedAndProvesTheLink) {
  Rig rig(After({.slot = 9, .parent = 8}));
  EXPECT_FALSE(rig.ledger.proven());
  ASSERT_TRUE(rig.AddAll(testing::ReplayOf({.slot = 9, .parent = 8})).ok());
  EXPECT_TRUE(rig.ledger.proven());
  EXPECT_THAT(rig.events, ElementsAre());
  EXPECT_EQ(rig.counters.blocks_duplicate.value(), 1u);
  EXPECT_GT(rig.counters.late_messages.value(), 0u);
  // The seam between replay and live: whole slots again, backwards once.
  for (const Slot slot : {10, 11, 12, 11, 12, 13})
    ASSERT_TRUE(rig.AddAll(testing::ReplayOf({.slot = slot, .parent = slot - 1})).ok());
  EXPECT_THAT(rig.events, ElementsAre("block 10", "block 11", "block 12", "block 13"));
  EXPECT_EQ(rig.counters.blocks_duplicate.value(), 3u);
}

// A connection is cut inside a slot: what was heard of it is forgotten, and the next one brings it whole.
TEST(Ledger, ACutInsideASlotLosesAndDoublesNothing) {
  const BlockSpec spec{.slot = 10, .parent = 9};
  const std::vector<std::string> messages = testing::MessagesOf(spec);
  for (size_t cut = 0; cut <= messages.size(); ++cut) {
    Rig rig(After({.slot = 9, .parent = 8}));
    ASSERT_TRUE(rig.AddAll({messages.begin(), messages.begin() + static_cast<std::ptrdiff_t>(cut)}).ok());
    rig.ledger.BeginConnection();
    EXPECT_EQ(rig.counters.open_bytes.value(), 0u);
    for (const Slot slot : {9, 10, 11})
      ASSERT_TRUE(rig.AddAll(testing::ReplayOf({.slot = slot, .parent = slot - 1})).ok());
    ASSERT_THAT(rig.events, ElementsAre("block 10", "block 11")) << "cut at " << cut;
    EXPECT_EQ(testing::TextOf(*rig.blocks[0]), TextOfOnly(messages));
  }
}

TEST(Ledger, AnEmptyStoreBeginsWithTheFirstSlotThatItHeardBegin) {
  Rig rig;
  ASSERT_TRUE(rig.AddAll(testing::ReplayOf({.slot = 20, .parent = 19})).ok());  // begun before we listened
  ASSERT_TRUE(rig.Add(testing::SlotUpdate(22, geyser::SLOT_FIRST_SHRED_RECEIVED)).ok());
  ASSERT_TRUE(rig.AddAll(testing::ReplayOf({.slot = 21, .parent = 20})).ok());
  EXPECT_EQ(rig.counters.slots_incomplete.value(), 2u);
  ASSERT_TRUE(rig.AddAll(testing::MessagesOf({.slot = 22, .parent = 21})).ok());
  ASSERT_TRUE(rig.AddAll(testing::MessagesOf({.slot = 24, .parent = 22})).ok());
  EXPECT_THAT(rig.events, ElementsAre("block 22", "block 24"));
  EXPECT_TRUE(rig.ledger.proven());
}

TEST(Ledger, AnEmptyStoreBeginsAtTheSlotThatWasAskedFor) {
  Rig rig(From(21));
  for (const Slot slot : {20, 21, 22})
    ASSERT_TRUE(rig.AddAll(testing::ReplayOf({.slot = slot, .parent = slot - 1})).ok());
  EXPECT_THAT(rig.events, ElementsAre("block 21", "block 22"));
  // Slot 25 was skipped: the first block after it is the beginning.
  Rig skipped(From(25));
  ASSERT_TRUE(skipped.AddAll(testing::ReplayOf({.slot = 26, .parent = 24})).ok());
  EXPECT_THAT(skipped.events, ElementsAre("block 26"));
  // A server that ignores from_slot does not begin there.
  Rig ignored(From(21));
  ASSERT_TRUE(ignored.AddAll(testing::ReplayOf({.slot = 90, .parent = 89})).ok());
  EXPECT_EQ(ignored.Wait(milliseconds(2000)).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(ignored.events, ElementsAre());
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
      rig.ledger.BeginConnection();
      at = rig.ledger.position().has_value() ? recorded->first_message.at(rig.ledger.position()->slot) : 0;
    }
    ASSERT_EQ(rig.events, whole.events) << "round " << round;
    for (size_t i = 0; i < rig.blocks.size(); ++i)
      ASSERT_EQ(testing::TextOf(*rig.blocks[i]), testing::TextOf(*whole.blocks[i]));
  }
}

}  // namespace
}  // namespace everstate::ingest
