// What a frame costs: a batch of 1,000 mutations encoded for one view that somebody listens to, WebSocket header
// included.
#include <benchmark/benchmark.h>

#include <memory>
#include <string>

#include "server/fanout/publication.h"
#include "tests/bench/example_entity.h"

namespace everstate {
namespace {

constexpr size_t kMutations = 1000;

void Encode(benchmark::State& state, Mutation (*change)(std::string, RowRef, Cursor, uint64_t)) {
  const ViewTable views(*bench::ExampleSchema());
  views.view(0).listeners.store(1);
  const auto batch = std::make_shared<Batch>();
  batch->block.slot = 250000001;
  for (size_t n = 1; n <= kMutations; ++n) {
    std::string key = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623V" + std::to_string(1000 + n);
    batch->mutations.push_back(change(std::move(key), bench::ExampleRow(), {batch->block.slot, n}, n * 1000003));
  }
  Counter frames;
  size_t bytes = 0;
  for (auto _ : state) {
    const auto publication = EncodePublication(views, Applied{1, 1, batch}, &frames);
    bytes = publication->views.at(0).bytes.size();
    benchmark::DoNotOptimize(publication);
  }
  state.SetItemsProcessed(static_cast<int64_t>(frames.value()));
  state.counters["frame_bytes"] = static_cast<double>(bytes) / kMutations;
}

void EncodeFramesOfTwentyFields(benchmark::State& state) { Encode(state, bench::AllFieldsChanged); }
void EncodeFramesOfOneField(benchmark::State& state) { Encode(state, bench::OneFieldChanged); }
BENCHMARK(EncodeFramesOfTwentyFields);
BENCHMARK(EncodeFramesOfOneField);

}  // namespace
}  // namespace everstate
