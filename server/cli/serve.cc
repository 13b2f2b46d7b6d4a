// everstate serve: the persistent server.
#include <memory>
#include <string>

#include "server/base/log.h"
#include "server/cli/cli.h"
#include "server/config.h"
#include "server/server.h"

namespace everstate::cli {
namespace {

struct ServeOptions {
  Config config;
  std::string token_file;
  std::string commitment = "confirmed";
};

int Serve(ServeOptions options) {
  const auto refuse = [](const absl::Status& status) {
    spdlog::error("{}", std::string(status.message()));
    return static_cast<int>(ExitCode::kConfiguration);
  };
  const auto commitment = ParseCommitment(options.commitment);
  if (!commitment.ok()) return refuse(commitment.status());
  options.config.commitment = *commitment;
  if (!options.token_file.empty()) {
    auto token = ReadTokenFile(options.token_file);
    if (!token.ok()) return refuse(token.status());
    options.config.x_token = *std::move(token);
  }
  StopRequested();  // from here on a signal is an orderly stop
  return static_cast<int>(RunServer(options.config, [] { return StopRequested(); }));
}

}  // namespace

void AddServeCommand(CLI::App& app, int* exit_code) {
  auto options = std::make_shared<ServeOptions>();
  CLI::App* serve = app.add_subcommand("serve", "Follow a Yellowstone stream, project a stack, persist it and serve its views over WebSocket");
  serve->add_option("--stack", options->config.stack_file, "Stack file (*.stack.json)")->required()->type_name("FILE");
  serve->add_option("--endpoint", options->config.endpoint, "Yellowstone gRPC endpoint, http(s)://host[:port]")
      ->required()
      ->envname("YELLOWSTONE_ENDPOINT")
      ->type_name("URL");
  auto* token = serve->add_option("--x-token", options->config.x_token, "Token of the endpoint; visible to other users of the machine, prefer --x-token-file")
                    ->envname("YELLOWSTONE_X_TOKEN")
                    ->type_name("TOKEN");
  serve->add_option("--x-token-file", options->token_file, "File whose first line is the token")->type_name("FILE")->excludes(token);
  serve->add_option("--listen", options->config.listen, "WebSocket and HTTP address")->capture_default_str()->type_name("ADDR:PORT");
  serve->add_option("--data", options->config.data_dir, "Data directory (default ./data/<stack name>)")->type_name("DIR");
  serve->add_option("--commitment", options->commitment, "confirmed or finalized")->capture_default_str();
  serve->add_option("--from-slot", options->config.from_slot, "Where an empty store begins; ignored when the store has a position")->type_name("N");
  serve->add_flag("--progress", options->config.progress, "Keep one line on stdout up to date: slot, lag, updates/s, entities, sessions");
  serve->callback([options, exit_code] { *exit_code = Serve(*options); });
}

}  // namespace everstate::cli
