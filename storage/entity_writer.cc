#include "storage/entity_writer.h"

#include <fmt/core.h>
#include <rocksdb/write_batch.h>

#include <chrono>
#include <condition_variable>
#include <thread>
#include <utility>

#include "storage/journal.h"
#include "storage/row.h"
#include "storage/row_change.h"
#include "storage/store_impl.h"

namespace everstate {

struct EntityWriter::Impl {
  explicit Impl(EntityStore::Impl* owner) : store(*owner) {}

  // Everything that a batch changes besides rows: decided before anything is written, published after.
  struct Next {
    Position position;
    std::optional<LineageRecord> lineage;
    size_t journal_slots_dropped = 0;
    size_t chain_links_dropped = 0;
  };

  absl::Status Validate(const Batch& batch) const;
  absl::Status ValidateGap(const Batch& batch) const;
  absl::Status ValidateMutations(const Batch& batch) const;
  Next Decide(const Batch& batch) const;
  void PutRows(const Batch& batch);
  void PutRecords(const Batch& batch, const Next& next);
  void DropOldTails(const Next& next);
  void Publish(const Batch& batch, Next next);
  absl::Status Write(Number number);
  absl::Status Fail(absl::Status status);  // with the mutex held, as the next
  absl::Status SyncLocked();
  void SyncUntilStopped();

  void Put(std::string_view key, std::string_view value) { write_batch.Put(Slice(key), Slice(value)); }
  bool StartsSlot(const Next& next) const {
    return store.journal.empty() || store.journal.back().slot != next.position.watermark.block.slot;
  }

  EntityStore::Impl& store;
  // Kept between batches for their memory.
  rocksdb::WriteBatch write_batch;
  KeyBuffer keys;
  std::string journal_row, change;

  // Held while RocksDB writes or syncs: a library built with assertions aborts when the WAL is synced after a write to
  // it failed, so between the two it must be known how the write went.
  std::mutex mutex;
  bool unsynced = false;
  bool stopping = false;
  absl::Status failed;  // the first failed write or sync: what followed it would not be recoverable
  std::condition_variable stop;
  std::thread sync_thread;
};

absl::Status EntityWriter::Impl::ValidateGap(const Batch& batch) const {
  if (batch.gap.has_value() != (batch.kind == BatchKind::kGap)) {
    return absl::InvalidArgumentError("a batch of kind gap has a gap, and no other has one");
  }
  if (!batch.gap) return absl::OkStatus();
  if (store.lineages.empty()) return absl::InvalidArgumentError("a gap before the first block");
  const Slot applied = store.position.watermark.block.slot;
  if (batch.gap->from != applied || batch.gap->to <= applied) {
    return absl::InvalidArgumentError(fmt::format("a gap from {} to {} does not begin at the last applied slot {}",
                                                  batch.gap->from, batch.gap->to, applied));
  }
  return absl::OkStatus();
}

absl::Status EntityWriter::Impl::ValidateMutations(const Batch& batch) const {
  const Watermark& watermark = store.position.watermark;
  const bool is_slot = batch.kind == BatchKind::kSlot;
  Cursor last = is_slot ? Cursor{batch.block.slot, 0} : watermark.cursor();
  for (const Mutation& mutation : batch.mutations) {
    if (mutation.entity >= store.schema->entities().size()) {
      return absl::InvalidArgumentError(
          fmt::format("a mutation of entity {}, which the schema lacks", mutation.entity));
    }
    if (mutation.key.empty()) return absl::InvalidArgumentError("a mutation with an empty key");
    if (mutation.cursor.slot != last.slot || mutation.cursor <= last) {
      return absl::InvalidArgumentError(fmt::format("cursor out of order: {} of key `{}` follows {}",
                                                    mutation.cursor.ToSeq(), mutation.key, last.ToSeq()));
    }
    if (!mutation.before && !mutation.after) {
      return absl::InvalidArgumentError(
          fmt::format("the mutation of key `{}` has no row before and none after", mutation.key));
    }
    if (mutation.after && mutation.after->cursor() != mutation.cursor) {
      return absl::InvalidArgumentError(fmt::format("the row of key `{}` has cursor {}, its mutation {}", mutation.key,
                                                    mutation.after->cursor().ToSeq(), mutation.cursor.ToSeq()));
    }
    last = mutation.cursor;
  }
  return absl::OkStatus();
}

absl::Status EntityWriter::Impl::Validate(const Batch& batch) const {
  const Watermark& watermark = store.position.watermark;
  if (batch.kind < BatchKind::kSlot || batch.kind > BatchKind::kGap) {
    return absl::InvalidArgumentError(fmt::format("unknown kind of batch {}", static_cast<int>(batch.kind)));
  }
  if (batch.kind == BatchKind::kSlot && watermark.number != 0 && batch.block.slot <= watermark.block.slot) {
    return absl::InvalidArgumentError(
        fmt::format("slot {} is not above the watermark's slot {}", batch.block.slot, watermark.block.slot));
  }
  if (auto status = ValidateGap(batch); !status.ok()) return status;
  for (const SideWrite& write : batch.side) {
    if (!IsSideKind(write.key.kind)) {
      return absl::InvalidArgumentError(fmt::format("unknown kind of side row {}", static_cast<int>(write.key.kind)));
    }
  }
  return ValidateMutations(batch);
}

EntityWriter::Impl::Next EntityWriter::Impl::Decide(const Batch& batch) const {
  Next next{store.position, std::nullopt};
  Watermark& watermark = next.position.watermark;
  ++watermark.number;
  if (batch.kind == BatchKind::kSlot) {
    watermark.block = batch.block;
    watermark.last_index = 0;
    if (store.lineages.empty()) {
      next.lineage = {watermark.number, FirstLineage(store.identity.stack_hash, batch.block, store.identity.settings)};
    }
    if (store.chain.size() + 1 > store.options.chain_slots) {
      next.chain_links_dropped = store.chain.size() + 1 - store.options.chain_slots;
    }
  }
  if (!batch.mutations.empty()) watermark.last_index = batch.mutations.back().cursor.index;
  if (batch.gap) next.lineage = {watermark.number, NextLineage(store.lineages.back().hash, *batch.gap)};
  for (const Mutation& mutation : batch.mutations) {
    if (!mutation.before) ++next.position.entities;
    if (!mutation.after && next.position.entities > 0) --next.position.entities;
  }
  const size_t journal_slots = store.journal.size() + (StartsSlot(next) ? 1 : 0);
  if (journal_slots > store.options.journal_slots)
    next.journal_slots_dropped = journal_slots - store.options.journal_slots;
  return next;
}

void EntityWriter::Impl::PutRows(const Batch& batch) {
  for (const Mutation& mutation : batch.mutations) {
    const std::string_view key = keys.Entity(mutation.entity, mutation.key);
    if (!mutation.after) {
      write_batch.Delete(Slice(key));
    } else if (mutation.before && mutation.after->stored_as_change()) {
      change.clear();
      AppendRowChange(mutation, &change);
      write_batch.Merge(Slice(key), Slice(change));
    } else {
      Put(key, mutation.after->bytes());
    }
  }
  for (const SideWrite& write : batch.side) {
    const std::string_view key = keys.Side(write.key);
    if (write.value) {
      Put(key, *write.value);
    } else {
      write_batch.Delete(Slice(key));
    }
  }
}

void EntityWriter::Impl::PutRecords(const Batch& batch, const Next& next) {
  const Watermark& watermark = next.position.watermark;
  journal_row.clear();
  AppendJournalRow(batch, watermark.cursor(), &journal_row);
  Put(keys.Numbered(RowKind::kJournal, watermark.number), journal_row);
  if (batch.kind == BatchKind::kSlot) {
    Put(keys.Numbered(RowKind::kChain, watermark.block.slot), BytesOf(watermark.block.blockhash));
  }
  if (batch.gap) Put(keys.Numbered(RowKind::kGap, store.gaps.size() + 1), EncodeGap(*batch.gap));
  if (next.lineage) Put(keys.Numbered(RowKind::kLineage, store.lineages.size() + 1), EncodeLineage(*next.lineage));
  Put(keys.Single(RowKind::kWatermark), EncodeWatermark(watermark));
  Put(keys.Single(RowKind::kNumber), EncodeNumber({watermark.number, next.position.entities}));
}

void EntityWriter::Impl::DropOldTails(const Next& next) {
  if (next.journal_slots_dropped > 0) {
    // The slots that stay begin at this batch's number when it replaces all of them.
    const Number end = next.journal_slots_dropped < store.journal.size()
                           ? store.journal[next.journal_slots_dropped].first
                           : next.position.watermark.number;
    for (Number number = store.journal.front().first; number < end; ++number) {
      write_batch.Delete(Slice(keys.Numbered(RowKind::kJournal, number)));
    }
  }
  for (size_t i = 0; i < next.chain_links_dropped; ++i) {
    write_batch.Delete(Slice(keys.Numbered(RowKind::kChain, store.chain[i].slot)));
  }
}

void EntityWriter::Impl::Publish(const Batch& batch, Next next) {
  if (StartsSlot(next)) {
    store.journal.push_back({next.position.watermark.block.slot, next.position.watermark.number});
  }
  store.journal.erase(store.journal.begin(), store.journal.begin() + static_cast<int64_t>(next.journal_slots_dropped));
  std::lock_guard lock(store.mutex);
  store.chain.erase(store.chain.begin(), store.chain.begin() + static_cast<int64_t>(next.chain_links_dropped));
  if (batch.kind == BatchKind::kSlot) store.chain.push_back({batch.block.slot, batch.block.blockhash});
  if (batch.gap) store.gaps.push_back(*batch.gap);
  if (next.lineage) store.lineages.push_back(*next.lineage);
  store.position = std::move(next.position);
}

absl::Status EntityWriter::Impl::Fail(absl::Status status) {
  failed = status;
  store.write_failed = true;
  return status;
}

absl::Status EntityWriter::Impl::Write(Number number) {
  rocksdb::WriteOptions write_options;
  write_options.sync = store.options.wal_sync_interval_ms == 0;
  std::lock_guard lock(mutex);
  if (!failed.ok()) return failed;
  const rocksdb::Status status = store.db->Write(write_options, &write_batch);
  if (!status.ok()) return Fail(FromRocks(status, fmt::format("applying batch {}", number)));
  unsynced = !write_options.sync;
  return absl::OkStatus();
}

absl::Status EntityWriter::Impl::SyncLocked() {
  if (!failed.ok()) return failed;
  if (!std::exchange(unsynced, false)) return absl::OkStatus();
  const rocksdb::Status status = store.db->SyncWAL();
  return status.ok() ? absl::OkStatus() : Fail(FromRocks(status, "syncing the WAL"));
}

void EntityWriter::Impl::SyncUntilStopped() {
  const std::chrono::milliseconds interval(store.options.wal_sync_interval_ms);
  std::unique_lock lock(mutex);
  // A failure is kept in `failed`, where the next Apply finds it.
  while (!stop.wait_for(lock, interval, [&] { return stopping; })) SyncLocked().IgnoreError();
  SyncLocked().IgnoreError();
}

EntityWriter::EntityWriter(EntityStore* store) : impl_(std::make_unique<Impl>(store->impl_.get())) {
  store->impl_->writer_alive = true;
  if (store->impl_->options.wal_sync_interval_ms > 0) {
    impl_->sync_thread = std::thread([impl = impl_.get()] { impl->SyncUntilStopped(); });
  }
}

EntityWriter::~EntityWriter() {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  impl_->stop.notify_all();
  if (impl_->sync_thread.joinable()) impl_->sync_thread.join();
  impl_->store.writer_alive = false;
}

absl::StatusOr<Number> EntityWriter::Apply(const Batch& batch) {
  if (auto status = impl_->Validate(batch); !status.ok()) return status;
  const Impl::Next next = impl_->Decide(batch);
  const Number number = next.position.watermark.number;
  impl_->write_batch.Clear();
  impl_->PutRows(batch);
  impl_->PutRecords(batch, next);
  impl_->DropOldTails(next);

  if (auto status = impl_->Write(number); !status.ok()) return status;
  impl_->Publish(batch, next);
  return number;
}

absl::Status EntityWriter::SyncWal() {
  std::lock_guard lock(impl_->mutex);
  return impl_->SyncLocked();
}

}  // namespace everstate
