// What one message costs: the walk alone, and the whole way through the ledger to a block. The environment variable
// BENCH_RECORDING names another file than the recording that is in the tree.
#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "server/ingest/ledger.h"
#include "server/ingest/recording.h"
#include "server/ingest/wire.h"
#include "tests/support/source_dir.h"

namespace everstate::ingest {
namespace {

const std::vector<std::string>& Messages() {
  static const std::vector<std::string> messages = [] {
    const char* const named = std::getenv("BENCH_RECORDING");
    auto recording = RecordingReader::Open(named != nullptr ? named : InSource("tests/recordings/spl-small.updates"));
    std::vector<std::string> out;
    while (recording.ok()) {
      const auto message = recording->Next();
      if (!message.ok() || !message->has_value()) break;
      out.emplace_back((*message)->bytes);
    }
    if (out.empty()) {
      std::fprintf(stderr, "no messages in the recording\n");
      std::exit(1);
    }
    return out;
  }();
  return messages;
}

void Report(benchmark::State& state) {
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * static_cast<int64_t>(Messages().size()));
}

void Walk(benchmark::State& state) {
  TransactionWalker walker;
  for (auto _ : state) {
    std::pmr::monotonic_buffer_resource arena(1u << 20);
    for (const std::string& message : Messages()) {
      auto walked = WalkMessage(message);
      benchmark::DoNotOptimize(walked);
      if (walked->kind == WalkedMessage::Kind::kTransaction) benchmark::DoNotOptimize(walker.Walk(message, &arena));
    }
  }
  Report(state);
}
BENCHMARK(Walk);

// The copies of the messages that the ledger takes are made outside of the measured time.
void WalkAndLedger(benchmark::State& state) {
  for (auto _ : state) {
    state.PauseTiming();
    std::vector<std::string> messages = Messages();
    LedgerCounters counters;
    state.ResumeTiming();
    Ledger ledger({}, &counters);
    std::vector<LedgerEvent> events;
    for (std::string& message : messages) {
      if (!ledger.Add(std::move(message), {}, &events).ok()) state.SkipWithError("the ledger refused a message");
    }
    if (events.empty()) state.SkipWithError("no block came out");
    events.clear();
  }
  Report(state);
}
BENCHMARK(WalkAndLedger);

}  // namespace
}  // namespace everstate::ingest
