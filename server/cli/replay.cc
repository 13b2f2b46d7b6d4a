#include "server/cli/replay.h"

#include <charconv>
#include <chrono>
#include <cstdio>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "server/base/last_words.h"
#include "server/base/listen_address.h"
#include "server/cli/cli.h"
#include "server/config.h"
#include "server/ingest/replay.h"

namespace everstate::cli {
namespace {

struct Arguments {
  ReplayOptions options;
  std::string slots_per_second = "2.5";
  std::string replay_slots = "all";
  int64_t start_delay_ms = 0;
};

template <class T>
bool ParseWhole(const std::string& text, T* value) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc() && end == text.data() + text.size();
}

std::string CheckSlotsPerSecond(const std::string& text) {
  double value = 0;
  const bool fits = ParseWhole(text, &value) && value > 0 && value <= kReplaySlotsPerSecondMax;
  return text == "max" || fits ? ""
                               : absl::StrCat("\"", text, "\" is neither max nor a number above 0 and at most ",
                                              kReplaySlotsPerSecondMax);
}

std::string CheckReplaySlots(const std::string& text) {
  uint64_t value = 0;
  return text == "all" || ParseWhole(text, &value) ? "" : "\"" + text + "\" is neither all nor a whole number";
}

std::string CheckListen(const std::string& text) { return std::string(ParseListenAddress(text).status().message()); }

// One JSON object a line, so that a test or a script can wait for a client.
void PrintSubscribe(const ReplaySubscribe& subscribe) {
  nlohmann::ordered_json line;
  line["event"] = "subscribe";
  line["stream"] = subscribe.stream;
  if (subscribe.from_slot) {
    line["from_slot"] = *subscribe.from_slot;
  } else {
    line["from_slot"] = -1;
  }
  line["accounts"] = subscribe.accounts;
  line["transactions"] = subscribe.transactions;
  line["transactions_status"] = subscribe.transactions_status;
  line["slots"] = subscribe.slots;
  line["blocks_meta"] = subscribe.blocks_meta;
  line["entry"] = subscribe.entry;
  if (!subscribe.status.ok()) line["refused"] = subscribe.status.message();
  std::fprintf(stderr, "%s\n", line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

int Run(const Arguments& arguments) {
  ReplayOptions options = arguments.options;
  options.slots_per_second.reset();
  if (double rate = 0; arguments.slots_per_second != "max" && ParseWhole(arguments.slots_per_second, &rate)) {
    options.slots_per_second = rate;
  }
  if (uint64_t slots = 0; arguments.replay_slots != "all" && ParseWhole(arguments.replay_slots, &slots)) {
    options.replay_slots = slots;
  }
  options.start_delay = std::chrono::milliseconds(arguments.start_delay_ms);
  options.on_subscribe = PrintSubscribe;
  StopRequested();  // sets the handlers before the first line tells anybody that we run
  auto server = ReplayServer::Start(options);
  if (!server.ok()) {
    LogErrorLines(Room::kCli, std::string(server.status().message()));
    return static_cast<int>(server.status().code() == absl::StatusCode::kAlreadyExists ? ExitCode::kAddressInUse
                                                                                       : ExitCode::kConfiguration);
  }
  const std::string host = options.listen.substr(0, options.listen.rfind(':'));
  std::printf("listening http://%s:%d slots=%llu..%llu\n", host.c_str(), (*server)->port(),
              static_cast<unsigned long long>((*server)->slot_first()),
              static_cast<unsigned long long>((*server)->slot_last()));
  std::fflush(stdout);
  while (!StopRequested()) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  (*server)->Stop();
  return static_cast<int>(ExitCode::kOrderly);
}

}  // namespace

void AddReplayCommand(CLI::App& app, int* exit_code) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("replay", "Serve recordings as a Yellowstone server");
  command->add_option("files", arguments->options.files, "Recordings (*.updates), served one after the other")
      ->required();
  command->add_option("--listen", arguments->options.listen, "Where it listens; port 0 takes a free one")
      ->required()
      ->check(CheckListen)
      ->type_name("ADDR:PORT");
  command
      ->add_option("--slots-per-second", arguments->slots_per_second,
                   "Pace; max = every stream as fast as its flow control allows")
      ->capture_default_str()
      ->check(CheckSlotsPerSecond);
  command->add_flag("--loop", arguments->options.loop, "At the end begin again, as the continuation of the same chain");
  command
      ->add_option("--wait-subscribers", arguments->options.wait_subscribers,
                   "Begin when so many streams have subscribed")
      ->capture_default_str()
      ->check(WholeNumber(1, std::numeric_limits<uint32_t>::max()))
      ->type_name("N");
  command->add_option("--start-delay-ms", arguments->start_delay_ms, "Begin so many milliseconds later")
      ->capture_default_str()
      ->check(WholeNumber(0, static_cast<uint64_t>(kSaidTimeMax.count())))
      ->type_name("MS");
  command
      ->add_option("--replay-slots", arguments->replay_slots, "Blocks that from_slot may reach back; 0 = not supported")
      ->capture_default_str()
      ->check(CheckReplaySlots);
  command->callback([arguments, exit_code] { *exit_code = Run(*arguments); });
}

}  // namespace everstate::cli
