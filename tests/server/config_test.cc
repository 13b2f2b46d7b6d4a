#include "server/config.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace everstate {
namespace {

TEST(ConfigTest, CommitmentIsConfirmedOrFinalizedAndProcessedIsRefusedByName) {
  EXPECT_EQ(*ParseCommitment("confirmed"), Commitment::kConfirmed);
  EXPECT_EQ(*ParseCommitment("finalized"), Commitment::kFinalized);
  EXPECT_NE(ParseCommitment("processed").status().message().find("\"processed\" is not supported"),
            absl::string_view::npos);
  EXPECT_NE(ParseCommitment("Confirmed").status().message().find("\"Confirmed\""), absl::string_view::npos);
}

TEST(ConfigTest, ATokenFileIsItsFirstLineAndAnErrorNeverHoldsIt) {
  const auto file = std::filesystem::temp_directory_path() / ("config_test_" + std::to_string(::getpid()));
  std::ofstream(file) << "secret\r\nsecond line\n";
  EXPECT_EQ(*ReadTokenFile(file.string()), "secret");
  std::ofstream(file) << "\nsecret\n";
  const absl::Status status = ReadTokenFile(file.string()).status();
  EXPECT_NE(status.message().find(file.string()), absl::string_view::npos);
  EXPECT_EQ(status.message().find("secret"), absl::string_view::npos);
  std::ofstream(file) << "se\tcret\n";
  EXPECT_EQ(
      ReadTokenFile(file.string()).status().message(),
      "\"" + file.string() +
          "\" holds no token: its first line holds characters that a header cannot carry: only printable ASCII may "
          "stand in it");
  std::filesystem::remove(file);
  EXPECT_EQ(ReadTokenFile(file.string()).status().message(),
            "\"" + file.string() + "\" cannot be read: No such file or directory");
  EXPECT_EQ(ReadTokenFile("/").status().message(), "\"/\" cannot be read: Is a directory");
  EXPECT_EQ(ReadTokenFile("/dev/null").status().message(), "\"/dev/null\" holds no token: its first line is empty");
}

TEST(ConfigTest, NumbersLieBetweenTheirBounds) {
  EXPECT_EQ(*ParseNumber("0", 0, 9), 0u);
  EXPECT_EQ(*ParseNumber("18446744073709551615", 0, UINT64_MAX), UINT64_MAX);
  for (const char* text : {"", "-1", "+1", " 1", "1.5", "0x1", "many"})
    EXPECT_EQ(ParseNumber(text, 0, 9).status().message(), std::string("\"") + text + "\" is no whole number");
  for (const char* text : {"1", "10", "18446744073709551616", "99999999999999999999999"})
    EXPECT_EQ(ParseNumber(text, 2, 9).status().message(), std::string("\"") + text + "\" does not lie between 2 and 9");
}

TEST(ConfigTest, AScheduleIsATimeOrSlotsOrOff) {
  using std::chrono::seconds;
  const auto every = [](const char* text) { return ParseCheckpointEvery(text)->every; };
  EXPECT_EQ(every("90s"), seconds(90));
  EXPECT_EQ(every("10m"), seconds(600));
  EXPECT_EQ(every("6h"), seconds(6 * 3600));
  EXPECT_EQ(every("366d"), seconds(366 * 86400));
  EXPECT_EQ(ParseCheckpointEvery("10m")->every_slots, std::nullopt);
  EXPECT_EQ(ParseCheckpointEvery("5000slots")->every_slots, 5000u);
  EXPECT_EQ(every("5000slots"), std::nullopt);
  EXPECT_EQ(every("off"), std::nullopt);
  EXPECT_EQ(ParseCheckpointEvery("off")->every_slots, std::nullopt);
  EXPECT_EQ(Config{}.checkpoints.every, seconds(600));
  for (const char* text : {"", "m", "10", "-1m", "10 m", "10M", "1.5h", "0m", "0slots", "slots", "367d", "1500ms",
                           "99999999999999999999s", "18446744073709551615d"}) {
    const auto refused = ParseCheckpointEvery(text);
    ASSERT_FALSE(refused.ok()) << text;
    EXPECT_EQ(refused.status().message().find(std::string("\"") + text + "\" "), 0u) << refused.status();
  }
  for (const char* text : {"off", "90s", "10m", "1d", "5000slots"})
    EXPECT_EQ(FormatCheckpointEvery(*ParseCheckpointEvery(text)), text);
}

TEST(ConfigTest, BytesHaveBinaryUnits) {
  EXPECT_EQ(*ParseBytes("0"), 0u);
  EXPECT_EQ(*ParseBytes("1048576"), 1u << 20);
  EXPECT_EQ(*ParseBytes("7B"), 7u);
  EXPECT_EQ(*ParseBytes("3KiB"), 3u << 10);
  EXPECT_EQ(*ParseBytes("512MiB"), 512u << 20);
  EXPECT_EQ(*ParseBytes("8GiB"), 8ull << 30);
  EXPECT_EQ(*ParseBytes("16777215TiB"), 16777215ull << 40);
  for (const char* text : {"", "GiB", "8GB", "8gib", "-1", "1.5GiB", "8 GiB", "16777216TiB", "99999999999999999999"}) {
    const auto refused = ParseBytes(text);
    ASSERT_FALSE(refused.ok()) << text;
    EXPECT_EQ(refused.status().message().find(std::string("\"") + text + "\" "), 0u) << refused.status();
  }
}

TEST(ConfigTest, TimesHaveUnits) {
  using std::chrono::milliseconds;
  EXPECT_EQ(*ParseTime("0ms"), milliseconds(0));
  EXPECT_EQ(*ParseTime("250ms"), milliseconds(250));
  EXPECT_EQ(*ParseTime("20s"), milliseconds(20'000));
  EXPECT_EQ(*ParseTime("366d"), milliseconds(366ll * 86'400'000));
  for (const char* text : {"", "s", "20", "20S", "1.5s", "-1s", "20 s", "367d", "99999999999999999999ms"}) {
    const auto refused = ParseTime(text);
    ASSERT_FALSE(refused.ok()) << text;
    EXPECT_EQ(refused.status().message().find(std::string("\"") + text + "\" "), 0u) << refused.status();
  }
}

TEST(ConfigTest, LevelsOfRoomsAreSaidOnceEach) {
  const std::map<Room, LogLevel> levels = {{Room::kFanout, LogLevel::kWarn}, {Room::kIngest, LogLevel::kDebug}};
  EXPECT_EQ(*ParseLogLevels("ingest=debug,fanout=warn"), levels);
  EXPECT_EQ(FormatLogLevels(levels), "fanout=warn,ingest=debug");
  for (const char* text :
       {"", "ingest", "ingest=", "ingest=loud", "ingst=debug", "ingest=debug,", "ingest=debug,ingest=warn"}) {
    EXPECT_FALSE(ParseLogLevels(text).ok()) << text;
  }
  EXPECT_NE(ParseLogLevels("ingst=debug").status().message().find("ingest"), absl::string_view::npos);
  EXPECT_NE(ParseLogLevels("ingest=loud").status().message().find("trace, debug, info"), absl::string_view::npos);
}

RC_GTEST_PROP(ConfigProperty, BytesAndTimesReadWhatTheyWrite, (uint64_t bytes)) {
  RC_ASSERT(*ParseBytes(FormatBytes(bytes)) == bytes);
  const std::chrono::milliseconds time(*rc::gen::inRange<int64_t>(0, 366ll * 86'400'000 + 1));
  RC_ASSERT(*ParseTime(FormatTime(time)) == time);
}

}  // namespace
}  // namespace everstate
