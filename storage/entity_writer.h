// EntityWriter: the one hand that changes a store.
#pragma once

#include "absl/status/statusor.h"
#include "storage/entity_store.h"
#include "storage/model.h"

namespace everstate {

// EntityWriter
//   Thread:    one at a time (the projector). Holding it is the right to write; there is one per store.
//   Owns:      the timer thread that syncs the WAL; the store must outlive it.
//   Errors:    InvalidArgument (a slot at or below the watermark, a cursor out of order): nothing was written.
//              ResourceExhausted (disk full), DataLoss, Internal: the caller stops; nothing or all of the batch is in
//              the store.
//   Invariant: after OK, watermark().number is the batch's number, and a snapshot sees all of the batch or none of it.
class EntityWriter {
 public:
  ~EntityWriter();
  // Writes rows, side rows, journal row, chain row, gap, lineage and watermark in one WriteBatch; answers the batch's
  // number.
  absl::StatusOr<Number> Apply(const Batch& batch);
  absl::Status SyncWal();

 private:
  friend class EntityStore;
  explicit EntityWriter(EntityStore* store);
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace everstate
