// Files and directories as this room needs them: written so that they survive a power loss, made beside and renamed,
// deleted so that no half is taken for a whole. Inside this room only.
//   Errors:  what errno says (ResourceExhausted: no space; PermissionDenied; NotFound …), naming the path.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace everstate {

// The status of errno `error`; ResourceExhausted also for a quota or a limit on the size of a file.
absl::Status ErrnoStatus(int error, std::string_view doing, const std::filesystem::path& path);

absl::Status WriteAndSync(const std::filesystem::path& path, std::string_view text);
absl::StatusOr<std::string> ReadFile(const std::filesystem::path& path, size_t bytes_max);
// A file's bytes, or a directory's entries, survive a power loss from here on.
absl::Status SyncFile(const std::filesystem::path& path);
absl::Status SyncDirectory(const std::filesystem::path& dir);

absl::Status CopyAndSync(const std::filesystem::path& from, const std::filesystem::path& to);
// A second name for the same bytes; a synced copy where the file system of `to` is another one.
absl::Status LinkOrCopy(const std::filesystem::path& from, const std::filesystem::path& to);

// Calls visit(bytes) for the whole file, piece by piece.
absl::Status VisitBytes(const std::filesystem::path& path, const std::function<void(std::string_view)>& visit);

// Names of everything in `dir`, ascending. Empty when there is no such directory.
absl::StatusOr<std::vector<std::string>> NamesIn(const std::filesystem::path& dir);

// Where a directory is put together before it is renamed to `path`, and whether a name is of such a one or of one being
// deleted: a process that died left it, unless this process is at work on it.
std::filesystem::path MakingPath(const std::filesystem::path& path);
bool IsUnfinishedName(std::string_view name);

// UnfinishedDirectory: a directory that is being made, or will be.   Owns: it, until it got its name; deletes it.
class UnfinishedDirectory {
 public:
  explicit UnfinishedDirectory(std::filesystem::path path) : path_(std::move(path)) {}
  UnfinishedDirectory(const UnfinishedDirectory&) = delete;
  UnfinishedDirectory& operator=(const UnfinishedDirectory&) = delete;
  ~UnfinishedDirectory();
  const std::filesystem::path& path() const { return path_; }
  // Renames it, and syncs the directory that holds it. What lies at `to` already is replaced and deleted.
  absl::Status RenameTo(const std::filesystem::path& to);

 private:
  std::filesystem::path path_;
};

// Renames it to an unfinished name, then deletes it: a kill in between leaves nothing that looks whole.
absl::Status DeleteDirectory(const std::filesystem::path& dir);
// Deletes the directories of unfinished names in `dir` and answers their names.
absl::StatusOr<std::vector<std::string>> DeleteUnfinishedIn(const std::filesystem::path& dir);

}  // namespace everstate
