// Join, look, drop, step by step in every order that threads and sockets can bring about, without threads and sockets:
// what a client holds in the end must be the truth, whatever it subscribed to and when.
#include "server/fanout/view_feed.h"

#include <gtest/gtest.h>

#include <utility>

#include "tests/server/fanout/feed_bench.h"
#include "tests/server/fanout/thing_world.h"

namespace everstate {
namespace {

using testing::FeedBench;
using testing::ThingWorld;
using Key = std::optional<std::string>;

// Runs of random steps, each ending in quiet; then the client must hold the truth. With `switches`, other generations
// come now and then, at any point of a look. Answers how many frames were dropped.
size_t RunInterleavings(uint64_t seed, int episodes, bool switches) {
  kLaneThread.Assume();
  FeedBench bench(seed);
  // Some stages lag behind in some runs, so that long queues are met too.
  const uint64_t weights[6] = {1 + bench.random() % 4, 1 + bench.random() % 4, 1 + bench.random() % 4,
                               1 + bench.random() % 4, 1 + bench.random() % 4, 1 + bench.random() % 8};
  uint64_t total = 0;
  for (uint64_t weight : weights) total += weight;
  for (int episode = 0; episode < episodes; ++episode) {
    for (int step = 0; step < 25; ++step) {
      if (bench.random() % 6 == 0) bench.ClientActs(/*snapshots_only=*/false);
      if (switches && bench.random() % 25 == 0) bench.Switch();
      uint64_t pick = bench.random() % total;
      size_t stage = 0;
      while (pick >= weights[stage]) pick -= weights[stage++];
      switch (stage) {
        case 0:
          bench.ApplyBatch();
          break;
        case 1:
          bench.Encode();
          break;
        case 2:
          bench.Deliver();
          break;
        case 3:
          bench.RunReader();
          break;
        case 4:
          bench.ChunkArrives();
          break;
        default:
          bench.SocketDrains();
          break;
      }
    }
    bench.Quiesce();
    bench.ExpectTruth();
    EXPECT_FALSE(bench.feed.pins());
    if (::testing::Test::HasFailure()) break;
  }
  return bench.dropped;
}

TEST(ViewFeedTest, TheClientHoldsTheTruthAfterAnyInterleaving) {
  size_t dropped = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    dropped += RunInterleavings(seed, 40, /*switches=*/false);
    if (HasFailure()) return;
  }
  EXPECT_GT(dropped, 100u) << "the runs never met the case they are for";
}

TEST(ViewFeedTest, TheClientHoldsTheTruthOfWhateverGenerationIsServed) {
  for (uint64_t seed = 1000; seed < 1040; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RunInterleavings(seed, 10, /*switches=*/true);
    if (HasFailure()) return;
  }
}

// A client that subscribes and unsubscribes without end gives the readers no more to do than one that subscribes.
TEST(ViewFeedTest, LooksThatEndEarlyDoNotPileUp) {
  kLaneThread.Assume();
  FeedBench bench(1);
  for (const char* key : {"a", "b", "c", "d"}) bench.world->SetRank(key, 1);
  bench.applied.push_back(bench.world->Apply());
  for (int i = 0; i < 100; ++i) {
    bench.feed.Subscribe(std::nullopt, true);
    bench.SocketDrains();
    bench.feed.Unsubscribe(std::nullopt);
    EXPECT_EQ(bench.requests.size(), 1u);
  }
  bench.feed.Subscribe(std::nullopt, true);
  bench.Quiesce();
  EXPECT_EQ(bench.client.stores["Thing/list"].size(), 4u);
}

// What the old store no longer has, no switch look finds: a delete that was held has to go out by itself.
TEST(ViewFeedTest, ADeleteHeldAtASwitchReachesTheClient) {
  kLaneThread.Assume();
  FeedBench bench(1);
  bench.world->SetRank("a", 1);
  bench.world->SetRank("b", 1);
  bench.applied.push_back(bench.world->Apply());
  bench.feed.Subscribe(std::nullopt, true);
  bench.Quiesce();
  bench.feed.Subscribe(std::nullopt, true);
  bench.SocketDrains();
  ASSERT_TRUE(bench.RunReader());  // a look that has both
  bench.world->Delete("a");
  bench.applied.push_back(bench.world->Apply());
  while (bench.Encode() || bench.Deliver()) {
  }
  EXPECT_GT(bench.held, 0u);
  bench.left.push_back(std::exchange(bench.world, std::make_unique<ThingWorld>()));
  bench.posted.push_back({nullptr, bench.world->store()});
  bench.Quiesce();
  EXPECT_TRUE(bench.client.stores["Thing/list"].empty());
  EXPECT_EQ(bench.client.switch_deletes, 2u);
  EXPECT_EQ(bench.client.live_frames, 0u);
}

// The client has a key's row from the whole view, of the generation before: when the key goes on alone, it is brought
// over.
TEST(ViewFeedTest, AKeyThatOutlivesTheWholeViewIsBroughtOver) {
  kLaneThread.Assume();
  FeedBench bench(1);
  bench.world->SetRank("a", 1);
  bench.world->SetRank("b", 1);
  bench.applied.push_back(bench.world->Apply());
  bench.feed.Subscribe(std::nullopt, true);
  bench.Quiesce();
  ASSERT_EQ(bench.client.stores["Thing/list"].size(), 2u);
  bench.left.push_back(std::exchange(bench.world, std::make_unique<ThingWorld>()));
  bench.world->SetKind("b", 1, 2);
  bench.world->Apply();
  bench.posted.push_back({nullptr, bench.world->store()});
  bench.drained = false;  // no look begins
  bench.Deliver();
  for (const char* key : {"a", "b"}) bench.feed.Subscribe(key, /*with_snapshot=*/false);
  bench.feed.Unsubscribe(std::nullopt);
  bench.Quiesce();
  EXPECT_EQ(bench.client.stores["Thing/list"], bench.world->Truth());
}

// A frame that waits for a slow client must keep no more alive than it is counted for.
TEST(ViewFeedTest, WhatIsHeldForASocketThatTakesNothingKeepsNoBatchAlive) {
  kLaneThread.Assume();
  for (const Key& key : {Key(), Key("a")}) {
    FeedBench bench(1);
    bench.feed.Subscribe(key, true);
    bench.SocketDrains();  // the look is asked for
    bench.world->SetRank("a", 1);
    bench.world->SetRank("b", 1);
    bench.applied.push_back(bench.world->Apply());
    bench.Encode();
    const std::weak_ptr<const Publication> batch = bench.posted.front().publication;
    bench.Deliver();
    EXPECT_FALSE(batch.expired()) << "shared as long as the socket takes what comes";
    const size_t held = bench.held;
    EXPECT_GT(held, 0u);
    bench.feed.OwnHeld();
    EXPECT_TRUE(batch.expired());
    EXPECT_EQ(bench.held, held);
    bench.Quiesce();
    EXPECT_EQ(bench.held, 0u);
    EXPECT_EQ(bench.client.stores["Thing/list"].size(), key.has_value() ? 1u : 2u);
  }
}

TEST(ViewFeedTest, ALiveOnlySubscriptionGetsEveryFrameFromThenOn) {
  kLaneThread.Assume();
  FeedBench bench(1);
  bench.world->SetRank("a", 1);
  bench.applied.push_back(bench.world->Apply());
  bench.Quiesce();
  bench.feed.Subscribe(std::nullopt, /*with_snapshot=*/false);
  for (uint64_t i = 0; i < 5; ++i) {
    bench.world->AddEv("a", i);
    bench.applied.push_back(bench.world->Apply());
  }
  bench.Quiesce();
  EXPECT_EQ(bench.client.live_frames, 5u);
  EXPECT_EQ(bench.client.completes["Thing/list"], 0);
  EXPECT_EQ(bench.client.stores["Thing/list"]["a"]["ev"], nlohmann::json({0, 1, 2, 3, 4}));
}

// A delete that a look contains is no row of its snapshot: without the leaver the client would keep the row for ever.
TEST(ViewFeedTest, ADeleteInsideARepeatedLookReachesTheClient) {
  kLaneThread.Assume();
  FeedBench bench(1);
  bench.world->SetRank("a", 1);
  bench.world->SetRank("b", 1);
  bench.applied.push_back(bench.world->Apply());
  bench.feed.Subscribe(std::nullopt, true);
  bench.Quiesce();
  ASSERT_EQ(bench.client.stores["Thing/list"].size(), 2u);
  bench.feed.Subscribe(std::nullopt, true);
  bench.SocketDrains();
  bench.world->Delete("a");
  bench.applied.push_back(bench.world->Apply());
  while (bench.RunReader() || bench.ChunkArrives() || bench.SocketDrains()) {
  }
  EXPECT_EQ(bench.client.stores["Thing/list"].size(), 2u);  // the snapshot cannot say it
  bench.Quiesce();
  EXPECT_EQ(bench.client.stores["Thing/list"].size(), 1u);
  EXPECT_EQ(bench.dropped, 1u);
}

// Memory of what was carried does not outlive its use.
TEST(ViewFeedTest, ForgetsWhatHasPassed) {
  kLaneThread.Assume();
  FeedBench bench(1);
  for (char c = 'a'; c <= 'f'; ++c) bench.feed.Subscribe(std::string(1, c), true);
  bench.world->SetRank("a", 1);
  bench.applied.push_back(bench.world->Apply());
  while (bench.RunReader() || bench.ChunkArrives() || bench.SocketDrains()) {
  }
  EXPECT_TRUE(bench.watching);
  bench.Quiesce();
  EXPECT_FALSE(bench.watching);
  EXPECT_TRUE(bench.feed.Settle(0));
}

}  // namespace
}  // namespace everstate
