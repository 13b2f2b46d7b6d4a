// The command line: one file per subcommand, each of which adds itself to the CLI11 application.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/base/stop_signal.h"

namespace everstate::cli {

int Main(int argc, char** argv);

class SettingOptions;

// Exit code of record beside those of server/server.h: the provider was not reached, refused, ended the stream or went
// silent. The same command may do later.
inline constexpr int kProviderFailed = 6;

// Each adds its subcommand. When it was chosen its callback runs it and leaves the exit code in *exit_code.
void AddServeCommand(CLI::App& app, const SettingOptions& log_options, int* exit_code);
void AddInspectCommand(CLI::App& app, int* exit_code);
void AddCheckpointCommand(CLI::App& app, int* exit_code);
void AddArchiveCommand(CLI::App& app, int* exit_code);
void AddDecodeCommand(CLI::App& app, int* exit_code);
void AddCheckCommand(CLI::App& app, int* exit_code);
void AddRecordCommand(CLI::App& app, int* exit_code);
void AddWatchCommand(CLI::App& app, int* exit_code);

// What is wrong with each word of the command line that nobody knows, and what could stand there. Of what follows an
// unknown command nothing is said.
std::vector<std::string> UnknownWords(const CLI::App& app);

// --data of the commands that look at what a server keeps: a directory that is there.
CLI::Option* AddDataOption(CLI::App* command, std::string* data_dir);

// Checks of an option's value; CLI11 names the option in front of what they say.
CLI::Validator NotEmpty();
CLI::Validator WholeNumber(uint64_t min, uint64_t max);

// Logs what is wrong, one record a line, and gives the exit code: 2 when what was asked for is wrong, is not there or
// does not answer, 3 when it is there and cannot be used.
int Refuse(const absl::Status& status);

// For a command that is there to print: a signal to stop ends it in order from here on, and SIGPIPE, which
// StopRequested has the process ignore, ends it when its reader goes away.
void EndWithTheReader();

// The exit code of a command that is there to print: 3 in place of 0, with a record of why, when standard output did
// not take all of it.
int Printed(int exit_code);

}  // namespace everstate::cli
