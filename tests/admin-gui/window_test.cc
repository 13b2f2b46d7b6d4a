// The console as a person uses it: clicks, keys and text go in, and what comes out is compared at both ends: what the
// server was asked, and what the widgets show. With EVERSTATE_SHOTS=FOLDER it also leaves pictures there.
#include <gmock/gmock.h>

#include <cstdlib>
#include <set>

#include "tests/admin-gui/driven_console.h"
#include "tests/support/eventually.h"
#include "tests/support/fake_admin.h"

namespace everstate::console {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class WindowTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!display_.Start()) GTEST_SKIP() << "no Xvfb on this machine (package xvfb)";
    ConfigureHealthy(&server_);
    server_.Start();
  }
  void Open(std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{"--admin", server_.address(), "--scale", "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    console_ = std::make_unique<DrivenConsole>(EVERSTATE_CONSOLE_PROGRAM, display_, arguments);
  }
  void TearDown() override {
    if (console_ && !HasFailure()) {
      EXPECT_EQ(console_->Quit(), 0);
    }
  }
  void Do(const std::string& command) { ASSERT_EQ(console_->Do(command), ""); }
  void Shot(const std::string& name) {
    if (const char* folder = std::getenv("EVERSTATE_SHOTS"))
      Do("screenshot " + std::string(folder) + "/" + name + ".ppm");
  }
  // The widgets shown now.
  nlohmann::json Widgets() { return console_->Dump()["widgets"]; }
  std::string Tip() {
    std::string tip;
    const auto widgets = Widgets();
    for (const auto& widget : widgets) {
      if (widget["kind"] == "tooltip") tip += widget["text"];
    }
    return tip;
  }
  // The newest request, when the panel has settled on one that holds.
  bool Asked(const std::function<bool(const admin::v1::TailRequest&)>& holds) {
    return Eventually([&] {
      const auto asked = server_.tail_requests();
      return !asked.empty() && holds(asked.back());
    });
  }
  void SendSome(uint64_t from, uint64_t count) {
    std::vector<admin::v1::TailFrame> frames;
    for (uint64_t n = from; n < from + count; ++n) {
      const char* op = n % 11 == 0 ? "delete" : n % 5 == 0 ? "upsert" : "patch";
      frames.push_back(TailFrameMessage(n % 3 ? "TokenMint/list" : "TokenAccount/list",
                                        "So1111111111111111111111111111111111111111" + std::to_string(n % 7), op, n,
                                        n % 2 ? "odd" : "even"));
    }
    server_.SendFrames(frames);
  }

  Display display_;
  FakeAdmin server_;
  std::unique_ptr<DrivenConsole> console_;
};

TEST_F(WindowTest, StreamHealthShowsWhatTheServerSays) {
  Open();
  Do("wait Updates received contains /s");
  EXPECT_EQ(console_->TextOf("state live"), "lit");
  EXPECT_EQ(console_->TextOf("state connecting"), "dark");
  EXPECT_EQ(console_->TextOf("lag"), "2 slots");
  EXPECT_EQ(console_->TextOf("lag in time"), "0.9 s");
  EXPECT_EQ(console_->TextOf("reconnects"), "2 times");
  EXPECT_EQ(console_->TextOf("entities"), "12,345 entities");
  EXPECT_EQ(console_->TextOf("stack"), "SplStream");
  EXPECT_EQ(console_->TextOf("health"), "ready");
  EXPECT_THAT(console_->TextOf("gap 0"), StartsWith("slots 299990001 to 299990011: "));
  EXPECT_EQ(console_->TextOf("gaps"), "1 gap, 11 slots missing");
  Do("hover gap 0");
  EXPECT_THAT(Tip(), HasSubstr("the provider had forgotten them"));
  EXPECT_THAT(console_->TextOf("ledger fill"), HasSubstr("3 of 64, 1.5 MB of 268 MB"));
  EXPECT_THAT(console_->TextOf("server"), StartsWith("connected to 127.0.0.1:"));
  // A stage works at the rate that the server's counters say: 2.5 blocks of 40 updates a second.
  Do("rest 2.5");
  const double rate = std::stod(console_->TextOf("receive rate"));
  EXPECT_GT(rate, 60);
  EXPECT_LT(rate, 160);
  EXPECT_EQ(console_->TextOf("receive busy"), "—") << "it is not measured";
  EXPECT_EQ(console_->TextOf("receive time each"), "—");
  EXPECT_THAT(console_->TextOf("project busy"), HasSubstr(" %"));
  // Hovering names the metric and its age.
  Do("hover lag");
  EXPECT_THAT(Tip(), AllOf(HasSubstr("Status.store.lag_slots"), HasSubstr(" s old")));
  if (std::getenv("EVERSTATE_SHOTS")) {
    Do("rest 25");
    Do("hover state stopped");
    Shot("stream-health");
  }
}

TEST_F(WindowTest, UnknownIsADashNeverZero) {
  server_.Configure([](FakeAdmin& s) {
    s.tick = {};
    s.status.Clear();
    s.info.Clear();
    s.info.set_interface_version(1);
  });
  Open();
  Do("wait health is not ready");
  for (const char* name : {"lag", "lag in time", "slot applied", "newest slot heard", "last heard", "reconnects",
                           "messages", "entities", "store on disk", "sessions", "stack", "version", "stream state"}) {
    EXPECT_EQ(console_->TextOf(name), "—") << name;
  }
  const auto widgets = Widgets();
  for (const auto& widget : widgets) {
    if (widget["kind"] == "value" && widget["name"] != "up for" && widget["name"] != "faults") {
      EXPECT_THAT(widget["text"].get<std::string>(), Not(StartsWith("0"))) << widget["name"];
    }
  }
}

TEST_F(WindowTest, ADyingServerIsGreyedWithItsLastStateAndReconnected) {
  Open();
  Do("wait lag is 2 slots");
  Do("wait lag fresh");
  server_.Stop();
  Do("wait server contains LOST");
  const std::string words = console_->TextOf("server");
  EXPECT_THAT(words, AllOf(HasSubstr(" since "), HasSubstr("next try")));
  EXPECT_EQ(console_->TextOf("lag"), "2 slots") << "the last known state stays";
  EXPECT_EQ(console_->Find("lag")["stale"], true);
  EXPECT_THAT(console_->TextOf("notice"), HasSubstr("the server was lost"));
  Shot("lost");
  server_.Start();
  Do("wait server contains connected to");
  Do("wait lag fresh");
}

TEST_F(WindowTest, ASlowServerIsGreyedUntilItSpeaks) {
  server_.Configure([](FakeAdmin& s) { s.pause_before_status = std::chrono::milliseconds(4000); });
  Open();
  Do("wait lag is 2 slots");
  Do("wait lag stale");
  EXPECT_THAT(console_->TextOf("server"), HasSubstr("silent for"));
  server_.Configure([](FakeAdmin& s) { s.pause_before_status = std::chrono::milliseconds(0); });
  Do("wait lag fresh");
}

TEST_F(WindowTest, AServerOfAnotherVersionSaysSoAndIsShown) {
  server_.Configure([](FakeAdmin& s) {
    s.info.set_interface_version(7);
    s.status.mutable_stream()->set_state("reticulating");
  });
  Open();
  Do("wait version remark contains interface 7, this console 1");
  EXPECT_EQ(console_->TextOf("lag"), "2 slots");
  EXPECT_THAT(console_->TextOf("stream state"), HasSubstr("a state that this console does not know: reticulating"));
  const auto widgets = Widgets();
  for (const auto& widget : widgets) {
    if (widget["kind"] == "state") {
      EXPECT_EQ(widget["text"], "dark") << widget["name"];
    }
  }
}

// Names of 5,000 characters everywhere: nothing that is drawn leaves the window, and everything else stays where it
// was.
TEST_F(WindowTest, LongNamesAreCutWithATip) {
  const std::string name(5000, 'W');
  server_.Configure([&](FakeAdmin& s) {
    s.info.set_stack_name(name);
    s.info.set_endpoint(name);
    s.info.mutable_views(0)->set_id(name);
    s.status.mutable_stages(0)->set_name(name);
    s.status.mutable_stages(0)->set_unit(name);
    s.status.mutable_queues(0)->set_name(name);
    s.status.mutable_views(0)->set_id(name);
    s.status.mutable_gaps(0)->set_cause(name);
    s.status.mutable_stream()->set_error(name);
    s.status.set_faults(3);
    auto* fault = s.status.add_fault_kinds();
    fault->set_entity(name);
    fault->set_reason(name);
    fault->set_sample(name);
    s.checkpoints.mutable_checkpoints(0)->set_name(name);
    s.checkpoints.mutable_checkpoints(0)->set_damage(name);
    s.checkpoints.mutable_checkpoints(1)->set_reach(name);
  });
  Open();
  auto inside = [&](const char* panel) {
    const auto dump = console_->Dump();
    for (const auto& widget : dump["widgets"]) {
      if (widget["kind"] == "tooltip") continue;
      if (widget["kind"] == "json") continue;  // it scrolls
      EXPECT_LT(widget["text"].get<std::string>().size(), 2500u) << panel << ": " << widget["name"];
      EXPECT_LE(widget["rect"][2].get<double>(), dump["width"].get<double>() + 1) << panel << ": " << widget["name"];
    }
  };
  Do("wait stack contains WWW");
  inside("Stream health");
  Do("hover stack");
  EXPECT_THAT(Tip(), HasSubstr("(5,000 bytes)"));
  Do("key Ctrl+2");
  Do("wait tail state is live");
  server_.SendFrames({TailFrameMessage(name, name, "patch", 1, name)});
  Do("wait rows contains 1 of 1 rows");
  Do("click frame 0");
  Do("wait frame json contains mode");
  inside("Bus traffic");
  Do("key Ctrl+3");
  Do("wait checkpoint 299999600-4kLmN9pQ-a1b2");
  inside("Checkpoints");
  Shot("long-names");
}

TEST_F(WindowTest, AFilterThatIsTypedIsAskedOfTheServer) {
  Open();
  Do("key Ctrl+2");
  Do("wait tail state is live");
  EXPECT_TRUE(server_.tail_requests().back().views().empty());
  EXPECT_EQ(server_.tail_requests().back().max_frames_per_second(), 200u);
  SendSome(0, 40);
  Do("wait rows contains 40 of 40 rows");

  Do("click text filter");
  Do("type odd, -delete");
  ASSERT_TRUE(Asked([](const auto& request) { return request.text() == "odd"; }));
  Do("wait rows contains 18 of 40 rows");  // 20 are odd, two of them deletes: numbers 11 and 33
  SendSome(100, 20);                       // the server sends the ten odd ones; 121 would be a delete
  Do("wait rows contains 28 of 50 rows");

  Do("click view");
  Do("click view=TokenAccount/list");
  ASSERT_TRUE(
      Asked([](const auto& request) { return request.views_size() == 1 && request.views(0) == "TokenAccount/list"; }));
  Do("click patch");
  ASSERT_TRUE(Asked([](const auto& request) { return request.ops_size() == 3 && request.ops(0) == "upsert"; }));
  Do("click key");
  Do("type So1111");
  ASSERT_TRUE(Asked([](const auto& request) { return request.key() == "So1111"; }));
  Do("wait rows contains 0 of");
  Do("click sampling");
  Do("click sampling=all frames");
  ASSERT_TRUE(Asked([](const auto& request) { return request.max_frames_per_second() == 0; }));
}

TEST_F(WindowTest, PausingStopsTheTrafficAtTheServer) {
  Open();
  EXPECT_TRUE(server_.tail_requests().empty());
  Do("wait lag is 2 slots");
  EXPECT_TRUE(server_.tail_requests().empty()) << "a panel that was never shown asks for nothing";
  Do("click Bus traffic");
  Do("wait tail state is live");
  SendSome(0, 10);
  Do("wait rows contains 10 of 10 rows");
  Do("click pause");
  ASSERT_TRUE(Asked([](const auto& request) { return request.paused(); }));
  Do("wait tail state is paused at the server");
  EXPECT_EQ(console_->TextOf("pause"), "Resume");
  SendSome(10, 10);
  Do("key Ctrl+P");
  Do("wait tail state is live");
  EXPECT_THAT(console_->TextOf("rows"), StartsWith("10 of 10 rows"));
  SendSome(20, 5);
  Do("wait rows contains 15 of 15 rows");
  // Out of sight is paused too.
  Do("click Stream health");
  ASSERT_TRUE(Asked([](const auto& request) { return request.paused(); }));
  Do("click Bus traffic");
  ASSERT_TRUE(Asked([](const auto& request) { return !request.paused(); }));
  Do("wait tail state is live");
}

TEST_F(WindowTest, AFrameIsReadAndCopied) {
  Open();
  Do("key Ctrl+2");
  Do("wait tail state is live");
  SendSome(0, 12);
  Do("wait rows contains 12 of 12 rows");
  Do("click frame 5");
  const auto frame =
      TailFrameMessage("TokenMint/list", "So11111111111111111111111111111111111111115", "upsert", 5, "odd");
  EXPECT_EQ(nlohmann::json::parse(console_->TextOf("frame json")), nlohmann::json::parse(frame.json()));
  EXPECT_THAT(console_->TextOf("frame json"), HasSubstr("\n  \"data\": {\n    \"supply\": \"1000000\""));
  EXPECT_EQ(console_->TextOf("frame view"), "TokenMint/list");
  EXPECT_THAT(console_->TextOf("frame facts"), StartsWith("upsert, number 5, "));
  Do("click copy");
  EXPECT_EQ(console_->Dump()["clipboard"], frame.json());
  if (std::getenv("EVERSTATE_SHOTS")) {
    SendSome(12, 300);
    Do("wait rows contains 312 of 312 rows");
    Do("hover tail state");
    Do("rest 3");
    Shot("bus-traffic");
  }
}

// The list follows its end; scrolled up it stays where it is while rows come, and at the end it follows again.
TEST_F(WindowTest, ScrollingUpStopsTheFollowing) {
  Open();
  Do("key Ctrl+2");
  Do("wait tail state is live");
  SendSome(0, 200);
  Do("wait rows contains 200 of 200 rows");
  Do("wait frame 199");
  EXPECT_EQ(console_->TextOf("follow"), "following");
  Do("scroll frames by 5");
  Do("wait follow is to the end");
  auto shown = [&] {
    std::set<std::string> names;
    const auto widgets = Widgets();
    for (const auto& widget : widgets) {
      if (widget["kind"] == "row" && widget["visible"]) names.insert(widget["name"]);
    }
    return names;
  };
  const auto before = shown();
  SendSome(200, 100);
  Do("wait rows contains 300 of 300 rows");
  EXPECT_EQ(shown(), before);
  Do("click follow");
  Do("wait follow is following");
  Do("wait frame 299");
}

TEST_F(WindowTest, ViewsAreSortedByWhatIsClicked) {
  Open();
  Do("key Ctrl+2");
  Do("wait TokenMint/list frames/s contains /s");
  EXPECT_EQ(console_->TextOf("view 0"), "TokenMint/list");
  Do("click sort by listeners");
  Do("wait view 0 is TokenAccount/list");
  EXPECT_EQ(console_->TextOf("TokenAccount/list listeners"), "5 open");
  Do("click sort by frames/s");
  Do("wait view 0 is TokenMint/list");
}

TEST_F(WindowTest, ARewindNeedsItsConfirmation) {
  Open();
  Do("key Ctrl+3");
  Do("click checkpoint 300000200-4kLmN9pQ-a1b2");
  Do("click rewind");
  Do("wait rewind from contains 300000200-4kLmN9pQ-a1b2");
  EXPECT_EQ(console_->TextOf("rewind slot"), "300000200");
  Do("wait rewind now disabled");
  Do("click rewind confirmation");
  Do("type 30000020");
  Do("key Enter");  // not yet the slot: nothing must happen
  Do("wait rewind now disabled");
  EXPECT_TRUE(server_.resume_requests().empty());
  Do("key Escape");
  Do("wait rewind now gone");
  EXPECT_TRUE(server_.resume_requests().empty());

  Do("click rewind");
  EXPECT_EQ(console_->TextOf("rewind confirmation"), "") << "a confirmation is not kept for the next time";
  Do("click rewind confirmation");
  Do("type 300000200");
  Do("click accept a gap");
  Do("wait rewind now enabled");
  Do("hover rewind ask");
  Shot("rewind");
  Do("click rewind now");
  ASSERT_TRUE(Eventually([&] { return !server_.resume_requests().empty(); }));
  ASSERT_EQ(server_.resume_requests().size(), 1u);
  EXPECT_EQ(server_.resume_requests()[0].slot(), 300000200u);
  EXPECT_TRUE(server_.resume_requests()[0].accept_gap());
  EXPECT_FALSE(server_.resume_requests()[0].again());
  Do("wait notice contains rewind: begun from checkpoint-of-300000200, filling generation 5");
}

TEST_F(WindowTest, ARewindsProgressAndFailureAreShown) {
  Open();
  Do("key Ctrl+3");
  server_.Configure([](FakeAdmin& s) {
    auto* rewind = s.status.mutable_rewind();
    rewind->set_state("filling");
    rewind->set_requested_slot(300000200);
    rewind->set_checkpoint("300000200-4kLmN9pQ-a1b2");
    rewind->set_generation(5);
    rewind->set_from_slot(300000200);
    rewind->set_slot(300000400);
    rewind->set_target_slot(300001000);
  });
  Do("wait rewind progress contains slot 300000400 of 300001000, 25 %");
  Do("wait rewind disabled");
  Shot("checkpoints");
  server_.Configure([](FakeAdmin& s) {
    s.status.mutable_rewind()->set_state("failed");
    s.status.mutable_rewind()->set_error("the archive's segment 7 is damaged at byte 4096");
  });
  Do("wait rewind error contains segment 7 is damaged");
  Do("wait rewind enabled");
}

// Nothing can be read of it but its name: it has no slot, not slot 0, and nobody knows what reaches from it.
TEST_F(WindowTest, ADamagedCheckpointIsUnknownNotZero) {
  server_.Configure([](FakeAdmin& s) {
    for (const char* name : {"299998400-damaged", "299998400-too"}) {
      auto* damaged = s.checkpoints.add_checkpoints();
      damaged->set_name(name);
      damaged->set_damage("CHECKPOINT: 12 bytes are missing");
    }
  });
  Open();
  Do("key Ctrl+3");
  Do("wait checkpoint 299998400-too");
  const std::string one = "checkpoint 299998400-damaged";
  for (const char* what : {" slot", " made", " entities", " size", " reach"})
    EXPECT_EQ(console_->TextOf(one + what), "—") << what;
  EXPECT_THAT(console_->TextOf(one + " use"), StartsWith("damaged: CHECKPOINT"));
  EXPECT_EQ(console_->TextOf("checkpoint 300000800-4kLmN9pQ-a1b2 reach"), "whole");
  // The timeline shows the slots that are known, and they still lie apart.
  EXPECT_THAT(console_->TextOf("timeline"), HasSubstr("6 checkpoints"));
  Do("click " + one);
  Do("click rewind");
  EXPECT_EQ(console_->TextOf("rewind slot"), "");
  Do("key Escape");
  Do("wait rewind now gone");
  Do("hover create");
  Shot("damaged");
}

TEST_F(WindowTest, CheckpointsAreMadeVerifiedAndPruned) {
  Open();
  Do("click Checkpoints");
  Do("wait checkpoint 300000800-4kLmN9pQ-a1b2");
  Do("wait verify disabled");
  Do("click create");
  Do("wait notice contains made ");
  EXPECT_EQ(server_.created(), 1);
  Do("wait checkpoint 300001000-4kLmN9pQ-a1b2");
  EXPECT_THAT(console_->TextOf("timeline"), HasSubstr("5 checkpoints"));

  server_.Configure([](FakeAdmin& s) { s.verify_answer = {grpc::DATA_LOSS, "000012.sst: checksum mismatch"}; });
  Do("click checkpoint 299999600-4kLmN9pQ-a1b2");
  Do("click verify");
  Do("wait notice contains damaged: 000012.sst: checksum mismatch");
  EXPECT_THAT(server_.verified(), ElementsAre("299999600-4kLmN9pQ-a1b2"));

  Do("click prune");
  Do("wait prune now disabled");  // five are kept, five there are
  Do("click keep");
  Do("key Ctrl+A");
  Do("type 2");
  Do("wait prune words contains of 5 are kept, the newest; 3 are deleted");
  EXPECT_TRUE(server_.pruned().empty());
  Do("click prune now");
  Do("wait notice contains deleted 299999000");
  EXPECT_THAT(server_.pruned(), ElementsAre(2u));
  Do("wait checkpoint 299999600-4kLmN9pQ-a1b2 gone");
}

TEST_F(WindowTest, LightThemeAndSizes) {
  Open({"--theme", "light"});
  Do("wait lag is 2 slots");
  EXPECT_EQ(console_->TextOf("theme"), "Dark");
  if (std::getenv("EVERSTATE_SHOTS")) Do("rest 8");
  Shot("light");
  Do("key Ctrl+T");
  Do("wait theme is Light");
  const auto height = [&] {
    const auto rect = console_->Find("lag")["rect"];
    return rect[3].get<double>() - rect[1].get<double>();
  };
  const double before = height();
  Do("key Ctrl+=");
  Do("key Ctrl+=");
  EXPECT_GT(height(), before);
  Do("key Ctrl+0");
  EXPECT_EQ(height(), before);
  Do("resize 700 450");
  Do("rest 0.2");
  EXPECT_EQ(console_->TextOf("lag"), "2 slots");
  Shot("small");
}

TEST_F(WindowTest, WithoutAFontItSaysMinusForUnknown) {
  server_.Configure([](FakeAdmin& s) {
    s.tick = {};
    s.status.mutable_store()->clear_lag_slots();
  });
  Open({"--fonts", "/nonexistent"});
  Do("wait health is ready");
  EXPECT_EQ(console_->TextOf("lag"), "-");
}

TEST(OnceProgram, ExitsWithTheHealth) {
  FakeAdmin server;
  ConfigureHealthy(&server);
  server.Start();
  const std::string program = std::string("env -u DISPLAY ") + EVERSTATE_CONSOLE_PROGRAM + " --once --admin ";
  const auto run = [](const std::string& command) {
    return WEXITSTATUS(std::system((command + " > /dev/null 2>&1").c_str()));
  };
  EXPECT_EQ(run(program + server.address()), 0);
  EXPECT_EQ(run(program + server.address() + " --json"), 0);
  server.Configure([](FakeAdmin& s) { s.status.set_ready(false); });
  EXPECT_EQ(run(program + server.address()), 1);
  server.Stop();
  EXPECT_EQ(run(program + server.address()), 2);
  EXPECT_EQ(run(program + server.address() + " --nonsense"), 64);
  EXPECT_EQ(run(std::string("env -u DISPLAY ") + EVERSTATE_CONSOLE_PROGRAM), 3) << "no display";
}

}  // namespace
}  // namespace everstate::console
