// The bus seen from inside: taps and what is counted per view.
#include <atomic>
#include <random>

#include "tests/server/fanout/fanout_fixture.h"

namespace everstate::testing {
namespace {

using nlohmann::json;

class TapTest : public FanoutTest {
 protected:
  std::unique_ptr<BusTap> Open(const std::vector<std::string>& views) {
    auto tap = fanout_->OpenTap(views);
    EXPECT_TRUE(tap.ok()) << tap.status();
    return tap.ok() ? *std::move(tap) : nullptr;
  }
  static std::chrono::steady_clock::time_point Soon() {
    return std::chrono::steady_clock::now() + std::chrono::seconds(60);
  }
};

TEST_F(TapTest, ATapHearsExactlyTheLiveFramesOfASession) {
  Start();
  WsClient client = Connect();
  FakeClient model;
  Subscribe(client, model, "Thing/append");
  auto tap = Open({"Thing/append"});
  std::mt19937_64 random(3);
  size_t wanted = 0;
  for (int batch = 0; batch < 300; ++batch) {
    const std::string key = "k\"" + std::to_string(random() % 9);
    if (world_.Exists(key) && random() % 5 == 0) {
      world_.Delete(key);
    } else {
      world_.Edit(key, [&](RowEditor& editor) {
        editor.Set(kName, Value::Text(std::string(random() % 300, 'n') + std::to_string(batch)));
        if (batch % 50 == 0) editor.Set(kName, Value::Text(std::string(70000, 'l')));
      });
    }
    if (batch % 2 == 0) {
      world_.SetRank("r", static_cast<uint64_t>(batch));
    } else {
      world_.SetKind("r", batch % 4 == 1 ? std::optional<uint64_t>(1) : std::nullopt, static_cast<uint64_t>(batch));
    }
    Commit();
    wanted += 2;
  }
  std::vector<TappedFrame> frames;
  uint64_t missed = 1;
  Number number = 0;
  for (size_t heard = 0; heard < wanted;) {
    ASSERT_TRUE(tap->Next(Soon(), &frames, &missed));
    ASSERT_FALSE(frames.empty());
    EXPECT_GT(frames[0].number, number);
    number = frames[0].number;
    for (const TappedFrame& frame : frames) {
      const std::string text = client.NextText().value_or("");
      ASSERT_EQ(frame.json, text);
      const json live = json::parse(text);
      EXPECT_TRUE(live.contains("seq"));
      EXPECT_EQ(frame.view, live["entity"].get<std::string>());
      EXPECT_EQ(frame.key, live["key"].get<std::string>());
      EXPECT_EQ(frame.op, live["op"].get<std::string>());
      ++heard;
    }
  }
  EXPECT_EQ(missed, 0u);
  EXPECT_FALSE(tap->Next(std::chrono::steady_clock::now(), &frames, &missed));
  EXPECT_TRUE(frames.empty());
}

TEST_F(TapTest, CountsAsAListenerAsLongAsItLives) {
  Start();
  auto tap = Open({"Thing/state"});
  world_.SetRank("a", 1);
  Commit();
  std::vector<TappedFrame> frames;
  uint64_t missed = 0;
  ASSERT_TRUE(tap->Next(Soon(), &frames, &missed));
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].view, "Thing/state");
  EXPECT_EQ(frames[0].op, "patch");
  EXPECT_EQ(counters().frames_encoded.value(), 1u);
  EXPECT_EQ(counters().frames_sent.value(), 0u);

  auto all = Open({});
  world_.Delete("a");
  Commit();
  ASSERT_TRUE(all->Next(Soon(), &frames, &missed));
  EXPECT_EQ(frames.size(), 3u);
  for (const TappedFrame& frame : frames) EXPECT_EQ(frame.op, "delete");
  const std::vector<ViewTraffic> traffic = fanout_->traffic();
  ASSERT_EQ(traffic.size(), 3u) << "what cannot be served is not in it";
  EXPECT_EQ(traffic[0].view, "Thing/list");
  EXPECT_EQ(traffic[0].frames, 1u);
  EXPECT_EQ(traffic[0].listeners, 1u);
  EXPECT_EQ(traffic[1].view, "Thing/state");
  EXPECT_EQ(traffic[1].frames, 2u);
  EXPECT_EQ(traffic[1].listeners, 2u);
  EXPECT_GT(traffic[1].bytes, traffic[0].bytes);
  all.reset();
  tap.reset();
  world_.SetRank("a", 2);
  Commit();
  EXPECT_EQ(counters().frames_encoded.value(), 4u);
  EXPECT_EQ(fanout_->traffic()[1].listeners, 0u);
}

TEST_F(TapTest, WhatNobodyTakesIsDroppedAndCounted) {
  FanoutOptions options = Options();
  options.lanes = 1;
  options.tap_batches_max = 4;
  Start(options);
  auto tap = Open({"Thing/list"});
  WsClient client = Connect();
  FakeClient model;
  Subscribe(client, model, "Thing/list");
  for (uint64_t i = 0; i < 10; ++i) {
    world_.SetRank("a", i);
    Commit();
  }
  // The tap's turn comes after the sessions': the answer to a later message says that it has been.
  ExpectTruth(client, model, "Thing/list");
  Ask(client, "x");
  std::vector<TappedFrame> frames;
  uint64_t missed = 0;
  for (Number number = 1; number <= 4; ++number) {
    ASSERT_TRUE(tap->Next(Soon(), &frames, &missed));
    EXPECT_EQ(frames.at(0).number, number);
    EXPECT_EQ(missed, 6u);
  }
  EXPECT_FALSE(tap->Next(std::chrono::steady_clock::now(), &frames, &missed));
  world_.SetRank("a", 99);
  Commit();
  ASSERT_TRUE(tap->Next(Soon(), &frames, &missed));
  EXPECT_EQ(frames.at(0).number, 11u);
  EXPECT_EQ(missed, 6u);
}

TEST_F(TapTest, BytesAreBoundedToo) {
  FanoutOptions options = Options();
  options.lanes = 1;
  options.tap_bytes_max = 100000;
  Start(options);
  auto tap = Open({"Thing/list"});
  for (int i = 0; i < 10; ++i) {
    world_.Edit("a", [&](RowEditor& editor) {
      editor.Set(kName, Value::Text(std::string(60000, static_cast<char>('a' + i))));
    });
    Commit();
  }
  WsClient client = Connect();
  Ask(client, "x");
  std::vector<TappedFrame> frames;
  uint64_t missed = 0;
  for (int taken = 0; taken < 2; ++taken) ASSERT_TRUE(tap->Next(Soon(), &frames, &missed));
  EXPECT_EQ(missed, 8u);
  EXPECT_EQ(counters().tap_batches_dropped.value(), 8u);
  EXPECT_FALSE(tap->Next(std::chrono::steady_clock::now(), &frames, &missed));
}

TEST_F(TapTest, RefusalsNameTheView) {
  Start(Options(), /*attach=*/false);
  EXPECT_EQ(fanout_->OpenTap({}).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(fanout_->traffic().empty());
  fanout_->AttachStore(world_.store());
  const absl::Status unknown = fanout_->OpenTap({"Thing/list", "Nope/list"}).status();
  EXPECT_EQ(unknown.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(unknown.message().find("Nope/list"), std::string::npos);
  const absl::Status unsupported = fanout_->OpenTap({"Thing/top"}).status();
  EXPECT_EQ(unsupported.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(unsupported.message().find("derived views are not built"), std::string::npos);
}

// A tap is opened and closed at any moment of a stream, from another thread.
TEST_F(TapTest, ComesAndGoesWhileBatchesFly) {
  Start();
  std::atomic<bool> stop{false};
  std::thread other([&] {
    while (!stop.load()) {
      auto tap = Open({"Thing/list"});
      std::vector<TappedFrame> frames;
      uint64_t missed = 0;
      for (int i = 0; i < 3; ++i)
        tap->Next(std::chrono::steady_clock::now() + std::chrono::milliseconds(1), &frames, &missed);
    }
  });
  for (uint64_t i = 0; i < 500; ++i) {
    world_.SetRank("a", i);
    Commit();
  }
  stop.store(true);
  other.join();
  EXPECT_EQ(fanout_->traffic()[0].listeners, 0u);
}

}  // namespace
}  // namespace everstate::testing
