// Reading a store from outside, also a running server's, without disturbing it: as a RocksDB secondary instance whose
// own files lie in a temporary folder. (A read-only open of a live store races with its flushes; a secondary does not.)
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/checkpoint.h"
#include "storage/entity_store.h"
#include "storage/model.h"
#include "storage/row.h"

namespace everstate {

// NotFound when the directory holds no store. Errors also: those of reading which generation is in force.
absl::Status CheckStoreIn(const std::filesystem::path& data_dir);

// The lineages, in hex, that led to the state in force, oldest first; none before its first block. It writes nothing,
// not even a temporary file, so it is also for a full disk; nobody may have the store open: the caller holds the data
// directory's lock. Errors: those of CheckStoreIn, and of opening and reading the store.
absl::StatusOr<std::vector<std::string>> LineagesIn(const std::filesystem::path& data_dir);

struct StoreReport {
  std::string stack_name, stack_hash_hex, lineage_hex;
  uint64_t generation = 0;
  Watermark watermark;
  std::map<std::string, uint64_t> entities;  // exact counts by entity name
  std::vector<Gap> gaps;
  std::map<std::string, uint64_t> sizes;     // bytes by row kind (keys and values), and "sst_bytes", "wal_bytes"
  std::vector<CheckpointEntry> checkpoints;  // of the data directory
};

// StoreInspector
//   Thread:  one at a time.
//   Owns:    the temporary folder; removes it.
//   Errors:  NotFound (no store in data_dir), FailedPrecondition (format), DataLoss. One failed open is tried again: it
//            is never reported as corruption before the fifth.
class StoreInspector {
 public:
  // The generation that `current` names, or another one: NotFound lists those that are there.
  static absl::StatusOr<std::unique_ptr<StoreInspector>> Open(const std::filesystem::path& data_dir,
                                                              std::optional<uint64_t> generation = std::nullopt);
  ~StoreInspector();

  const RowSchema& schema() const;
  // What the store was created with: EntityStore::Open with it opens this store as it is, without its stack file.
  absl::StatusOr<StoreIdentity> Identity() const;
  absl::StatusOr<StoreReport> Report();
  // Rows of one entity in key order, until `visit` answers false.
  absl::Status Scan(EntityId entity, const std::function<bool(std::string_view key, const Row& row)>& visit);
  absl::StatusOr<RowRef> Get(EntityId entity, std::string_view key);
  // Hex of SHA-256 over the format version (u32), then (u32 key length, key, u32 value length, value), all
  // little-endian, of the rows of state in key order: entities, side rows of all kinds, and the watermark without its
  // number. Not in it: number, journal, gaps, chain, stack file, schema, settings, lineage.
  absl::StatusOr<std::string> Digest();

 private:
  struct Impl;
  explicit StoreInspector(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace everstate
