#include "server/cli/cli.h"

#include <string>

#include "server/base/log.h"
#include "server/cli/replay.h"
#include "server/config.h"

namespace everstate::cli {

int Main(int argc, char** argv) {
  CLI::App app{"Everstate: a persistent real-time state server for Solana programs"};
  app.require_subcommand(1);
  app.set_version_flag("--version", "everstate " EVERSTATE_VERSION);
  app.footer("Exit codes: 0 orderly stop, 2 configuration or stack, 3 store, 4 address in use, 5 another chain.");
  std::string log_level = "info";
  app.add_option("--log-level", log_level, "trace, debug, info, warn, error or off")->capture_default_str();
  app.parse_complete_callback([&] {
    if (!InitLog(log_level)) throw CLI::ValidationError("--log-level", "\"" + log_level + "\" is not one of trace, debug, info, warn, error, off");
  });

  int exit_code = static_cast<int>(ExitCode::kOrderly);
  AddServeCommand(app, &exit_code);
  AddReplayCommand(app, &exit_code);
  AddInspectCommand(app, &exit_code);
  AddCheckpointCommand(app, &exit_code);
  AddArchiveCommand(app, &exit_code);
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
