// everstate replay: serves recordings as a Yellowstone server.
#pragma once

#include <CLI/CLI.hpp>

namespace everstate::cli {

// Adds the subcommand. Its callback serves until SIGINT or SIGTERM and leaves the exit code in *exit_code:
// 0 orderly, 2 configuration or recording, 4 address in use.
void AddReplayCommand(CLI::App& app, int* exit_code);

}  // namespace everstate::cli
