// What the store costs per changed row: batches of 1,000 mutations, one field each, over 100,000 entities. The CPU time
// is that of the whole process: flushes, compactions and the syncs of the log are in it, and so is making the next rows
// (row_bench).
#include <benchmark/benchmark.h>

#include <filesystem>
#include <random>
#include <string>
#include <system_error>
#include <vector>

#include "storage/entity_store.h"
#include "storage/entity_writer.h"
#include "tests/bench/example_entity.h"

namespace everstate {
namespace {

constexpr size_t kEntities = 100000, kRowsPerBatch = 1000;

class Folder {
 public:
  Folder() {
    std::string path = (std::filesystem::temp_directory_path() / "everstate-bench-XXXXXX").string();
    if (mkdtemp(path.data()) == nullptr) std::abort();
    path_ = path;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// A chain of batches, each of which changes other rows.
class Chain {
 public:
  Chain() : rows_(kEntities) {
    for (size_t i = 0; i < kEntities; ++i) keys_.push_back("Entity" + std::to_string(random_()) + std::string(18, 'k'));
  }
  // The next so many entities, from the first one on: they begin to exist.
  Batch Begin(size_t first) {
    Batch batch = Next();
    for (size_t i = first; i < first + kRowsPerBatch; ++i) {
      Mutation mutation;
      mutation.key = keys_[i];
      mutation.cursor = {batch.block.slot, batch.mutations.size() + 1};
      mutation.after = rows_[i] = bench::ExampleRow(mutation.cursor);
      mutation.changed = mutation.after->present();
      batch.mutations.push_back(std::move(mutation));
    }
    return batch;
  }
  Batch Change() {
    Batch batch = Next();
    for (size_t n = 0; n < kRowsPerBatch; ++n) {
      const size_t i = (first_ + n * (kEntities / kRowsPerBatch)) % kEntities;
      batch.mutations.push_back(bench::OneFieldChanged(keys_[i], rows_[i], {batch.block.slot, n + 1}, random_()));
      rows_[i] = batch.mutations.back().after;
    }
    first_ = random_() % kEntities;
    return batch;
  }

 private:
  Batch Next() {
    Batch batch;
    batch.block.parent_slot = slot_;
    batch.block.parent_blockhash.fill(static_cast<uint8_t>(slot_));
    batch.block.slot = ++slot_;
    batch.block.blockhash.fill(static_cast<uint8_t>(slot_));
    return batch;
  }

  std::mt19937_64 random_{7};
  std::vector<std::string> keys_;
  std::vector<RowRef> rows_;
  Slot slot_ = 1000;
  size_t first_ = 0;
};

void ApplyOneFieldOfTwenty(benchmark::State& state) {
  const Folder folder;
  StoreOptions options;
  options.data_dir = folder.path();
  auto store = EntityStore::Open(options, {"bench", {}, "{}", "", bench::ExampleSchema()});
  if (!store.ok()) return state.SkipWithError(store.status().ToString().c_str());
  auto writer = (*store)->TakeWriter();
  Chain chain;
  for (size_t first = 0; first < kEntities; first += kRowsPerBatch) {
    if (!writer->Apply(chain.Begin(first)).ok()) return state.SkipWithError("the first rows were not applied");
  }
  for (auto _ : state) {
    if (const auto number = writer->Apply(chain.Change()); !number.ok())
      state.SkipWithError(number.status().ToString().c_str());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kRowsPerBatch));
  writer.reset();
}
BENCHMARK(ApplyOneFieldOfTwenty)->MeasureProcessCPUTime()->MinTime(3)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace everstate
