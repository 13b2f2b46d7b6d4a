// Another generation is served from here on: what clients hold, that they need not know of it, and that the old store
// is let go.
#include <atomic>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "tests/server/fanout/fanout_fixture.h"

namespace everstate::testing {
namespace {

using nlohmann::json;
using Truth = std::map<std::string, json>;

class SwitchTest : public FanoutTest {
 protected:
  void Publish(ThingWorld& world) { fanout_->Publish(world.Apply()); }
  static void Fill(ThingWorld& world, int from, int to, size_t bytes = 1) {
    for (int i = from; i < to; ++i) {
      const std::string key = "k" + std::to_string(1000 + i);
      world.Edit(key, [&](RowEditor& editor) { editor.Set(kName, Value::Text(std::string(bytes, 'x'))); });
    }
    world.Apply();
  }
  static void Change(ThingWorld& world, std::mt19937_64& random) {
    std::set<std::string> touched;
    for (uint64_t changes = 1 + random() % 4; changes > 0; --changes) {
      const std::string key = "k" + std::to_string(random() % 40);
      if (!touched.insert(key).second) continue;
      if (world.Exists(key) && random() % 6 == 0) {
        world.Delete(key);
      } else {
        world.AddEv(key, random() % 1000);
      }
    }
  }
  // Until the client takes no more: the socket is full, and a look waits for it.
  bool Stuck() {
    uint64_t rows = 0;
    return Eventually([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      return std::exchange(rows, counters().snapshot_rows_sent.value()) == counters().snapshot_rows_sent.value() &&
             rows > 0;
    });
  }
  // Nobody reads the world's store any more, and it was closed.
  static bool Closed(ThingWorld& world) {
    const std::weak_ptr<const EntityStore> store = world.store();
    world.Close();
    return Eventually([&] { return store.expired(); });
  }
  // Lives until the server has stopped.
  ThingWorld& NewWorld() { return *worlds_.emplace_back(std::make_unique<ThingWorld>()); }
  static Truth Only(const Truth& truth, const std::string& key) {
    return truth.contains(key) ? Truth{{key, truth.at(key)}} : Truth{};
  }

 private:
  std::vector<std::unique_ptr<ThingWorld>> worlds_;
};

TEST_F(SwitchTest, ExactText) {
  Start();
  world_.SetRank("a", 1);
  world_.SetRank("b", 1);
  Commit();
  ThingWorld& next = NewWorld();
  next.SetRank("b", 2);
  next.SetRank("c", 2);
  next.Apply();
  WsClient client = Connect();
  FakeClient model;
  Subscribe(client, model, "Thing/list");
  fanout_->SwitchStore(next.store());
  EXPECT_EQ(client.NextText(), R"({"mode":"list","entity":"Thing/list","op":"delete","key":"a","data":null})");
  EXPECT_EQ(client.NextText(),
            R"({"mode":"list","entity":"Thing/list","op":"snapshot","data":[)"
            R"({"key":"b","data":{"_seq":"1000:000000000001","id":{"rank":2}}},)"
            R"({"key":"c","data":{"_seq":"1000:000000000002","id":{"rank":2}}}],"complete":true,"reset":true})");
  next.SetRank("c", 3);
  Publish(next);
  EXPECT_EQ(
      client.NextText(),
      R"({"mode":"list","entity":"Thing/list","op":"patch","key":"c","data":{"_seq":"1001:000000000001","id":{"rank":3}},)"
      R"("seq":"1001:000000000001"})");
  // A subscription from here on knows nothing of a switch.
  client.SendText(ViewMessage("subscribe", "Thing/append", "b"));
  EXPECT_EQ(client.NextText(), R"({"op":"subscribed","view":"Thing/append","mode":"append"})");
  EXPECT_EQ(client.NextText(), R"({"mode":"append","entity":"Thing/append","op":"snapshot","data":[)"
                               R"({"key":"b","data":{"_seq":"1000:000000000001","id":{"rank":2}}}],"complete":true})");
  EXPECT_EQ(counters().switches.value(), 1u);
  EXPECT_EQ(counters().switch_deletes_sent.value(), 1u);
  EXPECT_TRUE(Closed(world_));
}

TEST_F(SwitchTest, EveryKindOfSubscriptionIsBroughtOver) {
  Start();
  Fill(world_, 0, 300);
  world_.SetRank("gone", 1);
  world_.SetRank("stays", 1);
  Commit();
  ThingWorld& next = NewWorld();
  Fill(next, 150, 400);
  next.SetRank("stays", 2);
  next.Apply();
  WsClient client = Connect();
  FakeClient model;
  Subscribe(client, model, "Thing/list");
  Subscribe(client, model, "Thing/append", "gone");
  Subscribe(client, model, "Thing/append", "stays");
  Subscribe(client, model, "Thing/append", "never");
  Subscribe(client, model, "Thing/state", "stays");
  WsClient live_only = Connect();
  FakeClient live_model;
  live_only.SendText(ViewMessage("subscribe", "Thing/list", std::nullopt, false));
  Ask(live_only, "x");
  world_.SetRank("gone", 2);
  Commit();
  fanout_->SwitchStore(next.store());
  ExpectTruth(client, model, "Thing/list", next.Truth());
  ExpectTruth(client, model, "Thing/append", Only(next.Truth(), "stays"));
  ExpectTruth(client, model, "Thing/state", Only(next.Truth(), "stays"));
  ExpectTruth(live_only, live_model, "Thing/list", next.Truth());
  while (model.resets["Thing/append"] < 3) ASSERT_EQ(model.Take(client.NextText().value_or("")), "");
  EXPECT_EQ(model.switch_deletes, 152u);
  next.SetRank("stays", 3);
  Publish(next);
  ExpectTruth(client, model, "Thing/list", next.Truth());
  ExpectTruth(client, model, "Thing/append", Only(next.Truth(), "stays"));
  ExpectTruth(live_only, live_model, "Thing/list", next.Truth());
  EXPECT_TRUE(Closed(world_));
}

TEST_F(SwitchTest, DuringALook) {
  Start();
  for (int i = 0; i < 40; ++i) Fill(world_, i * 25, i * 25 + 25, 20000);
  ThingWorld& next = NewWorld();
  Fill(next, 500, 1100);
  WsClient client(fanout_->address(), "/", 64 << 10);
  client.SendText(ViewMessage("subscribe", "Thing/list"));
  ASSERT_TRUE(Stuck());
  world_.SetRank("k1999", 1);
  Commit();  // held
  fanout_->SwitchStore(next.store());
  FakeClient model;
  ExpectTruth(client, model, "Thing/list", next.Truth());
  EXPECT_LT(counters().snapshot_rows_sent.value(), 1000u + 600u) << "the first look had ended at the switch";
  next.SetRank("k1500", 7);
  Publish(next);
  ExpectTruth(client, model, "Thing/list", next.Truth());
  EXPECT_TRUE(Closed(world_));
}

TEST_F(SwitchTest, ASecondSwitchBeforeTheFirstWasTaken) {
  Start();
  for (int i = 0; i < 40; ++i) Fill(world_, i * 25, i * 25 + 25, 20000);
  ThingWorld& second = NewWorld();
  ThingWorld& third = NewWorld();
  for (int i = 0; i < 40; ++i) Fill(second, 2000 + i * 25, 2025 + i * 25, 20000);
  Fill(third, 990, 1100);
  WsClient client(fanout_->address(), "/", 64 << 10);
  FakeClient model;
  Subscribe(client, model, "Thing/list");
  if (HasFatalFailure()) return;
  fanout_->SwitchStore(second.store());
  // Some of the second generation's rows arrive, so that the client holds rows of two.
  while (!model.stores["Thing/list"].contains("k3000")) ASSERT_EQ(model.Take(client.NextText().value_or("")), "");
  fanout_->SwitchStore(third.store());
  ExpectTruth(client, model, "Thing/list", third.Truth());
  EXPECT_GE(model.switch_deletes, 1000u + 990u);
  EXPECT_TRUE(Closed(world_));
  EXPECT_TRUE(Closed(second));
}

TEST_F(SwitchTest, FiftySessionsAndASlowOne) {
  FanoutOptions options = Options();
  options.session_queue_bytes_max = 1u << 20;
  options.close_timeout_ms = options.slow_close_timeout_ms = 100;
  Start(options);
  for (int i = 0; i < 10; ++i) Fill(world_, i * 25, i * 25 + 25, 10000);
  ThingWorld& next = NewWorld();
  Fill(next, 200, 300);
  constexpr size_t kSessions = 50;
  std::vector<WsClient> clients;
  std::vector<FakeClient> models(kSessions);
  for (size_t i = 0; i < kSessions; ++i) {
    clients.push_back(Connect());
    if (i % 2 == 0) Subscribe(clients[i], models[i], "Thing/list");
    if (i % 2 == 1) Subscribe(clients[i], models[i], "Thing/list", "k" + std::to_string(1000 + i * 6));
    if (HasFatalFailure()) return;
  }
  WsClient slow(fanout_->address(), "/", 64 << 10);
  slow.SendText(ViewMessage("subscribe", "Thing/list"));
  fanout_->SwitchStore(next.store());
  while (counters().sessions_closed_slow.value() == 0) {
    next.Edit("big", [&](RowEditor& editor) {
      editor.Set(kName, Value::Text(std::to_string(counters().batches_published.value()) + std::string(100000, 'y')));
    });
    Publish(next);
    const auto truth = next.Truth();
    for (size_t i = 0; i < kSessions; i += 2) {
      ExpectTruth(clients[i], models[i], "Thing/list", truth);
      if (HasFatalFailure()) return;
    }
  }
  for (size_t i = 1; i < kSessions; i += 2) {
    ExpectTruth(clients[i], models[i], "Thing/list", Only(next.Truth(), "k" + std::to_string(1000 + i * 6)));
    if (HasFatalFailure()) return;
  }
  EXPECT_EQ(counters().sessions_closed_slow.value(), 1u);
  EXPECT_TRUE(Closed(world_));
}

// A client that takes nothing must not keep a store for ever.
TEST_F(SwitchTest, WhoTakesNothingDoesNotKeepTheOldStore) {
  FanoutOptions options = Options();
  options.look_timeout_ms = 5000;  // on a busy machine, too, the look is seen before it is over
  options.close_timeout_ms = options.slow_close_timeout_ms = 100;
  Start(options);
  for (int i = 0; i < 40; ++i) Fill(world_, i * 25, i * 25 + 25, 20000);
  ThingWorld& next = NewWorld();
  for (int i = 0; i < 40; ++i) Fill(next, i * 25, i * 25 + 25, 20000);  // no socket holds either of them
  WsClient client(fanout_->address(), "/", 64 << 10);
  client.SendText(ViewMessage("subscribe", "Thing/list"));
  EXPECT_TRUE(Eventually([&] { return counters().oldest_look_ms.value() > 0; }));
  fanout_->SwitchStore(next.store());
  EXPECT_TRUE(Eventually([&] { return counters().sessions_closed_slow.value() == 1; }));
  EXPECT_TRUE(Closed(world_));
  EXPECT_TRUE(Eventually([&] { return counters().oldest_look_ms.value() == 0; }));
  WsClient other = Connect();
  FakeClient model;
  Subscribe(other, model, "Thing/list");
  EXPECT_EQ(model.stores["Thing/list"], next.Truth());
}

// Random histories in store after store while clients come, subscribe again and read at their own pace; at the end of
// each each client must hold what the newest store has.
TEST_F(SwitchTest, ClientsHoldTheNewestGenerationWhileBatchesFly) {
  Start(OptionsForAFlood());
  std::mt19937_64 random(17);
  constexpr size_t kClients = 6;
  std::vector<WsClient> clients;
  std::vector<FakeClient> models(kClients);
  for (size_t i = 0; i < kClients; ++i) clients.push_back(Connect());
  ThingWorld* world = &world_;
  for (int round = 0; round < 25; ++round) {
    std::vector<std::thread> threads;
    std::vector<std::string> faults(kClients);
    std::atomic<size_t> done{0};
    for (size_t i = 0; i < kClients; ++i) {
      threads.emplace_back([&, i, seed = random()] {
        std::mt19937_64 mine(seed);
        for (int act = 0; act < 4; ++act) {
          const uint64_t what = mine() % 4;
          const std::string key = "k" + std::to_string(i < 2 ? i : mine() % 40);
          // The first two clients watch keys, the others the whole view and keys besides.
          if (what == 0 || i < 2) clients[i].SendText(ViewMessage("subscribe", "Thing/list", key));
          // What nobody covers may stay behind in a client's store for ever: only while the whole view is subscribed.
          if (what == 1 && i >= 2 && round > 0) clients[i].SendText(ViewMessage("unsubscribe", "Thing/list", key));
          if (what >= 2 && i >= 2) clients[i].SendText(ViewMessage("subscribe", "Thing/list"));
          for (uint64_t reads = mine() % 20; reads > 0; --reads) {
            auto text = clients[i].NextText(std::chrono::milliseconds(1));
            if (!text.has_value()) break;
            if (faults[i].empty()) faults[i] = models[i].Take(*text);
          }
        }
        if (i >= 2) clients[i].SendText(ViewMessage("subscribe", "Thing/list"));
        clients[i].SendText("x");  // its issue says that everything before was heard
        ++done;
      });
    }
    bool switched = false;
    for (int step = 0; done.load() < kClients || !switched || step < 20; ++step) {
      if (!switched && (random() % 10 == 0 || done.load() == kClients)) {
        ThingWorld& next = NewWorld();
        for (int i = 0; i < 15; ++i) {
          Change(next, random);
          next.Apply();
        }
        fanout_->SwitchStore(next.store());
        world->Close();
        world = &next;
        switched = true;
      }
      Change(*world, random);
      Publish(*world);
    }
    for (std::thread& thread : threads) thread.join();
    for (size_t i = 0; i < kClients; ++i) {
      const Truth truth = i < 2 ? Only(world->Truth(), "k" + std::to_string(i)) : world->Truth();
      FakeClient& model = models[i];
      while (model.stores["Thing/list"] != truth || model.issues.size() < static_cast<size_t>(round) + 1) {
        auto text = clients[i].NextText();
        ASSERT_TRUE(text.has_value()) << "round " << round << " client " << i << "\nhas   "
                                      << json(model.stores["Thing/list"]) << "\ntruth " << json(truth);
        if (faults[i].empty()) faults[i] = model.Take(*text);
      }
      ASSERT_EQ(faults[i], "") << "round " << round << " client " << i;
    }
  }
  EXPECT_EQ(counters().switches.value(), 25u);
}

}  // namespace
}  // namespace everstate::testing
