// EntityStore: the state on disk. One store is one generation: `<data>/<generation>/` is a RocksDB, and the file
// `<data>/current` names the generation in force.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/counters.h"
#include "storage/checkpoint.h"
#include "storage/model.h"
#include "storage/row.h"

namespace everstate {

inline constexpr uint32_t kStoreFormat = 2;  // version of everything that lies in a store

struct StoreOptions {
  std::filesystem::path data_dir;
  uint32_t wal_sync_interval_ms = 100;  // what a power loss may take; 0: every batch is synced
  uint64_t journal_slots = 1000;        // batches of this many newest slots stay in the journal
  uint64_t chain_slots = 4096;          // slot -> blockhash kept for linking and for refusing another chain
  uint64_t block_cache_bytes = 256ull << 20;
};

// What a store belongs to. Recorded when it is created, compared when it is opened.
struct StoreIdentity {
  std::string stack_name;
  Hash32 stack_hash{};     // content hash of the stack file
  std::string stack_text;  // the file itself
  std::string settings;    // those that change state, in one canonical text; part of lineage L0
  std::shared_ptr<const RowSchema> schema;
};

// Counted by a store, and by the generations begun from it.
struct StoreCounters {
  Counter merge_failures;
};

inline constexpr auto kStoreCounters = std::to_array<Described<StoreCounters>>({
    {"merge_failures", &StoreCounters::merge_failures, "Row changes that did not fit their row: the row is damaged"},
});
static_assert(DescribesAll(kStoreCounters));

class EntityWriter;
class Snapshot;

// EntityStore
//   Thread:    all const functions from any thread; the writer is the one that changes it.
//   Errors:    FailedPrecondition (format, stack or settings differ; the message names both), Unavailable (another
//              process has it open), DataLoss (numbers with a hole, checksums), ResourceExhausted (disk full), Internal
//              (other RocksDB errors).
//   Invariant: watermark, entities and side rows of one snapshot belong to the same batch.
class EntityStore {
 public:
  // Opens the current generation, or creates generation 1 when there is none. A generation that `current` never named
  // is deleted. Checks format version, stack, and that the journal's numbers have no hole and end at the watermark's.
  static absl::StatusOr<std::unique_ptr<EntityStore>> Open(const StoreOptions& options, const StoreIdentity& identity);
  ~EntityStore();  // every Snapshot and the EntityWriter must be gone

  // The right to write; once per store.
  std::unique_ptr<EntityWriter> TakeWriter();
  std::unique_ptr<Snapshot> TakeSnapshot() const;

  uint64_t generation() const;
  Watermark watermark() const;
  std::vector<Gap> gaps() const;
  std::string lineage() const;  // hex of the newest; empty before the first block
  struct LineageStart {
    std::string lineage;   // hex
    Number begins_at = 0;  // the first batch in it
  };
  std::vector<LineageStart> lineages() const;  // all that led here, oldest first
  const RowSchema& schema() const;
  std::optional<Hash32> BlockhashOf(Slot slot) const;  // of an applied slot among the newest chain_slots

  // Newest state, for the writer's own thread: the entity's row (null when there is none) and side rows.
  absl::StatusOr<RowRef> Get(EntityId entity, std::string_view key) const;
  absl::StatusOr<std::optional<std::string>> GetSide(const SideKey& key) const;
  // Side rows of one (kind, entity, name) whose id begins with `prefix`, ascending by id, until `visit` answers false.
  absl::Status ScanSide(SideKind kind, EntityId entity, uint16_t name, std::string_view prefix,
                        const std::function<bool(std::string_view id, std::string_view value)>& visit) const;

  struct Sizes {
    uint64_t sst_bytes = 0, memtable_bytes = 0, wal_bytes = 0, entities_estimate = 0;
    uint64_t background_errors = 0;
  };
  Sizes sizes() const;
  const StoreCounters& counters() const;

  // A checkpoint of the newest applied batch, or of one applied meanwhile. Any thread, one at a time (a second waits);
  // batches go on being applied and wait for nothing. When one of this block, last index and lineage exists already, it
  // is answered. FailedPrecondition before the first block and after a failed write; ResourceExhausted names what had
  // no room. After any error nothing of it is left and the store goes on.
  absl::StatusOr<CheckpointInfo> CreateCheckpoint() const;

  // A new generation beside this one, begun from a copy of the checkpoint, which was verified. `current` goes on naming
  // this one until MakeCurrent. FailedPrecondition: of another stack, of other settings, or (unless this store is
  // empty) of a lineage that did not lead here; when this generation is not in force, or another one is being filled.
  // DataLoss as VerifyCheckpoint says. Any thread. What is begun is deleted with its store unless MakeCurrent came
  // first; readers may hold either store as long as they like.
  absl::StatusOr<std::unique_ptr<EntityStore>> BeginGeneration(const CheckpointInfo& checkpoint) const;
  // Of a store that BeginGeneration made: `current` names it from here on and records which slot a rewind asked for.
  // The generation that it came from is kept, older ones are deleted (when they are closed, if they are open).
  absl::Status MakeCurrent(Slot resumed_from);
  // What `current` records of the last rewind; empty when this generation was not made by one.
  std::optional<Slot> resumed_from() const;

 private:
  friend class EntityWriter;
  friend class Snapshot;
  struct Impl;
  explicit EntityStore(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

inline constexpr auto kStoreSizes = std::to_array<Described<EntityStore::Sizes>>({
    {"sst_bytes", &EntityStore::Sizes::sst_bytes, "Bytes of the store's tables", CountKind::kGauge},
    {"memtable_bytes", &EntityStore::Sizes::memtable_bytes, "Bytes of the store's memtables", CountKind::kGauge},
    {"wal_bytes", &EntityStore::Sizes::wal_bytes, "Bytes of the write-ahead log", CountKind::kGauge},
    {"entities_estimate", &EntityStore::Sizes::entities_estimate, "Entities in the store", CountKind::kGauge},
    {"background_errors", &EntityStore::Sizes::background_errors,
     "Failed flushes and compactions of the open generation", CountKind::kGauge},
});
static_assert(DescribesAll(kStoreSizes));

}  // namespace everstate
