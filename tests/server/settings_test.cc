#include "server/settings.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/support/source_dir.h"

namespace everstate {
namespace {

TEST(SettingsTest, FlagAndVariableFollowFromTheName) {
  const Setting* keep = FindSetting("archive.keep");
  ASSERT_NE(keep, nullptr);
  EXPECT_EQ(keep->Flag(), "--archive-keep");
  EXPECT_EQ(keep->Variable(), "EVERSTATE_ARCHIVE_KEEP");
  EXPECT_EQ(FindSetting("from_slot")->Flag(), "--from-slot");
  EXPECT_EQ(FindSetting("archive"), nullptr);
}

TEST(SettingsTest, NoTwoHaveTheSameNameFlagOrVariable) {
  std::set<std::string> seen;
  for (const Setting& setting : Settings()) {
    EXPECT_TRUE(seen.insert(std::string(setting.name)).second) << setting.name;
    EXPECT_TRUE(seen.insert(setting.Flag()).second) << setting.name;
    EXPECT_TRUE(seen.insert(setting.Variable()).second) << setting.name;
    EXPECT_TRUE(setting.also.empty() || seen.insert(std::string(setting.also)).second) << setting.name;
    EXPECT_NE(setting.Variable(), "EVERSTATE_CONFIG");  // names the file
    EXPECT_FALSE(setting.help.empty()) << setting.name;
  }
}

TEST(SettingsTest, NoNameIsAlsoATableAndTablesStandTogether) {
  std::set<std::string_view> tables;
  std::string_view table;
  for (const Setting& setting : Settings()) {
    const size_t dot = setting.name.find('.');
    const std::string_view own = dot == std::string_view::npos ? "" : setting.name.substr(0, dot);
    EXPECT_EQ(FindSetting(own), nullptr) << setting.name;
    EXPECT_TRUE(own == table || tables.insert(own).second) << "[" << own << "] begins twice";
    table = own;
  }
}

TEST(SettingsTest, EveryDefaultIsAValueThatTheSettingTakes) {
  for (const Setting& setting : Settings()) {
    Config config;
    const std::string text = setting.format(config);
    if (text.empty()) continue;
    EXPECT_TRUE(setting.parse(text, &config).ok()) << setting.name << " " << text;
    EXPECT_EQ(setting.format(config), text) << setting.name;
  }
}

TEST(SettingsTest, NumbersBytesAndTimesKeepTheirBounds) {
  const auto refused = [](std::string_view name, const std::string& text) {
    Config config;
    const absl::Status status = FindSetting(name)->parse(text, &config);
    EXPECT_EQ(status.message().find("\"" + text + "\" "), 0u) << name << ": " << status;
    EXPECT_EQ(FindSetting(name)->format(config), FindSetting(name)->format(Config())) << name;
    return !status.ok();
  };
  EXPECT_TRUE(refused("projection.append_keep", "0"));
  EXPECT_TRUE(refused("projection.append_keep", "4294967296"));
  EXPECT_TRUE(refused("projection.append_keep", "-1"));
  EXPECT_TRUE(refused("projection.waiting_per_address_max", "0"));
  EXPECT_TRUE(refused("checkpoint.keep", "0"));
  EXPECT_TRUE(refused("store.journal_slots", "0"));
  EXPECT_TRUE(refused("stream.message_max", "2GiB"));
  EXPECT_TRUE(refused("sessions.ping_interval", "0s"));
  EXPECT_TRUE(refused("sessions.ping_interval", "50d"));
  EXPECT_TRUE(refused("store.wal_sync", "0ms"));
  EXPECT_TRUE(refused("from_slot", "9223372036854775808"));
  EXPECT_TRUE(refused("progress", "yes"));
  EXPECT_TRUE(refused("log.format", "xml"));
  EXPECT_TRUE(refused("listen", ""));
}

TEST(SettingsTest, SyncWithEverySlotIsAWordOfItsOwn) {
  Config config;
  EXPECT_TRUE(FindSetting("store.wal_sync")->parse("slot", &config).ok());
  EXPECT_EQ(config.store.wal_sync_interval_ms, 0u);
  EXPECT_EQ(FindSetting("store.wal_sync")->format(config), "slot");
}

TEST(SettingsTest, WhatMayBeACredentialIsNotRepeated) {
  Config config;
  for (const char* text :
       {"https://user:hunter2@host", "https://host/hunter2", "https://host?key=hunter2", "host/hunter2"}) {
    const absl::Status status = FindSetting("endpoint")->parse(text, &config);
    EXPECT_FALSE(status.ok()) << text;
    EXPECT_EQ(status.message().find("hunter2"), absl::string_view::npos) << status;
  }
}

TEST(NearestTest, IsTheOneWithTheFewestChanges) {
  EXPECT_EQ(Nearest("archive.kep", {"archive.keep", "checkpoint.keep"}), "archive.keep");
  EXPECT_EQ(Nearest("keep", {"archive.keep", "deep"}), "deep");
  EXPECT_EQ(Nearest("", {"ab", "a"}), "a");
  EXPECT_EQ(Nearest("x", {}), "");
}

// At most one letter inserted, deleted or replaced lies between them.
bool AlmostSame(std::string_view a, std::string_view b) {
  while (!a.empty() && !b.empty() && a.front() == b.front()) a.remove_prefix(1), b.remove_prefix(1);
  while (!a.empty() && !b.empty() && a.back() == b.back()) a.remove_suffix(1), b.remove_suffix(1);
  return a.size() <= 1 && b.size() <= 1;
}

RC_GTEST_PROP(NearestProperty, ASlipOfTheFingerIsUnderstood, ()) {
  std::vector<std::string> names;
  for (const Setting& setting : Settings()) names.emplace_back(setting.name);
  std::string slip = *rc::gen::elementOf(names);
  const size_t at = *rc::gen::inRange<size_t>(0, slip.size());
  switch (*rc::gen::inRange(0, 3)) {
    case 0:
      slip.erase(at, 1);
      break;
    case 1:
      slip.insert(at, 1, 'q');
      break;
    default:
      slip[at] = 'q';
  }
  RC_ASSERT(AlmostSame(Nearest(slip, names), slip));
}

// server/README.md has one row for each setting; this is how it looks.
std::string RowOf(const Setting& setting) {
  const auto cell = [](std::string_view text) { return absl::StrReplaceAll(std::string(text), {{"|", "\\|"}}); };
  const std::string value = setting.format(Config());
  std::string also = setting.also.empty() ? "" : absl::StrCat("; also `", std::string(setting.also), "`");
  const std::string unset = setting.required ? "required" : "";
  return absl::StrCat("| `", std::string(setting.name), "` | ", cell(setting.unit), " | ",
                      value.empty() ? unset : "`" + value + "`", " | ", cell(setting.help), also, " |");
}

TEST(SettingsTest, TheReadmeHasExactlyTheseSettings) {
  std::ifstream readme(InSource("server/README.md"));
  std::vector<std::string> rows, expected;
  bool inside = false;
  for (std::string line; std::getline(readme, line);) {
    if (line == "## Settings")
      inside = true;
    else if (line.starts_with("## "))
      inside = false;
    if (inside && line.starts_with("| `")) rows.push_back(line);
  }
  std::string table;
  for (const Setting& setting : Settings()) {
    expected.push_back(RowOf(setting));
    table += expected.back() + "\n";
  }
  EXPECT_EQ(rows, expected) << "what stands there should be\n" << table;
}

}  // namespace
}  // namespace everstate
