#include "storage/checkpoint.h"

#include <fmt/core.h>
#include <rocksdb/metadata.h>
#include <rocksdb/utilities/checkpoint.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <map>
#include <system_error>
#include <utility>

#include "server/base/sha256.h"
#include "storage/checkpoint_record.h"
#include "storage/checkpoint_verify.h"
#include "storage/files.h"
#include "storage/store_impl.h"

namespace everstate {
namespace {

namespace fs = std::filesystem;

// Whether two are of the same state on the same line; the number says only in how many batches it was reached.
bool SameState(const CheckpointInfo& info, const Watermark& watermark, std::string_view lineage_hex) {
  return info.lineage == lineage_hex && info.watermark.block == watermark.block &&
         info.watermark.last_index == watermark.last_index;
}

// The whole checkpoint of this state, when there is one.
std::optional<CheckpointInfo> FindSame(const fs::path& checkpoints, const Watermark& watermark,
                                       std::string_view lineage_hex) {
  const auto record = ReadCheckpointRecord(checkpoints / CheckpointName(watermark.block, lineage_hex));
  if (!record.ok() || !SameState(record->info, watermark, lineage_hex) || !CheckFileSizes(*record).ok()) {
    return std::nullopt;
  }
  return record->info;
}

// The checksums that RocksDB computed when it wrote the tables, by file name.
std::map<std::string, std::string> TableChecksums(rocksdb::DB* db) {
  std::vector<rocksdb::LiveFileMetaData> tables;
  db->GetLiveFilesMetaData(&tables);
  std::map<std::string, std::string> checksums;
  for (const auto& table : tables) {
    const std::string name = table.name.substr(table.name.find_first_not_of('/'));
    if (table.file_checksum_func_name == kTableChecksumName) {
      checksums[name] = TableChecksumText(table.file_checksum);
    }
  }
  return checksums;
}

// What lies in `dir`, asked of the directory itself: the writer has gone on since.
absl::StatusOr<CheckpointRecord> Describe(const fs::path& dir) {
  const auto opened = OpenUnchanged(dir);
  if (!opened.ok()) return opened.status();
  rocksdb::DB* db = opened->get();
  CheckpointRecord record;
  auto content = ReadCheckpointContent(db);
  if (!content.ok()) return content.status();
  record.info = *std::move(content);
  record.info.created_at =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  const auto checksums = TableChecksums(db);
  const auto names = NamesIn(dir);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    CheckpointFile file{name, 0, ""};
    std::error_code error;
    file.bytes = fs::file_size(dir / name, error);
    if (error) return ErrnoStatus(error.value(), "cannot read the size of", dir / name);
    if (const auto it = checksums.find(name); it != checksums.end()) {
      file.checksum = it->second;
    } else {
      auto checksum = Sha256OfFile(dir / name);
      if (!checksum.ok()) return checksum.status();
      file.checksum = *std::move(checksum);
    }
    record.info.bytes += file.bytes;
    record.files.push_back(std::move(file));
  }
  return record;
}

// RocksDB synced the tables when it wrote them; the rest was copied or is a log that it syncs in its own time.
absl::Status SyncAll(const fs::path& dir, const CheckpointRecord& record) {
  for (const CheckpointFile& file : record.files) {
    if (IsTable(file.name)) continue;
    if (auto status = SyncFile(dir / file.name); !status.ok()) return status;
  }
  return SyncDirectory(dir);
}

absl::Status CreateCheckpointsDirectory(const fs::path& data_dir) {
  std::error_code error;
  const fs::path dir = CheckpointsPath(data_dir);
  const bool created = fs::create_directory(dir, error);
  if (error) return ErrnoStatus(error.value(), "cannot create", dir);
  return created ? SyncDirectory(data_dir) : absl::OkStatus();
}

// Begins with hard links to the tables and copies of the rest. The WAL comes along instead of being flushed: a flush
// that runs out of room would end the store's writing, a copy that does costs the copy.
absl::Status LinkStore(rocksdb::DB* db, const fs::path& dir) {
  const std::string doing = fmt::format("making the checkpoint {}", dir.string());
  rocksdb::Checkpoint* raw = nullptr;
  if (auto status = FromRocks(rocksdb::Checkpoint::Create(db, &raw), doing); !status.ok()) return status;
  const std::unique_ptr<rocksdb::Checkpoint> checkpoint(raw);
  return FromRocks(checkpoint->CreateCheckpoint(dir.string(), std::numeric_limits<uint64_t>::max()), doing);
}

}  // namespace

absl::StatusOr<CheckpointInfo> EntityStore::CreateCheckpoint() const {
  std::lock_guard one_at_a_time(impl_->data_dir().checkpoints_mutex());
  const Watermark newest = watermark();
  if (newest.number == 0) return absl::FailedPreconditionError("a store that has applied no block has no checkpoint");
  if (impl_->write_failed) return absl::FailedPreconditionError("the store stopped at a failed write: open it again");
  const fs::path data_dir = fs::absolute(impl_->data_dir().path());
  const fs::path dir = CheckpointsPath(data_dir);
  if (auto same = FindSame(dir, newest, lineage())) return *std::move(same);

  if (auto status = CreateCheckpointsDirectory(data_dir); !status.ok()) return status;
  if (const auto deleted = DeleteUnfinishedIn(dir); !deleted.ok()) return deleted.status();
  UnfinishedDirectory making(MakingPath(dir / CheckpointName(newest.block, lineage())));
  // RocksDB itself makes a directory beside it and renames that.
  const UnfinishedDirectory rocks_making(making.path().string() + ".tmp");
  if (auto status = LinkStore(impl_->db.get(), making.path()); !status.ok()) return status;
  auto record = Describe(making.path());
  if (!record.ok()) return record.status();
  record->generation = generation();
  if (auto status = WriteAndSync(making.path() / kCheckpointFile, EncodeCheckpointRecord(*record)); !status.ok()) {
    return status;
  }
  if (auto status = SyncAll(making.path(), *record); !status.ok()) return status;

  CheckpointInfo& info = record->info;
  info.name = CheckpointName(info.watermark.block, info.lineage);
  info.path = dir / info.name;
  if (auto same = FindSame(dir, info.watermark, info.lineage)) return *std::move(same);
  if (auto status = making.RenameTo(info.path); !status.ok()) return status;
  return std::move(info);
}

absl::StatusOr<std::vector<CheckpointEntry>> ListCheckpoints(const fs::path& data_dir) {
  std::vector<CheckpointEntry> entries;
  const fs::path dir = CheckpointsPath(data_dir);
  const auto names = NamesIn(dir);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    std::error_code error;
    if (IsUnfinishedName(name) || !fs::is_directory(dir / name, error)) continue;
    CheckpointEntry entry;
    auto record = ReadCheckpointRecord(dir / name);
    if (record.ok()) {
      entry.status = CheckFileSizes(*record);
      entry.info = std::move(record->info);
    } else {
      entry.status = record.status();
      entry.info.name = name;
      entry.info.path = dir / name;
    }
    entries.push_back(std::move(entry));
  }
  std::stable_sort(entries.begin(), entries.end(), [](const CheckpointEntry& a, const CheckpointEntry& b) {
    return a.info.watermark.block.slot < b.info.watermark.block.slot;
  });
  return entries;
}

absl::StatusOr<CheckpointInfo> VerifyCheckpoint(const fs::path& path) {
  auto record = ReadCheckpointRecord(path);
  if (!record.ok()) return record.status();
  const auto db = VerifyAndOpen(*record);
  if (!db.ok()) return db.status();
  return std::move(record->info);
}

absl::StatusOr<std::vector<std::string>> PruneCheckpoints(const fs::path& data_dir, size_t keep,
                                                          const std::function<bool(const CheckpointInfo&)>& counts) {
  auto deleted = DeleteUnfinishedIn(CheckpointsPath(data_dir));
  if (!deleted.ok()) return deleted.status();
  auto whole = ListCheckpoints(data_dir);
  if (!whole.ok()) return whole.status();
  std::erase_if(*whole,
                [&](const CheckpointEntry& entry) { return !entry.status.ok() || (counts && !counts(entry.info)); });
  if (whole->size() > keep) {
    whole->resize(whole->size() - keep);
    for (const CheckpointEntry& entry : *whole) {
      if (auto status = DeleteDirectory(entry.info.path); !status.ok()) return status;
      deleted->push_back(entry.info.name);
    }
  }
  return deleted;
}

}  // namespace everstate
