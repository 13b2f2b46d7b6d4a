// What is around the panels: a server that is lost, slow, of another version; names of any length; themes and sizes.
#include "tests/admin-gui/window_fixture.h"

namespace everstate::console {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST_F(WindowTest, ADyingServerIsGreyedWithItsLastStateAndReconnected) {
  Open();
  Do("wait lag is 2 slots");
  Do("wait lag fresh");
  server_.Stop();
  Do("wait server contains LOST");
  std::string words;
  EXPECT_TRUE(Eventually([&] {  // while it tries there is no next try
    words = console_->TextOf("server");
    return testing::Matches(AllOf(HasSubstr("LOST "), HasSubstr(" since "), HasSubstr("next try")))(words);
  })) << words;
  EXPECT_EQ(console_->TextOf("lag"), "2 slots") << "the last known state stays";
  EXPECT_EQ(console_->Find("lag")["stale"], true);
  EXPECT_THAT(console_->TextOf("notice"), HasSubstr("the server was lost"));
  const std::string state = console_->TextOf("stream state");
  Do("rest 1.5");
  EXPECT_EQ(console_->TextOf("stream state"), state) << "nobody knows that it is still live";
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
  Do("wait lag is 2 slots");  // the first status comes a little after the version
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

TEST_F(WindowTest, LightThemeAndSizes) {
  Open({"--theme", "light"}, "1.2");
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
  EXPECT_EQ(height(), before) << "as large as at first";
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
