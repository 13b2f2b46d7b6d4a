// What the store costs per changed row: batches of 1,000 mutations, one field each, over 100,000 entities. The CPU time
// is that of the whole process: flushes, compactions and the syncs of the log are in it, and so is making the next rows
// (row_bench).
#include <benchmark/benchmark.h>

#include "tests/bench/example_store.h"
#include "tests/support/temporary_folder.h"

namespace everstate {
namespace {

void ApplyOneFieldOfTwenty(benchmark::State& state) {
  const TemporaryFolder folder;
  bench::FilledStore filled(folder.path());
  for (auto _ : state) filled.Apply(filled.Change());
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(bench::kRowsPerBatch));
}
BENCHMARK(ApplyOneFieldOfTwenty)->MeasureProcessCPUTime()->MinTime(3)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace everstate
