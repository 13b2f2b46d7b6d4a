#include "storage/journal.h"

#include <fmt/core.h>
#include <rocksdb/db.h>

#include <memory>
#include <optional>

#include "storage/keys.h"
#include "storage/store_impl.h"
#include "storage/value.h"

namespace everstate {
namespace {

// Takes varints and bytes off a journal row; `ok` turns false at the first thing that is not there, and stays so.
struct RowBytes {
  std::string_view all;
  size_t at = 0;
  bool ok = true;

  uint8_t Byte() {
    if (at >= all.size()) return ok = false, 0;
    return static_cast<uint8_t>(all[at++]);
  }
  uint64_t Varint() {
    uint64_t v = 0;
    for (int shift = 0; shift < 64 && ok; shift += 7) {
      const uint8_t byte = Byte();
      v |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return v;
    }
    return ok = false, 0;
  }
  std::string_view Bytes(uint64_t size) {
    if (size > all.size() - at) return ok = false, std::string_view();
    const std::string_view part = all.substr(at, size);
    at += size;
    return part;
  }
};

absl::Status Unreadable(Number number, const RowBytes& row) {
  return absl::DataLossError(fmt::format("journal row {} cannot be read at offset {}", number, row.at));
}

absl::StatusOr<JournalRow> ParseHead(Number number, RowBytes* row) {
  JournalRow out;
  out.number = number;
  out.kind = BatchKind{row->Byte()};
  out.cursor.slot = row->Varint();
  out.cursor.index = row->Varint();
  if (!row->ok || out.kind < BatchKind::kSlot || out.kind > BatchKind::kGap) return Unreadable(number, *row);
  return out;
}

// The head of the journal row the iterator stands on; empty when it stands on no journal row.
absl::StatusOr<std::optional<JournalRow>> HeadAt(const rocksdb::Iterator& it) {
  if (!it.Valid()) {
    if (!it.status().ok()) return FromRocks(it.status(), "reading the journal");
    return std::nullopt;
  }
  const auto number = ParseNumberedKey(RowKind::kJournal, View(it.key()));
  if (!number) return std::nullopt;
  auto head = ParseJournalHead(*number, View(it.value()));
  if (!head.ok()) return head.status();
  return *std::move(head);
}

}  // namespace

void AppendJournalRow(const Batch& batch, Cursor cursor, std::string* out) {
  out->push_back(static_cast<char>(batch.kind));
  AppendVarint(cursor.slot, out);
  AppendVarint(cursor.index, out);
  AppendVarint(batch.mutations.size(), out);
  for (const Mutation& mutation : batch.mutations) {
    out->push_back(mutation.after ? 0 : 1);
    AppendVarint(mutation.entity, out);
    AppendVarint(mutation.cursor.index, out);
    AppendVarint(mutation.key.size(), out);
    out->append(mutation.key);
  }
}

absl::StatusOr<JournalRow> ParseJournalHead(Number number, std::string_view bytes) {
  RowBytes row{bytes};
  return ParseHead(number, &row);
}

absl::StatusOr<JournalRow> ParseJournalRow(Number number, std::string_view bytes) {
  RowBytes row{bytes};
  auto parsed = ParseHead(number, &row);
  if (!parsed.ok()) return parsed;
  const uint64_t count = row.Varint();
  for (uint64_t i = 0; i < count && row.ok; ++i) {
    const uint8_t deleted = row.Byte();
    const uint64_t entity = row.Varint();
    const uint64_t index = row.Varint();
    const std::string_view key = row.Bytes(row.Varint());
    if (deleted > 1 || entity > UINT16_MAX) row.ok = false;
    parsed->entries.push_back({static_cast<EntityId>(entity), index, deleted == 1, key});
  }
  if (!row.ok || row.at != bytes.size()) return Unreadable(number, row);
  return parsed;
}

absl::StatusOr<bool> JournalReader::Covers(Cursor after) const {
  const Snapshot::Impl& snapshot = *snapshot_->impl_;
  if (!snapshot.failed.ok()) return snapshot.failed;
  if (after > snapshot.watermark.cursor()) return false;
  KeyBuffer keys;
  const std::unique_ptr<rocksdb::Iterator> it(snapshot.db->NewIterator(snapshot.read_options));
  it->Seek(Slice(keys.Numbered(RowKind::kJournal, 0)));
  const auto oldest = HeadAt(*it);
  if (!oldest.ok()) return oldest.status();
  // Without a row nothing was ever applied. Number 1 has nothing before it; a later row's own changes may reach back to
  // just after its predecessor, so only cursors from its own on are sure to miss nothing.
  return !*oldest || (*oldest)->number == 1 || (*oldest)->cursor <= after;
}

absl::Status JournalReader::VisitAfter(Cursor after, const std::function<bool(const JournalRow&)>& visit) const {
  const Snapshot::Impl& snapshot = *snapshot_->impl_;
  if (!snapshot.failed.ok()) return snapshot.failed;
  KeyBuffer keys;
  const std::unique_ptr<rocksdb::Iterator> it(snapshot.db->NewIterator(snapshot.read_options));
  // Cursors ascend with numbers, and the wanted ones are mostly the last few: walk back from the end.
  it->SeekForPrev(Slice(keys.Numbered(RowKind::kJournal, UINT64_MAX)));
  Number first = 0;
  for (;; it->Prev()) {
    const auto head = HeadAt(*it);
    if (!head.ok()) return head.status();
    if (!*head || (*head)->cursor <= after) break;
    first = (*head)->number;
  }
  if (first == 0) return absl::OkStatus();
  for (it->Seek(Slice(keys.Numbered(RowKind::kJournal, first))); it->Valid(); it->Next()) {
    const auto number = ParseNumberedKey(RowKind::kJournal, View(it->key()));
    if (!number) break;
    const auto row = ParseJournalRow(*number, View(it->value()));
    if (!row.ok()) return row.status();
    if (!visit(*row)) return absl::OkStatus();
  }
  return FromRocks(it->status(), "reading the journal");
}

}  // namespace everstate
