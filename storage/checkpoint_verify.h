// What a checkpoint holds, and whether it is what its record says. Inside this room only.
#pragma once

#include <rocksdb/db.h>

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/checkpoint_record.h"

namespace everstate {

// RocksDB's name for the checksum of tables that RocksOptions asks for.
inline constexpr std::string_view kTableChecksumName = "FileChecksumCrc32c";
std::string TableChecksumText(std::string_view bytes);  // "crc32c:…"

// Format, stack, lineage, watermark and the entities as the store counted them.
absl::StatusOr<CheckpointInfo> ReadCheckpointContent(rocksdb::DB* db);

// Reads everything and changes nothing: files, their sizes and checksums, then as a database: blocks, format,
// watermark, lineage, stack, journal, entities counted. Answers the database, open.
absl::StatusOr<std::unique_ptr<rocksdb::DB>> VerifyAndOpen(const CheckpointRecord& record);

}  // namespace everstate
