#include "server/settings_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace everstate {
namespace {

using ::testing::HasSubstr;

SettingsFile Read(const std::string& text) {
  const auto folder = std::filesystem::temp_directory_path() / ("settings_file_test_" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  const std::string file = (folder / "everstate.toml").string();
  std::ofstream(file) << text;
  SettingsFile read = ReadSettingsFile(file);
  std::filesystem::remove_all(folder);
  return read;
}

// A line each.
std::string Faults(const std::string& text) {
  std::string faults;
  for (const FileFault& fault : Read(text).faults) absl::StrAppend(&faults, fault.text, "\n");
  return faults;
}

TEST(SettingsFileTest, EveryWrongTypeIsRefusedWithFileLineAndKey) {
  const std::vector<std::pair<std::string, std::string>> values = {
      {"a string", "'text'"},
      {"an integer", "5"},
      {"a boolean", "true"},
      {"a table", "{ x = 1 }"},
      {"an array", "[1]"},
      {"a floating-point number", "1.5"},
      {"a date or a time", "2026-01-31"},
  };
  const auto takes = [](SettingKind kind, const std::string& type) {
    if (type == "a string")
      return kind == SettingKind::kText || kind == SettingKind::kTime || kind == SettingKind::kBytes;
    if (type == "an integer") return kind == SettingKind::kNumber || kind == SettingKind::kBytes;
    if (type == "a boolean") return kind == SettingKind::kSwitch;
    return type == "a table" && kind == SettingKind::kLevels;
  };
  for (const Setting& setting : Settings()) {
    for (const auto& [type, value] : values) {
      if (takes(setting.kind, type)) continue;
      const std::string said = Faults(absl::StrCat("\n\n", std::string(setting.name), " = ", value, "\n"));
      EXPECT_THAT(said,
                  HasSubstr(absl::StrCat("everstate.toml:3: ", std::string(setting.name), " is ", type, ", not ")))
          << said;
    }
  }
}

TEST(SettingsFileTest, AnUnknownKeyIsRefusedWithTheNearest) {
  EXPECT_THAT(Faults("lisen = ':1'\n"), HasSubstr("everstate.toml:1: lisen is no setting; the nearest is listen"));
  EXPECT_THAT(Faults("[archive]\n\nkep = '8GiB'\n"),
              HasSubstr("everstate.toml:3: archive.kep is no setting; the nearest is archive.keep"));
  EXPECT_THAT(Faults("[sesions]\nmax = 1\n"), HasSubstr("everstate.toml:1: sesions is no setting; the nearest is "));
  EXPECT_THAT(Faults("archive = 5\n"), HasSubstr("everstate.toml:1: archive is an integer, not a table"));
  EXPECT_THAT(Faults("[log.levels]\ningst = 'debug'\n"),
              HasSubstr("everstate.toml:2: log.levels.ingst is no room; the nearest is ingest"));
  EXPECT_THAT(Faults("[log.levels]\ningest = 3\n"),
              HasSubstr("everstate.toml:2: log.levels.ingest is an integer, not a string"));
  EXPECT_THAT(Faults("config = 'x'\n"), HasSubstr("config is no setting"));
}

// What is right of a file is known, whatever is wrong with the rest; whose value is wrong is known, too.
TEST(SettingsFileTest, FaultsHideNothing) {
  const SettingsFile read = Read("listen = '[::]:1'\nzzz = 1\nstack = 5\n[archive]\nkeep = 7\n");
  EXPECT_TRUE(read.whole);
  ASSERT_EQ(read.values.size(), 2u);
  std::map<std::string_view, std::string> values;
  for (const FileValue& value : read.values) values[value.setting->name] = value.text;
  EXPECT_EQ(values["listen"], "[::]:1");
  EXPECT_EQ(values["archive.keep"], "7");
  ASSERT_EQ(read.faults.size(), 2u);
  EXPECT_EQ(read.faults[0].setting, nullptr);
  EXPECT_EQ(read.faults[1].setting, FindSetting("stack"));
  EXPECT_FALSE(Read("listen = \n").whole);
  EXPECT_FALSE(ReadSettingsFile("/no/such.toml").whole);
  EXPECT_TRUE(Read("").whole);
}

}  // namespace
}  // namespace everstate
