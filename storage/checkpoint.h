// Checkpoints: hard-linked copies of a store, openable, never written to. `<data>/checkpoints/<name>/` holds a RocksDB
// and the file CHECKPOINT, which says what the others are. It gets its name when all of it is on the disk: a directory
// without CHECKPOINT was not copied to its end.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/model.h"

namespace everstate {

struct CheckpointInfo {
  std::string name;  // "<slot>-<first 8 of the blockhash, base58>-<first 4 of the lineage, hex>"
  std::filesystem::path path;
  uint32_t format = 0;
  std::string stack_name, stack_hash, lineage;  // hashes in hex; the lineage is the newest one
  Watermark watermark;
  uint64_t entities = 0;
  uint64_t bytes = 0;      // of its files; hard links share them with the store
  int64_t created_at = 0;  // unix seconds
};

// One directory below `<data>/checkpoints`. What `status` says is what the CHECKPOINT file and the sizes of the files
// tell, no more; VerifyCheckpoint reads everything.
struct CheckpointEntry {
  CheckpointInfo info;  // as far as it could be read; name and path always
  absl::Status status;
};

// Ascending by slot, then by name. Directories that are no whole checkpoint (damaged, half copied, not ours) are in it
// with DataLoss or FailedPrecondition; what is being made or deleted, and files, are not. No directory, no checkpoints.
//   Errors: those of the file system, when the directory cannot be listed.
absl::StatusOr<std::vector<CheckpointEntry>> ListCheckpoints(const std::filesystem::path& data_dir);

// Reads all of it without changing it: files and their sizes, all checksums, entity counts, watermark, journal.
//   Errors: NotFound, DataLoss (cut, flipped, missing, too many, half copied: names the file and what to do),
//           FailedPrecondition (another format).
absl::StatusOr<CheckpointInfo> VerifyCheckpoint(const std::filesystem::path& path);

// Deletes all whole ones but the `keep` of the highest slots, and what was left unfinished by a process that died.
// Damaged ones and directories that are not ours stay; so do those that `counts` is false of, which are not counted
// either (empty: all count). Answers the names of what went. Nobody may be creating or starting from one meanwhile: the
// caller holds the data directory's lock.
absl::StatusOr<std::vector<std::string>> PruneCheckpoints(
    const std::filesystem::path& data_dir, size_t keep, const std::function<bool(const CheckpointInfo&)>& counts = {});

}  // namespace everstate
