#include "server/settings_file.h"

#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <sstream>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace everstate {
namespace {

std::string TypeName(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::boolean:
      return "a boolean";
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::floating_point:
      return "a floating-point number";
    default:
      return "a date or a time";
  }
}

std::string TypeName(SettingKind kind) {
  switch (kind) {
    case SettingKind::kText:
      return "a string";
    case SettingKind::kNumber:
      return "an integer";
    case SettingKind::kSwitch:
      return "a boolean";
    case SettingKind::kBytes:
      return "a string with a unit (\"8GiB\") or an integer";
    case SettingKind::kTime:
      return "a string with a unit (\"20s\")";
    case SettingKind::kLevels:
      return "a table of strings";
  }
  return "";
}

// Walker: goes through the tables of one file.
class Walker {
 public:
  explicit Walker(const std::string& file) : file_(file) {
    for (const Setting& setting : Settings()) names_.emplace_back(setting.name);
  }

  void Walk(const std::string& prefix, const toml::table& table) {
    for (const auto& [key, node] : table) {
      const std::string name = absl::StrCat(prefix, std::string(key.str()));
      if (const Setting* setting = FindSetting(name)) {
        Take(*setting, node);
      } else if (IsTable(name) && node.is_table()) {
        Walk(name + ".", *node.as_table());
      } else if (IsTable(name)) {
        Complain(nullptr, node, name, absl::StrCat("is ", TypeName(node), ", not a table"));
      } else {
        Complain(nullptr, node, name, absl::StrCat("is no setting; the nearest is ", Nearest(name, names_)));
      }
    }
  }

  SettingsFile Finish() {
    std::ranges::stable_sort(faults_, {}, &Fault::first);  // tables are walked by key
    for (Fault& fault : faults_) said_.faults.push_back(std::move(fault.second));
    return std::move(said_);
  }

 private:
  using Fault = std::pair<toml::source_index, FileFault>;  // and its line

  bool IsTable(const std::string& name) const {
    return std::ranges::any_of(names_, [&](const std::string& n) { return absl::StartsWith(n, name + "."); });
  }

  std::string Where(const toml::node& node) const { return absl::StrCat(file_, ":", node.source().begin.line); }

  void Complain(const Setting* setting, const toml::node& node, const std::string& name, const std::string& what) {
    faults_.emplace_back(node.source().begin.line,
                         FileFault{setting, absl::StrCat(Where(node), ": ", name, " ", what)});
  }

  void Take(const Setting& setting, const toml::node& node) {
    std::optional<std::string> text;
    if (setting.kind == SettingKind::kLevels && node.is_table()) {
      text = Levels(setting, *node.as_table());
      if (!text.has_value()) return;
    } else if (const auto* number = node.as_integer(); number != nullptr && TakesInteger(setting.kind)) {
      text = absl::StrCat(number->get());
    } else if (const auto* boolean = node.as_boolean(); boolean != nullptr && setting.kind == SettingKind::kSwitch) {
      text = boolean->get() ? "true" : "false";
    } else if (const auto* string = node.as_string(); string != nullptr && TakesString(setting.kind)) {
      text = string->get();
    }
    if (!text.has_value()) {
      return Complain(&setting, node, std::string(setting.name),
                      absl::StrCat("is ", TypeName(node), ", not ", TypeName(setting.kind)));
    }
    if (setting.kind == SettingKind::kLevels && text->empty()) return;  // an empty table says nothing
    said_.values.push_back({&setting, *std::move(text), Where(node)});
  }

  static bool TakesInteger(SettingKind kind) { return kind == SettingKind::kNumber || kind == SettingKind::kBytes; }
  static bool TakesString(SettingKind kind) {
    return kind == SettingKind::kText || kind == SettingKind::kTime || kind == SettingKind::kBytes;
  }

  // Empty when something is wrong with it.
  std::optional<std::string> Levels(const Setting& setting, const toml::table& table) {
    const std::vector<std::string> rooms(kRoomNames.begin(), kRoomNames.end());
    std::vector<std::string> pairs;
    for (const auto& [key, node] : table) {
      const std::string name = absl::StrCat(std::string(setting.name), ".", std::string(key.str()));
      if (std::ranges::find(rooms, key.str()) == rooms.end()) {
        Complain(&setting, node, name, absl::StrCat("is no room; the nearest is ", Nearest(key.str(), rooms)));
      } else if (!node.is_string()) {
        Complain(&setting, node, name, absl::StrCat("is ", TypeName(node), ", not a string"));
      } else {
        pairs.push_back(absl::StrCat(std::string(key.str()), "=", node.as_string()->get()));
      }
    }
    if (pairs.size() < table.size()) return std::nullopt;
    return absl::StrJoin(pairs, ",");
  }

  const std::string file_;
  std::vector<std::string> names_;
  SettingsFile said_;  // but for its faults
  std::vector<Fault> faults_;
};

SettingsFile NoFile(std::string why) { return {.values = {}, .faults = {{nullptr, std::move(why)}}, .whole = false}; }

std::string TomlString(const std::string& text) {
  std::ostringstream out;
  out << toml::toml_formatter(toml::value<std::string>(text), toml::format_flags::none);
  return out.str();
}

}  // namespace

SettingsFile ReadSettingsFile(const std::string& file) {
  errno = 0;
  std::ifstream in(file, std::ios::binary);
  std::ostringstream bytes;
  // An empty file sets failbit of what it is copied to.
  if (!in || (in.peek() != std::ifstream::traits_type::eof() && !(bytes << in.rdbuf())) || in.bad()) {
    const std::string why = errno == 0 ? "it is no file" : std::generic_category().message(errno);
    return NoFile(absl::StrCat(file, ": cannot be read: ", why));
  }
  Walker walker(file);
  try {
    walker.Walk("", toml::parse(bytes.str(), file));
  } catch (const toml::parse_error& error) {
    // What it saw there may be a part of a secret.
    const std::string_view why = error.description();
    return NoFile(absl::StrCat(file, ":", error.source().begin.line,
                               ": this is no TOML: ", std::string(why.substr(0, why.find(", saw ")))));
  }
  return walker.Finish();
}

std::string TomlValue(const Setting& setting, const std::string& text) {
  switch (setting.kind) {
    case SettingKind::kNumber:
    case SettingKind::kSwitch:
      return text;
    case SettingKind::kLevels: {
      std::vector<std::string> pairs;
      for (const absl::string_view part : absl::StrSplit(text, ',')) {
        const std::pair<std::string, std::string> pair = absl::StrSplit(part, absl::MaxSplits('=', 1));
        pairs.push_back(absl::StrCat(pair.first, " = ", TomlString(pair.second)));
      }
      return absl::StrCat("{ ", absl::StrJoin(pairs, ", "), " }");
    }
    default:
      return TomlString(text);
  }
}

}  // namespace everstate
