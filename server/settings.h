// The settings of a server: one table that flags, variables, configuration file, --print-config and the README come
// from.
//
// A setting has one name, `archive.keep`. In a configuration file it is the key of that name (TOML: `keep` in
// `[archive]`); its flag and its variable follow from it: `--archive-keep`, `EVERSTATE_ARCHIVE_KEEP`.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "server/config.h"

namespace everstate {

// What a value is in a configuration file. As a flag and as a variable it is text.
enum class SettingKind : uint8_t {
  kText,    // a string
  kNumber,  // an integer
  kSwitch,  // a boolean; the flag alone says true
  kBytes,   // a string ("8GiB") or an integer
  kTime,    // a string ("20s")
  kLevels,  // a table of strings: [log.levels] ingest = "debug"
};

struct Setting {
  std::string_view name;
  SettingKind kind = SettingKind::kText;
  std::string_view unit;  // what stands for the value in a help text: "ADDR:PORT"
  std::string_view help;
  std::string_view also = "";  // a second flag (--…) or variable that says the same; empty: none
  bool secret = false;         // its value is printed nowhere
  bool required = false;
  // Puts the value into the configuration. InvalidArgument saying what is wrong with it, without the setting's name,
  // and of a secret without the value. Settings are parsed in the order of the table.
  std::function<absl::Status(const std::string& text, Config* config)> parse;
  // The value as parse takes it; empty: it is not set.
  std::function<std::string(const Config& config)> format;

  std::string Flag() const;      // --archive-keep
  std::string Variable() const;  // EVERSTATE_ARCHIVE_KEEP
};

inline constexpr std::string_view kVariablePrefix = "EVERSTATE_";

// All of them; those of one TOML table stand together, those without a table first.
const std::vector<Setting>& Settings();

// Null when there is none of that name.
const Setting* FindSetting(std::string_view name);

// Of the candidates the one that is most like the word (Levenshtein distance); empty when there are none.
std::string Nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace everstate
