#include "server/cli/cli.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "server/base/log.h"
#include "server/cli/replay.h"
#include "server/cli/setting_options.h"
#include "server/config.h"
#include "server/settings_sources.h"

namespace everstate::cli {
namespace {

// What the environment says of the log. Only serve looks at the rest.
std::vector<std::string> LogEnvironment() {
  std::vector<std::string> entries = Environment();
  std::erase_if(entries, [](const std::string& entry) {
    const std::string_view name = std::string_view(entry).substr(0, entry.find('='));
    return std::ranges::none_of(
        Settings(), [name](const Setting& setting) { return IsOfLog(setting) && setting.Variable() == name; });
  });
  return entries;
}

}  // namespace

int Main(int argc, char** argv) {
  CLI::App app{"Everstate: a persistent real-time state server for Solana programs"};
  app.require_subcommand(1);
  app.set_version_flag("--version", "everstate " EVERSTATE_VERSION);
  app.footer("Exit codes: 0 orderly stop, 2 configuration or stack, 3 store, 4 address in use, 5 another chain.");
  app.fallthrough();  // the options of the log may stand before and after the subcommand
  SettingOptions log_options;
  log_options.Add(&app, IsOfLog);
  app.parse_complete_callback([&] {
    const auto resolved = ResolveConfig({.flags = log_options.said(), .environment = LogEnvironment(), .file = ""});
    if (!resolved.ok())
      throw CLI::ParseError(std::string(resolved.status().message()), CLI::ExitCodes::ValidationError);
    InitLog(resolved->config.log);
  });

  int exit_code = static_cast<int>(ExitCode::kOrderly);
  AddServeCommand(app, log_options, &exit_code);
  AddReplayCommand(app, &exit_code);
  AddInspectCommand(app, &exit_code);
  AddCheckpointCommand(app, &exit_code);
  AddArchiveCommand(app, &exit_code);
  AddCheckCommand(app, &exit_code);
  AddRecordCommand(app, &exit_code);
  AddDecodeCommand(app, &exit_code);
  AddWatchCommand(app, &exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(ExitCode::kConfiguration);
  }
  return exit_code;
}

}  // namespace everstate::cli
