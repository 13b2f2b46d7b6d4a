// Bounds: size, number, time, slowness, and bytes that make no sense.
#include <atomic>
#include <latch>
#include <limits>
#include <random>
#include <thread>

#include "tests/server/fanout/fanout_fixture.h"

namespace everstate::testing {
namespace {

class LimitsTest : public FanoutTest {
 protected:
  // A world whose every batch is `bytes` of frames.
  void CommitLarge(size_t bytes) {
    world_.Edit("big", [&](RowEditor& editor) {
      editor.Set(kName, Value::Text(std::string(bytes, static_cast<char>('a' + turn_++ % 26))));
    });
    Commit();
  }
  int turn_ = 0;
};

TEST_F(LimitsTest, RefusesAddresses) {
  FanoutOptions options;
  for (const char* address :
       {"", "8877", "localhost:1", "::1:80", "[127.0.0.1]:80", "127.0.0.1:99999", "127.0.0.1:x"}) {
    options.listen = address;
    EXPECT_EQ(Fanout::Start(options, nullptr).status().code(), absl::StatusCode::kInvalidArgument) << address;
  }
  Start();
  options.listen = fanout_->address();
  EXPECT_EQ(Fanout::Start(options, nullptr).status().code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(LimitsTest, ListensOnIpv6) {
  FanoutOptions options = Options();
  options.listen = "[::1]:0";
  auto started = Fanout::Start(options, nullptr);
  if (!started.ok()) GTEST_SKIP() << "no IPv6 here: " << started.status();
  fanout_ = *std::move(started);
  EXPECT_TRUE(Connect().open());
}

TEST_F(LimitsTest, SessionsMax) {
  FanoutOptions options = Options();
  options.sessions_max = 2;
  Start(options);
  WsClient first = Connect();
  auto second = std::make_unique<WsClient>(Connect());
  WsClient third = Connect();
  EXPECT_FALSE(third.open());
  EXPECT_TRUE(third.answer().starts_with("HTTP/1.1 503 ")) << third.answer();
  EXPECT_NE(third.answer().find("\"too-many-sessions\""), std::string::npos);
  EXPECT_EQ(counters().sessions_refused.value(), 1u);
  FakeClient model;
  Subscribe(first, model, "Thing/list");
  second.reset();
  EXPECT_TRUE(Eventually([&] { return counters().sessions.value() == 1; }));
  EXPECT_TRUE(Connect().open());
}

TEST_F(LimitsTest, SessionsMaxMayBeAnyNumber) {
  FanoutOptions options = Options();
  options.sessions_max = std::numeric_limits<int64_t>::max();
  Start(options);
  EXPECT_TRUE(Connect().open());
}

TEST_F(LimitsTest, SubscriptionsMax) {
  FanoutOptions options = Options();
  options.subscriptions_per_session_max = 1;
  Start(options);
  WsClient client = Connect();
  FakeClient model;
  Subscribe(client, model, "Thing/list");
  EXPECT_NE(Ask(client, ViewMessage("subscribe", "Thing/append")).find("\"subscription-limit-exceeded\""),
            std::string::npos);
  Subscribe(client, model, "Thing/list");  // the same one is no other one
  client.SendText(ViewMessage("unsubscribe", "Thing/list"));
  Subscribe(client, model, "Thing/append");
}

TEST_F(LimitsTest, ALaneThatDoesNotKeepUpHoldsUpPublish) {
  FanoutOptions options = Options();
  options.lanes = 1;
  options.lane_bytes_max = 64 << 10;
  std::latch entered(1), released(1);
  Start(options, true, [&](std::string_view) {
    entered.count_down();
    released.wait();
    return HttpReply();
  });
  WsClient client = Connect();
  FakeClient model;
  Subscribe(client, model, "Thing/list");
  std::thread holder([address = fanout_->address()] { HttpGet(address, "/held"); });
  entered.wait();
  constexpr size_t kBatchBytes = 10 << 10, kBatches = 20;
  size_t most = 0;
  std::thread publisher([&] {
    for (size_t i = 0; i < kBatches; ++i) {
      CommitLarge(kBatchBytes);
      most = std::max(most, counters().lane_bytes_waiting.value());
    }
  });
  EXPECT_TRUE(Eventually([&] { return counters().lane_bytes_waiting.value() >= options.lane_bytes_max; }));
  released.count_down();
  publisher.join();
  holder.join();
  EXPECT_LT(most, options.lane_bytes_max + 2 * kBatchBytes);
  ExpectTruth(client, model, "Thing/list");
  EXPECT_EQ(model.live_frames, kBatches);
  EXPECT_TRUE(Eventually([&] { return counters().lane_bytes_waiting.value() == 0; }));
}

TEST_F(LimitsTest, LargeMessagesClose1009) {
  Start();
  for (const size_t bytes : {(64u << 10) + 1, 1u << 20, 20u << 20}) {
    WsClient client = Connect();
    client.SendText(std::string(bytes, ' '));
    const auto close = client.WaitClose();
    ASSERT_TRUE(close.has_value()) << bytes;
    EXPECT_EQ(close->close_code, 1009) << bytes;
  }
  EXPECT_EQ(counters().sessions_closed_error.value(), 3u);
  WsClient client = Connect();
  std::string text = R"({"type":"ping"})";
  text.resize(64u << 10, ' ');
  client.SendText(text);
  EXPECT_NE(Ask(client, "x").find("invalid-message"), std::string::npos);
}

TEST_F(LimitsTest, BrokenRulesCloseWithTheirCode) {
  Start();
  const auto code_for = [&](const std::string& bytes) {
    WsClient client = Connect();
    client.tcp().Send(bytes);
    const auto close = client.WaitClose();
    return close.has_value() ? close->close_code : 0;
  };
  EXPECT_EQ(code_for(ClientFrame(1, "\xff\xfe")), 1007);
  EXPECT_EQ(code_for(std::string("\x81\x01x", 3)), 1002);  // no mask
  EXPECT_EQ(code_for(ClientFrame(3, "x")), 1002);          // reserved opcode
  EXPECT_EQ(code_for(ClientFrame(0, "x")), 1002);          // continues nothing
  EXPECT_EQ(code_for(ClientFrame(9, std::string(126, 'x'))), 1002);
  EXPECT_TRUE(Connect().open());
}

TEST_F(LimitsTest, StopCloses1012) {
  Start();
  std::vector<WsClient> clients;
  for (int i = 0; i < 5; ++i) {
    clients.push_back(Connect());
    FakeClient model;
    Subscribe(clients.back(), model, "Thing/list");
  }
  TcpClient idle(fanout_->address());  // one that never said what it wants
  world_.SetRank("a", 1);
  Commit();
  std::thread stop([this] { fanout_->Stop(); });
  for (WsClient& client : clients) {
    EXPECT_EQ(nlohmann::json::parse(client.NextText().value_or("{}"))["op"],
              "patch");  // what was queued goes out first
    const auto close = client.WaitClose();
    ASSERT_TRUE(close.has_value());
    EXPECT_EQ(close->close_code, 1012);
    client.SendClose(1012);
    EXPECT_TRUE(client.WaitEnd());
    client.tcp().Close();
  }
  stop.join();
  EXPECT_FALSE(TcpClient(fanout_->address()).connected());
  world_.SetRank("a", 2);
  Commit();  // harmless
}

TEST_F(LimitsTest, SilentPeersAreClosed1012) {
  FanoutOptions options = Options();
  options.ping_interval_ms = 3000;  // a busy machine may not let the reader run for a while
  Start(options);
  WsClient dead = Connect();
  WsClient alive = Connect();
  dead.answer_pings = false;
  // The other one answers its pings whenever it reads, so it reads all the while.
  std::atomic<bool> closed{false};
  std::thread reader([&] {
    while (!closed.load()) EXPECT_NE(Ask(alive, "x"), "");
  });
  const auto close = dead.WaitClose();
  closed.store(true);
  reader.join();
  ASSERT_TRUE(close.has_value());
  EXPECT_EQ(close->close_code, 1012);
  EXPECT_EQ(counters().sessions_closed_idle.value(), 1u);
  EXPECT_NE(Ask(alive, "x"), "");
}

TEST_F(LimitsTest, IdleSessionsAreClosed1012) {
  FanoutOptions options = Options();
  options.idle_timeout_ms = 100;
  Start(options);
  WsClient client = Connect();
  const auto close = client.WaitClose();
  ASSERT_TRUE(close.has_value());
  EXPECT_EQ(close->close_code, 1012);
  EXPECT_EQ(counters().sessions_closed_idle.value(), 1u);
}

TEST_F(LimitsTest, ASlowReaderIsClosed1013AndCostsOnlyItself) {
  FanoutOptions options = Options();
  options.lanes = 1;
  options.session_queue_bytes_max = 1u << 20;
  options.close_timeout_ms = 60000;
  Start(options);
  WsClient slow(fanout_->address(), "/", 64 << 10);
  WsClient quick = Connect();
  FakeClient slow_model, model;
  Subscribe(slow, slow_model, "Thing/list");
  Subscribe(quick, model, "Thing/list");
  uint64_t queued_max = 0;
  while (counters().sessions_closed_slow.value() == 0) {
    CommitLarge(100000);
    ExpectTruth(quick, model, "Thing/list");
    queued_max = std::max(queued_max, counters().queued_bytes.value());
    ASSERT_LT(turn_, 2000);
  }
  EXPECT_LE(queued_max, (1u << 20) + 300000u);
  EXPECT_TRUE(Eventually([&] { return counters().queued_bytes.value() <= 200000; }));  // the rest of one frame
  for (int i = 0; i < 20; ++i) {
    CommitLarge(100000);
    ExpectTruth(quick, model, "Thing/list");
  }
  EXPECT_EQ(counters().sessions_closed_slow.value(), 1u);
  // What the slow one reads in the end: whole frames without a hole, then the code.
  std::string fault;
  while (auto message = slow.Next()) {
    if (message->opcode == 8) {
      EXPECT_EQ(message->close_code, 1013);
      fault = "closed";
      break;
    }
    ASSERT_EQ(slow_model.Take(message->payload), "");
  }
  EXPECT_EQ(fault, "closed");
}

TEST_F(LimitsTest, ASlowReaderThatNeverReadsIsReset) {
  FanoutOptions options = Options();
  options.session_queue_bytes_max = 1u << 20;
  options.close_timeout_ms = options.slow_close_timeout_ms = 100;
  Start(options);
  WsClient slow(fanout_->address(), "/", 64 << 10);
  FakeClient model;
  Subscribe(slow, model, "Thing/list");
  while (counters().sessions_closed_slow.value() == 0 && turn_ < 2000) CommitLarge(100000);
  EXPECT_TRUE(Eventually([&] { return counters().queued_bytes.value() == 0; }));
  EXPECT_TRUE(slow.WaitEnd());
}

// Chunks are pulled: a client that does not read its snapshot makes the server hold one frame, not the view.
TEST_F(LimitsTest, ASnapshotNobodyReadsStaysInTheStore) {
  Start();
  for (int batch = 0; batch < 40; ++batch) {
    for (int i = 0; i < 25; ++i) {
      world_.Edit("k" + std::to_string(batch * 25 + i),
                  [](RowEditor& editor) { editor.Set(kName, Value::Text(std::string(20000, 'x'))); });
    }
    Commit();
  }
  WsClient client(fanout_->address(), "/", 64 << 10);
  client.SendText(ViewMessage("subscribe", "Thing/list"));
  uint64_t rows = 0;
  EXPECT_TRUE(Eventually([&] {  // until it stands still: the socket is full
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    return std::exchange(rows, counters().snapshot_rows_sent.value()) == counters().snapshot_rows_sent.value() &&
           rows > 0;
  }));
  EXPECT_LT(rows, 1000u);
  EXPECT_LE(counters().queued_bytes.value(), 600u << 10);
  FakeClient model;
  ExpectTruth(client, model, "Thing/list");
}

TEST_F(LimitsTest, OneWritePerSocketAndBatch) {
  Start();
  constexpr size_t kSessions = 50;
  std::vector<WsClient> clients;
  std::vector<FakeClient> models(kSessions);
  for (size_t i = 0; i < kSessions; ++i) {
    clients.push_back(Connect());
    Subscribe(clients.back(), models[i], "Thing/list");
    Subscribe(clients.back(), models[i], "Thing/append");
    Subscribe(clients.back(), models[i], "Thing/state", "k3");
  }
  const uint64_t writes = counters().socket_writes.value();
  const uint64_t batches = counters().batches_with_frames.value();
  for (uint64_t batch = 0; batch < 100; ++batch) {
    for (int i = 0; i < 20; ++i) world_.SetRank("k" + std::to_string(i), batch);
    Commit();
  }
  for (size_t i = 0; i < kSessions; ++i) {
    ExpectTruth(clients[i], models[i], "Thing/list");
    EXPECT_EQ(models[i].live_frames % 41, 20u) << "the last list frames end a batch's first slice";
  }
  EXPECT_TRUE(Eventually([&] { return counters().frames_sent.value() >= kSessions * 100 * 41; }));
  const double bound = 1.05 * kSessions * static_cast<double>(counters().batches_with_frames.value() - batches);
  EXPECT_LE(static_cast<double>(counters().socket_writes.value() - writes), bound);
  EXPECT_EQ(counters().frames_encoded.value(), 100u * 60);
}

TEST_F(LimitsTest, NoiseNeverKillsTheServer) {
  FanoutOptions options = Options();
  options.close_timeout_ms = options.slow_close_timeout_ms = 100;
  Start(options);
  std::mt19937_64 random(11);
  const auto noise = [&](size_t size) {
    std::string bytes(size, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    return bytes;
  };
  for (int round = 0; round < 60; ++round) {
    TcpClient http(fanout_->address());
    http.Send(noise(random() % 3000));
    WsClient frames = Connect();
    ASSERT_TRUE(frames.open());
    frames.tcp().Send(noise(random() % 3000));
    WsClient texts = Connect();
    for (int i = 0; i < 5; ++i) {
      std::string text = ViewMessage("subscribe", "Thing/list", "k");
      text[random() % text.size()] = static_cast<char>(random() % 127);
      texts.SendText(text);
    }
    world_.SetRank("k", random());
    Commit();
  }
  WsClient client = Connect();
  FakeClient model;
  Subscribe(client, model, "Thing/list");
  EXPECT_EQ(model.stores["Thing/list"], world_.Truth());
}

}  // namespace
}  // namespace everstate::testing
