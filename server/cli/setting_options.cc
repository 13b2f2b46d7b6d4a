#include "server/cli/setting_options.h"

#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "server/config.h"

namespace everstate::cli {

void SettingOptions::Add(CLI::App* command, const std::function<bool(const Setting&)>& chosen) {
  const Config defaults;
  for (const Setting& setting : Settings()) {
    if (!chosen(setting)) continue;
    std::string names = setting.Flag();
    if (setting.also.starts_with("--")) names.append(",").append(setting.also);
    Entry& entry = entries_.emplace_back(Entry{&setting, "", nullptr});
    std::string help(setting.help);
    if (setting.required) help.append(" (required)");
    if (!setting.also.empty() && !setting.also.starts_with("--"))
      help.append(" (also ").append(setting.also).append(")");
    if (setting.kind == SettingKind::kSwitch) {
      entry.option = command->add_flag(names, entry.text, help);
    } else {
      entry.option = command->add_option(names, entry.text, help)->type_name(std::string(setting.unit));
      if (const std::string value = setting.format(defaults); !value.empty()) entry.option->default_str(value);
    }
    if (const size_t dot = setting.name.find('.'); dot != std::string_view::npos) {
      entry.option->group("[" + std::string(setting.name.substr(0, dot)) + "]");
    }
  }
}

std::vector<std::pair<const Setting*, std::string>> SettingOptions::said() const {
  std::vector<std::pair<const Setting*, std::string>> said;
  for (const Entry& entry : entries_) {
    if (entry.option->count() > 0) said.emplace_back(entry.setting, entry.text);
  }
  return said;
}

bool IsOfLog(const Setting& setting) { return setting.name.starts_with("log."); }

std::vector<std::string> Environment() {
  std::vector<std::string> entries;
  for (char** entry = ::environ; *entry != nullptr; ++entry) entries.emplace_back(*entry);
  return entries;
}

std::vector<std::string> EnvironmentOf(const std::function<bool(const Setting&)>& chosen) {
  std::vector<std::string> entries = Environment();
  std::erase_if(entries, [&](const std::string& entry) {
    const std::string_view name = std::string_view(entry).substr(0, entry.find('='));
    return std::ranges::none_of(Settings(), [&](const Setting& setting) {
      return chosen(setting) && (setting.Variable() == name || setting.also == name);
    });
  });
  return entries;
}

}  // namespace everstate::cli
