// A feed without threads and sockets: every hand-over between projector, lane, reader and socket is a step that the
// test takes.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>

#include "server/fanout/view_feed.h"
#include "tests/server/fanout/frames.h"
#include "tests/server/fanout/thing_world.h"

namespace everstate::testing {

// One session with one feed; every hand-over is a step of its own.
class FeedBench final : public Outbox, public FeedHost {
 public:
  using Key = std::optional<std::string>;

  explicit FeedBench(uint64_t seed)
      : random(seed),
        views(world->store()->schema()),
        feed(this, this, *views.Find("Thing/list"), &views.view(*views.Find("Thing/list"))) {}
  ~FeedBench() { feed.UnsubscribeAll(); }

  // Outbox
  void Send(Slice slice) override {
    drained = false;
    const auto payloads = Payloads({slice.data, slice.size});
    ASSERT_TRUE(payloads.has_value());
    for (const std::string& payload : *payloads) EXPECT_EQ(client.Take(payload), "");
    EXPECT_EQ(payloads->size(), slice.frames);
  }
  bool Drained() const override { return drained; }
  void AddHeldBytes(size_t bytes) override { held += bytes; }
  void SubHeldBytes(size_t bytes) override { held -= bytes; }

  // FeedHost
  Number LaneNumber() const override { return lane_number; }
  void Join(ViewFeed*, const Key& key) override {
    EXPECT_TRUE(joined.insert(key).second);
    feed.view().listeners.fetch_add(1);
  }
  void Leave(ViewFeed*, const Key& key) override {
    EXPECT_EQ(joined.erase(key), 1u);
    feed.view().listeners.fetch_sub(1);
  }
  void RequestChunk(ViewFeed*, uint64_t id, std::shared_ptr<Look> look) override {
    EXPECT_TRUE(requests.empty() && chunks.empty()) << "the readers have one to make already";
    requests.push_back({id, std::move(look)});
  }
  std::shared_ptr<Look> NewLook(ViewFeed*, const Key& key, std::vector<StoreRef> older) override {
    return std::make_shared<Look>(&views, feed.index(), key, LookLimits{1, 2, 1000},
                                  LookStores{lane_store, std::move(older)});
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
    kLaneThread.Assume();
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
    kReaderThread.Assume();
    if (requests.empty()) return false;
    auto [id, look] = std::move(requests.front());
    requests.pop_front();
    Chunk chunk = look->Next();
    chunks.push_back({id, std::move(chunk), std::move(look)});
    return true;
  }
  bool ChunkArrives() {
    kLaneThread.Assume();
    if (chunks.empty()) return false;
    auto [id, chunk, look] = std::move(chunks.front());
    chunks.pop_front();
    if (chunk.complete) look.reset();
    feed.OnChunk(id, std::move(chunk), std::move(look));
    return true;
  }
  bool SocketDrains() {
    kLaneThread.Assume();
    if (drained) return false;
    drained = true;
    feed.OnDrained();
    return true;
  }
  void ClientActs(bool snapshots_only) {
    kLaneThread.Assume();
    const Key key = random() % 2 == 0 ? Key() : Key(AnyKey());
    if (feed.Has(key) && random() % 2 == 0) {
      feed.Unsubscribe(key);
      truthful.erase(key);
      settled.erase(key);
      // What nobody keeps up to date any more is forgotten.
      for (char c = 'a'; c <= 'f'; ++c) {
        if (!Covered(std::string(1, c))) client.Forget("Thing/list", std::string(1, c));
      }
    } else {
      const bool snapshot = snapshots_only || random() % 4 != 0;
      feed.Subscribe(key, snapshot);
      // Without a snapshot of its own a key goes on from what the whole view has brought.
      const bool goes_on = settled.contains(Key());
      if (snapshot || goes_on) truthful.insert(key);
      if (goes_on) settled.insert(key);
    }
  }

  bool Covered(const std::string& key) const { return truthful.contains(Key()) || truthful.contains(Key(key)); }
  std::string AnyKey() { return std::string(1, static_cast<char>('a' + random() % 6)); }

  void Quiesce() {
    while (Encode() || Deliver() || RunReader() || ChunkArrives() || SocketDrains()) {
    }
    settled = truthful;
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
  std::set<Key> truthful;  // subscriptions of whose rows the client must hold the truth
  std::set<Key> settled;   // those of them that had all they needed at the last quiet
  std::deque<Applied> applied;
  std::deque<Posted> posted;
  std::deque<Request> requests;
  std::deque<Answer> chunks;
  Number lane_number = 0;
  bool drained = true, watching = false;
  size_t held = 0, dropped = 0;
  uint64_t element = 0;
};

}  // namespace everstate::testing
