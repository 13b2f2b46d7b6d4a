#include "server/base/log.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "server/base/last_words.h"

namespace everstate {
namespace {

using ::testing::internal::CaptureStderr;
using ::testing::internal::GetCapturedStderr;

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

class LogTest : public ::testing::Test {
 protected:
  void TearDown() override { InitLog({}); }

  // What `write` leaves on stderr.
  template <class Write>
  std::vector<std::string> Written(const LogOptions& options, Write write) {
    InitLog(options);
    CaptureStderr();
    write();
    return Lines(GetCapturedStderr());
  }
};

TEST_F(LogTest, ATextRecordHasTimeLevelRoomAndMessage) {
  const auto lines = Written({}, [] { LogWarn(Room::kStorage, "generation {} of {}", 3, "here"); });
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_THAT(
      lines[0],
      ::testing::MatchesRegex(
          "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z warning storage: generation 3 of here"));
}

TEST_F(LogTest, AJsonRecordIsOneObjectALine) {
  const std::string nasty = "a \"quote\", a \\, a\nline, \x01, \xff, …";
  const auto lines = Written({.format = LogFormat::kJson}, [&] { LogError(Room::kIngest, "{}", nasty); });
  ASSERT_EQ(lines.size(), 1u);
  const auto record = nlohmann::ordered_json::parse(lines[0]);
  std::vector<std::string> keys;
  for (const auto& [key, value] : record.items()) keys.push_back(key);
  EXPECT_EQ(keys, (std::vector<std::string>{"time", "level", "room", "message"}));
  EXPECT_EQ(record["level"], "error");
  EXPECT_EQ(record["room"], "ingest");
  EXPECT_EQ(record["message"], "a \"quote\", a \\, a\nline, \x01, \xef\xbf\xbd, …");
}

TEST_F(LogTest, ATextRecordIsOneLineWhateverStandsInIt) {
  const auto lines = Written({}, [] { LogInfo(Room::kIngest, "{}", "a\nforged\x1b[31m line\x7f"); });
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_THAT(lines[0], ::testing::EndsWith("a\\nforged\\x1b[31m line\\x7f"));
}

TEST_F(LogTest, EachRoomHasItsLevel) {
  const auto all = [] {
    for (size_t room = 0; room < kRoomNames.size(); ++room) {
      LogTrace(static_cast<Room>(room), "{} trace", kRoomNames[room]);
      LogDebug(static_cast<Room>(room), "{} debug", kRoomNames[room]);
      LogInfo(static_cast<Room>(room), "{} info", kRoomNames[room]);
      LogWarn(static_cast<Room>(room), "{} warn", kRoomNames[room]);
      LogError(static_cast<Room>(room), "{} error", kRoomNames[room]);
    }
  };
  const size_t rooms = kRoomNames.size();
  EXPECT_EQ(Written({.level = LogLevel::kTrace}, all).size(), 5 * rooms);
  EXPECT_EQ(Written({.level = LogLevel::kWarn}, all).size(), 2 * rooms);
  EXPECT_EQ(Written({.level = LogLevel::kOff}, all).size(), 0u);
  const auto own = Written(
      {.level = LogLevel::kError, .levels = {{Room::kIngest, LogLevel::kDebug}, {Room::kFanout, LogLevel::kOff}}}, all);
  EXPECT_EQ(own.size(), rooms - 2 + 4);
  for (const std::string& line : own) EXPECT_EQ(line.find("fanout"), std::string::npos) << line;
}

struct Formatted {
  int* times;
};

}  // namespace
}  // namespace everstate

template <>
struct fmt::formatter<everstate::Formatted> : fmt::formatter<int> {
  template <class Context>
  auto format(const everstate::Formatted& value, Context& context) const {
    return fmt::formatter<int>::format(++*value.times, context);
  }
};

namespace everstate {
namespace {

TEST_F(LogTest, ALevelThatIsOffFormatsNothing) {
  int times = 0;
  const auto lines = Written({.level = LogLevel::kInfo}, [&] {
    LogDebug(Room::kIngest, "{}", Formatted{&times});
    EXPECT_EQ(times, 0);
    LogInfo(Room::kIngest, "{}", Formatted{&times});
  });
  EXPECT_EQ(times, 1);
  EXPECT_EQ(lines.size(), 1u);
}

// The records of a process that has ended, each as often as it stands for.
uint64_t Counted(const std::string& written, const std::string& message) {
  uint64_t count = 0;
  for (const std::string& line : Lines(written)) {
    const auto record = nlohmann::json::parse(line, nullptr, false);
    if (record.is_object() && record["message"] == message) count += record.value("more", uint64_t{1});
  }
  return count;
}

// In processes of their own, so that their end is seen: what was folded is written then.
TEST_F(LogTest, WhatWasFoldedIsWrittenAtTheEndOfTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        InitLog({.format = LogFormat::kText});
        for (int i = 0; i < 46; ++i) LogInfo(Room::kServer, "again");
        std::exit(0);
      },
      ::testing::ExitedWithCode(0), "server: again \\(… 41 more in [0-9]+ s\\)");
}

TEST_F(LogTest, AFlushWritesWhatWasFoldedBeforeTheLastLine) {
  const auto lines = Written({}, [] {
    for (int i = 0; i < 46; ++i) LogInfo(Room::kServer, "again, and flushed");
    FlushLog();
    LogInfo(Room::kServer, "stopped");
  });
  ASSERT_EQ(lines.size(), 7u);
  EXPECT_THAT(lines[5], ::testing::HasSubstr("again, and flushed (… 41 more in "));
  EXPECT_THAT(lines[6], ::testing::EndsWith("stopped"));
}

TEST_F(LogTest, EachFaultIsARecord) {
  const auto lines = Written({}, [] { LogErrorLines(Room::kCli, "one thing\nanother\n"); });
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_THAT(lines[0], ::testing::EndsWith("error cli: one thing"));
  EXPECT_THAT(lines[1], ::testing::EndsWith("error cli: another"));
  EXPECT_TRUE(Written({}, [] { LogErrorLines(Room::kCli, ""); }).empty());

  std::string alike;
  for (int i = 0; i < 20; ++i) alike += "handlers[" + std::to_string(i) + "] is wrong\n";
  EXPECT_EQ(Written({}, [&] { LogErrorLines(Room::kCli, alike); }).size(), 20u);
}

TEST_F(LogTest, ThreadsLoseNothing) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  constexpr int kThreads = 4, kEach = 1000;
  EXPECT_EXIT(
      {
        InitLog({.format = LogFormat::kJson});
        {
          std::vector<std::jthread> threads;
          for (int t = 0; t < kThreads; ++t) {
            threads.emplace_back([] {
              for (int i = 0; i < kEach; ++i) LogInfo(Room::kServer, "again");
            });
          }
        }
        std::exit(0);
      },
      ::testing::ExitedWithCode(0),
      ::testing::Truly([](const std::string& written) { return Counted(written, "again") == kThreads * kEach; }));
}

}  // namespace
}  // namespace everstate
