// Snapshot: the store frozen at one number ("a look").
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "storage/model.h"
#include "storage/row.h"

namespace everstate {

// Snapshot
//   Thread:    one at a time; may move between threads.
//   Owns:      a RocksDB snapshot and its iterator; must be gone before the store closes.
//   Invariant: everything read through it belongs to watermark().number.
class Snapshot {
 public:
  ~Snapshot();
  const Watermark& watermark() const;
  absl::StatusOr<RowRef> Get(EntityId entity, std::string_view key);  // null when there is none

  // Entities in key order (bytes). Seek stands on the first key > after ("" = the first of all).
  void Seek(EntityId entity, std::string_view after);
  // The next row; null when the entity has no more. `key` lives until the next call.
  absl::StatusOr<RowRef> Next(std::string_view* key);

 private:
  friend class EntityStore;
  friend class JournalReader;
  struct Impl;
  explicit Snapshot(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace everstate
