// Join, look, drop, step by step in every order that threads and sockets can bring about, without threads and sockets: what a
// client holds in the end must be the truth, whatever it subscribed to and when.
#include "server/fanout/view_feed.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <set>
#include <utility>

#include "tests/server/fanout/thing_world.h"

namespace everstate {
namespace {

using testing::FakeClient;
using testing::ThingWorld;
using Key = std::optional<std::string>;

std::vector<std::string> Payloads(const Slice& slice) {
  std::vector<std::string> payloads;
  std::string_view bytes(slice.data, slice.size);
  while (!bytes.empty()) {
    uint64_t size = static_cast<uint8_t>(bytes[1]);
    size_t header = 2;
    if (size >= 126) {
      const size_t more = size == 126 ? 2 : 8;
      size = 0;
      for (size_t i = 0; i < more; ++i) size = (size << 8) | static_cast<uint8_t>(bytes[2 + i]);
      header += more;
    }
    payloads.emplace_back(bytes.substr(header, size));
    bytes.remove_prefix(header + size);
  }
  return payloads;
}

// One session with one feed; every hand-over is a step of its own.
class Bench final : public FeedHost {
 public:
  explicit Bench(uint64_t seed)
      : random(seed), views(world->store()->schema()), feed(this, *views.Find("Thing/list"), &views.view(*views.Find("Thing/list"))) {}
  ~Bench() { feed.UnsubscribeAll(); }

  // FeedHost
  void Send(Slice slice) override {
    drained = false;
    for (const std::string& payload : Payloads(slice)) {
      const std::string fault = client.Take(payload);
      EXPECT_EQ(fault, "");
    }
    EXPECT_EQ(Payloads(slice).size(), slice.frames);
  }
  bool Drained() const override { return drained; }
  Number LaneNumber() const override { return lane_number; }
  void Join(ViewFeed*, const Key& key) override {
    EXPECT_TRUE(joined.insert(key).second);
    feed.view().listeners.fetch_add(1);
  }
  void Leave(ViewFeed*, const Key& key) override {
    EXPECT_EQ(joined.erase(key), 1u);
    feed.view().listeners.fetch_sub(1);
  }
  void AddHeldBytes(size_t bytes) override { held += bytes; }
  void SubHeldBytes(size_t bytes) override { held -= bytes; }
  void RequestChunk(ViewFeed*, uint64_t id, std::shared_ptr<Look> look) override { requests.push_back({id, std::move(look)}); }
  std::shared_ptr<Look> NewLook(ViewFeed*, const Key& key, std::vector<StoreRef> older) override {
    return std::make_shared<Look>(&views, feed.index(), key, LookLimits{1, 2, 1000}, LookStores{lane_store, std::move(older)});
  }
  void Discard(std::shared_ptr<Look>) override {}
  void LookFailed(ViewFeed*, const Key&, const absl::Status& status) override { ADD_FAILURE() << status; }
  void CountDropped(size_t frames) override { dropped += frames; }
  void CountChunk(const Chunk&) override {}
  void WatchNumbers(ViewFeed*) override { watching = true; }

  // Steps. Each answers whether there was something to do.
  bool ApplyBatch() {
    std::set<std::string> touched;
    const size_t changes = 1 + random() % 3;
    for (size_t i = 0; i < changes; ++i) {
      const std::string key = AnyKey();
      if (!touched.insert(key).second) continue;
      if (world->Exists(key) && random() % 4 == 0) {
        world->Delete(key);
      } else if (random() % 3 == 0) {
        world->SetRank(key, random() % 5);
      } else if (random() % 3 == 0) {
        const auto maybe = [this] { return random() % 2 == 0 ? std::optional<uint64_t>() : random() % 5; };
        world->SetKind(key, maybe(), maybe());
      } else {
        world->AddEv(key, ++element);
      }
    }
    applied.push_back(world->Apply());
    return true;
  }
  bool Encode() {
    if (applied.empty()) return false;
    Counter encoded;
    posted.push_back({EncodePublication(views, applied.front(), &encoded), nullptr});
    applied.pop_front();
    return true;
  }
  bool Deliver() {
    if (posted.empty()) return false;
    const auto [publication, store] = posted.front();
    posted.pop_front();
    if (store != nullptr) {
      const StoreRef old = std::exchange(lane_store, store);
      lane_number = 0;
      feed.OnSwitch(old);
      return true;
    }
    if (watching && feed.Settle(publication->number - 1)) watching = false;
    for (const ViewFrames& frames : publication->views) {
      if (feed.whole()) {
        feed.OnLive(publication, frames, ViewFeed::kAll);
        continue;
      }
      for (size_t i = 0; i < frames.frames.size(); ++i) {
        if (joined.contains(std::string(publication->key(frames.frames[i])))) feed.OnLive(publication, frames, i);
      }
    }
    lane_number = publication->number;
    if (watching && feed.Settle(lane_number)) watching = false;
    return true;
  }
  // A rewind has ended: a store with a history of its own is served, once what was applied to the old one is published.
  void Switch() {
    while (Encode()) {
    }
    left.push_back(std::move(world));
    world = std::make_unique<ThingWorld>();
    for (uint64_t batches = random() % 6; batches > 0; --batches) ApplyBatch();
    applied.clear();
    posted.push_back({nullptr, world->store()});
  }
  bool RunReader() {
    if (requests.empty()) return false;
    auto [id, look] = std::move(requests.front());
    requests.pop_front();
    Chunk chunk = look->Next();
    chunks.push_back({id, std::move(chunk), std::move(look)});
    return true;
  }
  bool ChunkArrives() {
    if (chunks.empty()) return false;
    auto [id, chunk, look] = std::move(chunks.front());
    chunks.pop_front();
    if (chunk.complete) look.reset();
    feed.OnChunk(id, std::move(chunk), std::move(look));
    return true;
  }
  bool SocketDrains() {
    if (drained) return false;
    drained = true;
    feed.OnDrained();
    return true;
  }
  void ClientActs(bool snapshots_only) {
    const Key key = random() % 2 == 0 ? Key() : Key(AnyKey());
    if (feed.Has(key) && random() % 2 == 0) {
      feed.Unsubscribe(key);
      with_snapshot.erase(key);
      // What nobody keeps up to date any more is forgotten.
      for (char c = 'a'; c <= 'f'; ++c) {
        if (!Covered(std::string(1, c))) client.Forget("Thing/list", std::string(1, c));
      }
    } else {
      const bool snapshot = snapshots_only || random() % 4 != 0;
      feed.Subscribe(key, snapshot);
      if (snapshot) with_snapshot.insert(key);
    }
  }

  bool Covered(const std::string& key) const { return with_snapshot.contains(Key()) || with_snapshot.contains(Key(key)); }
  std::string AnyKey() { return std::string(1, static_cast<char>('a' + random() % 6)); }

  void Quiesce() {
    while (Encode() || Deliver() || RunReader() || ChunkArrives() || SocketDrains()) {
    }
  }
  void ExpectTruth() {
    const auto truth = world->Truth();
    const auto& store = client.stores["Thing/list"];
    for (char c = 'a'; c <= 'f'; ++c) {
      const std::string key(1, c);
      if (!Covered(key)) continue;
      ASSERT_EQ(store.contains(key), truth.contains(key)) << key;
      if (truth.contains(key)) {
        ASSERT_EQ(store.at(key), truth.at(key)) << key;
      }
    }
    EXPECT_EQ(held, 0u);
  }

  struct Request {
    uint64_t id;
    std::shared_ptr<Look> look;
  };
  struct Posted {
    std::shared_ptr<const Publication> publication;
    StoreRef store;  // instead: from here on this one is served
  };
  struct Answer {
    uint64_t id;
    Chunk chunk;
    std::shared_ptr<Look> look;
  };

  std::mt19937_64 random;
  std::vector<std::unique_ptr<ThingWorld>> left;  // generations that are served no more
  std::unique_ptr<ThingWorld> world = std::make_unique<ThingWorld>();
  StoreRef lane_store = world->store();
  ViewTable views;
  FakeClient client;
  ViewFeed feed;
  std::set<Key> joined;
  std::set<Key> with_snapshot;
  std::deque<Applied> applied;
  std::deque<Posted> posted;
  std::deque<Request> requests;
  std::deque<Answer> chunks;
  Number lane_number = 0;
  bool drained = true, watching = false;
  size_t held = 0, dropped = 0;
  uint64_t element = 0;
};

// Runs of random steps, each ending in quiet; then the client must hold the truth. With `switches`, other generations come now
// and then, at any point of a look. Answers how many frames were dropped.
size_t RunInterleavings(uint64_t seed, int episodes, bool switches) {
  Bench bench(seed);
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
        case 0: bench.ApplyBatch(); break;
        case 1: bench.Encode(); break;
        case 2: bench.Deliver(); break;
        case 3: bench.RunReader(); break;
        case 4: bench.ChunkArrives(); break;
        default: bench.SocketDrains(); break;
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

// What the old store no longer has, no switch look finds: a delete that was held has to go out by itself.
TEST(ViewFeedTest, ADeleteHeldAtASwitchReachesTheClient) {
  Bench bench(1);
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

TEST(ViewFeedTest, ALiveOnlySubscriptionGetsEveryFrameFromThenOn) {
  Bench bench(1);
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
  Bench bench(1);
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
  Bench bench(1);
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
