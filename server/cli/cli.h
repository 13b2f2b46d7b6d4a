// The command line: one file per subcommand, each of which adds itself to the CLI11 application.
#pragma once

#include <CLI/CLI.hpp>

#include "server/base/stop_signal.h"

namespace everstate::cli {

int Main(int argc, char** argv);

class SettingOptions;

// Each adds its subcommand. When it was chosen its callback runs it and leaves the exit code in *exit_code.
void AddServeCommand(CLI::App& app, const SettingOptions& log_options, int* exit_code);
void AddInspectCommand(CLI::App& app, int* exit_code);
void AddCheckpointCommand(CLI::App& app, int* exit_code);
void AddArchiveCommand(CLI::App& app, int* exit_code);
void AddDecodeCommand(CLI::App& app, int* exit_code);
void AddCheckCommand(CLI::App& app, int* exit_code);
void AddRecordCommand(CLI::App& app, int* exit_code);
void AddWatchCommand(CLI::App& app, int* exit_code);

}  // namespace everstate::cli
