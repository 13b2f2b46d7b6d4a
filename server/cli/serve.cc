// everstate serve: the persistent server.
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "server/base/log.h"
#include "server/cli/cli.h"
#include "server/cli/setting_options.h"
#include "server/config.h"
#include "server/server.h"
#include "server/settings_sources.h"

namespace everstate::cli {
namespace {

struct ServeOptions {
  SettingOptions settings;
  std::string config_file;
  bool print_config = false;
};

// What a script or a person waits for: one line on stdout each, whatever log.format says (server/README.md).
void PrintEvent(const Event& event) {
  std::string line;
  switch (event.kind) {
    case Event::Kind::kListening:
      line = "listening ws://" + event.address;
      break;
    case Event::Kind::kHealth:
      line = "health http://" + event.address;
      break;
    case Event::Kind::kAdmin:
      line = "admin " + event.address;
      break;
    case Event::Kind::kReady:
      line = "ready ws://" + event.address + " slot=" + std::to_string(event.slot);
      break;
  }
  std::puts(line.c_str());
  std::fflush(stdout);
}

int Serve(const ServeOptions& options, const SettingOptions& log_options, std::vector<std::string> faults) {
  SettingSources sources{.flags = options.settings.said(), .environment = Environment(), .file = options.config_file};
  for (auto& said : log_options.said()) sources.flags.push_back(std::move(said));
  const auto resolved = ResolveConfig(sources, options.print_config ? Required::kMayBeMissing : Required::kMustBeSaid);
  if (!resolved.ok()) faults.emplace_back(resolved.status().message());
  if (!faults.empty()) return Refuse(absl::InvalidArgumentError(absl::StrJoin(faults, "\n")));
  if (options.print_config) {
    std::fputs(PrintConfig(*resolved).c_str(), stdout);
    return Printed(static_cast<int>(ExitCode::kOrderly));
  }
  InitLog(resolved->config.log);
  return Server::Builder(resolved->config).on_event(PrintEvent).start().exit_code();
}

}  // namespace

void AddServeCommand(CLI::App& app, const SettingOptions& log_options, int* exit_code) {
  auto options = std::make_shared<ServeOptions>();
  CLI::App* serve = app.add_subcommand(
      "serve", "Follow a Yellowstone stream, project a stack, persist it and serve its views over WebSocket");
  serve->footer(
      "Every option can stand in the file of --config (--archive-keep is keep in [archive]) and in the environment\n"
      "(EVERSTATE_ARCHIVE_KEEP). A flag comes before the environment, the environment before the file.\n\n"
      "Standard output is for scripts, a line each, in this order: listening ws://ADDR:PORT; health http://ADDR:PORT\n"
      "(with --health-listen); admin ADDR:PORT (unless it is off); ready ws://ADDR:PORT slot=SLOT. The log is on\n"
      "standard error.");
  serve
      ->add_option("--config", options->config_file,
                   "Configuration file, TOML; else the one that EVERSTATE_CONFIG names")
      ->type_name("FILE");
  serve->add_flag("--print-config", options->print_config,
                  "Print every setting with its value and where that was said, as such a file, and end");
  options->settings.Add(serve, [](const Setting& setting) { return !IsOfLog(setting); });
  serve->callback(
      [options, &app, &log_options, exit_code] { *exit_code = Serve(*options, log_options, UnknownWords(app)); });
}

}  // namespace everstate::cli
