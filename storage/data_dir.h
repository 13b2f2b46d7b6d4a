// DataDir: `<data>/`, its generations `<data>/<generation>/` and the file `<data>/current` ("1\n") that names the one
// in force. Inside this room only.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace everstate {

std::filesystem::path GenerationPath(const std::filesystem::path& data_dir, uint64_t generation);

// Empty when there is no `current`. Errors: DataLoss when it is not digits and a newline.
absl::StatusOr<std::optional<uint64_t>> ReadCurrentGeneration(const std::filesystem::path& data_dir);

// Makes the entries of a directory survive a power loss.
absl::Status SyncDirectory(const std::filesystem::path& dir);

// DataDir
//   Thread:    one at a time.
//   Owns:      an advisory lock on the directory itself (flock), held until it is destroyed: whoever has it is the only
//              process that creates, names or deletes generations.
//   Errors:    Unavailable (another process holds it), PermissionDenied, FailedPrecondition, ResourceExhausted … as
//   errno says,
//              naming the path.
class DataDir {
 public:
  // Creates the directory when there is none.
  static absl::StatusOr<DataDir> Lock(const std::filesystem::path& path);
  DataDir(DataDir&& other) noexcept;
  DataDir& operator=(DataDir&&) = delete;
  ~DataDir();

  const std::filesystem::path& path() const { return path_; }
  // Writes beside, syncs, renames, syncs the directory: after a crash `current` is the old one or the new one, whole.
  absl::Status NameCurrent(uint64_t generation) const;
  // Deletes generations above `current` (all, when there is none): a kill while one was being created leaves it
  // unnamed. Only what looks like a store of ours goes; another directory of such a name is FailedPrecondition.
  absl::Status DeleteUnnamed(std::optional<uint64_t> current) const;

 private:
  DataDir(std::filesystem::path path, int fd) : path_(std::move(path)), fd_(fd) {}
  std::filesystem::path path_;
  int fd_;
};

}  // namespace everstate
