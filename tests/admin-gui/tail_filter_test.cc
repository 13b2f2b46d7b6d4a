#include "admin-gui/tail_filter.h"

#include <gmock/gmock.h>

namespace everstate::console {
namespace {

using testing::ElementsAre;

TEST(TextFilter, ReadsTermsAsTracyDoes) {
  const TextFilter filter(" mint, burn ,-dust,, - ,-a b");
  EXPECT_THAT(filter.wanted(), ElementsAre("mint", "burn"));
  EXPECT_THAT(filter.unwanted(), ElementsAre("dust", "a b"));
}

TEST(TextFilter, WantedIsOrAndUnwantedWins) {
  const TextFilter filter("mint, burn, -dust");
  EXPECT_TRUE(filter.Matches("a mint"));
  EXPECT_TRUE(filter.Matches("burnt"));
  EXPECT_FALSE(filter.Matches("mint of dust"));
  EXPECT_FALSE(filter.Matches("Mint"));
  EXPECT_FALSE(filter.Matches(""));
  EXPECT_TRUE(TextFilter("").Matches(""));
  EXPECT_TRUE(TextFilter("-dust").Matches("anything"));
  EXPECT_FALSE(TextFilter("-dust").Matches("dust"));
}

TEST(TextFilter, TheServerJudgesOneWantedTerm) {
  EXPECT_EQ(TextFilter("mint").server_text(), "mint");
  EXPECT_EQ(TextFilter("mint, -dust").server_text(), "mint");
  EXPECT_EQ(TextFilter("mint, burn").server_text(), "");
  EXPECT_EQ(TextFilter("-dust").server_text(), "");
}

TEST(TailFilter, MatchesWhatItAsksFor) {
  TailFilter filter{.view = "A/list", .key = "k", .ops = {"patch", "delete"}, .text = TextFilter("x, -y")};
  const auto request = filter.Request(200, true);
  EXPECT_THAT(request.views(), ElementsAre("A/list"));
  EXPECT_EQ(request.key(), "k");
  EXPECT_THAT(request.ops(), ElementsAre("patch", "delete"));
  EXPECT_EQ(request.text(), "x");
  EXPECT_EQ(request.max_frames_per_second(), 200u);
  EXPECT_TRUE(request.paused());

  admin::v1::TailFrame frame;
  frame.set_view("A/list");
  frame.set_key("k");
  frame.set_op("patch");
  frame.set_json("x");
  EXPECT_TRUE(filter.Matches(frame));
  frame.set_json("x y");
  EXPECT_FALSE(filter.Matches(frame));
  frame.set_json("x");
  frame.set_op("upsert");
  EXPECT_FALSE(filter.Matches(frame));
  frame.set_op("delete");
  frame.set_key("other");
  EXPECT_FALSE(filter.Matches(frame));
  frame.set_key("k");
  frame.set_view("B/list");
  EXPECT_FALSE(filter.Matches(frame));
}

}  // namespace
}  // namespace everstate::console
