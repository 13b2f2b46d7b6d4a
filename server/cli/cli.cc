#include "server/cli/cli.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/last_words.h"
#include "server/base/log.h"
#include "server/base/printable.h"
#include "server/cli/replay.h"
#include "server/cli/setting_options.h"
#include "server/config.h"
#include "server/settings_sources.h"

namespace everstate::cli {
namespace {

// "--listen ADDR:PORT" and, behind the help, "(default: [::]:8877)"; CLI11's own writes "--listen ADDR:PORT=[::]:8877".
class HelpFormat : public CLI::Formatter {
 public:
  std::string make_option_opts(const CLI::Option* option) const override {
    if (option->get_type_size() == 0) return "";  // a flag
    const std::string type = option->get_type_name();
    return absl::StrCat(type.empty() ? "" : " ", type, IsList(option) ? " ..." : "");
  }
  std::string make_option_usage(const CLI::Option* option) const override {
    const std::string text = option->get_name(true) + (IsList(option) ? "..." : "");
    return option->get_required() ? text : "[" + text + "]";
  }
  std::string make_option_desc(const CLI::Option* option) const override {
    std::string text = option->get_description();
    if (option->get_required()) text += " (required)";
    if (!option->get_envname().empty()) absl::StrAppend(&text, " (else ", option->get_envname(), ")");
    if (!option->get_default_str().empty()) absl::StrAppend(&text, " (default: ", option->get_default_str(), ")");
    return text;
  }

 private:
  static bool IsList(const CLI::Option* option) {
    return option->get_expected_max() == CLI::detail::expected_max_vector_size;
  }
};

}  // namespace

CLI::Option* AddDataOption(CLI::App* command, std::string* data_dir) {
  return command->add_option("--data", *data_dir, "Data directory of the server")
      ->required()
      ->check(CLI::ExistingDirectory.description(""))
      ->type_name("DIR");
}

// CLI11 complains of what is missing first, of one word only, and names no alternative.
std::vector<std::string> UnknownWords(const CLI::App& app) {
  std::string command = app.get_name();
  std::vector<std::string> options, subcommands;
  const CLI::App* chosen = &app;
  for (const CLI::App* level = &app; level != nullptr;) {
    chosen = level;
    for (const CLI::Option* option : level->get_options())
      for (const std::string& name : option->get_lnames()) options.push_back("--" + name);
    const std::vector<CLI::App*> next = level->get_subcommands();
    level = next.empty() ? nullptr : next.front();
    if (level != nullptr) absl::StrAppend(&command, " ", level->get_name());
  }
  for (const CLI::App* subcommand : chosen->get_subcommands(nullptr)) subcommands.push_back(subcommand->get_name());

  std::vector<std::string> said;
  bool may_be_a_value = false;  // of the unknown option before it
  for (const std::string& word : app.remaining(true)) {
    if (word == "--") continue;
    if (word.starts_with("-")) {
      const std::string name = word.substr(0, word.find('='));
      said.push_back(absl::StrCat(name, " is no option of ", command, "; the nearest is ", Nearest(name, options)));
      may_be_a_value = name == word;
    } else if (!std::exchange(may_be_a_value, false)) {
      if (!subcommands.empty()) {  // what follows would be said to it
        said.push_back(absl::StrCat("\"", word, "\" is no command of ", command, "; the commands are ",
                                    absl::StrJoin(subcommands, ", ")));
        break;
      }
      const bool of_switch = word == "true" || word == "false";
      said.push_back(absl::StrCat("\"", word, "\" is one word too many for ", command,
                                  of_switch ? ": a switch alone says true, and --SWITCH=false takes it back" : ""));
    }
  }
  for (std::string& one : said) one = Printable(one);
  return said;
}

void EndWithTheReader() {
  StopRequested();
  std::signal(SIGPIPE, SIG_DFL);
}

CLI::Validator NotEmpty() {
  return CLI::Validator([](const std::string& text) { return text.empty() ? "\"\" is empty" : ""; }, "");
}

CLI::Validator WholeNumber(uint64_t min, uint64_t max) {
  return CLI::Validator(
      [min, max](const std::string& text) { return std::string(ParseNumber(text, min, max).status().message()); }, "");
}

int Refuse(const absl::Status& status) {
  LogErrorLines(Room::kCli, std::string_view(status.message().data(), status.message().size()));
  const bool asked_wrong = absl::IsInvalidArgument(status) || absl::IsNotFound(status) || absl::IsUnavailable(status);
  return static_cast<int>(asked_wrong ? ExitCode::kConfiguration : ExitCode::kStore);
}

int Printed(int exit_code) {
  if (exit_code != static_cast<int>(ExitCode::kOrderly)) return exit_code;
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return exit_code;
  const std::string why = errno == 0 ? "" : ": " + std::generic_category().message(errno);  // not of an earlier write
  LogError(Room::kCli, "standard output did not take everything{}", why);
  return static_cast<int>(ExitCode::kStore);
}

int Main(int argc, char** argv) {
  CLI::App app{"Everstate: a persistent real-time state server for Solana programs", "everstate"};
  app.formatter(std::make_shared<HelpFormat>());
  app.require_subcommand(1);
  app.set_version_flag("--version", "everstate " EVERSTATE_VERSION);
  app.footer(
      "Exit codes: 0 done, or an orderly stop; 2 command line, configuration, stack, IDL or recording, what is not "
      "there or does not answer, or a refused rewind; 3 a store or an output that cannot be used; 4 address in use; 5 "
      "another chain; 6 (record) the provider failed.");
  app.fallthrough();   // the options of the log may stand before and after the subcommand
  app.allow_extras();  // UnknownWords has more to say of them
  SettingOptions log_options;
  log_options.Add(&app, IsOfLog);
  app.parse_complete_callback([&] {
    const bool serves = app.got_subcommand("serve");  // it says all that is wrong at once, this too
    if (!serves && app.remaining_size(true) > 0) throw CLI::ExtrasError(app.remaining(true));
    const auto resolved =
        ResolveConfig({.flags = log_options.said(), .environment = EnvironmentOf(IsOfLog), .file = ""});
    if (resolved.ok()) {
      InitLog(resolved->config.log);
    } else if (!serves) {
      throw CLI::ParseError(std::string(resolved.status().message()), CLI::ExitCodes::ValidationError);
    }
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
  } catch (const CLI::Success& help) {
    return Printed(app.exit(help));
  } catch (const CLI::ParseError& error) {
    const std::string unknown = absl::StrJoin(UnknownWords(app), "\n");
    unknown.empty() ? app.exit(error) : app.exit(CLI::ParseError(unknown, CLI::ExitCodes::ExtrasError));
    return static_cast<int>(ExitCode::kConfiguration);
  }
  // The lines of these two are notices: a server goes on when nobody reads them.
  const bool serves = app.got_subcommand("serve") || app.got_subcommand("replay");
  return serves ? exit_code : Printed(exit_code);
}

}  // namespace everstate::cli
