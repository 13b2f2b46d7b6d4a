// DataDir: `<data>/`, its generations `<data>/<generation>/` and the file `<data>/current` that names the one in force:
// "1\n", or "2\nresumed-from 398210100\n" when a rewind made it. Outside this room only the lock is used, by those who
// change a data directory that no store has open.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/model.h"

namespace everstate {

std::filesystem::path GenerationPath(const std::filesystem::path& data_dir, uint64_t generation);
std::filesystem::path CheckpointsPath(const std::filesystem::path& data_dir);

struct CurrentRecord {
  uint64_t generation = 0;
  std::optional<Slot> resumed_from;  // the slot that the rewind which made it was asked for
};
// Empty when there is no `current`. Errors: DataLoss when it is anything but the lines above.
absl::StatusOr<std::optional<CurrentRecord>> ReadCurrent(const std::filesystem::path& data_dir);

// The generations that are there and look like a store, ascending.
absl::StatusOr<std::vector<uint64_t>> GenerationsIn(const std::filesystem::path& data_dir);

class DataDir;

// GenerationClaim: the right to have a generation open. While it lives nobody deletes the generation; when it goes, and
// `current` neither names the generation nor left it last, the generation goes too.
//   Owns:  a share of the data directory's lock.
class GenerationClaim {
 public:
  GenerationClaim() = default;
  GenerationClaim(std::shared_ptr<DataDir> dir, uint64_t generation) : dir_(std::move(dir)), generation_(generation) {}
  GenerationClaim(GenerationClaim&&) = default;
  GenerationClaim& operator=(GenerationClaim&& other) noexcept;
  ~GenerationClaim();
  uint64_t generation() const { return generation_; }
  DataDir* dir() const { return dir_.get(); }

 private:
  std::shared_ptr<DataDir> dir_;
  uint64_t generation_ = 0;
};

// DataDir
//   Thread:    any.
//   Owns:      an advisory lock on the directory itself (flock), held until it is destroyed: whoever has it is the only
//              process that creates, names or deletes generations and checkpoints.
//   Errors:    Unavailable (another process holds it), PermissionDenied, FailedPrecondition, ResourceExhausted … as
//              errno says, naming the path.
//   Invariant: `current` names the highest generation, except for one above it that is being filled. The highest one
//              below it is the one that it named before.
class DataDir : public std::enable_shared_from_this<DataDir> {
 public:
  // Creates the directory when there is none.
  static absl::StatusOr<std::shared_ptr<DataDir>> Lock(const std::filesystem::path& path);
  // Unavailable, as Lock says it, while another process holds the directory; OK in every other case. For those who have
  // to begin with something else: nothing is created and nothing is held, so only Lock gives the right.
  static absl::Status CheckFree(const std::filesystem::path& path);
  DataDir(const DataDir&) = delete;
  DataDir& operator=(const DataDir&) = delete;
  ~DataDir();

  const std::filesystem::path& path() const { return path_; }

  // FailedPrecondition: it is claimed already.
  absl::StatusOr<GenerationClaim> Claim(uint64_t generation);

  // Writes beside, syncs, renames, syncs the directory: after a crash `current` is the old one or the new one, whole.
  // Then it deletes what is older than the generation left, except what is still open.
  absl::Status NameCurrent(const CurrentRecord& current);

  // Deletes what kills left: generations above `current` (all, when there is none), those older than the one left last,
  // and directories with unfinished names, also among the checkpoints. Of generations only what looks like a store of
  // ours goes; another directory above `current` that is named like one is FailedPrecondition.
  absl::Status DeleteUnfinished();

  // Deletes a generation above `current` that was never finished, if there is one.
  absl::Status DeleteNeverNamed(uint64_t generation);

  // Held by whoever makes a checkpoint.
  std::mutex& checkpoints_mutex() { return checkpoints_mutex_; }

 private:
  friend class GenerationClaim;
  DataDir(std::filesystem::path path, int fd) : path_(std::move(path)), fd_(fd) {}
  void Release(uint64_t generation);
  absl::Status DeleteOlder(uint64_t current);  // with the mutex held

  const std::filesystem::path path_;
  const int fd_;
  std::mutex checkpoints_mutex_;
  std::mutex mutex_;  // `current`, deletions and
  std::set<uint64_t> open_;
};

}  // namespace everstate
