#include "storage/entity_store.h"

#include <fmt/core.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "server/base/log.h"
#include "server/base/sha256.h"
#include "storage/checkpoint_record.h"
#include "storage/entity_writer.h"
#include "storage/files.h"
#include "storage/store_impl.h"

namespace everstate {
namespace {

absl::Status CheckOptions(const StoreOptions& options, const StoreIdentity& identity) {
  if (options.journal_slots == 0) return absl::InvalidArgumentError("journal_slots must be at least 1");
  if (options.chain_slots == 0) return absl::InvalidArgumentError("chain_slots must be at least 1");
  if (!identity.schema) return absl::InvalidArgumentError("the identity of a store needs a schema");
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<rocksdb::DB>> OpenRocks(const rocksdb::Options& options,
                                                       const std::filesystem::path& dir, std::string_view doing) {
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(options, dir.string(), &db);
  if (!status.ok()) return FromRocks(status, fmt::format("{} {}", doing, dir.string()));
  return std::unique_ptr<rocksdb::DB>(db);
}

// Whether something was applied to the store in `dir`. One whose creation was not finished cannot be opened and has no
// tables.
absl::StatusOr<bool> HoldsBatches(const std::filesystem::path& dir) {
  if (const auto db = OpenUnchanged(dir); db.ok()) {
    const auto position = ReadPosition(db->get(), {});
    return !position.ok() || position->watermark.number != 0;
  }
  const auto names = NamesIn(dir);
  if (!names.ok()) return names.status();
  return std::any_of(names->begin(), names->end(), IsTable);
}

// Without `current` every generation counts as never finished and would be deleted. But the first one is named before
// its first batch: where there are batches, it is `current` that was lost, or not copied with the rest.
absl::Status RefuseLostCurrent(const std::filesystem::path& data_dir) {
  const auto generations = GenerationsIn(data_dir);
  if (!generations.ok()) return generations.status();
  for (const uint64_t generation : *generations) {
    const auto holds = HoldsBatches(GenerationPath(data_dir, generation));
    if (!holds.ok()) return holds.status();
    if (!*holds) continue;
    return absl::DataLossError(
        fmt::format("{} is missing, but generation {} beside it holds what was applied: copy this file too, "
                    "or write into it the number of the generation that was in force and a newline",
                    (data_dir / "current").string(), generation));
  }
  return absl::OkStatus();
}

[[noreturn]] void DieAlive(std::string_view what, const std::filesystem::path& dir) {
  fmt::print(stderr, "CHECK failed: the store {} is closed while {} alive\n", dir.string(), what);
  std::abort();
}

}  // namespace

absl::Status EntityStore::Impl::Create() {
  const auto dir = path();
  rocksdb::Options rocks_options = RocksOptions(options.block_cache_bytes, counters);
  rocks_options.create_if_missing = true;
  rocks_options.error_if_exists = true;
  auto opened = OpenRocks(rocks_options, dir, "creating the store");
  if (!opened.ok()) return opened.status();
  db = *std::move(opened);

  rocksdb::WriteBatch batch;
  KeyBuffer keys;
  const auto put = [&](RowKind kind, std::string_view value) { batch.Put(Slice(keys.Single(kind)), Slice(value)); };
  put(RowKind::kFormat, EncodeFormat(kStoreFormat));
  put(RowKind::kStackName, identity.stack_name);
  put(RowKind::kStackHash, BytesOf(identity.stack_hash));
  put(RowKind::kStackText, identity.stack_text);
  put(RowKind::kSettings, identity.settings);
  put(RowKind::kSchema, identity.schema->Serialize());
  rocksdb::WriteOptions sync;
  sync.sync = true;
  absl::Status status = FromRocks(db->Write(sync, &batch), fmt::format("creating the store {}", dir.string()));
  if (!status.ok()) return status;
  // Only a whole generation is named.
  return data_dir().NameCurrent({claim.generation(), std::nullopt});
}

absl::Status EntityStore::Impl::OpenExisting() {
  const auto dir = path();
  std::error_code error;
  if (!std::filesystem::exists(dir / "CURRENT", error)) {
    return absl::DataLossError(fmt::format("{} names generation {}, but {} holds no store",
                                           (data_dir().path() / "current").string(), claim.generation(), dir.string()));
  }
  auto opened = OpenRocks(RocksOptions(options.block_cache_bytes, counters), dir, "opening the store");
  if (!opened.ok()) return opened.status();
  db = *std::move(opened);
  if (auto status = CheckFormat(db.get(), dir); !status.ok()) return status;
  if (auto status = CheckIdentity(db.get(), identity); absl::IsFailedPrecondition(status)) {
    return absl::FailedPreconditionError(
        fmt::format("{}. It stays as it is: say another data directory, or remove {} when nothing in it, checkpoints "
                    "and archive included, is wanted any more",
                    std::string(status.message()), data_dir().path().string()));
  } else if (!status.ok()) {
    return status;
  }
  return Load();
}

bool EntityStore::Impl::IsCurrent() const {
  const auto current = ReadCurrent(data_dir().path());
  return current.ok() && *current && (*current)->generation == claim.generation();
}

absl::Status EntityStore::Impl::Load() {
  auto read_position = ReadPosition(db.get(), {});
  if (!read_position.ok()) return read_position.status();
  position = *std::move(read_position);
  auto read_gaps = ReadGaps(db.get());
  if (!read_gaps.ok()) return read_gaps.status();
  gaps = *std::move(read_gaps);
  auto read_lineages = ReadLineages(db.get());
  if (!read_lineages.ok()) return read_lineages.status();
  lineages = *std::move(read_lineages);
  absl::Status status = VisitNumbered(db.get(), RowKind::kChain, [&](uint64_t slot, std::string_view value) {
    const auto blockhash = DecodeHash(value, "chain");
    if (blockhash.ok()) chain.push_back({slot, *blockhash});
    return blockhash.status();
  });
  if (!status.ok()) return status;
  auto slots = ReadJournalSlots(db.get(), position.watermark);
  if (!slots.ok()) return slots.status();
  journal = *std::move(slots);
  return absl::OkStatus();
}

EntityStore::EntityStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

absl::StatusOr<std::unique_ptr<EntityStore>> EntityStore::Open(const StoreOptions& options,
                                                               const StoreIdentity& identity) {
  if (auto status = CheckOptions(options, identity); !status.ok()) return status;
  const auto locked = DataDir::Lock(options.data_dir);
  if (!locked.ok()) return locked.status();
  const auto current = ReadCurrent(options.data_dir);
  if (!current.ok()) return current.status();
  if (!*current) {
    if (auto status = RefuseLostCurrent(options.data_dir); !status.ok()) return status;
  }
  if (auto status = (*locked)->DeleteUnfinished(); !status.ok()) return status;
  auto claim = (*locked)->Claim(*current ? (*current)->generation : 1);
  if (!claim.ok()) return claim.status();

  auto impl = std::make_unique<Impl>(*std::move(claim), options, identity, std::make_shared<StoreCounters>());
  if (*current) impl->resumed_from = (*current)->resumed_from;
  const auto status = *current ? impl->OpenExisting() : impl->Create();
  if (!status.ok()) return status;
  return std::unique_ptr<EntityStore>(new EntityStore(std::move(impl)));
}

EntityStore::~EntityStore() {
  // RocksDB would abort or read freed memory later; here the culprit can still be named.
  if (impl_->writer_alive) DieAlive("its EntityWriter is", impl_->db->GetName());
  if (impl_->snapshots != 0) DieAlive(fmt::format("{} Snapshot(s) are", impl_->snapshots.load()), impl_->db->GetName());
  if (impl_->write_failed || !impl_->IsCurrent()) return;
  // With everything in tables the next open has no WAL to replay. What cannot be flushed is in the WAL.
  if (const auto status = FromRocks(impl_->db->Flush({}), "flushing at close"); !status.ok()) {
    LogWarn(Room::kStorage, "{}", status.ToString());
  }
}

std::unique_ptr<EntityWriter> EntityStore::TakeWriter() {
  if (impl_->writer_taken.exchange(true)) return nullptr;
  return std::unique_ptr<EntityWriter>(new EntityWriter(this));
}

uint64_t EntityStore::generation() const { return impl_->claim.generation(); }

Watermark EntityStore::watermark() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->position.watermark;
}

std::vector<Gap> EntityStore::gaps() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->gaps;
}

std::string EntityStore::lineage() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->lineages.empty() ? std::string() : HexOf(BytesOf(impl_->lineages.back().hash));
}

std::vector<EntityStore::LineageStart> EntityStore::lineages() const {
  std::lock_guard lock(impl_->mutex);
  std::vector<LineageStart> starts;
  for (const LineageRecord& record : impl_->lineages) starts.push_back({HexOf(BytesOf(record.hash)), record.begins_at});
  return starts;
}

const RowSchema& EntityStore::schema() const { return *impl_->schema; }

const StoreCounters& EntityStore::counters() const { return *impl_->counters; }

std::optional<Hash32> EntityStore::BlockhashOf(Slot slot) const {
  std::lock_guard lock(impl_->mutex);
  const auto it = std::lower_bound(impl_->chain.begin(), impl_->chain.end(), slot,
                                   [](const ChainLink& link, Slot wanted) { return link.slot < wanted; });
  if (it == impl_->chain.end() || it->slot != slot) return std::nullopt;
  return it->blockhash;
}

absl::StatusOr<RowRef> EntityStore::Get(EntityId entity, std::string_view key) const {
  return ReadEntity(impl_->db.get(), {}, *impl_->schema, entity, key);
}

absl::StatusOr<std::optional<std::string>> EntityStore::GetSide(const SideKey& key) const {
  if (!IsSideKind(key.kind)) return absl::InvalidArgumentError("unknown kind of side row");
  thread_local KeyBuffer keys;
  return ReadValue(impl_->db.get(), {}, keys.Side(key), "reading a side row");
}

absl::Status EntityStore::ScanSide(
    SideKind kind, EntityId entity, uint16_t name, std::string_view prefix,
    const std::function<bool(std::string_view id, std::string_view value)>& visit) const {
  if (!IsSideKind(kind)) return absl::InvalidArgumentError("unknown kind of side row");
  KeyBuffer keys;
  const std::string_view begin = keys.Side(kind, entity, name, prefix);
  const std::string end = PrefixEnd(begin);  // never empty: the first byte of a side key is not 0xff
  const rocksdb::Slice end_slice = Slice(end);
  rocksdb::ReadOptions read_options;
  read_options.iterate_upper_bound = &end_slice;
  const std::unique_ptr<rocksdb::Iterator> it(impl_->db->NewIterator(read_options));
  for (it->Seek(Slice(begin)); it->Valid(); it->Next()) {
    const auto key = ParseSideKey(View(it->key()));
    if (!key) return absl::DataLossError("a side row has a key that cannot be read");
    if (!visit(key->id, View(it->value()))) return absl::OkStatus();
  }
  return FromRocks(it->status(), "scanning side rows");
}

EntityStore::Sizes EntityStore::sizes() const {
  Sizes sizes;
  impl_->db->GetIntProperty(rocksdb::DB::Properties::kTotalSstFilesSize, &sizes.sst_bytes);
  impl_->db->GetIntProperty(rocksdb::DB::Properties::kCurSizeAllMemTables, &sizes.memtable_bytes);
  impl_->db->GetIntProperty(rocksdb::DB::Properties::kBackgroundErrors, &sizes.background_errors);
  rocksdb::VectorLogPtr wal_files;
  if (impl_->db->GetSortedWalFiles(wal_files).ok()) {
    for (const auto& file : wal_files) sizes.wal_bytes += file->SizeFileBytes();
  }
  std::lock_guard lock(impl_->mutex);
  sizes.entities_estimate = impl_->position.entities;
  return sizes;
}

}  // namespace everstate
