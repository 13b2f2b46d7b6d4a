#include "storage/store_impl.h"

#include <fmt/core.h>
#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/env.h>
#include <rocksdb/file_checksum.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>

#include <algorithm>
#include <cstdarg>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "server/base/sha256.h"
#include "storage/change_merger.h"
#include "storage/journal.h"

namespace everstate {
namespace {

// RocksDB has no code of its own for "somebody else has the LOCK file", only these two texts.
bool IsLockHeld(const rocksdb::Status& status) {
  const std::string text = status.ToString();
  return text.find("While lock file") != std::string::npos ||
         text.find("lock hold by current process") != std::string::npos;
}

absl::StatusCode CodeOf(const rocksdb::Status& status) {
  if (status.IsNoSpace() || status.subcode() == rocksdb::Status::kSpaceLimit)
    return absl::StatusCode::kResourceExhausted;
  if (status.IsIOError() && IsLockHeld(status)) return absl::StatusCode::kUnavailable;
  switch (status.code()) {
    case rocksdb::Status::kOk:
      return absl::StatusCode::kOk;
    case rocksdb::Status::kNotFound:
      return absl::StatusCode::kNotFound;
    case rocksdb::Status::kCorruption:
      return absl::StatusCode::kDataLoss;
    case rocksdb::Status::kBusy:
    case rocksdb::Status::kTryAgain:
      return absl::StatusCode::kUnavailable;
    case rocksdb::Status::kShutdownInProgress:
    case rocksdb::Status::kAborted:
      return absl::StatusCode::kAborted;
    default:
      return absl::StatusCode::kInternal;
  }
}

// Enough of a hash for people to tell two apart.
std::string ShortHash(std::string_view hash) { return HexOf(hash.substr(0, 4)); }

// What RocksDB would tell its log goes nowhere: its errors come as statuses too.
class NoLog : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

}  // namespace

absl::Status FromRocks(const rocksdb::Status& status, std::string_view doing) {
  if (status.ok()) return absl::OkStatus();
  return absl::Status(CodeOf(status), fmt::format("{}: {}", doing, status.ToString()));
}

rocksdb::Options RocksOptions(uint64_t block_cache_bytes, std::shared_ptr<StoreCounters> counters) {
  rocksdb::Options options;
  // One memtable fills while at most one other is flushed: together they bound the WAL, and with it what an open after
  // a kill has to replay (about 2.5 s for 128 MB with Debian's library).
  options.write_buffer_size = 64ull << 20;
  options.max_write_buffer_number = 2;
  options.max_background_jobs = 2;
  options.paranoid_checks = true;
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  const auto supported = rocksdb::GetSupportedCompressions();
  const bool lz4 = std::find(supported.begin(), supported.end(), rocksdb::kLZ4Compression) != supported.end();
  options.compression = lz4 ? rocksdb::kLZ4Compression : rocksdb::kNoCompression;
  options.merge_operator = NewChangeMerger(std::move(counters));
  options.info_log_level = rocksdb::WARN_LEVEL;
  options.keep_log_file_num = 2;
  options.max_log_file_size = 1 << 20;
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  // Each table's checksum lies in the manifest from the moment it is written: a checkpoint records it and need not read
  // the tables, and who reads the checkpoint knows that they are what the store wrote.
  options.file_checksum_gen_factory = rocksdb::GetFileChecksumGenCrc32cFactory();

  rocksdb::BlockBasedTableOptions table;
  table.block_size = 4 << 10;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.block_cache = rocksdb::NewLRUCache(block_cache_bytes);
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

absl::StatusOr<std::unique_ptr<rocksdb::DB>> OpenUnchanged(const std::filesystem::path& dir) {
  constexpr uint64_t kUnchangedCacheBytes = 32ull << 20;  // nothing is read twice
  rocksdb::Options options = RocksOptions(kUnchangedCacheBytes, std::make_shared<StoreCounters>());
  options.info_log = std::make_shared<NoLog>();
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status = rocksdb::DB::OpenForReadOnly(options, dir.string(), &db);
  if (!status.ok()) return FromRocks(status, fmt::format("reading {}", dir.string()));
  return std::unique_ptr<rocksdb::DB>(db);
}

namespace {

std::map<std::string, std::string> SettingsOf(std::string_view text) {
  std::map<std::string, std::string> settings;
  for (const absl::string_view setting : absl::StrSplit(absl::string_view(text.data(), text.size()), ',')) {
    const std::pair<std::string, std::string> pair = absl::StrSplit(setting, absl::MaxSplits('=', 1));
    settings.insert(pair);
  }
  return settings;
}

// "projection.append_keep=100, and not projection.append_keep=50", for each that is not the same on both sides; and
// what helps, when saying the stored values is enough.
std::string DifferingSettings(std::string_view stored_text, std::string_view given_text) {
  const std::map<std::string, std::string> stored = SettingsOf(stored_text), given = SettingsOf(given_text);
  std::vector<std::string> out;
  bool can_be_said = true;
  for (const auto& [name, value] : stored) {
    const auto now = given.find(name);
    can_be_said &= now != given.end();
    if (now == given.end())
      out.push_back(fmt::format("projection.{}={}, which this program does not know", name, value));
    else if (now->second != value)
      out.push_back(fmt::format("projection.{0}={1}, and not projection.{0}={2}", name, value, now->second));
  }
  for (const auto& [name, value] : given) {
    if (stored.contains(name)) continue;
    can_be_said = false;
    out.push_back(fmt::format("nothing for projection.{}, which is {} here", name, value));
  }
  return absl::StrJoin(out, "; ") + (can_be_said ? ": give it the stored values" : "");
}

}  // namespace

absl::Status CheckIdentity(rocksdb::DB* db, const StoreIdentity& identity) {
  const auto name = ReadRequired(db, RowKind::kStackName);
  const auto hash = ReadRequired(db, RowKind::kStackHash);
  const auto stored_settings = ReadRequired(db, RowKind::kSettings);
  const auto schema_text = ReadRequired(db, RowKind::kSchema);
  for (const auto* row : {&name, &hash, &stored_settings, &schema_text}) {
    if (!row->ok()) return row->status();
  }
  if (*hash != BytesOf(identity.stack_hash)) {
    return absl::FailedPreconditionError(
        fmt::format("the store {} belongs to stack `{}` with hash {}, not to `{}` with hash {}", db->GetName(), *name,
                    ShortHash(*hash), identity.stack_name, ShortHash(BytesOf(identity.stack_hash))));
  }
  if (*stored_settings != identity.settings) {
    return absl::FailedPreconditionError(fmt::format("the store {} was made with {}", db->GetName(),
                                                     DifferingSettings(*stored_settings, identity.settings)));
  }
  if (*schema_text != identity.schema->Serialize()) {
    return absl::FailedPreconditionError(
        fmt::format("the store {} has another row schema than this program makes of stack `{}` ({}): schema {}, not {}",
                    db->GetName(), *name, ShortHash(*hash), ShortHash(BytesOf(Sha256Of(*schema_text))),
                    ShortHash(BytesOf(Sha256Of(identity.schema->Serialize())))));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<std::string>> ReadValue(rocksdb::DB* db, const rocksdb::ReadOptions& options,
                                                     std::string_view key, std::string_view doing) {
  std::string value;
  const rocksdb::Status status = db->Get(options, Slice(key), &value);
  if (status.IsNotFound()) return std::nullopt;
  if (!status.ok()) return FromRocks(status, doing);
  return value;
}

absl::StatusOr<std::string> ReadRequired(rocksdb::DB* db, RowKind kind) {
  KeyBuffer keys;
  const std::string_view key = keys.Single(kind);
  const std::string doing = fmt::format("reading the row `{}` of {}", RowKindName(key), db->GetName());
  auto value = ReadValue(db, {}, key, doing);
  if (!value.ok()) return value.status();
  if (!*value) return absl::DataLossError(fmt::format("{}: it is missing", doing));
  return **std::move(value);
}

absl::StatusOr<RowRef> ReadEntity(rocksdb::DB* db, const rocksdb::ReadOptions& options, const RowSchema& schema,
                                  EntityId entity, std::string_view key) {
  if (entity >= schema.entities().size()) {
    return absl::InvalidArgumentError(fmt::format("the schema has no entity {}", entity));
  }
  thread_local KeyBuffer keys;
  auto value = ReadValue(db, options, keys.Entity(entity, key), "reading an entity");
  if (!value.ok())
    return absl::Status(value.status().code(), fmt::format("key `{}`: {}", key, std::string(value.status().message())));
  if (!*value) return RowRef();
  return Row::Parse(**std::move(value), schema.entity(entity).fields.size());
}

absl::Status CheckFormat(rocksdb::DB* db, const std::filesystem::path& dir) {
  const auto bytes = ReadRequired(db, RowKind::kFormat);
  if (!bytes.ok()) return bytes.status();
  const auto format = DecodeFormat(*bytes);
  if (!format.ok()) return format.status();
  if (*format == kStoreFormat) return absl::OkStatus();
  return absl::FailedPreconditionError(
      fmt::format("the store {} has format {}, this program reads format {}", dir.string(), *format, kStoreFormat));
}

absl::StatusOr<Position> ReadPosition(rocksdb::DB* db, const rocksdb::ReadOptions& options) {
  KeyBuffer keys;
  const auto number_bytes = ReadValue(db, options, keys.Single(RowKind::kNumber), "reading the number");
  if (!number_bytes.ok()) return number_bytes.status();
  const auto watermark_bytes = ReadValue(db, options, keys.Single(RowKind::kWatermark), "reading the watermark");
  if (!watermark_bytes.ok()) return watermark_bytes.status();
  if (number_bytes->has_value() != watermark_bytes->has_value()) {
    return absl::DataLossError("the watermark and its number are not both there");
  }
  if (!*number_bytes) return Position();
  const auto number = DecodeNumber(**number_bytes);
  if (!number.ok()) return number.status();
  auto watermark = DecodeWatermark(**watermark_bytes);
  if (!watermark.ok()) return watermark.status();
  watermark->number = number->number;
  return Position{*std::move(watermark), number->entities};
}

absl::Status VisitNumbered(rocksdb::DB* db, RowKind kind,
                           const std::function<absl::Status(uint64_t sequence, std::string_view value)>& visit) {
  KeyBuffer keys;
  const std::unique_ptr<rocksdb::Iterator> it(db->NewIterator({}));
  for (it->Seek(Slice(keys.Numbered(kind, 0))); it->Valid(); it->Next()) {
    const auto sequence = ParseNumberedKey(kind, View(it->key()));
    if (!sequence) break;
    if (auto status = visit(*sequence, View(it->value())); !status.ok()) return status;
  }
  return FromRocks(it->status(), fmt::format("reading the rows `{}`", RowKindName(keys.Single(kind))));
}

namespace {

template <typename Record>
absl::StatusOr<std::vector<Record>> ReadSequence(rocksdb::DB* db, RowKind kind,
                                                 absl::StatusOr<Record> (*decode)(std::string_view)) {
  std::vector<Record> records;
  const auto status = VisitNumbered(db, kind, [&](uint64_t sequence, std::string_view value) {
    KeyBuffer keys;
    if (sequence != records.size() + 1) {
      return absl::DataLossError(fmt::format("the rows `{}` have a hole: {} follows {}", RowKindName(keys.Single(kind)),
                                             sequence, records.size()));
    }
    auto record = decode(value);
    if (!record.ok()) return record.status();
    records.push_back(*std::move(record));
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return records;
}

}  // namespace

absl::StatusOr<std::vector<Gap>> ReadGaps(rocksdb::DB* db) { return ReadSequence<Gap>(db, RowKind::kGap, &DecodeGap); }

absl::StatusOr<std::vector<LineageRecord>> ReadLineages(rocksdb::DB* db) {
  return ReadSequence<LineageRecord>(db, RowKind::kLineage, &DecodeLineage);
}

absl::StatusOr<std::deque<JournalSlot>> ReadJournalSlots(rocksdb::DB* db, const Watermark& watermark) {
  std::deque<JournalSlot> journal;
  JournalRow last;
  const auto status = VisitNumbered(db, RowKind::kJournal, [&](uint64_t number, std::string_view value) {
    auto row = ParseJournalHead(number, value);
    if (!row.ok()) return row.status();
    if (last.number != 0 && number != last.number + 1) {
      return absl::DataLossError(
          fmt::format("the journal of {} has a hole: number {} follows {}", db->GetName(), number, last.number));
    }
    if (journal.empty() || journal.back().slot != row->cursor.slot) journal.push_back({row->cursor.slot, number});
    last = *std::move(row);
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  if (last.number != watermark.number || last.cursor != watermark.cursor()) {
    return absl::DataLossError(fmt::format("the journal of {} ends at number {} ({}), the watermark is number {} ({})",
                                           db->GetName(), last.number, last.cursor.ToSeq(), watermark.number,
                                           watermark.cursor().ToSeq()));
  }
  return journal;
}

}  // namespace everstate
