#include "server/admin/tail_filter.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

namespace everstate {
namespace {

namespace pb = admin::v1;
using std::chrono::microseconds;

const std::vector<ViewDef>& Views() {
  static const std::vector<ViewDef> views = {{"A/list", 0, ViewMode::kList, ""},
                                             {"B/list", 1, ViewMode::kList, ""},
                                             {"B/top", 1, ViewMode::kList, "it is derived"}};
  return views;
}

std::string Refusal(const pb::TailRequest& request) {
  const auto filter = TailFilter::Parse(request, Views());
  EXPECT_EQ(filter.status().code(), absl::StatusCode::kInvalidArgument) << filter.status();
  return std::string(filter.status().message());
}

TEST(TailFilterTest, WhatIsNotThereIsRefusedByName) {
  pb::TailRequest request;
  request.add_views("A/list");
  request.add_views("C/list");
  EXPECT_EQ(Refusal(request), "views: the stack has no view \"C/list\"");
  request.set_views(1, "B/top");
  EXPECT_EQ(Refusal(request), "views: \"B/top\" is not served: it is derived");
  request.set_views(1, std::string(5000, 'n'));
  EXPECT_LT(Refusal(request).size(), 300u);
  request.mutable_views()->RemoveLast();
  request.add_ops("snapshot");
  EXPECT_EQ(Refusal(request), "ops: \"snapshot\" is not one of patch, upsert, delete, which are all that is sent");
  request.set_ops(0, "create");  // a word of the protocol that no server sends
  EXPECT_EQ(Refusal(request), "ops: \"create\" is not one of patch, upsert, delete, which are all that is sent");
}

TEST(TailFilterTest, AbsurdSizesAreRefused) {
  pb::TailRequest request;
  for (int i = 0; i < 2000; ++i) request.add_views("A/list");
  EXPECT_NE(Refusal(request).find("views: 2000"), std::string::npos);
  request.Clear();
  request.set_key(std::string(20000, 'k'));
  EXPECT_NE(Refusal(request).find("key: 20000 bytes"), std::string::npos);
  request.Clear();
  request.set_text(std::string(20000, 't'));
  EXPECT_NE(Refusal(request).find("text: 20000 bytes"), std::string::npos);
  request.Clear();
  request.set_max_frames_per_second(4000000000u);
  EXPECT_NE(Refusal(request).find("max_frames_per_second"), std::string::npos);
  request.Clear();
  for (int i = 0; i < 5; ++i) request.add_ops("patch");
  EXPECT_NE(Refusal(request).find("ops: 5"), std::string::npos);
}

TEST(TailFilterTest, ViewsAreASet) {
  pb::TailRequest request;
  for (const char* view : {"B/list", "A/list", "B/list"}) request.add_views(view);
  EXPECT_EQ(TailFilter::Parse(request, Views())->views(), (std::vector<std::string>{"A/list", "B/list"}));
}

// A frame is seen when each thing asked for holds; what is not asked for does not matter.
RC_GTEST_PROP(TailFilterProperty, AFrameMatchesWhenEveryFieldDoes, ()) {
  const auto word = rc::gen::elementOf(std::vector<std::string>{"", "a", "b", "ab", "ba"});
  const std::vector<std::string> ops = {"patch", "upsert", "delete"};
  const std::string key = *word, text = *word, frame_key = *word, frame_json = *word,
                    frame_op = *rc::gen::elementOf(ops);
  const auto wanted = *rc::gen::container<std::vector<std::string>>(*rc::gen::inRange(0, 4), rc::gen::elementOf(ops));
  pb::TailRequest request;
  request.set_key(key);
  request.set_text(text);
  for (const std::string& op : wanted) request.add_ops(op);
  const auto filter = TailFilter::Parse(request, Views());
  RC_ASSERT(filter.ok());
  const bool expected = (key.empty() || key == frame_key) && frame_json.find(text) != std::string::npos &&
                        (wanted.empty() || std::count(wanted.begin(), wanted.end(), frame_op) > 0);
  RC_ASSERT(filter->Matches({"A/list", frame_key, frame_op, frame_json, 1}) == expected);
}

// However the frames come, no more go through than the time allows and a tenth of a second on top; a dense stream gets
// nearly that.
RC_GTEST_PROP(SamplerProperty, KeepsItsRate, ()) {
  const uint32_t rate = *rc::gen::inRange<uint32_t>(1, 2000);
  const int gap_us_max = *rc::gen::inRange(1, 3000);
  const auto gaps = *rc::gen::container<std::vector<int>>(2000, rc::gen::inRange(0, gap_us_max));
  Sampler sampler(rate);
  std::chrono::steady_clock::time_point now{std::chrono::hours(1)};
  const auto begin = now;
  uint64_t taken = 0;
  for (const int gap : gaps) {
    now += microseconds(gap);
    taken += sampler.Take(now);
  }
  const double seconds = std::chrono::duration<double>(now - begin).count();
  RC_ASSERT(static_cast<double>(taken) <= rate * (seconds + 0.1) + 1.001);
  if (gap_us_max <= 100 && rate <= 1000) RC_ASSERT(static_cast<double>(taken) >= rate * seconds * 0.9 - 1);
}

TEST(SamplerTest, ZeroLetsAllThrough) {
  Sampler sampler(0);
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(sampler.Take({}));
}

}  // namespace
}  // namespace everstate
