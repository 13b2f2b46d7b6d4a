#include "server/settings_sources.h"

#include <algorithm>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/printable.h"
#include "server/settings_file.h"

namespace everstate {
namespace {

constexpr char kFileVariable[] = "EVERSTATE_CONFIG";

// Container platforms describe a service named "everstate" to its neighbours in variables of these forms (Kubernetes
// service links, Docker links): EVERSTATE_SERVICE_HOST, EVERSTATE_SERVICE_PORT…, EVERSTATE_PORT,
// EVERSTATE_PORT_8877_TCP….
bool IsOfThePlatform(const std::string& variable) {
  return variable == "EVERSTATE_SERVICE_HOST" || absl::StartsWith(variable, "EVERSTATE_SERVICE_PORT") ||
         variable == "EVERSTATE_PORT" || absl::StartsWith(variable, "EVERSTATE_PORT_");
}

const Setting* OfVariable(const std::string& variable) {
  const auto found = std::ranges::find_if(
      Settings(), [&](const Setting& s) { return s.Variable() == variable || s.also == variable; });
  return found == Settings().end() ? nullptr : &*found;
}

std::string NearestVariable(const std::string& variable) {
  std::vector<std::string> variables = {kFileVariable};
  for (const Setting& setting : Settings()) variables.push_back(setting.Variable());
  return Nearest(variable, variables);
}

std::string OriginText(const SettingValue& value) {
  switch (value.origin) {
    case Origin::kDefault:
      return "default";
    case Origin::kFile:
      return value.where;
    case Origin::kEnvironment:
      return absl::StrCat("environment ", value.where);
    case Origin::kFlag:
      return absl::StrCat("flag ", value.where);
  }
  return "";
}

// Resolver: what is said is put down by source, the weakest first; then each value is parsed.
class Resolver {
 public:
  Resolver() {
    for (const Setting& setting : Settings()) values_.push_back({&setting, Origin::kDefault, "", "default"});
  }

  void TakeFile(const std::string& file) {
    SettingsFile said = ReadSettingsFile(file);
    file_whole_ = said.whole;
    for (FileFault& fault : said.faults) {
      faults_.push_back(std::move(fault.text));
      if (fault.setting != nullptr) in_doubt_.insert(fault.setting);
    }
    for (FileValue& value : said.values)
      Put(value.setting, Origin::kFile, std::move(value.text), std::move(value.where));
  }

  // Returns the file that it names.
  std::string TakeEnvironment(const std::vector<std::string>& environment) {
    std::string file;
    std::vector<SettingValue> own;  // a setting's own variable comes before its second name
    for (const std::string& entry : environment) {
      const size_t equals = entry.find('=');
      if (equals == std::string::npos || equals + 1 == entry.size()) continue;
      const std::string variable = entry.substr(0, equals);
      std::string text = entry.substr(equals + 1);
      if (variable == kFileVariable) {
        file = std::move(text);
      } else if (const Setting* setting = OfVariable(variable)) {
        if (variable == setting->also) {
          Put(setting, Origin::kEnvironment, std::move(text), variable);
        } else {
          own.push_back({setting, Origin::kEnvironment, std::move(text), variable});
        }
      } else if (absl::StartsWith(variable, std::string(kVariablePrefix)) && !IsOfThePlatform(variable)) {
        faults_.push_back(
            absl::StrCat(variable, " is no setting's variable; the nearest is ", NearestVariable(variable)));
      }
    }
    for (SettingValue& value : own) Put(value.setting, value.origin, std::move(value.text), std::move(value.where));
    return file;
  }

  void TakeFlags(const SettingSources& sources) {
    for (const auto& [setting, text] : sources.flags) Put(setting, Origin::kFlag, text, setting->Flag());
  }

  absl::StatusOr<ResolvedConfig> Finish(Required required) {
    ChooseToken();
    ResolvedConfig resolved;
    for (const SettingValue& value : values_) {
      if (value.origin == Origin::kDefault) continue;
      const absl::Status status = value.setting->parse(value.text, &resolved.config);
      if (status.ok()) continue;
      in_doubt_.insert(value.setting);
      const std::string name =
          value.origin == Origin::kFile ? absl::StrCat(": ", std::string(value.setting->name)) : "";
      faults_.push_back(absl::StrCat(value.where, name, " ", status.message()));
    }
    CheckTogether(resolved.config.fanout);
    if (required == Required::kMustBeSaid) CheckRequired();
    for (std::string& fault : faults_) fault = Printable(fault);  // a line each, whatever was said
    if (!faults_.empty()) return absl::InvalidArgumentError(absl::StrJoin(faults_, "\n"));
    resolved.values = std::move(values_);
    return resolved;
  }

 private:
  SettingValue& Of(const Setting* setting) { return values_[static_cast<size_t>(setting - Settings().data())]; }

  void Put(const Setting* setting, Origin origin, std::string text, std::string where) {
    SettingValue& value = Of(setting);
    if (origin >= value.origin) value = {setting, origin, std::move(text), std::move(where)};
  }

  // There is one token, and two settings that say it.
  void ChooseToken() {
    SettingValue& token = Of(FindSetting("x_token"));
    SettingValue& file = Of(FindSetting("x_token_file"));
    if (token.origin == Origin::kDefault || file.origin == Origin::kDefault) return;
    if (token.origin == file.origin) {
      faults_.push_back(absl::StrCat(token.where, " and ", file.where, " exclude each other: both say the token"));
      return;
    }
    SettingValue& weaker = token.origin < file.origin ? token : file;
    weaker = {weaker.setting, Origin::kDefault, "", "default"};
  }

  // Whether its value is the one that holds, as far as can be told.
  bool Known(const Setting* setting) {
    return !in_doubt_.contains(setting) && (file_whole_ || Of(setting).origin > Origin::kFile);
  }

  void CheckTogether(const FanoutOptions& fanout) {
    const Setting* queue = FindSetting("sessions.queue_max");
    const Setting* frame = FindSetting("snapshot.frame_max");
    if (!Known(queue) || !Known(frame) || fanout.session_queue_bytes_max >= SessionQueueBytesMin(fanout)) return;
    faults_.push_back(absl::StrCat(
        "sessions.queue_max (", FormatBytes(fanout.session_queue_bytes_max), ", ", OriginText(Of(queue)),
        ") is less than two frames of a snapshot (snapshot.frame_max is ", FormatBytes(fanout.snapshot_frame_bytes_max),
        ", ", OriginText(Of(frame)), "): a session that asks for one would be closed"));
  }

  void CheckRequired() {
    for (const SettingValue& value : values_) {
      const Setting& setting = *value.setting;
      if (!setting.required || value.origin != Origin::kDefault || !Known(&setting)) continue;
      faults_.push_back(absl::StrCat(std::string(setting.name), " is not set: say ", setting.Flag(), " ",
                                     std::string(setting.unit), ", ", setting.Variable(), ", or ",
                                     std::string(setting.name), " in the file of --config"));
    }
  }

  std::vector<SettingValue> values_;
  std::vector<std::string> faults_;
  std::set<const Setting*> in_doubt_;  // what was said of it is wrong
  bool file_whole_ = true;             // there is none, or all that it says is known
};

}  // namespace

absl::StatusOr<ResolvedConfig> ResolveConfig(const SettingSources& sources, Required required) {
  Resolver resolver;
  const std::string named = resolver.TakeEnvironment(sources.environment);
  const std::string& file = sources.file.empty() ? named : sources.file;
  if (!file.empty()) resolver.TakeFile(file);
  resolver.TakeFlags(sources);
  return resolver.Finish(required);
}

std::string PrintConfig(const ResolvedConfig& resolved) {
  std::string printed;
  std::string_view table;
  for (const SettingValue& value : resolved.values) {
    const Setting& setting = *value.setting;
    const size_t dot = setting.name.find('.');
    const std::string_view own_table = dot == std::string_view::npos ? "" : setting.name.substr(0, dot);
    if (own_table != table) absl::StrAppend(&printed, "\n[", std::string(table = own_table), "]\n");
    const std::string key(setting.name.substr(dot + 1));  // npos + 1 is 0
    const std::string text = setting.format(resolved.config);
    std::string line = absl::StrCat("# ", key, " is not set");
    if (setting.secret) {
      if (value.origin != Origin::kDefault) line = absl::StrCat("# ", key, " = \"(set)\"");
    } else if (!text.empty()) {
      line = absl::StrCat(key, " = ", TomlValue(setting, text));
    }
    line.resize(std::max<size_t>(line.size(), 40), ' ');
    absl::StrAppend(&printed, line, "  # ", OriginText(value), "\n");
  }
  return printed;
}

}  // namespace everstate
