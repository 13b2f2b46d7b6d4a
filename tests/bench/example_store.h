// Batches for the store: 100,000 of the example entities, 1,000 of them changed in each batch.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "storage/entity_store.h"
#include "storage/entity_writer.h"
#include "tests/bench/example_entity.h"

namespace everstate::bench {

inline constexpr size_t kEntities = 100000, kRowsPerBatch = 1000;

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
      mutation.after = rows_[i] = ExampleRow(mutation.cursor);
      mutation.changed = mutation.after->present();
      batch.mutations.push_back(std::move(mutation));
    }
    return batch;
  }
  Batch Change() {
    Batch batch = Next();
    for (size_t n = 0; n < kRowsPerBatch; ++n) {
      const size_t i = (first_ + n * (kEntities / kRowsPerBatch)) % kEntities;
      batch.mutations.push_back(OneFieldChanged(keys_[i], rows_[i], {batch.block.slot, n + 1}, random_()));
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

// A store of all these entities with its writer. It aborts where a store cannot be opened or written.
class FilledStore {
 public:
  explicit FilledStore(const std::filesystem::path& data_dir) : store_(Open(data_dir)), writer_(store_->TakeWriter()) {
    for (size_t first = 0; first < kEntities; first += kRowsPerBatch) Apply(chain_.Begin(first));
  }
  static std::unique_ptr<EntityStore> Open(const std::filesystem::path& data_dir) {
    StoreOptions options;
    options.data_dir = data_dir;
    auto store = EntityStore::Open(options, {"bench", {}, "{}", "", ExampleSchema()});
    if (!store.ok()) std::abort();
    return *std::move(store);
  }
  void Apply(const Batch& batch) {
    if (!writer_->Apply(batch).ok()) std::abort();
  }
  Batch Change() { return chain_.Change(); }
  const EntityStore& store() const { return *store_; }

 private:
  Chain chain_;
  std::unique_ptr<EntityStore> store_;
  std::unique_ptr<EntityWriter> writer_;
};

}  // namespace everstate::bench
