// What it costs to get a message from a provider: the CPU time of the whole process, gRPC's threads included, while
// another process serves the feed at the endpoint that BENCH_ENDPOINT names.
#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdlib>

#include "server/base/base58.h"
#include "server/ingest/yellowstone.h"

namespace everstate::ingest {
namespace {

constexpr int kMessagesPerIteration = 20000, kMessagesBefore = 20000;

// Everything that a recording of the SPL Token program has.
Subscription TokenProgram() {
  const auto token = DecodeBase58Key32("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA");
  return {{*token}, {*token}, Commitment::kConfirmed};
}

bool Take(Connection* connection, int messages) {
  for (int n = 0; n < messages; ++n) {
    const auto message = connection->Next(std::chrono::steady_clock::now() + std::chrono::seconds(10));
    if (!message.ok() || !message->has_value()) return false;
    benchmark::DoNotOptimize(*message);
  }
  return true;
}

void Receive(benchmark::State& state) {
  const char* const endpoint = std::getenv("BENCH_ENDPOINT");
  if (endpoint == nullptr) return state.SkipWithError("BENCH_ENDPOINT names no feed");
  auto source = OpenYellowstone({.endpoint = endpoint});
  if (!source.ok()) return state.SkipWithError(source.status().ToString().c_str());
  auto connection = (*source)->Connect(TokenProgram(), std::nullopt);
  if (!connection.ok()) return state.SkipWithError(connection.status().ToString().c_str());
  if (!Take(connection->get(), kMessagesBefore)) return state.SkipWithError("the feed ended");
  for (auto _ : state) {
    if (!Take(connection->get(), kMessagesPerIteration)) state.SkipWithError("the feed ended");
  }
  state.SetItemsProcessed(state.iterations() * kMessagesPerIteration);
  (*connection)->Cancel();
}
BENCHMARK(Receive)->MeasureProcessCPUTime()->MinTime(3)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace everstate::ingest
