// The panel against a server that says what a test tells it to say.
#include "tests/admin-gui/window_fixture.h"

namespace everstate::console {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

using StreamHealthTest = WindowTest;

TEST_F(StreamHealthTest, StreamHealthShowsWhatTheServerSays) {
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

TEST_F(StreamHealthTest, UnknownIsADashNeverZero) {
  server_.Configure([](FakeAdmin& s) {
    s.tick = {};
    s.status.Clear();
    s.info.Clear();
    s.info.set_interface_version(1);
  });
  Open();
  Do("wait health is not ready");
  for (const char* name :
       {"lag", "lag in time", "slot applied", "newest slot heard", "last heard", "reconnects", "messages", "entities",
        "store on disk", "archive", "sessions", "gaps", "faults", "stack", "version", "stream state"}) {
    EXPECT_EQ(console_->TextOf(name), "—") << name;
  }
  const auto widgets = Widgets();
  for (const auto& widget : widgets) {
    if (widget["kind"] == "value" && widget["name"] != "up for") {
      EXPECT_THAT(widget["text"].get<std::string>(), Not(StartsWith("0"))) << widget["name"];
    }
  }
}

}  // namespace
}  // namespace everstate::console
