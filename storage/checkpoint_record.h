// The file CHECKPOINT of a checkpoint's directory: lines of text, a word and its value, in this order; the last one is
// a checksum over all before it.
//
//   everstate-checkpoint 1
//   format 2                          version of the store (kStoreFormat)
//   stack-name Token%20Game           bytes up to space, DEL and % as %XX
//   stack-hash, lineage               64 hex digits each
//   generation, number, slot, last-index, blockhash, parent-slot, parent-blockhash, block-time (digits or none)
//   entities, created-at              the latter in unix seconds
//   file NAME BYTES crc32c:HEX        a table; the checksum that RocksDB computed when it wrote it
//   file NAME BYTES sha256:HEX        every other file
//   sum HEX                           SHA-256 over everything above
//
// Numbers are decimal, hashes of blocks base58. Inside this room only.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/checkpoint.h"

namespace everstate {

inline constexpr char kCheckpointFile[] = "CHECKPOINT";

struct CheckpointFile {
  std::string name;
  uint64_t bytes = 0;
  std::string checksum;  // "crc32c:…" or "sha256:…"
};

struct CheckpointRecord {
  CheckpointInfo info;  // all of it, once it was read from a directory
  uint64_t generation = 0;
  std::vector<CheckpointFile> files;
};

// "<slot>-<first 8 of the blockhash, base58>-<first 4 of the lineage, hex>"
std::string CheckpointName(const BlockId& block, std::string_view lineage_hex);

std::string EncodeCheckpointRecord(const CheckpointRecord& record);
// Name and path stay empty. Errors: DataLoss (cut, flipped; names the line), FailedPrecondition (another version of
// this file or of the store).
absl::StatusOr<CheckpointRecord> DecodeCheckpointRecord(std::string_view text);

// Of a directory. Errors as above, naming the directory, and NotFound when there is no such directory.
absl::StatusOr<CheckpointRecord> ReadCheckpointRecord(const std::filesystem::path& dir);

// What every error about a damaged checkpoint says: what is wrong with it, and what to do.
absl::Status CheckpointDamaged(const std::filesystem::path& dir, std::string_view what);

// The files that the record lists are there with their sizes, and no others.
absl::Status CheckFileSizes(const CheckpointRecord& record);
// Reads all of them.
absl::Status CheckFileChecksums(const CheckpointRecord& record);

bool IsTable(std::string_view file_name);
absl::StatusOr<std::string> Sha256OfFile(const std::filesystem::path& path);  // "sha256:…"

}  // namespace everstate
