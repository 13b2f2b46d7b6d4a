#include "storage/inspect.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "server/base/log.h"
#include "server/base/sha256.h"
#include "storage/data_dir.h"
#include "storage/store_impl.h"

namespace everstate {
namespace {

namespace fs = std::filesystem;

constexpr int kTries = 5;
constexpr std::chrono::milliseconds kPauseBetweenTries{50};
constexpr uint64_t kBlockCacheBytes = 32ull << 20;  // nothing is read twice

// TemporaryDir: where the secondary keeps its own files.   Owns: the directory; removes it.
class TemporaryDir {
 public:
  static absl::StatusOr<TemporaryDir> Create() {
    std::error_code error;
    const fs::path base = fs::temp_directory_path(error);
    if (error) return absl::ErrnoToStatus(error.value(), "no folder for temporary files");
    std::string path = (base / "everstate-inspect-XXXXXX").string();
    if (mkdtemp(path.data()) == nullptr) return absl::ErrnoToStatus(errno, fmt::format("cannot create {}", path));
    return TemporaryDir(std::move(path));
  }
  TemporaryDir(TemporaryDir&& other) noexcept : path_(std::exchange(other.path_, "")) {}
  TemporaryDir& operator=(TemporaryDir&&) = delete;
  ~TemporaryDir() {
    std::error_code error;
    if (!path_.empty()) fs::remove_all(path_, error);
    if (error) LogWarn(Room::kStorage, "cannot remove {}: {}", path_, error.message());
  }
  const std::string& path() const { return path_; }

 private:
  explicit TemporaryDir(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// Bytes of the files in `dir` whose name ends in `extension`. Files of a live store may vanish meanwhile; they count
// nothing.
uint64_t FileBytes(const fs::path& dir, std::string_view extension) {
  uint64_t bytes = 0;
  std::error_code error;
  for (fs::directory_iterator it(dir, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() != extension) continue;
    std::error_code gone;
    const uint64_t size = it->file_size(gone);
    if (!gone) bytes += size;
  }
  return bytes;
}

}  // namespace

struct StoreInspector::Impl {
  explicit Impl(TemporaryDir folder) : temporary(std::move(folder)) {}

  TemporaryDir temporary;  // destroyed after the database that writes into it
  fs::path data_dir, generation_dir;
  uint64_t generation = 0;
  // A secondary stands still until it is told to catch up, which happens once: everything is read of one state.
  std::unique_ptr<rocksdb::DB> db;
  std::shared_ptr<const RowSchema> schema;

  absl::Status Open(const fs::path& dir, std::optional<uint64_t> wanted);
  absl::Status VisitAll(const std::function<absl::Status(std::string_view key, std::string_view value)>& visit) const;
};

namespace {

absl::StatusOr<uint64_t> FindGeneration(const fs::path& data_dir, std::optional<uint64_t> wanted) {
  const auto current = ReadCurrent(data_dir);
  if (!current.ok()) return current.status();
  if (!*current) return absl::NotFoundError(fmt::format("there is no store in {}", data_dir.string()));
  if (!wanted) return (*current)->generation;
  const auto there = GenerationsIn(data_dir);
  if (!there.ok()) return there.status();
  if (std::find(there->begin(), there->end(), *wanted) != there->end()) return *wanted;
  return absl::NotFoundError(
      fmt::format("{} has no generation {}; there are: {}", data_dir.string(), *wanted, fmt::join(*there, ", ")));
}

}  // namespace

absl::Status CheckStoreIn(const fs::path& data_dir) { return FindGeneration(data_dir, std::nullopt).status(); }

absl::StatusOr<std::vector<std::string>> LineagesIn(const fs::path& data_dir) {
  const auto generation = FindGeneration(data_dir, std::nullopt);
  if (!generation.ok()) return generation.status();
  const fs::path dir = GenerationPath(data_dir, *generation);
  const auto db = OpenUnchanged(dir);
  if (!db.ok()) return db.status();
  if (auto status = CheckFormat(db->get(), dir); !status.ok()) return status;
  const auto lineages = ReadLineages(db->get());
  if (!lineages.ok()) return lineages.status();
  std::vector<std::string> hashes;
  for (const LineageRecord& record : *lineages) hashes.push_back(HexOf(BytesOf(record.hash)));
  return hashes;
}

absl::Status StoreInspector::Impl::Open(const fs::path& dir, std::optional<uint64_t> wanted) {
  data_dir = dir;
  const auto found = FindGeneration(data_dir, wanted);
  if (!found.ok()) return found.status();
  generation = *found;
  generation_dir = GenerationPath(data_dir, generation);

  rocksdb::Options options = RocksOptions(kBlockCacheBytes, std::make_shared<StoreCounters>());
  options.max_open_files = -1;  // files are held open, so that the server may delete them while they are read
  rocksdb::DB* opened = nullptr;
  const auto doing = fmt::format("inspecting the store {}", generation_dir.string());
  auto status =
      FromRocks(rocksdb::DB::OpenAsSecondary(options, generation_dir.string(), temporary.path(), &opened), doing);
  if (!status.ok()) return status;
  db.reset(opened);
  status = FromRocks(db->TryCatchUpWithPrimary(), doing);
  if (!status.ok()) return status;

  if (status = CheckFormat(db.get(), generation_dir); !status.ok()) return status;
  // A secondary that looks while the server flushes and deletes a log may miss what that log held: then the journal has
  // a hole.
  const auto position = ReadPosition(db.get(), {});
  if (!position.ok()) return position.status();
  if (position->watermark.number != 0) {
    if (const auto journal = ReadJournalSlots(db.get(), position->watermark); !journal.ok()) return journal.status();
  }
  const auto text = ReadRequired(db.get(), RowKind::kSchema);
  if (!text.ok()) return text.status();
  auto parsed = RowSchema::Parse(*text);
  if (!parsed.ok()) {
    return absl::DataLossError(fmt::format("{}: the stored schema: {}", doing, std::string(parsed.status().message())));
  }
  schema = *std::move(parsed);
  return absl::OkStatus();
}

absl::Status StoreInspector::Impl::VisitAll(
    const std::function<absl::Status(std::string_view key, std::string_view value)>& visit) const {
  const std::unique_ptr<rocksdb::Iterator> it(db->NewIterator({}));
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    if (auto status = visit(View(it->key()), View(it->value())); !status.ok()) return status;
  }
  return FromRocks(it->status(), fmt::format("inspecting the store {}", generation_dir.string()));
}

StoreInspector::StoreInspector(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
StoreInspector::~StoreInspector() = default;

absl::StatusOr<std::unique_ptr<StoreInspector>> StoreInspector::Open(const fs::path& data_dir,
                                                                     std::optional<uint64_t> generation) {
  absl::Status failed;
  for (int i = 0; i < kTries; ++i) {
    if (i > 0) std::this_thread::sleep_for(kPauseBetweenTries);
    auto temporary = TemporaryDir::Create();
    if (!temporary.ok()) return temporary.status();
    auto impl = std::make_unique<Impl>(*std::move(temporary));
    failed = impl->Open(data_dir, generation);
    if (failed.ok()) return std::unique_ptr<StoreInspector>(new StoreInspector(std::move(impl)));
    // These two are no matter of when one looks.
    if (absl::IsNotFound(failed) || absl::IsFailedPrecondition(failed)) return failed;
  }
  return failed;
}

const RowSchema& StoreInspector::schema() const { return *impl_->schema; }

absl::StatusOr<StoreIdentity> StoreInspector::Identity() const {
  rocksdb::DB* db = impl_->db.get();
  const auto name = ReadRequired(db, RowKind::kStackName);
  const auto hash = ReadRequired(db, RowKind::kStackHash);
  const auto text = ReadRequired(db, RowKind::kStackText);
  const auto settings = ReadRequired(db, RowKind::kSettings);
  for (const auto* row : {&name, &hash, &text, &settings}) {
    if (!row->ok()) return row->status();
  }
  const auto stack_hash = DecodeHash(*hash, "stack hash");
  if (!stack_hash.ok()) return stack_hash.status();
  return StoreIdentity{*name, *stack_hash, *text, *settings, impl_->schema};
}

absl::StatusOr<StoreReport> StoreInspector::Report() {
  rocksdb::DB* db = impl_->db.get();
  StoreReport report;
  report.generation = impl_->generation;
  const auto name = ReadRequired(db, RowKind::kStackName);
  if (!name.ok()) return name.status();
  report.stack_name = *name;
  const auto hash = ReadRequired(db, RowKind::kStackHash);
  if (!hash.ok()) return hash.status();
  report.stack_hash_hex = HexOf(*hash);
  const auto position = ReadPosition(db, {});
  if (!position.ok()) return position.status();
  report.watermark = position->watermark;
  auto gaps = ReadGaps(db);
  if (!gaps.ok()) return gaps.status();
  report.gaps = *std::move(gaps);
  const auto lineages = ReadLineages(db);
  if (!lineages.ok()) return lineages.status();
  if (!lineages->empty()) report.lineage_hex = HexOf(BytesOf(lineages->back().hash));

  std::vector<uint64_t> counts(impl_->schema->entities().size());
  const auto status = impl_->VisitAll([&](std::string_view key, std::string_view value) {
    report.sizes[std::string(RowKindName(key))] += key.size() + value.size();
    if (const auto entity = ParseEntityKey(key)) {
      if (entity->entity >= counts.size()) {
        return absl::DataLossError(fmt::format("a row of entity {}, which the schema lacks", entity->entity));
      }
      ++counts[entity->entity];
    }
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  for (const EntitySchema& entity : impl_->schema->entities()) report.entities[entity.name] = counts[entity.id];
  auto checkpoints = ListCheckpoints(impl_->data_dir);
  if (!checkpoints.ok()) return checkpoints.status();
  report.checkpoints = *std::move(checkpoints);
  report.sizes["sst_bytes"] = FileBytes(impl_->generation_dir, ".sst");
  report.sizes["wal_bytes"] = FileBytes(impl_->generation_dir, ".log");
  return report;
}

absl::Status StoreInspector::Scan(EntityId entity,
                                  const std::function<bool(std::string_view key, const Row& row)>& visit) {
  if (entity >= impl_->schema->entities().size()) {
    return absl::InvalidArgumentError(fmt::format("the schema has no entity {}", entity));
  }
  KeyBuffer keys;
  const size_t fields = impl_->schema->entity(entity).fields.size();
  const std::unique_ptr<rocksdb::Iterator> it(impl_->db->NewIterator({}));
  for (it->Seek(Slice(keys.Entity(entity, ""))); it->Valid(); it->Next()) {
    const auto key = ParseEntityKey(View(it->key()));
    if (!key || key->entity != entity) break;
    const auto row = Row::Parse(std::string(View(it->value())), fields);
    if (!row.ok()) {
      return absl::Status(row.status().code(),
                          fmt::format("the row of key `{}`: {}", key->key, std::string(row.status().message())));
    }
    if (!visit(key->key, **row)) return absl::OkStatus();
  }
  return FromRocks(it->status(), "scanning entities");
}

absl::StatusOr<RowRef> StoreInspector::Get(EntityId entity, std::string_view key) {
  return ReadEntity(impl_->db.get(), {}, *impl_->schema, entity, key);
}

absl::StatusOr<std::string> StoreInspector::Digest() {
  Sha256 sha;
  std::string numbers;
  const auto update = [&](std::string_view bytes) {
    numbers.clear();
    AppendU32(static_cast<uint32_t>(bytes.size()), &numbers);
    sha.Update(numbers);
    sha.Update(bytes);
  };
  sha.Update(EncodeFormat(kStoreFormat));
  const std::unique_ptr<rocksdb::Iterator> it(impl_->db->NewIterator({}));
  for (it->SeekToFirst(); it->Valid() && IsStateKey(View(it->key())); it->Next()) {
    update(View(it->key()));
    update(View(it->value()));
  }
  if (auto status = FromRocks(it->status(), "computing the digest"); !status.ok()) return status;
  return HexOf(BytesOf(sha.Finish()));
}

}  // namespace everstate
