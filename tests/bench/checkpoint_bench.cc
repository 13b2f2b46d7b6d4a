// What a person waits for: how long a batch takes while a checkpoint of 100,000 entities is made, and the open of a
// store whose process was killed with as much in its WAL as it ever has. Figures are wall time: what is asked is how
// long something stands still.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "storage/checkpoint.h"
#include "tests/bench/example_store.h"
#include "tests/support/temporary_folder.h"

namespace everstate {
namespace {

constexpr size_t kCheckpointsKept = 3;
constexpr auto kBatchTime = std::chrono::milliseconds(20);  // from one to the next: twenty times the chain's pace

double MillisecondsSince(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
}

class Times {
 public:
  void Add(double ms) { all_.push_back(ms); }
  void Report(benchmark::State& state, const std::string& name) {
    if (all_.empty()) return state.SkipWithError(("nothing was measured: " + name).c_str());
    std::sort(all_.begin(), all_.end());
    state.counters[name + "_median_ms"] = all_[all_.size() / 2];
    state.counters[name + "_longest_ms"] = all_.back();
  }

 private:
  std::vector<double> all_;
};

// Batches of 1,000 rows while a checkpoint is made, and as many while none is.
void ApplyWhileACheckpointIsMade(benchmark::State& state) {
  const TemporaryFolder folder;
  bench::FilledStore filled(folder.path());
  const auto timed_apply = [&filled](Times* times) {
    const Batch batch = filled.Change();
    const auto begin = std::chrono::steady_clock::now();
    filled.Apply(batch);
    times->Add(MillisecondsSince(begin));
    std::this_thread::sleep_until(begin + kBatchTime);
  };
  Times during, without, checkpoints;
  for (auto _ : state) {
    std::atomic<bool> making{true};
    std::thread maker([&] {
      const auto begin = std::chrono::steady_clock::now();
      if (!filled.store().CreateCheckpoint().ok()) std::abort();
      checkpoints.Add(MillisecondsSince(begin));
      making = false;
    });
    size_t applied = 0;
    for (; making; ++applied) timed_apply(&during);
    maker.join();
    if (!PruneCheckpoints(folder.path(), kCheckpointsKept).ok()) std::abort();
    for (; applied > 0; --applied) timed_apply(&without);
  }
  during.Report(state, "apply_during");
  without.Report(state, "apply_without");
  checkpoints.Report(state, "checkpoint");
}
BENCHMARK(ApplyWhileACheckpointIsMade)->UseRealTime()->Unit(benchmark::kMillisecond)->Iterations(10);

// The files as they lie there are what a killed process leaves.
void OpenAfterKill(benchmark::State& state) {
  const TemporaryFolder live;
  bench::FilledStore filled(live.path());
  const auto wal_bytes = [&filled] { return filled.store().sizes().wal_bytes; };
  // How far it grows between two flushes, and nearly that far again.
  uint64_t largest = 0;
  for (int flush = 0; flush < 2; ++flush) {
    for (largest = 0; wal_bytes() >= largest; filled.Apply(filled.Change())) largest = wal_bytes();
  }
  while (wal_bytes() < largest / 10 * 9) filled.Apply(filled.Change());
  state.counters["wal_mb"] = static_cast<double>(wal_bytes()) / (1 << 20);
  for (auto _ : state) {
    state.PauseTiming();
    const TemporaryFolder left;
    std::filesystem::copy(live.path(), left.path(), std::filesystem::copy_options::recursive);
    state.ResumeTiming();
    auto store = bench::FilledStore::Open(left.path());
    state.PauseTiming();
    if (store->watermark().block.slot != filled.store().watermark().block.slot)
      state.SkipWithError("something was lost");
    store.reset();
    state.ResumeTiming();
  }
}
BENCHMARK(OpenAfterKill)->UseRealTime()->Unit(benchmark::kMillisecond)->Iterations(5);

}  // namespace
}  // namespace everstate
