#include "server/base/log_fold.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <tuple>

namespace everstate {
namespace {

using std::chrono::seconds;

const LogFolder::Time kStart{};

LogRecord Warning(const std::string& message) {
  return {.room = Room::kIngest, .level = LogLevel::kWarn, .message = message};
}

TEST(ShapeTest, LeavesOutWordsWithDigits) {
  EXPECT_EQ(ShapeOf("slot 17: 3 late"), "slot #: # late");
  EXPECT_EQ(ShapeOf("connected to http://127.0.0.1:10000, version v1.2"), "connected to http://#.#.#.#:#, version #.#");
  EXPECT_EQ(ShapeOf("checkpoint 402000120-a1b2c3d4-e5f6"), "checkpoint #-#-#");
  EXPECT_EQ(ShapeOf("no digits — none"), "no digits — none");
  EXPECT_EQ(ShapeOf(""), "");
  EXPECT_NE(ShapeOf("disk full"), ShapeOf("disk gone"));
}

TEST(LogFolderTest, TheFirstFewGoOutWholeAndTheRestAreCounted) {
  LogFolder folder;
  std::vector<LogRecord> out;
  for (int i = 0; i < 46; ++i) folder.Add(Warning("slot " + std::to_string(i)), kStart, &out);
  ASSERT_EQ(out.size(), LogFolder::kWholeMax);
  for (size_t i = 0; i < out.size(); ++i) {
    EXPECT_EQ(out[i].message, "slot " + std::to_string(i));
    EXPECT_EQ(out[i].more, 0u);
  }
  out.clear();
  folder.Close(kStart + seconds(9), &out);
  EXPECT_TRUE(out.empty());
  folder.Close(kStart + seconds(10), &out);
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].message, "slot 45");
  EXPECT_EQ(out[0].more, 41u);
  EXPECT_EQ(out[0].window, seconds(10));
}

TEST(LogFolderTest, AFloodIsOneRecordAWindowAndEndsWithAWindowWithoutAny) {
  LogFolder folder;
  std::vector<LogRecord> out;
  for (int i = 0; i < 100; ++i) folder.Add(Warning("flood"), kStart + seconds(i), &out);
  // Five, then what is left of the first window, then ten a window.
  ASSERT_GE(out.size(), LogFolder::kWholeMax + 2);
  EXPECT_EQ(out[LogFolder::kWholeMax].more, 5u);
  EXPECT_EQ(out[LogFolder::kWholeMax + 1].more, 10u);
  out.clear();
  folder.Add(Warning("flood"), kStart + seconds(200), &out);  // the window before ends with its count
  folder.Close(kStart + seconds(300), &out);
  folder.Close(kStart + seconds(400), &out);
  out.clear();
  folder.Add(Warning("flood"), kStart + seconds(500), &out);
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].more, 0u);
}

TEST(LogFolderTest, AnotherRoomLevelOrTextIsAnotherRecord) {
  LogFolder folder;
  std::vector<LogRecord> out;
  for (unsigned i = 0; i < LogFolder::kWholeMax; ++i) folder.Add(Warning("it broke"), kStart, &out);
  out.clear();
  folder.Add(Warning("it broke"), kStart, &out);
  EXPECT_TRUE(out.empty());
  folder.Add({.room = Room::kFanout, .level = LogLevel::kWarn, .message = "it broke"}, kStart, &out);
  folder.Add({.room = Room::kIngest, .level = LogLevel::kError, .message = "it broke"}, kStart, &out);
  folder.Add(Warning("it mended"), kStart, &out);
  EXPECT_EQ(out.size(), 3u);
}

TEST(LogFolderTest, ManyShapesAreForgottenAndNotLost) {
  LogFolder folder;
  std::vector<LogRecord> out;
  for (int i = 0; i < 8; ++i) folder.Add(Warning("repeats"), kStart, &out);
  out.clear();
  for (size_t i = 0; i < LogFolder::kShapesMax; ++i) folder.Add(Warning(std::string(i + 1, 'x')), kStart, &out);
  uint64_t more = 0;
  for (const LogRecord& record : out) more += record.more;
  EXPECT_EQ(more, 3u);
  EXPECT_EQ(out.size(), LogFolder::kShapesMax + 1);
}

// Whatever comes in, in whatever order and at whatever time: each (room, level, shape) comes out as often as it went
// in.
RC_GTEST_PROP(LogFolderProperty, NothingIsLost, ()) {
  using Kind = std::tuple<Room, LogLevel, std::string>;
  LogFolder folder;
  std::vector<LogRecord> out;
  std::map<Kind, uint64_t> in;
  auto now = kStart;
  const int steps = *rc::gen::inRange(0, 400);
  const int shapes = *rc::gen::elementOf(std::vector<int>{1, 3, 300});
  for (int i = 0; i < steps; ++i) {
    LogRecord record{.room = *rc::gen::element(Room::kIngest, Room::kFanout),
                     .level = *rc::gen::element(LogLevel::kInfo, LogLevel::kError)};
    record.message = std::string(*rc::gen::inRange(0, shapes), 'x') + " " + std::to_string(i);
    ++in[{record.room, record.level, ShapeOf(record.message)}];
    now += std::chrono::milliseconds(*rc::gen::inRange(0, 3000));
    folder.Add(std::move(record), now, &out);
    if (*rc::gen::inRange(0, 10) == 0) folder.Close(now, &out);
  }
  folder.CloseAll(now, &out);
  std::map<Kind, uint64_t> came;
  for (const LogRecord& record : out)
    came[{record.room, record.level, ShapeOf(record.message)}] += std::max<uint64_t>(record.more, 1);
  RC_ASSERT(came == in);
  const size_t before = out.size();
  folder.CloseAll(now, &out);
  RC_ASSERT(out.size() == before);
}

}  // namespace
}  // namespace everstate
