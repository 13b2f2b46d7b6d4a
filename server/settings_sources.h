// Where the values of settings come from: a flag before the environment before the file before the default.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/config.h"
#include "server/settings.h"

namespace everstate {

enum class Origin : uint8_t { kDefault, kFile, kEnvironment, kFlag };  // the later ones win

struct SettingSources {
  std::vector<std::pair<const Setting*, std::string>> flags;
  std::vector<std::string> environment;  // NAME=value; others than the settings' are passed over
  std::string file;                      // --config; empty: what EVERSTATE_CONFIG names, else none
};

struct SettingValue {
  const Setting* setting = nullptr;
  Origin origin = Origin::kDefault;
  std::string text;   // as it was said; empty by default
  std::string where;  // "default", "everstate.toml:7", "EVERSTATE_LISTEN", "--listen"
};

struct ResolvedConfig {
  Config config;
  std::vector<SettingValue> values;  // one for each setting, in their order
};

enum class Required : uint8_t { kMayBeMissing, kMustBeSaid };

// Everything that can be judged of settings before anything is opened (but for the files that say them) is judged here
// and said at once. InvalidArgument: one line for each thing that is wrong, naming where it was said: what
// ReadSettingsFile says; a variable that begins with EVERSTATE_ and is no setting's (and the nearest one); a value that
// its setting does not take; x_token and x_token_file from the same kind of source (of different ones the stronger
// holds); limits that contradict each other; kMustBeSaid: a required setting that nobody said, and how to say it.
// Secrets are in no message. A variable that is set to nothing is not set.
absl::StatusOr<ResolvedConfig> ResolveConfig(const SettingSources& sources,
                                             Required required = Required::kMayBeMissing);

// Every setting with value and origin, as a configuration file that says the same again. A secret is a comment,
// "(set)".
std::string PrintConfig(const ResolvedConfig& resolved);

}  // namespace everstate
