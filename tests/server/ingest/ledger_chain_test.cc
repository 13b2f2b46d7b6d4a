// The order in which blocks come out, and what is between them: links, waits, gaps, another chain, beginnings.
#include "server/ingest/ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <random>

#include "server/base/base58.h"
#include "tests/server/ingest/ledger_support.h"

namespace everstate::ingest {
namespace {

using std::chrono::milliseconds;
using testing::BlockSpec;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

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
  ASSERT_TRUE(rig.AddAll(testing::MessagesOf({.slot = 12, .parent = 11})).ok());
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

TEST(Ledger, TheWaitIsLongerByWhatTheReceiverHeldUp) {
  Rig rig(After({.slot = 9, .parent = 8}));
  ASSERT_TRUE(rig.AddAll(testing::ReplayOf({.slot = 9, .parent = 8})).ok());
  ASSERT_TRUE(rig.AddAll(testing::ReplayOf({.slot = 12, .parent = 11})).ok());
  ASSERT_TRUE(rig.Wait(milliseconds(1500)).ok());
  rig.ledger.HeldUp(milliseconds(5000));
  ASSERT_TRUE(rig.Wait(milliseconds(5499)).ok());
  EXPECT_THAT(rig.events, ElementsAre());
  ASSERT_TRUE(rig.Wait(milliseconds(1)).ok());
  EXPECT_THAT(rig.events, ElementsAre("gap 9 12", "block 12"));
}

// A stream that does not begin at the position may begin in the middle of a block, with all that makes it whole in our
// eyes.
TEST(Ledger, TheFirstBlockOfAStreamThatBeginsElsewhereIsNotTakenForWhole) {
  struct Case {
    bool live;
    Slot first;
    bool begun;  // its FIRST_SHRED was heard
    std::vector<std::string> events;
  };
  const std::vector<std::string> linked = {"block 10", "block 11"}, behind_a_gap = {"gap 9 20", "block 20", "block 21"};
  for (const auto& [live, first, begun, events] :
       {Case{true, 10, false, {"gap 9 11", "block 11"}}, Case{true, 10, true, linked},
        Case{false, 10, false, linked},  // a replay, or a server that ignores from_slot
        Case{true, 20, false, {"gap 9 21", "block 21"}}, Case{true, 20, true, behind_a_gap},
        Case{false, 20, false, {"gap 9 21", "block 21"}}, Case{false, 20, true, behind_a_gap}}) {
    Rig rig(After({.slot = 9, .parent = 8}));
    rig.ledger.BeginConnection(live);
    for (const Slot slot : {first, first + 1}) {
      const BlockSpec spec{.slot = slot, .parent = slot - 1};
      ASSERT_TRUE(rig.AddAll(begun ? testing::MessagesOf(spec) : testing::ReplayOf(spec)).ok());
    }
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(rig.Wait(milliseconds(2000)).ok());
    EXPECT_EQ(rig.events, events) << "live " << live << " first " << first << " begun " << begun;
    EXPECT_EQ(rig.counters.slots_incomplete.value(), events.size() == 2 && events != linked ? 1u : 0u);
    EXPECT_EQ(rig.counters.open_bytes.value(), 0u);
  }
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
  handed.ledger.BeginConnection(false);
  EXPECT_THAT(refused(&handed, {.slot = 10, .parent = 9, .fork = "other"}), HasSubstr("slot 10"));
}

// A provider of another chain that cannot replay has no block in common with us, and its slots may be any.
TEST(Ledger, AChainThatWouldHaveToBeTooFastIsAnother) {
  const auto leap = [](Slot slot, int64_t time) {
    Rig rig(After({.slot = 9, .parent = 8, .time = 1'700'000'009}));
    rig.ledger.BeginConnection(true);
    absl::Status status = rig.AddAll(testing::MessagesOf({.slot = slot, .parent = slot - 1, .time = time}));
    if (status.ok()) status = rig.Wait(milliseconds(2000));
    EXPECT_EQ(rig.events.empty(), !status.ok()) << "nothing of it goes out";
    EXPECT_EQ(rig.counters.gaps.value(), status.ok() ? 1u : 0u);
    return status;
  };
  const absl::Status far = leap(40'000'000, 1'700'086'409);  // a day later
  EXPECT_EQ(far.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(far.message(),
            "another chain: block 40000000 of the stream comes 39999991 slots after slot 9, which was applied, but 24h "
            "later by their block times: no chain makes slots in less than 50ms");
  EXPECT_EQ(leap(20 * 3660 + 10, 1'700'003'609).code(), absl::StatusCode::kAborted);
  EXPECT_TRUE(leap(20 * 3660 + 9, 1'700'003'609).ok());  // an hour, and the slack
  EXPECT_TRUE(leap(216'009, 1'700'086'409).ok());        // a day of the real chain
  EXPECT_TRUE(leap(10'000, 1'800'000'000).ok());         // a chain that stood still
  EXPECT_EQ(leap(10'000, 1'600'000'000).code(), absl::StatusCode::kAborted);
  EXPECT_EQ(leap(10'000, std::numeric_limits<int64_t>::min()).code(), absl::StatusCode::kAborted);
  EXPECT_EQ(leap(std::numeric_limits<Slot>::max() - 1, 1'700'086'409).code(), absl::StatusCode::kAborted);
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

}  // namespace
}  // namespace everstate::ingest
