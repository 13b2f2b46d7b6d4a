// What is typed and clicked is what the server is asked, and what it sends is what is shown.
#include <set>

#include "tests/admin-gui/window_fixture.h"

namespace everstate::console {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

using BusTrafficTest = WindowTest;

TEST_F(BusTrafficTest, AFilterThatIsTypedIsAskedOfTheServer) {
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
  ASSERT_TRUE(Asked([](const auto& request) { return request.ops_size() == 2 && request.ops(0) == "upsert"; }));
  Do("click key");
  Do("type So1111");
  ASSERT_TRUE(Asked([](const auto& request) { return request.key() == "So1111"; }));
  Do("wait rows contains 0 of");
  Do("click sampling");
  Do("click sampling=all frames");
  ASSERT_TRUE(Asked([](const auto& request) { return request.max_frames_per_second() == 0; }));
}

// What is typed has a limit, and it does not go through the middle of a character: the server would refuse half a one.
TEST_F(BusTrafficTest, ATextThatIsTooLongIsCutBetweenCharacters) {
  Open();
  Do("key Ctrl+2");
  Do("wait tail state is live");
  const std::string fits(999, 'a');
  Do("click text filter");
  Do("type " + fits + "ß");
  ASSERT_TRUE(Asked([&](const auto& request) { return request.text() == fits; }));
  EXPECT_EQ(console_->TextOf("text filter"), fits);
}

TEST_F(BusTrafficTest, PausingStopsTheTrafficAtTheServer) {
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

TEST_F(BusTrafficTest, AFrameIsReadAndCopied) {
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
TEST_F(BusTrafficTest, ScrollingUpStopsTheFollowing) {
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

TEST_F(BusTrafficTest, ViewsAreSortedByWhatIsClicked) {
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

}  // namespace
}  // namespace everstate::console
