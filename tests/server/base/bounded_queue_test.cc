#include "server/base/bounded_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace everstate {
namespace {

using std::chrono::steady_clock;

constexpr auto kPast = steady_clock::time_point{};

// Whoever pushes and pops, and however they meet: each pusher's items come out once and in order, and the bounds hold.
TEST(BoundedQueueTest, LosesNothingAndKeepsItsBounds) {
  struct Item {
    int pusher, number;
  };
  constexpr int kPushers = 3, kPoppers = 2, kEach = 2000;
  constexpr size_t kCountMax = 8, kBytesMax = 100, kItemBytesMax = 40;
  BoundedQueue<Item> queue("q", kCountMax, kBytesMax);
  std::vector<std::vector<Item>> popped(kPoppers);
  std::atomic<bool> within{true};
  std::vector<std::thread> pushers, poppers;
  for (int p = 0; p < kPushers; ++p) {
    pushers.emplace_back([&, p] {
      for (int i = 0; i < kEach; ++i) {
        if (!queue.Push({p, i}, static_cast<size_t>(i) % (kItemBytesMax + 1))) within = false;
        const QueueStats stats = queue.stats();
        if (stats.count > kCountMax || stats.bytes >= kBytesMax + kItemBytesMax) within = false;
      }
    });
  }
  for (int p = 0; p < kPoppers; ++p) {
    poppers.emplace_back([&, p] {
      while (auto item = queue.Pop()) popped[static_cast<size_t>(p)].push_back(*item);
    });
  }
  for (std::thread& thread : pushers) thread.join();
  queue.Close();
  for (std::thread& thread : poppers) thread.join();
  EXPECT_TRUE(within);
  size_t count = 0;
  for (const auto& items : popped) {
    count += items.size();
    int last[kPushers] = {-1, -1, -1};
    for (const Item& item : items) {
      ASSERT_GT(item.number, last[item.pusher]);
      last[item.pusher] = item.number;
    }
  }
  EXPECT_EQ(count, static_cast<size_t>(kPushers) * kEach);
  EXPECT_EQ(queue.stats().bytes, 0u);
}

TEST(BoundedQueueTest, AnItemLargerThanTheBoundPassesAlone) {
  BoundedQueue<int> queue("q", 10, 100);
  ASSERT_TRUE(queue.Push(1, 1000));
  std::atomic<bool> pushed{false};
  std::thread pusher([&] { pushed = queue.Push(2, 1); });
  EXPECT_EQ(queue.Pop(), 1);  // only now is there room
  EXPECT_EQ(queue.Pop(), 2);
  pusher.join();
  EXPECT_TRUE(pushed);
}

TEST(BoundedQueueTest, WhatIsQueuedOutlivesTheClose) {
  BoundedQueue<int> queue("q", 1, 100);
  ASSERT_TRUE(queue.Push(1, 1));
  std::atomic<bool> pushed{true};
  std::thread pusher([&] { pushed = queue.Push(2, 1); });  // waits for room, or comes too late: refused either way
  queue.Close();
  pusher.join();
  EXPECT_FALSE(pushed);
  EXPECT_TRUE(queue.closed());
  EXPECT_EQ(queue.Pop(), 1);
  EXPECT_EQ(queue.Pop(), std::nullopt);
  EXPECT_EQ(queue.PopUntil(steady_clock::now() + std::chrono::hours(1)), std::nullopt)
      << "a drained queue that is closed is not waited for";
}

TEST(BoundedQueueTest, PopUntilDoesNotWaitBeyondItsTime) {
  BoundedQueue<int> queue("q", 1, 100);
  EXPECT_EQ(queue.PopUntil(kPast), std::nullopt);
  ASSERT_TRUE(queue.Push(1, 1));
  EXPECT_EQ(queue.PopUntil(kPast), 1);
}

TEST(BoundedQueueTest, SaysHowFullItIs) {
  BoundedQueue<int> queue("inbox", 5, 100);
  ASSERT_TRUE(queue.Push(1, 30));
  ASSERT_TRUE(queue.Push(2, 12));
  const QueueStats stats = queue.stats();
  EXPECT_EQ(stats.name, "inbox");
  EXPECT_EQ(stats.count, 2u);
  EXPECT_EQ(stats.count_max, 5u);
  EXPECT_EQ(stats.bytes, 42u);
  EXPECT_EQ(stats.bytes_max, 100u);
}

}  // namespace
}  // namespace everstate
