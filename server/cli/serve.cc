// everstate serve: the persistent server.
#include <cstdio>
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
  std::string checkpoint_every = "10m", archive_keep = "8GiB";
  RewindRequest rewind;
  bool resume = false;  // --resume-from was said
};

// What a script or a person waits for: one line on stdout each.
void PrintEvent(const Event& event) {
  std::string line;
  switch (event.kind) {
    case Event::Kind::kListening:
      line = "listening ws://" + event.address;
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

int Serve(ServeOptions options) {
  const auto refuse = [](const absl::Status& status) {
    spdlog::error("{}", std::string(status.message()));
    return static_cast<int>(ExitCode::kConfiguration);
  };
  const auto commitment = ParseCommitment(options.commitment);
  if (!commitment.ok()) return refuse(commitment.status());
  options.config.commitment = *commitment;
  const auto schedule = ParseCheckpointEvery(options.checkpoint_every);
  if (!schedule.ok()) return refuse(schedule.status());
  options.config.checkpoints.every_slots = schedule->every_slots;
  options.config.checkpoints.every = schedule->every;
  const auto archive_keep = ParseBytes("--archive-keep", options.archive_keep);
  if (!archive_keep.ok()) return refuse(archive_keep.status());
  options.config.archive_keep_bytes = *archive_keep;
  if (options.resume) options.config.rewind = options.rewind;
  if (!options.token_file.empty()) {
    auto token = ReadTokenFile(options.token_file);
    if (!token.ok()) return refuse(token.status());
    options.config.x_token = *std::move(token);
  }
  return Server::Builder(options.config).on_event(PrintEvent).start().exit_code();
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
  serve->add_option("--admin", options->config.admin, "Address of the admin service (console, checkpoint); off = none. It has no authentication")
      ->capture_default_str()
      ->type_name("ADDR:PORT|off");
  serve->add_option("--checkpoint-every", options->checkpoint_every,
                    "Make a checkpoint every so much time (90s, 10m, 6h, 1d) or slots (5000slots); off = on demand only. A checkpoint is hard links: it costs "
                    "the disk what changes afterwards, and a rewind repeats at most this much more than asked for")
      ->capture_default_str()
      ->type_name("TIME|SLOTS|off");
  serve->add_option("--checkpoints-keep", options->config.checkpoints.keep, "Keep the newest so many checkpoints when one was made")
      ->capture_default_str()
      ->check(CLI::Range(1, 100000))
      ->type_name("N");
  serve->add_option("--archive-keep", options->archive_keep, "Keep so many bytes of raw blocks, so that a rewind needs no provider (8GiB, 512MiB); 0 = no archive")
      ->capture_default_str()
      ->type_name("BYTES");
  auto* resume = serve->add_option("--resume-from", options->rewind.slot, "Rewind: begin again from the newest checkpoint at or before this slot")->type_name("SLOT");
  serve->add_flag("--again", options->rewind.again, "Rewind also when the present generation was made by the same --resume-from")->needs(resume);
  serve->add_flag("--accept-gap", options->rewind.accept_gap, "Rewind also when blocks are missing: the hole becomes a recorded gap")->needs(resume);
  serve->add_flag("--progress", options->config.progress, "Keep one line on stdout up to date: slot, lag, updates/s, entities, sessions");
  serve->callback([options, resume, exit_code] {
    options->resume = resume->count() > 0;
    *exit_code = Serve(*options);
  });
}

}  // namespace everstate::cli
