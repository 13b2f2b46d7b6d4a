#include "storage/checkpoint_verify.h"

#include <fmt/core.h>

#include "server/base/base58.h"
#include "server/base/sha256.h"
#include "storage/keys.h"
#include "storage/records.h"
#include "storage/store_impl.h"

namespace everstate {
namespace {

constexpr size_t kReadaheadBytes = 1 << 20;

// One row after the other, which reads every block; answers how many entities there are.
absl::StatusOr<uint64_t> CountEntities(rocksdb::DB* db) {
  rocksdb::ReadOptions options;
  options.fill_cache = false;
  options.readahead_size = kReadaheadBytes;
  uint64_t entities = 0;
  const std::unique_ptr<rocksdb::Iterator> it(db->NewIterator(options));
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    if (ParseEntityKey(View(it->key()))) ++entities;
  }
  if (!it->status().ok()) return FromRocks(it->status(), "reading all rows");
  return entities;
}

// All of it that two states may differ in.
std::string TextOf(const Watermark& watermark) {
  const BlockId& block = watermark.block;
  return fmt::format("{} (block {} behind slot {}, block {}; time {})", watermark.cursor().ToSeq(),
                     EncodeBase58(block.blockhash), block.parent_slot, EncodeBase58(block.parent_blockhash),
                     block.block_time ? std::to_string(*block.block_time) : "none");
}

absl::Status CheckContent(const CheckpointRecord& record, rocksdb::DB* db) {
  const CheckpointInfo& says = record.info;
  const auto holds = ReadCheckpointContent(db);
  if (!holds.ok()) return holds.status();
  const auto differs = [](std::string_view what, const auto& held, const auto& said) {
    return absl::DataLossError(fmt::format("it holds {} {}, its file CHECKPOINT says {}", what, held, said));
  };
  if (holds->stack_name != says.stack_name) return differs("stack", holds->stack_name, says.stack_name);
  if (holds->stack_hash != says.stack_hash) return differs("stack hash", holds->stack_hash, says.stack_hash);
  if (holds->lineage != says.lineage) return differs("lineage", holds->lineage, says.lineage);
  if (holds->watermark.number != says.watermark.number) {
    return differs("number", holds->watermark.number, says.watermark.number);
  }
  if (holds->watermark.block != says.watermark.block || holds->watermark.last_index != says.watermark.last_index) {
    return differs("the watermark", TextOf(holds->watermark), TextOf(says.watermark));
  }
  if (holds->entities != says.entities) return differs("entities:", holds->entities, says.entities);
  const auto counted = CountEntities(db);
  if (!counted.ok()) return counted.status();
  if (*counted != says.entities) return differs("entities, counted:", *counted, says.entities);
  return ReadJournalSlots(db, holds->watermark).status();
}

}  // namespace

std::string TableChecksumText(std::string_view bytes) { return "crc32c:" + HexOf(bytes); }

absl::StatusOr<CheckpointInfo> ReadCheckpointContent(rocksdb::DB* db) {
  if (auto status = CheckFormat(db, db->GetName()); !status.ok()) return status;
  CheckpointInfo info;
  info.format = kStoreFormat;
  auto name = ReadRequired(db, RowKind::kStackName);
  if (!name.ok()) return name.status();
  info.stack_name = *std::move(name);
  const auto hash = ReadRequired(db, RowKind::kStackHash);
  if (!hash.ok()) return hash.status();
  info.stack_hash = HexOf(*hash);
  const auto position = ReadPosition(db, {});
  if (!position.ok()) return position.status();
  info.watermark = position->watermark;
  info.entities = position->entities;
  const auto lineages = ReadLineages(db);
  if (!lineages.ok()) return lineages.status();
  if (lineages->empty()) return absl::DataLossError(fmt::format("{} has no lineage", db->GetName()));
  info.lineage = HexOf(BytesOf(lineages->back().hash));
  if (const auto gaps = ReadGaps(db); !gaps.ok()) return gaps.status();
  return info;
}

absl::StatusOr<std::unique_ptr<rocksdb::DB>> VerifyAndOpen(const CheckpointRecord& record) {
  if (auto status = CheckFileSizes(record); !status.ok()) return status;
  if (auto status = CheckFileChecksums(record); !status.ok()) return status;
  auto db = OpenUnchanged(record.info.path);
  absl::Status status = db.status();
  // Every file is what was recorded; what is found from here on was wrong when the checkpoint was made.
  if (status.ok()) status = FromRocks((*db)->VerifyChecksum(), "checksums of blocks");
  if (status.ok()) status = CheckContent(record, db->get());
  if (absl::IsDataLoss(status)) return CheckpointDamaged(record.info.path, std::string(status.message()));
  if (!status.ok()) return status;
  return db;
}

}  // namespace everstate
