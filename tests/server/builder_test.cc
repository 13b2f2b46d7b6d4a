#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "server/config.h"
#include "server/ingest/replay.h"
#include "server/server.h"
#include "tests/support/source_dir.h"
#include "tests/support/ws_client.h"

namespace everstate {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class BuilderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ::unsetenv("YELLOWSTONE_ENDPOINT");
    std::string pattern = std::filesystem::temp_directory_path() / "everstate-builder-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string Provider() {
    ReplayOptions options;
    options.files = {InSource("tests/recordings/spl-small.updates")};
    options.slots_per_second = 50;
    options.loop = true;
    auto started = ReplayServer::Start(options);
    EXPECT_TRUE(started.ok()) << started.status();
    provider_ = *std::move(started);
    return "http://127.0.0.1:" + std::to_string(provider_->port());
  }

  // Everything that a server needs; tests change one thing.
  Server::Builder Whole(const std::string& endpoint) {
    Server::Builder builder = Server::builder();
    builder.spec(InSource("tests/stacks/SplStream.stack.json"))
        .yellowstone({.endpoint = endpoint})
        .bind("127.0.0.1:0")
        .data_dir(folder_ / "data");
    return builder;
  }

  std::filesystem::path folder_;
  std::unique_ptr<ReplayServer> provider_;
};

TEST_F(BuilderTest, WhatWasNotSaidIsNamedAllAtOnce) {
  const Outcome nothing = Server::builder().build().start();
  EXPECT_EQ(nothing.code, ExitCode::kConfiguration);
  EXPECT_THAT(nothing.message, AllOf(HasSubstr("spec()"), HasSubstr("YELLOWSTONE_ENDPOINT"), HasSubstr("websocket()")));

  const Outcome unreachable =
      Server::builder().spec("x.stack.json").yellowstone({.endpoint = "http://h:1"}).build().start();
  EXPECT_EQ(unreachable.code, ExitCode::kConfiguration);
  EXPECT_THAT(unreachable.message, AllOf(HasSubstr("websocket()"), Not(HasSubstr("spec()"))));
}

TEST_F(BuilderTest, WhatIsWrongIsALineEach) {
  const Outcome outcome = Whole("ftp://h")
                              .yellowstone({.endpoint = "ftp://h", .x_token = "t\xc3\xb6ken"})
                              .bind("localhost:8877")
                              .admin("8880")
                              .build()
                              .start();
  EXPECT_EQ(outcome.code, ExitCode::kConfiguration);
  EXPECT_THAT(std::vector<std::string>(absl::StrSplit(outcome.message, '\n')),
              ::testing::ElementsAre(HasSubstr("the endpoint \"ftp://h\""),
                                     AllOf(HasSubstr("the x-token holds characters"), Not(HasSubstr("t\xc3"))),
                                     HasSubstr("bind \"localhost:8877\" has no IP address"),
                                     HasSubstr("admin \"8880\" is no address and port")));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "data"));
}

TEST_F(BuilderTest, TheReferencesNamesBecomeOurSettings) {
  Server::Builder builder = Server::builder();
  const Config defaults;
  builder.websocket();
  EXPECT_EQ(builder.config().listen, defaults.listen);
  builder.websocket_config({});
  EXPECT_EQ(builder.config().listen, defaults.listen);
  EXPECT_EQ(builder.config().fanout.sessions_max, defaults.fanout.sessions_max);
  EXPECT_EQ(builder.config().fanout.session_queue_bytes_max, defaults.fanout.session_queue_bytes_max);
  builder.websocket_config({.bind_addr = "[::1]:1", .max_clients = 1000, .message_queue_size = 100});
  EXPECT_EQ(builder.config().listen, "[::1]:1");
  EXPECT_EQ(builder.config().fanout.sessions_max, 1000u);
  EXPECT_EQ(builder.config().fanout.session_queue_bytes_max, 100u * 16 * 1024);
  builder.websocket().websocket_config({.message_queue_size = 1});
  EXPECT_EQ(builder.config().fanout.session_queue_bytes_max, 2 * defaults.fanout.snapshot_frame_bytes_max);

  EXPECT_EQ(builder.config().health_heartbeat.count(), 0);
  builder.health_monitoring();
  EXPECT_EQ(builder.config().health_heartbeat, defaults.health_heartbeat);
  EXPECT_EQ(builder.config().health_slot_silence, defaults.health_slot_silence);
  using std::chrono::seconds;
  builder.health_config(HealthConfig().with_heartbeat_interval(seconds(3)).with_health_check_timeout(seconds(4)));
  EXPECT_EQ(builder.config().health_heartbeat, seconds(3));
  EXPECT_EQ(builder.config().health_slot_silence, seconds(4));

  builder.spec("a.stack.json");
  EXPECT_EQ(builder.config().projection.Canonical(), defaults.projection.Canonical());
  Spec spec = "b.stack.json";
  spec.append_keep = 1, spec.waiting_slots_max = 2, spec.waiting_per_address_max = 3, spec.waiting_bytes_max = 4;
  builder.spec(spec);
  EXPECT_EQ(builder.config().stack_file, "b.stack.json");
  const vm::Settings all{
      .append_keep = 1, .waiting_slots_max = 2, .waiting_per_address_max = 3, .waiting_bytes_max = 4};
  EXPECT_EQ(builder.config().projection.Canonical(), all.Canonical());
}

TEST_F(BuilderTest, LimitsThatCannotBeAreNamed) {
  const auto refusal = [this](WebSocketConfig websocket) {
    return Whole("http://h:1").websocket_config(std::move(websocket)).build().start().message;
  };
  EXPECT_THAT(refusal({.max_clients = 0}), HasSubstr("max_clients"));
  EXPECT_THAT(refusal({.message_queue_size = 0}), HasSubstr("message_queue_size"));
  EXPECT_THAT(refusal({.message_queue_size = SIZE_MAX}), HasSubstr("message_queue_size"));
  using std::chrono::milliseconds;
  const Outcome silent = Whole("http://h:1").health_config({.health_check_timeout = milliseconds(0)}).build().start();
  EXPECT_THAT(silent.message, HasSubstr("health_check_timeout"));
  const Outcome backwards =
      Whole("http://h:1").health_config(HealthConfig().with_heartbeat_interval(milliseconds(-1))).build().start();
  EXPECT_THAT(backwards.message, HasSubstr("heartbeat_interval"));
  for (const auto& health : {HealthConfig{.health_check_timeout = milliseconds::max()},
                             HealthConfig{.heartbeat_interval = milliseconds::max()}}) {
    EXPECT_THAT(Whole("http://h:1").health_config(health).build().start().message, HasSubstr("49 days"));
  }
  Spec forgetful = InSource("tests/stacks/SplStream.stack.json");
  forgetful.append_keep = 0;
  EXPECT_THAT(Whole("http://h:1").spec(forgetful).build().start().message, HasSubstr("append_keep"));
}

TEST_F(BuilderTest, ServesUntilAnotherThreadStopsIt) {
  std::vector<Event> events;
  std::promise<void> ready;
  Server server = Whole(Provider())
                      .admin("127.0.0.1:0")
                      .on_event([&](const Event& event) {
                        events.push_back(event);
                        if (event.kind == Event::Kind::kReady) ready.set_value();
                      })
                      .build();
  EXPECT_EQ(server.address(), "");
  std::future<Outcome> ended = std::async(std::launch::async, [&] { return server.start(); });
  ready.get_future().wait();
  const std::string address = server.address();
  EXPECT_THAT(address, ::testing::MatchesRegex("127\\.0\\.0\\.1:[1-9][0-9]*"));
  server.stop();
  const Outcome outcome = ended.get();
  EXPECT_TRUE(outcome.ok()) << outcome.message;
  EXPECT_EQ(outcome.exit_code(), 0);

  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0].kind, Event::Kind::kListening);
  EXPECT_EQ(events[0].address, address);
  EXPECT_EQ(events[1].kind, Event::Kind::kAdmin);
  EXPECT_NE(events[1].address, address);
  EXPECT_EQ(events[2].kind, Event::Kind::kReady);
  EXPECT_EQ(events[2].address, address);
  EXPECT_GE(events[2].slot, provider_->slot_first());

  const Outcome again = server.start();
  EXPECT_EQ(again.code, ExitCode::kConfiguration);
  EXPECT_THAT(again.message, HasSubstr("once"));
}

TEST_F(BuilderTest, OneProcessMayHaveSeveral) {
  const std::string endpoint = Provider();
  std::atomic<int> ready{0};
  std::vector<std::unique_ptr<Server>> servers;
  std::vector<std::future<Outcome>> ended;
  for (const char* data : {"one", "two"}) {
    servers.emplace_back(
        new Server(Whole(endpoint)
                       .data_dir(folder_ / data)
                       .on_event([&](const Event& event) { ready += event.kind == Event::Kind::kReady; })
                       .build()));
    ended.push_back(std::async(std::launch::async, [server = servers.back().get()] { return server->start(); }));
  }
  while (ready < 2) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_NE(servers[0]->address(), servers[1]->address());
  for (const auto& server : servers) server->stop();
  for (auto& outcome : ended) EXPECT_TRUE(outcome.get().ok());
}

// What a program throws out of its callback comes to it through start(); whoever asks meanwhile is answered, or is not.
TEST_F(BuilderTest, ACallbackMayThrow) {
  const std::string endpoint = Provider();
  for (const Event::Kind kind : {Event::Kind::kListening, Event::Kind::kAdmin, Event::Kind::kReady}) {
    Server server = Whole(endpoint)
                        .data_dir(folder_ / absl::StrCat("throws", static_cast<int>(kind)))
                        .admin("127.0.0.1:0")
                        .on_event([&](const Event& event) {
                          if (event.kind == kind) throw std::runtime_error("enough");
                        })
                        .build();
    std::atomic<bool> ended{false};
    std::future<Outcome> outcome = std::async(std::launch::async, [&] { return server.start(); });
    std::thread asks([&] {
      while (!ended) {
        if (const std::string at = server.address(); !at.empty()) testing::HttpGet(at, "/status");
      }
    });
    EXPECT_THROW(outcome.get(), std::runtime_error);
    ended = true;
    asks.join();
  }
}

// In a process of its own, because the signal stays with it.
TEST_F(BuilderTest, AfterASignalNoBuilderBeginsAServer) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        const Outcome first = Whole("http://127.0.0.1:1").on_event([](const Event&) { std::raise(SIGTERM); }).start();
        bool begun = false;
        const Outcome later = Whole("http://127.0.0.1:1")
                                  .data_dir(folder_ / "later")
                                  .on_event([&](const Event&) { begun = true; })
                                  .start();
        const bool orderly = first.ok() && later.ok() && std::filesystem::exists(folder_ / "data");
        const bool none = !begun && !std::filesystem::exists(folder_ / "later");
        std::filesystem::remove_all(folder_);
        std::exit(orderly && none ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "stopped before any slot was applied");
}

// A port that somebody has is found before the store is made, whichever it is.
TEST_F(BuilderTest, AnOccupiedPortLeavesNoStore) {
  Server first = Whole("http://127.0.0.1:1").build();
  std::future<Outcome> ended = std::async(std::launch::async, [&] { return first.start(); });
  while (first.address().empty()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  std::atomic<int> events{0};
  const auto occupied = [&](Server::Builder& builder) {
    return builder.data_dir(folder_ / "other").on_event([&](const Event&) { ++events; }).build().start();
  };
  Server::Builder listens = Whole("http://127.0.0.1:1"), administers = Whole("http://127.0.0.1:1");
  listens.bind(first.address());
  administers.admin(first.address());
  for (const Outcome& outcome : {occupied(listens), occupied(administers)}) {
    EXPECT_EQ(outcome.code, ExitCode::kAddressInUse) << outcome.message;
    EXPECT_THAT(outcome.message, HasSubstr(first.address()));
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ / "other"));
  EXPECT_EQ(events, 0) << "nobody was told that it listens";

  while (!std::filesystem::exists(folder_ / "data" / "current"))
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  const Outcome held = Whole("http://127.0.0.1:1").on_event([&](const Event&) { ++events; }).build().start();
  EXPECT_EQ(held.code, ExitCode::kStore);
  EXPECT_THAT(held.message, HasSubstr("is in use by another process"));
  EXPECT_EQ(events, 0);
  first.stop();
  EXPECT_TRUE(ended.get().ok());
}

TEST_F(BuilderTest, StoppedBeforeItStartsItDoesNotBegin) {
  Server server = Whole("http://127.0.0.1:1").build();
  server.stop();
  EXPECT_TRUE(server.start().ok());
  EXPECT_FALSE(std::filesystem::exists(folder_ / "data"));
}

// The data directory is named after the stack when none is said, so nobody's stack may lead out of data/.
TEST_F(BuilderTest, AStackThatIsCalledLikeAPathIsRefused) {
  std::ifstream in(InSource("tests/stacks/SplStream.stack.json"));
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const std::filesystem::path file = folder_ / "named.stack.json";
  for (const char* name : {"../../elsewhere", "..", ".", "/elsewhere", "a/b", "a\\u0000b"}) {
    std::ofstream(file) << absl::StrReplaceAll(text, {{"\"SplStream\"", absl::StrCat("\"", name, "\"")}});
    const Outcome outcome = Server::builder()
                                .spec(file)
                                .yellowstone({.endpoint = "http://127.0.0.1:1"})
                                .bind("127.0.0.1:0")
                                .build()
                                .start();
    EXPECT_EQ(outcome.code, ExitCode::kConfiguration) << name;
    EXPECT_THAT(outcome.message, AllOf(HasSubstr("stack_name: "), HasSubstr("is no name for a folder")));
  }
}

TEST_F(BuilderTest, WhatEndsAServerIsInItsOutcome) {
  const std::string endpoint = Provider();
  const Outcome no_stack = Whole(endpoint).spec("no/such.stack.json").build().start();
  EXPECT_EQ(no_stack.code, ExitCode::kConfiguration);
  EXPECT_THAT(no_stack.message, HasSubstr("no/such.stack.json"));

  Server first = Whole(endpoint).build();
  std::future<Outcome> ended = std::async(std::launch::async, [&] { return first.start(); });
  while (first.address().empty()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  const Outcome occupied = Whole(endpoint).data_dir(folder_ / "other").bind(first.address()).build().start();
  EXPECT_EQ(occupied.code, ExitCode::kAddressInUse) << occupied.message;
  EXPECT_THAT(occupied.message, HasSubstr(first.address()));
  first.stop();
  EXPECT_TRUE(ended.get().ok());

  // What the program chose of the projection is part of what the store is of.
  Spec other = InSource("tests/stacks/SplStream.stack.json");
  other.append_keep = 7;
  const Outcome differs = Whole(endpoint).spec(other).build().start();
  EXPECT_EQ(differs.code, ExitCode::kConfiguration) << differs.message;
  EXPECT_THAT(differs.message, HasSubstr("append_keep=7"));
}

TEST_F(BuilderTest, TheEndpointIsThatOfTheEnvironmentWhenNoneIsSaid) {
  ::setenv("YELLOWSTONE_ENDPOINT", "ftp://from-the-environment", 1);
  const auto endpoint_refused = [this](Server::Builder builder) {
    builder.spec(InSource("tests/stacks/SplStream.stack.json")).bind("127.0.0.1:0").data_dir(folder_ / "data");
    return builder.build().start().message;
  };
  EXPECT_THAT(endpoint_refused(Server::builder()), HasSubstr("ftp://from-the-environment"));
  Server::Builder said = Server::builder();
  said.yellowstone({.endpoint = "ftp://said"});
  EXPECT_THAT(endpoint_refused(std::move(said)), HasSubstr("ftp://said"));
  ::unsetenv("YELLOWSTONE_ENDPOINT");
}

}  // namespace
}  // namespace everstate
