// everstate record: a live stream becomes a recording.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "server/base/log.h"
#include "server/cli/cli.h"
#include "server/config.h"
#include "server/ingest/recorder.h"
#include "server/ingest/recording.h"
#include "server/ingest/yellowstone.h"
#include "server/stack/stack.h"
#include "server/vm/projection.h"

namespace everstate::cli {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kLook{100};  // how often a stop is noticed and time passes for the recorder
constexpr std::chrono::seconds kSilenceMax{30};  // nothing heard for so long: the stream is taken for dead

struct RecordOptions {
  std::string endpoint, x_token, token_file, stack, out;
  uint64_t slots = 0;
};

absl::StatusOr<ingest::Subscription> SubscriptionOf(const RecordOptions& options) {
  ingest::Subscription subscription;
  subscription.everything = options.stack.empty();
  if (subscription.everything) return subscription;
  const auto stack = stack::LoadStack(options.stack);
  if (!stack.ok()) return stack.status();
  const auto projection = vm::Projection::Compile(*stack, vm::Settings{});
  if (!projection.ok()) return projection.status();
  subscription.transaction_programs = (*projection)->transaction_programs();
  subscription.account_owners = (*projection)->account_owners();
  return subscription;
}

// Until enough is recorded, somebody asks to stop, or the stream or the file is of no more use.
// Every error names the endpoint.
absl::Status Follow(const RecordOptions& options, ingest::Connection* connection, ingest::Recorder* recorder) {
  Clock::time_point heard = Clock::now();
  while (recorder->blocks() < options.slots && !StopRequested()) {
    absl::StatusOr<std::optional<std::string>> message = connection->Next(Clock::now() + kLook);
    if (!message.ok()) return message.status();  // which names it already
    const Clock::time_point now = Clock::now();
    absl::Status status;
    if (message->has_value()) {
      heard = now;
      status = recorder->Add(**std::move(message), now);
    } else {
      if (now - heard > kSilenceMax)
        return absl::DeadlineExceededError(
            fmt::format("{}: nothing was heard for {} seconds", options.endpoint, kSilenceMax.count()));
      status = recorder->Tick(now);
    }
    if (!status.ok())
      return absl::Status(status.code(), fmt::format("{}: {}", options.endpoint, std::string(status.message())));
  }
  return absl::OkStatus();
}

ExitCode Fail(ExitCode code, const absl::Status& status) {
  LogError(Room::kCli, "{}", std::string(status.message()));
  return code;
}

ExitCode Record(RecordOptions options) {
  if (!options.token_file.empty()) {
    auto token = ReadTokenFile(options.token_file);
    if (!token.ok()) return Fail(ExitCode::kConfiguration, token.status());
    options.x_token = *std::move(token);
  }
  const auto subscription = SubscriptionOf(options);
  if (!subscription.ok()) return Fail(ExitCode::kConfiguration, subscription.status());
  const auto source = ingest::OpenYellowstone({.endpoint = options.endpoint, .x_token = options.x_token});
  if (!source.ok()) return Fail(ExitCode::kConfiguration, source.status());
  StopRequested();  // from here on a signal is an orderly stop
  auto connection = (*source)->Connect(*subscription, std::nullopt);
  if (!connection.ok()) return Fail(ExitCode::kConfiguration, connection.status());
  auto file = RecordingWriter::Create(options.out);
  if (!file.ok()) return Fail(ExitCode::kStore, file.status());

  ingest::Recorder recorder({}, *std::move(file));
  const absl::Status ended = Follow(options, connection->get(), &recorder);
  recorder.Finish();
  for (const Gap& gap : recorder.gaps())
    LogWarn(Room::kCli, "blocks are missing between slots {} and {}", gap.from, gap.to);
  const std::string which =
      recorder.blocks() == 0 ? "none whole" : fmt::format("slots {} to {}", *recorder.first(), *recorder.last());
  std::printf("%s: %llu of %llu blocks, %s\n", options.out.c_str(), static_cast<unsigned long long>(recorder.blocks()),
              static_cast<unsigned long long>(options.slots), which.c_str());
  if (!recorder.written().ok()) return Fail(ExitCode::kStore, recorder.written());
  return ended.ok() ? ExitCode::kOrderly : Fail(ExitCode::kConfiguration, ended);
}

}  // namespace

void AddRecordCommand(CLI::App& app, int* exit_code) {
  auto options = std::make_shared<RecordOptions>();
  CLI::App* record = app.add_subcommand(
      "record", "Write what a Yellowstone stream sends into a recording, for replay, decode and tests");
  record->add_option("--endpoint", options->endpoint, "Yellowstone gRPC endpoint, http(s)://host[:port]")
      ->required()
      ->envname("YELLOWSTONE_ENDPOINT")
      ->type_name("URL");
  auto* token = record
                    ->add_option("--x-token", options->x_token,
                                 "Token of the endpoint; visible to other users of the machine, prefer --x-token-file")
                    ->envname("YELLOWSTONE_X_TOKEN")
                    ->type_name("TOKEN");
  record->add_option("--x-token-file", options->token_file, "File whose first line is the token")
      ->type_name("FILE")
      ->excludes(token);
  record
      ->add_option("--stack", options->stack,
                   "Record what this stack needs: the accounts of its programs and the transactions that did not fail. "
                   "Without it "
                   "everything is recorded: all accounts and transactions, votes and failed ones too")
      ->type_name("FILE");
  record->add_option("--slots", options->slots, "Stop after so many whole blocks")
      ->required()
      ->check(WholeNumber(1, std::numeric_limits<uint64_t>::max()))
      ->type_name("N");
  record->add_option("--out", options->out, "The recording; a file that is there is replaced")
      ->required()
      ->type_name("FILE");
  record->callback([options, exit_code] { *exit_code = static_cast<int>(Record(*options)); });
}

}  // namespace everstate::cli
