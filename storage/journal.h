// Journal: one row per applied batch, kept for the newest journal_slots slots. It answers what a client that has seen
// the state up to a cursor does not know yet.
//
// Bytes of a journal row, under the batch's number: u8 batch kind, varint slot, varint last index (the watermark's
// cursor after the batch), varint number of entries, then per entry, in the order of the mutations: u8 (1 = deleted, 0
// = changed), varint entity, varint cursor index, varint key length, key.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/model.h"
#include "storage/snapshot.h"

namespace everstate {

struct JournalEntry {
  EntityId entity = 0;
  uint64_t index = 0;    // of the mutation's cursor; its slot is the row's
  bool deleted = false;  // a tombstone: the mutation left no row
  std::string_view key;
};

struct JournalRow {
  Number number = 0;
  BatchKind kind = BatchKind::kSlot;
  Cursor cursor;  // the watermark's after the batch
  std::vector<JournalEntry> entries;
};

// Appends the row of a batch that brings the watermark to `cursor`.
void AppendJournalRow(const Batch& batch, Cursor cursor, std::string* out);
// Keys in the answer point into `bytes`. Errors: DataLoss naming the number and the offset.
absl::StatusOr<JournalRow> ParseJournalRow(Number number, std::string_view bytes);
// The same without the entries, for those who only want the position.
absl::StatusOr<JournalRow> ParseJournalHead(Number number, std::string_view bytes);

// JournalReader: the journal as one snapshot has it.
//   Thread:  the snapshot's; the snapshot must outlive it.
//   Errors:  DataLoss (a row that cannot be read), Internal.
class JournalReader {
 public:
  explicit JournalReader(const Snapshot* snapshot) : snapshot_(snapshot) {}
  // True when every change after the cursor is in the journal and the cursor is not in the future.
  absl::StatusOr<bool> Covers(Cursor after) const;
  // Batches that contain a change after the cursor, ascending by number, until `visit` answers false. A batch of the
  // cursor's own slot may hold entries at or below the cursor too. What `visit` sees lives until it returns.
  absl::Status VisitAfter(Cursor after, const std::function<bool(const JournalRow&)>& visit) const;

 private:
  const Snapshot* snapshot_;
};

}  // namespace everstate
