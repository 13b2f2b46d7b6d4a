// The settings of server/settings.h as options of a command.
#pragma once

#include <CLI/CLI.hpp>
#include <deque>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "server/settings.h"

namespace everstate::cli {

// SettingOptions: what was said of settings on the command line. It must outlive the parsing.
class SettingOptions {
 public:
  // An option for each setting that is chosen, with unit, help and default, grouped by its TOML table.
  void Add(CLI::App* command, const std::function<bool(const Setting&)>& chosen);

  // What was said, once the command line was parsed.
  std::vector<std::pair<const Setting*, std::string>> said() const;

 private:
  struct Entry {
    const Setting* setting;
    std::string text;
    CLI::Option* option;
  };
  std::deque<Entry> entries_;  // the options point into it
};

// The settings that every command has.
bool IsOfLog(const Setting& setting);

// NAME=value of this process: all of them, and those that say one of the chosen settings.
std::vector<std::string> Environment();
std::vector<std::string> EnvironmentOf(const std::function<bool(const Setting&)>& chosen);

}  // namespace everstate::cli
