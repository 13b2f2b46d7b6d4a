// A configuration file: TOML, each key a setting of server/settings.h.
#pragma once

#include <string>
#include <vector>

#include "server/settings.h"

namespace everstate {

struct FileValue {
  const Setting* setting = nullptr;
  std::string text;   // as Setting::parse takes it
  std::string where;  // "everstate.toml:7"
};

struct FileFault {
  const Setting* setting = nullptr;  // whose value it is about; null when it is about none that is known
  std::string text;                  // begins with file and line, and repeats no value
};

// What a file says, in its order.
struct SettingsFile {
  std::vector<FileValue> values;
  // What is no TOML, a key that is no setting (and the nearest one), a value of another type than its setting's.
  std::vector<FileFault> faults;
  bool whole = true;  // false: it cannot be read or is no TOML, and what else it says is not known
};

SettingsFile ReadSettingsFile(const std::string& file);

// The value as it stands in such a file.
std::string TomlValue(const Setting& setting, const std::string& text);

}  // namespace everstate
