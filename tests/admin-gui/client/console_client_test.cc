// The client against a server that dies, is slow, is of another version, refuses, or floods.
#include "admin-gui/client/console_client.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>

#include "admin-gui/client/probe.h"
#include "admin-gui/console_model.h"
#include "tests/support/eventually.h"
#include "tests/support/fake_admin.h"

namespace everstate::console {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;

class ConsoleClientTest : public testing::Test {
 protected:
  void SetUp() override {
    ConfigureHealthy(&server_);
    server_.Start();
  }

  ClientOptions Options() {
    ClientOptions options;
    options.address = server_.address();
    options.status_interval = milliseconds(50);
    options.retry_first = milliseconds(20);
    options.retry_max = milliseconds(100);
    options.wake = [this] { ++wakes_; };
    return options;
  }
  void Connect() { client_ = std::make_unique<ConsoleClient>(Options()); }

  // Takes events until the condition holds.
  bool Until(const std::function<bool()>& condition) {
    return Eventually([&] {
      if (client_) {
        for (Event& event : client_->Take()) model_.Apply(std::move(event));
      }
      return condition();
    });
  }
  bool UntilUp() {
    return Until([&] { return model_.link().state == Link::State::kUp && !model_.stale(Clock::now()); });
  }

  FakeAdmin server_;
  std::atomic<int> wakes_{0};
  std::unique_ptr<ConsoleClient> client_;
  ConsoleModel model_;
};

TEST_F(ConsoleClientTest, InfoAndStatusArrive) {
  Connect();
  ASSERT_TRUE(UntilUp());
  EXPECT_EQ(model_.info()->stack_name(), "SplStream");
  EXPECT_EQ(model_.status()->stream().state(), "live");
  ASSERT_TRUE(Until([&] { return model_.rates().updates_per_s.has_value(); }));
  EXPECT_GT(wakes_, 0);
}

TEST_F(ConsoleClientTest, ADyingServerIsLostAndFoundAgain) {
  Connect();
  ASSERT_TRUE(UntilUp());
  server_.Stop();
  ASSERT_TRUE(Until([&] { return model_.link().state == Link::State::kLost; }));
  EXPECT_FALSE(model_.link().why.empty());
  EXPECT_TRUE(model_.status()) << "the last known state stays";
  server_.Configure([](FakeAdmin& s) { s.uptime_base_us = 1; });
  server_.Start();
  ASSERT_TRUE(UntilUp());
  EXPECT_EQ(model_.link().losses, 1u);
  // The first status of the new process tells; until it comes the old one is not stale yet.
  EXPECT_TRUE(Until([&] {
    return std::ranges::any_of(
        model_.notices(), [](const Notice& notice) { return notice.text.find("started again") != std::string::npos; });
  }));
}

TEST_F(ConsoleClientTest, AServerThatIsNotThereIsTriedUntilItIs) {
  server_.Stop();
  Connect();
  ASSERT_TRUE(Until([&] { return model_.link().state == Link::State::kLost && model_.link().attempts >= 3; }));
  EXPECT_EQ(model_.link().losses, 0u) << "it was never there";
  EXPECT_THAT(model_.link().why, HasSubstr("unreachable"));
  server_.Start();
  ASSERT_TRUE(UntilUp());
}

TEST_F(ConsoleClientTest, ASilentServerCountsAsLost) {
  server_.Configure([](FakeAdmin& s) { s.pause_before_status = std::chrono::minutes(5); });
  ClientOptions options = Options();
  options.silence_max = milliseconds(300);
  client_ = std::make_unique<ConsoleClient>(options);
  ASSERT_TRUE(Until([&] { return model_.link().state == Link::State::kLost; }));
  EXPECT_THAT(model_.link().why, HasSubstr("has sent no status"));
  ASSERT_TRUE(Until([&] { return server_.watched() >= 3; })) << "it is tried again";
}

TEST_F(ConsoleClientTest, ASlowServerIsStaleNotLost) {
  server_.Configure([](FakeAdmin& s) { s.pause_before_status = milliseconds(2600); });
  Connect();
  ASSERT_TRUE(Until([&] { return model_.status().has_value(); }));
  ASSERT_TRUE(Until([&] { return model_.stale(Clock::now()); }));
  EXPECT_EQ(model_.link().state, Link::State::kUp);
  const Time heard = *model_.status_at();
  ASSERT_TRUE(Until([&] { return *model_.status_at() > heard; }));
  EXPECT_EQ(model_.link().losses, 0u);
}

TEST_F(ConsoleClientTest, AServerWithoutGetInfoIsFollowed) {
  server_.Configure([](FakeAdmin& s) { s.knows_info = false; });
  Connect();
  ASSERT_TRUE(UntilUp());
  EXPECT_FALSE(model_.info());
  EXPECT_FALSE(model_.version_remark().empty());
}

TEST_F(ConsoleClientTest, TheTailIsAskedForAndChanged) {
  Connect();
  api::TailRequest request;
  request.add_views("TokenMint/list");
  request.set_max_frames_per_second(200);
  client_->SetTail(request);
  ASSERT_TRUE(Until([&] { return server_.tail_requests().size() == 1; }));
  EXPECT_THAT(server_.tail_requests()[0].views(), ElementsAre("TokenMint/list"));
  server_.SendFrames({TailFrameMessage("TokenMint/list", "k1", "patch", 1, "a"),
                      TailFrameMessage("TokenAccount/list", "k2", "patch", 1, "b")});
  ASSERT_TRUE(Until([&] { return model_.tail().rows().size() == 1; }));
  EXPECT_EQ(model_.tail().rows()[0].frame.key(), "k1");

  request.set_paused(true);
  client_->SetTail(request);
  ASSERT_TRUE(Until([&] { return model_.tail().paused == true; }));
  EXPECT_TRUE(server_.tail_requests().back().paused());
  server_.SendFrames({TailFrameMessage("TokenMint/list", "k3", "patch", 2, "a")});
  request.set_paused(false);
  client_->SetTail(request);
  ASSERT_TRUE(Until([&] { return model_.tail().paused == false; }));
  EXPECT_EQ(model_.tail().rows().size(), 1u);
  // A chunk is counted when it has been written: here it may have been shown already. After Stop nothing is under way.
  EXPECT_TRUE(Eventually([&] { return server_.chunks_sent() >= 4; }));
  server_.Stop();
  EXPECT_EQ(server_.chunks_sent(), 4u) << "an answer to each of three requests, and what came before the pause";
}

TEST_F(ConsoleClientTest, ManyChangesEndWithTheNewest) {
  Connect();
  api::TailRequest request;
  for (int i = 0; i < 500; ++i) {
    request.set_key(std::to_string(i));
    client_->SetTail(request);
  }
  ASSERT_TRUE(Until([&] {
    const auto asked = server_.tail_requests();
    return !asked.empty() && asked.back().key() == "499";
  }));
}

TEST_F(ConsoleClientTest, TheTailComesBackAfterAReconnect) {
  Connect();
  api::TailRequest request;
  request.set_key("wanted");
  client_->SetTail(request);
  ASSERT_TRUE(Until([&] { return server_.tail_requests().size() == 1; }));
  server_.Stop();
  ASSERT_TRUE(Until([&] { return model_.link().state == Link::State::kLost; }));
  server_.Start();
  ASSERT_TRUE(Until([&] { return server_.tail_requests().size() == 2; }));
  EXPECT_EQ(server_.tail_requests()[1].key(), "wanted");
}

// A window that does not draw takes no events: memory stays bounded, the newest status is there, and the tail is held
// at the server.
TEST_F(ConsoleClientTest, AFloodWaitsAtTheServer) {
  Connect();
  client_->SetTail({});
  ASSERT_TRUE(Until([&] { return server_.tail_requests().size() == 1; }));
  std::vector<api::TailFrame> frames;
  for (uint64_t i = 0; i < 1000; ++i)
    frames.push_back(TailFrameMessage("TokenMint/list", "k", "patch", i, std::string(2000, 'x')));
  for (int i = 0; i < 16; ++i) server_.SendFrames(frames);
  const int before = wakes_;
  ASSERT_TRUE(Eventually([&] { return wakes_ > before + static_cast<int>(kStatusesMax) + 20; }));
  size_t statuses = 0, waiting = 0;
  for (const Event& event : client_->Take()) {
    statuses += std::holds_alternative<StatusArrived>(event.what);
    if (const auto* tail = std::get_if<TailArrived>(&event.what))
      waiting += static_cast<size_t>(tail->chunk.frames_size());
  }
  EXPECT_LE(statuses, kStatusesMax);
  EXPECT_GT(waiting, 0u);
  EXPECT_LE(waiting, kTailFramesMax + 1000);
  // Reading goes on where it stopped, nothing is lost on the way.
  size_t more = 0;
  ASSERT_TRUE(Eventually([&] {
    for (const Event& event : client_->Take()) {
      if (const auto* tail = std::get_if<TailArrived>(&event.what))
        more += static_cast<size_t>(tail->chunk.frames_size());
    }
    return waiting + more == 16000;
  }));
}

// Few frames can be many bytes.
TEST_F(ConsoleClientTest, AFloodOfLargeFramesWaitsAtTheServer) {
  Connect();
  client_->SetTail({});
  ASSERT_TRUE(Until([&] { return server_.tail_requests().size() == 1; }));
  constexpr size_t kFrames = 80, kFrameBytes = 1u << 20;
  for (size_t i = 0; i < kFrames; ++i)
    server_.SendFrames({TailFrameMessage("TokenMint/list", "k", "patch", i, std::string(kFrameBytes, 'x'))});
  // Until the tail stands still while statuses go on coming: all that would come of it has come.
  uint64_t sent = 0;
  ASSERT_TRUE(Eventually([&] {
    const int before = wakes_;
    return Eventually([&] { return wakes_ > before + static_cast<int>(kStatusesMax) / 2; }) &&
           std::exchange(sent, server_.chunks_sent()) == server_.chunks_sent() &&
           sent * kFrameBytes > kTailWaitingBytesMax;
  }));
  size_t frames = 0;
  const auto take = [&] {
    size_t bytes = 0;
    for (const Event& event : client_->Take()) {
      const auto* tail = std::get_if<TailArrived>(&event.what);
      frames += tail ? static_cast<size_t>(tail->chunk.frames_size()) : 0;
      bytes += tail ? tail->chunk.ByteSizeLong() : 0;
    }
    return bytes;
  };
  const size_t waiting = take();
  EXPECT_GT(waiting, kTailWaitingBytesMax);
  EXPECT_LE(waiting, kTailWaitingBytesMax + 2 * kFrameBytes);
  ASSERT_TRUE(Eventually([&] {
    take();
    return frames == kFrames;
  }));
}

TEST_F(ConsoleClientTest, CommandsAreAnsweredInTheServersWords) {
  Connect();
  ASSERT_TRUE(UntilUp());
  client_->ListCheckpoints();
  ASSERT_TRUE(Until([&] { return model_.checkpoints().has_value(); }));
  EXPECT_EQ(model_.checkpoints()->checkpoints_size(), 4);

  client_->CreateCheckpoint();
  ASSERT_TRUE(Until([&] { return !model_.notices().empty(); }));
  EXPECT_THAT(model_.notices().back().text, HasSubstr("made "));
  EXPECT_EQ(server_.created(), 1);

  server_.Configure([](FakeAdmin& s) {
    s.verify_answer = {grpc::DATA_LOSS, "block 3 of 000012.sst: checksum mismatch"};
  });
  client_->VerifyCheckpoint("299999000-4kLmN9pQ-a1b2");
  ASSERT_TRUE(Until([&] { return model_.notices().size() == 2; }));
  EXPECT_FALSE(model_.notices().back().ok);
  EXPECT_THAT(model_.notices().back().text, HasSubstr("damaged: block 3 of 000012.sst"));
  EXPECT_THAT(server_.verified(), ElementsAre("299999000-4kLmN9pQ-a1b2"));

  client_->PruneCheckpoints(2);
  ASSERT_TRUE(Until([&] { return model_.notices().size() == 3; }));
  EXPECT_THAT(model_.notices().back().text, HasSubstr("deleted 299999000-"));
  EXPECT_THAT(server_.pruned(), ElementsAre(2));

  server_.Configure([](FakeAdmin& s) { s.resume_answer = {grpc::FAILED_PRECONDITION, "slots 5 to 7 are missing"}; });
  client_->ResumeFrom(42, true, false);
  ASSERT_TRUE(Until([&] { return model_.notices().size() == 4; }));
  EXPECT_THAT(model_.notices().back().text, HasSubstr("refused: slots 5 to 7 are missing"));
  ASSERT_EQ(server_.resume_requests().size(), 1u);
  EXPECT_EQ(server_.resume_requests()[0].slot(), 42u);
  EXPECT_TRUE(server_.resume_requests()[0].again());
  EXPECT_FALSE(server_.resume_requests()[0].accept_gap());
}

TEST_F(ConsoleClientTest, CommandsToNobodyFail) {
  server_.Stop();
  Connect();
  client_->CreateCheckpoint();
  client_->ListCheckpoints();
  ASSERT_TRUE(Until([&] { return !model_.notices().empty() && !model_.checkpoints_error().empty(); }));
  EXPECT_FALSE(model_.notices().back().ok);
}

TEST_F(ConsoleClientTest, LongNamesArrive) {
  const std::string name(5000, 'n');
  server_.Configure([&](FakeAdmin& s) {
    s.info.set_stack_name(name);
    s.status.mutable_stream()->set_state(name);
    s.status.mutable_views(0)->set_id(name);
  });
  Connect();
  ASSERT_TRUE(UntilUp());
  EXPECT_EQ(model_.info()->stack_name(), name);
  EXPECT_EQ(model_.rates().views[0].id, name);
}

// Whenever it is destroyed, it is gone without waiting for the server.
TEST_F(ConsoleClientTest, IsDestroyedAtAnyMoment) {
  for (int i = 0; i < 30; ++i) {
    ConsoleClient client(Options());
    if (i % 2) client.SetTail({});
    if (i % 3 == 0) client.ListCheckpoints();
    std::this_thread::sleep_for(milliseconds(i));
  }
  server_.Configure([](FakeAdmin& s) { s.pause_before_status = std::chrono::minutes(5); });
  { ConsoleClient client(Options()); }
  SUCCEED();
}

TEST_F(ConsoleClientTest, AProbeIsTwoStatusesApart) {
  const auto probe = ProbeServer(Options(), milliseconds(500));
  ASSERT_TRUE(probe.ok()) << probe.status();
  EXPECT_EQ(probe->info->stack_name(), "SplStream");
  EXPECT_GE(probe->second.uptime_us(), probe->first.uptime_us() + 400000);
  server_.Stop();
  const auto failed = ProbeServer(Options(), milliseconds(500));
  EXPECT_EQ(failed.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(failed.status().message()), HasSubstr(server_.address()));
}

TEST_F(ConsoleClientTest, AProbeOfASilentServerEnds) {
  server_.Configure([](FakeAdmin& s) { s.pause_before_status = std::chrono::minutes(5); });
  ClientOptions options = Options();
  options.call_timeout = milliseconds(500);
  EXPECT_EQ(ProbeServer(options, milliseconds(100)).status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace everstate::console
