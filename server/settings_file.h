// A configuration file: TOML, each key a setting of server/settings.h.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/settings.h"

namespace everstate {

struct FileValue {
  const Setting* setting = nullptr;
  std::string text;   // as Setting::parse takes it
  std::string where;  // "everstate.toml:7"
};

// What the file says, in its order. InvalidArgument: one line for each thing that is wrong, each beginning with file
// and line: what is no TOML, a key that is no setting (and the nearest one), a value of another type than its
// setting's. No line repeats a value.
absl::StatusOr<std::vector<FileValue>> ReadSettingsFile(const std::string& file);

// The value as it stands in such a file.
std::string TomlValue(const Setting& setting, const std::string& text);

}  // namespace everstate
