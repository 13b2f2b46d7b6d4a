// Join, look, drop with real threads and sockets: clients subscribe, repeat, overlap and leave while batches fly.
#include <atomic>
#include <random>
#include <set>

#include "tests/server/fanout/fanout_fixture.h"

namespace everstate::testing {
namespace {

using nlohmann::json;

class CutTest : public FanoutTest {
 protected:
  void Change(std::mt19937_64& random) {
    std::set<std::string> touched;
    const size_t changes = 1 + random() % 4;
    for (size_t i = 0; i < changes; ++i) {
      const std::string key = "k" + std::to_string(random() % 40);
      if (!touched.insert(key).second) continue;
      if (world_.Exists(key) && random() % 8 == 0) {
        world_.Delete(key);
      } else {
        world_.AddEv(key, ++element_);
      }
    }
    Commit();
  }
  uint64_t element_ = 0;
};

// Every round a handful of clients join at a random moment of a stream of appends, each in its own way; in the end each
// must hold the truth with no element missing or doubled.
TEST_F(CutTest, NothingIsLostOrDoubledWhileBatchesFly) {
  Start(OptionsForAFlood());
  std::mt19937_64 random(5);
  for (int i = 0; i < 200; ++i) Change(random);

  std::atomic<int> turn{0};
  constexpr int kRounds = 150, kClients = 8;
  uint64_t checked = 0;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<std::thread> threads;
    std::vector<std::unique_ptr<WsClient>> clients(kClients);
    std::vector<FakeClient> models(kClients);
    std::vector<std::string> faults(kClients);
    std::atomic<int> reading{0};
    for (int i = 0; i < kClients; ++i) {
      threads.emplace_back([&, i, seed = random()] {
        std::mt19937_64 mine(seed);
        clients[i] = std::make_unique<WsClient>(fanout_->address());
        WsClient& client = *clients[i];
        bool whole = false;
        for (int act = 0; act < 5; ++act) {
          const uint64_t what = mine() % 5;
          const std::string key = "k" + std::to_string(mine() % 40);
          if (what == 0) client.SendText(ViewMessage("subscribe", "Thing/list", key));
          // Only while the whole view covers the key: what nobody covers may stay behind in a client's store for ever.
          if (what == 1 && whole) client.SendText(ViewMessage("unsubscribe", "Thing/list", key));
          if (what == 2) client.SendText(ViewMessage("subscribe", "Thing/list", key, false));
          if (what >= 3) client.SendText(ViewMessage("subscribe", "Thing/list"));
          whole = whole || what >= 3;
          for (uint64_t reads = mine() % 20; reads > 0; --reads) {
            auto text = client.NextText(std::chrono::milliseconds(1));
            if (!text.has_value()) break;
            if (faults[i].empty()) faults[i] = models[i].Take(*text);
          }
        }
        client.SendText(ViewMessage("subscribe", "Thing/list"));
        client.SendText("x");  // its issue marks the place from which the whole view is subscribed for good
        ++reading;
      });
    }
    while (reading.load() < kClients) Change(random);
    for (int i = 0; i < 5; ++i) Change(random);
    for (std::thread& thread : threads) thread.join();
    const auto truth = world_.Truth();
    for (int i = 0; i < kClients; ++i) {
      FakeClient& model = models[i];
      while (model.stores["Thing/list"] != truth || model.issues.empty()) {
        auto text = clients[i]->NextText();
        ASSERT_TRUE(text.has_value()) << round << ": " << json(model.stores["Thing/list"]) << ", not " << json(truth);
        if (faults[i].empty()) faults[i] = model.Take(*text);
      }
      ASSERT_EQ(faults[i], "");
      ++checked;
    }
  }
  EXPECT_EQ(checked, static_cast<uint64_t>(kRounds * kClients));
  EXPECT_GT(counters().frames_dropped_by_look.value(), 0u);
}

// The race of the first listener: nobody listens, so batches are not encoded, while one joins. In every round the
// stream ends and the client must hold the truth, so a single batch that was not encoded shows.
TEST_F(CutTest, TheFirstListenerMissesNothing) {
  Start();
  std::mt19937_64 random(3);
  for (int i = 0; i < 50; ++i) Change(random);
  for (int round = 0; round < 400; ++round) {
    WsClient client = Connect();
    FakeClient model;
    std::thread projector([&, batches = 1 + random() % 12] {
      for (uint64_t i = 0; i < batches; ++i) Change(random);
    });
    client.SendText(ViewMessage("subscribe", "Thing/append"));
    projector.join();
    ExpectTruth(client, model, "Thing/append");
    if (HasFatalFailure()) return;
    client.SendClose(1000);
    // The next round begins without any listener.
    ASSERT_TRUE(Eventually([&] { return counters().subscriptions.value() == 0; }));
  }
  EXPECT_LT(counters().frames_encoded.value(), counters().batches_published.value() * 4);
}

}  // namespace
}  // namespace everstate::testing
