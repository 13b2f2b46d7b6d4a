#include "server/deployment/checkpointer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

namespace everstate {
namespace {

void WaitUntil(const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  while (!done()) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

Checkpointer::Made From(Slot slot) { return {slot, std::chrono::steady_clock::now()}; }

TEST(CheckpointerTest, MakesOneWhenSoManySlotsHavePassed) {
  std::atomic<int> made{0};
  Checkpointer checkpointer({.every_slots = 10, .every = std::nullopt}, From(100), [&] { ++made; });
  for (Slot slot = 101; slot < 110; ++slot) checkpointer.Applied(slot);
  EXPECT_EQ(made, 0);
  checkpointer.Applied(110);
  WaitUntil([&] { return made == 1; });
  checkpointer.Applied(125);  // slots may be skipped
  WaitUntil([&] { return made == 2; });
}

TEST(CheckpointerTest, AsManySlotsAsThereCanBeIsNever) {
  std::atomic<int> made{0};
  {
    Checkpointer checkpointer({.every_slots = UINT64_MAX, .every = std::nullopt}, From(100), [&] { ++made; });
    for (Slot slot = 101; slot < 200; ++slot) checkpointer.Applied(slot);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));  // time to make one, were it due
  }
  EXPECT_EQ(made, 0);
}

TEST(CheckpointerTest, MakesOneWhenTheTimeHasPassedAndSomethingIsNew) {
  std::atomic<int> made{0};
  Checkpointer checkpointer({.every_slots = std::nullopt, .every = std::chrono::seconds(0)}, From(100),
                            [&] { ++made; });
  checkpointer.Applied(101);
  WaitUntil([&] { return made == 1; });
  checkpointer.Applied(101);  // nothing new
  checkpointer.Applied(102);
  WaitUntil([&] { return made == 2; });
}

// The one before was made by another process, long ago.
TEST(CheckpointerTest, GoesOnFromTheNewestOneThereIs) {
  std::atomic<int> made{0};
  const Checkpointer::Made newest{100, std::chrono::steady_clock::now() - std::chrono::hours(2)};
  Checkpointer checkpointer({.every_slots = std::nullopt, .every = std::chrono::hours(1)}, newest, [&] { ++made; });
  checkpointer.Applied(101);
  WaitUntil([&] { return made == 1; });
}

TEST(CheckpointerTest, AfterARewindTheSlotsBeginBelow) {
  std::atomic<int> made{0};
  Checkpointer checkpointer({.every_slots = 10, .every = std::nullopt}, From(100), [&] { ++made; });
  checkpointer.Applied(110);
  WaitUntil([&] { return made == 1; });
  checkpointer.Applied(50);
  checkpointer.Applied(60);
  WaitUntil([&] { return made == 2; });
}

TEST(CheckpointerTest, TheEndWaitsForTheOneBeingMade) {
  std::promise<void> begun;
  std::promise<void> may_end;
  std::atomic<bool> made{false};
  auto checkpointer =
      std::make_unique<Checkpointer>(CheckpointSchedule{.every_slots = 1, .every = std::nullopt}, From(100), [&] {
        begun.set_value();
        may_end.get_future().wait();
        made = true;
      });
  checkpointer->Applied(101);
  begun.get_future().wait();
  may_end.set_value();
  checkpointer.reset();
  EXPECT_TRUE(made);
}

}  // namespace
}  // namespace everstate
