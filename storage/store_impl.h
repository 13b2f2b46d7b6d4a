// What the files of this room share about RocksDB. No door: nobody outside storage/ includes it.
#pragma once

#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/slice.h>
#include <rocksdb/status.h>

#include <atomic>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/data_dir.h"
#include "storage/entity_store.h"
#include "storage/keys.h"
#include "storage/records.h"
#include "storage/snapshot.h"

namespace everstate {

inline rocksdb::Slice Slice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
inline std::string_view View(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

// The one place where RocksDB's errors become ours. `doing` says what failed, e.g. "opening /data/1".
absl::Status FromRocks(const rocksdb::Status& status, std::string_view doing);

// Options for any way of opening a store.
rocksdb::Options RocksOptions(uint64_t block_cache_bytes, std::shared_ptr<StoreCounters> counters);

// A value, or empty when there is no such row.
absl::StatusOr<std::optional<std::string>> ReadValue(rocksdb::DB* db, const rocksdb::ReadOptions& options,
                                                     std::string_view key, std::string_view doing);
// The same for rows that every store has: DataLoss when it is missing.
absl::StatusOr<std::string> ReadRequired(rocksdb::DB* db, RowKind kind);
// An entity's row; null when there is none. InvalidArgument when the schema has no such entity.
absl::StatusOr<RowRef> ReadEntity(rocksdb::DB* db, const rocksdb::ReadOptions& options, const RowSchema& schema,
                                  EntityId entity, std::string_view key);

// Opens a store that must not change: nothing is written or created in its directory, not even a log.
absl::StatusOr<std::unique_ptr<rocksdb::DB>> OpenUnchanged(const std::filesystem::path& dir);

// Stack, settings ("name=value,…") and schema. Errors: FailedPrecondition naming both sides of what differs.
absl::Status CheckIdentity(rocksdb::DB* db, const StoreIdentity& identity);

// Errors: FailedPrecondition naming both formats.
absl::Status CheckFormat(rocksdb::DB* db, const std::filesystem::path& dir);

// Watermark with its number, and the entity count beside it.
struct Position {
  Watermark watermark;
  uint64_t entities = 0;
};
absl::StatusOr<Position> ReadPosition(rocksdb::DB* db, const rocksdb::ReadOptions& options);

// All rows of a numbered kind, ascending.
absl::Status VisitNumbered(rocksdb::DB* db, RowKind kind,
                           const std::function<absl::Status(uint64_t sequence, std::string_view value)>& visit);
// Gaps and lineages lie under sequences from 1 without a hole.
absl::StatusOr<std::vector<Gap>> ReadGaps(rocksdb::DB* db);
absl::StatusOr<std::vector<LineageRecord>> ReadLineages(rocksdb::DB* db);

struct ChainLink {
  Slot slot = 0;
  Hash32 blockhash{};
};

// The first batch of each slot that the journal still holds.
struct JournalSlot {
  Slot slot = 0;
  Number first = 0;
};

// All of the journal's slots, ascending. DataLoss when numbers have a hole or do not end at the watermark.
absl::StatusOr<std::deque<JournalSlot>> ReadJournalSlots(rocksdb::DB* db, const Watermark& watermark);

struct EntityStore::Impl {
  Impl(GenerationClaim generation_claim, StoreOptions store_options, StoreIdentity store_identity,
       std::shared_ptr<StoreCounters> store_counters)
      : claim(std::move(generation_claim)),
        options(std::move(store_options)),
        identity(std::move(store_identity)),
        schema(identity.schema),
        counters(std::move(store_counters)) {}

  GenerationClaim claim;  // destroyed last: it may delete the generation, and gives back the lock
  const StoreOptions options;
  const StoreIdentity identity;
  const std::shared_ptr<const RowSchema> schema;
  const std::shared_ptr<StoreCounters> counters;
  std::unique_ptr<rocksdb::DB> db;

  std::atomic<int64_t> snapshots{0};  // alive
  std::atomic<bool> writer_taken{false}, writer_alive{false};
  std::atomic<bool> write_failed{false};  // RocksDB may have a broken WAL in hand: it is asked for nothing more

  // What the last batch left. The writer changes it after the batch is in RocksDB; everybody reads it under the mutex.
  mutable std::mutex mutex;
  Position position;
  std::vector<Gap> gaps;
  std::vector<LineageRecord> lineages;
  std::deque<ChainLink> chain;  // ascending by slot, at most chain_slots once a batch was applied
  std::optional<Slot> resumed_from;

  std::deque<JournalSlot> journal;  // ascending; the writer's thread only

  DataDir& data_dir() const { return *claim.dir(); }
  std::filesystem::path path() const { return GenerationPath(data_dir().path(), claim.generation()); }
  bool IsCurrent() const;  // by the file `current`
  absl::Status Create();
  absl::Status OpenExisting();

 private:
  absl::Status Load();
};

struct Snapshot::Impl {
  rocksdb::DB* db = nullptr;
  std::shared_ptr<const RowSchema> schema;
  std::atomic<int64_t>* alive = nullptr;
  const rocksdb::Snapshot* snapshot = nullptr;
  rocksdb::ReadOptions read_options;
  absl::Status failed;  // why the watermark could not be read; every call answers it
  Watermark watermark;

  EntityId entity = 0;
  std::string upper_bound;  // must outlive the iterator that is bounded by it
  rocksdb::Slice upper_bound_slice;
  std::unique_ptr<rocksdb::Iterator> iterator;
  bool fresh = false;  // the iterator stands on a row that Next has not given yet

  ~Impl();
};

}  // namespace everstate
