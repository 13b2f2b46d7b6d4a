#include "server/deployment/hand_over.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/deployment/rewind.h"

namespace everstate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

BlockId At(Slot slot) {
  BlockId id;
  id.slot = slot;
  id.parent_slot = slot - 1;
  id.blockhash.fill(static_cast<uint8_t>(slot));
  id.parent_blockhash.fill(static_cast<uint8_t>(slot - 1));
  return id;
}

class HandOverTest : public ::testing::Test {
 protected:
  void TakeBlock(Slot slot) {
    kIngestThread.Assume();
    auto block = std::make_shared<Block>();
    block->id = At(slot);
    ASSERT_TRUE(hand_over_.Take(BlockRef(std::move(block))));
  }
  void TakeMark(Slot slot) {
    kIngestThread.Assume();
    ASSERT_TRUE(hand_over_.Take(ingest::Restarted{At(slot)}));
  }

  // What the projector sees of what is queued: slots of blocks, "gap", "order".
  std::vector<std::string> Seen() {
    kProjectorThread.Assume();
    std::vector<std::string> seen;
    while (const auto item = hand_over_.PopUntil(std::chrono::steady_clock::time_point{})) {
      if (const auto* block = std::get_if<BlockRef>(&*item)) {
        seen.push_back(std::to_string((*block)->id.slot));
      } else {
        seen.push_back(std::holds_alternative<Gap>(*item) ? "gap" : "order");
      }
    }
    return seen;
  }

  HandOver hand_over_{nullptr, 64, 1 << 20};
};

TEST_F(HandOverTest, GivesEverythingInOrder) {
  kIngestThread.Assume();
  TakeBlock(1);
  ASSERT_TRUE(hand_over_.Take(Gap{1, 5, "x"}));
  TakeBlock(5);
  ASSERT_TRUE(hand_over_.Post(std::make_shared<RewindPlan>()));
  EXPECT_THAT(Seen(), ElementsAre("1", "gap", "5", "order"));
}

TEST_F(HandOverTest, WhatBelongsToAPositionThatWasGivenUpIsPassedOver) {
  kProjectorThread.Assume();
  hand_over_.ForgetUntil(At(5));
  TakeBlock(20);
  TakeMark(5);
  TakeBlock(6);
  EXPECT_THAT(Seen(), ElementsAre("6"));
}

// The loop had begun to carry out one restart when another was asked for: its mark comes too, and ends nothing.
TEST_F(HandOverTest, OnlyTheMarkOfTheLastRestartCounts) {
  kIngestThread.Assume();
  kProjectorThread.Assume();
  hand_over_.ForgetUntil(At(30));
  hand_over_.ForgetUntil(At(5));
  TakeBlock(20);
  TakeMark(30);
  TakeBlock(31);
  ASSERT_TRUE(hand_over_.Take(Gap{31, 40, "x"}));
  TakeMark(5);
  TakeBlock(6);
  EXPECT_THAT(Seen(), ElementsAre("6"));
}

TEST_F(HandOverTest, AnOrderIsOfNoPosition) {
  kProjectorThread.Assume();
  hand_over_.ForgetUntil(At(5));
  TakeBlock(20);
  ASSERT_TRUE(hand_over_.Post(std::make_shared<RewindPlan>()));
  EXPECT_THAT(Seen(), ElementsAre("order"));
  TakeBlock(21);
  EXPECT_THAT(Seen(), IsEmpty());
}

// Whoever reads the archive to its end waits for no mark: it may lie among what was forgotten.
TEST_F(HandOverTest, AMarkThatWasForgottenIsNotWaitedFor) {
  kProjectorThread.Assume();
  hand_over_.ForgetUntil(At(5));
  TakeBlock(20);
  TakeMark(5);
  hand_over_.Hold();
  TakeBlock(6);  // held: for the archive only
  EXPECT_TRUE(hand_over_.Release([] { return true; }));
  TakeBlock(7);
  EXPECT_THAT(Seen(), ElementsAre("7"));
}

}  // namespace
}  // namespace everstate
