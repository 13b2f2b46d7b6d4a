// everstate record: a live stream becomes a recording.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "server/base/last_words.h"
#include "server/base/log.h"
#include "server/cli/cli.h"
#include "server/cli/setting_options.h"
#include "server/config.h"
#include "server/ingest/recorder.h"
#include "server/ingest/recording.h"
#include "server/ingest/yellowstone.h"
#include "server/settings_sources.h"
#include "server/stack/stack.h"
#include "server/vm/projection.h"

namespace everstate::cli {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kLook{100};  // how often a stop is noticed and time passes for the recorder
constexpr std::chrono::seconds kSilenceMax{30};  // nothing heard for so long: the stream is taken for dead

struct RecordOptions {
  SettingOptions provider;
  std::string stack, out;
  uint64_t slots = 0;
};

// The settings of serve that say which provider.
bool IsOfProvider(const Setting& setting) {
  return setting.name == "endpoint" || setting.name == "x_token" || setting.name == "x_token_file";
}

absl::StatusOr<ingest::YellowstoneOptions> ProviderOf(const RecordOptions& options) {
  const auto resolved =
      ResolveConfig({.flags = options.provider.said(), .environment = EnvironmentOf(IsOfProvider), .file = ""});
  if (!resolved.ok()) return resolved.status();
  const Setting& endpoint = *FindSetting("endpoint");
  if (resolved->config.endpoint.empty()) {
    return absl::InvalidArgumentError(fmt::format("endpoint is not set: say {} {}, {} or {}", endpoint.Flag(),
                                                  endpoint.unit, endpoint.Variable(), endpoint.also));
  }
  return ingest::YellowstoneOptions{.endpoint = resolved->config.endpoint, .x_token = resolved->config.x_token};
}

absl::StatusOr<ingest::Subscription> SubscriptionOf(const std::string& stack_file) {
  ingest::Subscription subscription;
  subscription.everything = stack_file.empty();
  if (subscription.everything) return subscription;
  const auto stack = stack::LoadStack(stack_file);
  if (!stack.ok()) return stack.status();
  const auto projection = vm::Projection::Compile(*stack, vm::Settings{});
  if (!projection.ok()) return projection.status();
  subscription.transaction_programs = (*projection)->transaction_programs();
  subscription.account_owners = (*projection)->account_owners();
  return subscription;
}

// What comes within a moment. Every error names the endpoint.
absl::StatusOr<std::optional<std::string>> Listen(const std::string& endpoint, ingest::Connection* connection,
                                                  Clock::time_point* heard) {
  auto message = connection->Next(Clock::now() + kLook);
  if (!message.ok()) return message;  // which names it already
  const Clock::time_point now = Clock::now();
  if (message->has_value()) {
    *heard = now;
  } else if (now - *heard > kSilenceMax) {
    return absl::DeadlineExceededError(
        fmt::format("{}: nothing was heard for {} seconds", endpoint, kSilenceMax.count()));
  }
  return message;
}

// Waits for the first message; nothing when somebody asks to stop before it.
absl::StatusOr<std::optional<std::string>> ListenForFirst(const std::string& endpoint, ingest::Connection* connection) {
  Clock::time_point heard = Clock::now();
  while (!StopRequested()) {
    auto message = Listen(endpoint, connection, &heard);
    if (!message.ok() || message->has_value()) return message;
  }
  return std::nullopt;
}

// From this message on, until enough is recorded, somebody asks to stop, or the stream or the file is of no more use.
// Every error names the endpoint.
absl::Status Follow(std::optional<std::string> message, const std::string& endpoint, uint64_t slots,
                    ingest::Connection* connection, ingest::Recorder* recorder) {
  Clock::time_point heard = Clock::now();
  while (true) {
    const Clock::time_point now = Clock::now();
    const absl::Status status = message.has_value() ? recorder->Add(*std::move(message), now) : recorder->Tick(now);
    if (!status.ok())
      return absl::Status(status.code(), fmt::format("{}: {}", endpoint, std::string(status.message())));
    if (recorder->blocks() >= slots || StopRequested()) return absl::OkStatus();
    auto next = Listen(endpoint, connection, &heard);
    if (!next.ok()) return next.status();
    message = *std::move(next);
  }
}

int Fail(int code, const absl::Status& status) {
  LogErrorLines(Room::kCli, std::string(status.message()));
  return code;
}

// A subscription that no server would take is the stack's fault; a stop while nobody answers is a stop.
int NotConnected(const absl::Status& status) {
  if (StopRequested()) return static_cast<int>(ExitCode::kOrderly);
  return absl::IsInvalidArgument(status) ? Refuse(status) : Fail(kProviderFailed, status);
}

// How much of what was asked for is in the file.
void PrintRecorded(const RecordOptions& options, const ingest::Recorder& recorder) {
  for (const Gap& gap : recorder.gaps())
    LogWarn(Room::kCli, "blocks are missing between slots {} and {}", gap.from, gap.to);
  const std::string which =
      recorder.blocks() == 0 ? "none whole" : fmt::format("slots {} to {}", *recorder.first(), *recorder.last());
  const bool stopped = StopRequested() && recorder.blocks() < options.slots;
  std::puts(fmt::format("{}: {} of {} blocks, {}{}", options.out, recorder.blocks(), options.slots, which,
                        stopped ? "; stopped before the rest" : "")
                .c_str());
}

int Record(const RecordOptions& options) {
  const auto provider = ProviderOf(options);
  if (!provider.ok()) return Refuse(provider.status());
  const auto subscription = SubscriptionOf(options.stack);
  if (!subscription.ok()) return Fail(static_cast<int>(ExitCode::kConfiguration), subscription.status());
  const auto source = ingest::OpenYellowstone(*provider);
  if (!source.ok()) return Refuse(source.status());
  StopRequested();  // from here on a signal is an orderly stop
  auto connection = (*source)->Connect(*subscription, std::nullopt);
  if (!connection.ok()) return NotConnected(connection.status());
  // A provider may refuse on the stream: until it has sent something, a file that is there stays.
  auto first = ListenForFirst(provider->endpoint, connection->get());
  if (!first.ok()) return Fail(kProviderFailed, first.status());
  if (!first->has_value()) return static_cast<int>(ExitCode::kOrderly);
  auto file = RecordingWriter::Create(options.out);
  if (!file.ok()) return Fail(static_cast<int>(ExitCode::kStore), file.status());

  ingest::Recorder recorder({}, *std::move(file));
  const absl::Status ended = Follow(*std::move(first), provider->endpoint, options.slots, connection->get(), &recorder);
  recorder.Finish();
  PrintRecorded(options, recorder);
  if (!recorder.written().ok()) return Fail(static_cast<int>(ExitCode::kStore), recorder.written());
  return ended.ok() ? static_cast<int>(ExitCode::kOrderly) : Fail(kProviderFailed, ended);
}

}  // namespace

void AddRecordCommand(CLI::App& app, int* exit_code) {
  auto options = std::make_shared<RecordOptions>();
  CLI::App* record = app.add_subcommand("record",
                                        "Write what a Yellowstone stream sends into a recording, for replay, decode "
                                        "and tests; it does not connect again");
  record->footer(
      "The provider is asked once. When it refuses, ends the stream or says nothing for 30 s, the recording ends "
      "with the whole blocks that it has, and the exit code is 6; when nothing came of it no file is made, and one "
      "that is there stays. A stop before --slots is the same with exit code 0.\n"
      "Endpoint and token may stand in the environment, as for serve: EVERSTATE_ENDPOINT, EVERSTATE_X_TOKEN, "
      "EVERSTATE_X_TOKEN_FILE.");
  options->provider.Add(record, IsOfProvider);
  record
      ->add_option("--stack", options->stack,
                   "Record what this stack needs: the accounts of its programs and the transactions that did not fail. "
                   "Without it everything is recorded: all accounts and transactions, votes and failed ones too")
      ->check(NotEmpty())
      ->type_name("FILE");
  record->add_option("--slots", options->slots, "Stop after so many whole blocks")
      ->required()
      ->check(WholeNumber(1, std::numeric_limits<uint64_t>::max()))
      ->type_name("N");
  record
      ->add_option("--out", options->out,
                   "The recording; a file that is there is replaced as soon as the provider sends something")
      ->required()
      ->check(NotEmpty())
      ->type_name("FILE");
  record->callback([options, exit_code] { *exit_code = Record(*options); });
}

}  // namespace everstate::cli
