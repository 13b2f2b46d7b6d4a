#include "storage/files.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "server/base/file_status.h"
#include "server/base/log.h"

namespace everstate {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMaking = ".making-";
constexpr std::string_view kDeleting = ".deleting-";
constexpr size_t kPieceBytes = 256 << 10;

// Closes a descriptor at the end of a scope.
struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

absl::Status WriteAll(int fd, std::string_view bytes, const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(errno, "cannot write", path);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ErrnoStatus(int error, std::string_view doing, const fs::path& path) {
  return FileStatus(error, fmt::format("{} {}", doing, path.string()));
}

absl::Status WriteAndSync(const fs::path& path, std::string_view text) {
  const Descriptor file{open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)};
  if (file.fd < 0) return ErrnoStatus(errno, "cannot create", path);
  if (auto status = WriteAll(file.fd, text, path); !status.ok()) return status;
  if (fsync(file.fd) != 0) return ErrnoStatus(errno, "cannot sync", path);
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadFile(const fs::path& path, size_t bytes_max) {
  std::string text;
  auto status = VisitBytes(path, [&](std::string_view piece) {
    if (text.size() <= bytes_max) text.append(piece);
  });
  if (!status.ok()) return status;
  if (text.size() > bytes_max) {
    return absl::DataLossError(fmt::format("{} has more than {} bytes", path.string(), bytes_max));
  }
  return text;
}

absl::Status SyncFile(const fs::path& path) {
  const Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) return ErrnoStatus(errno, "cannot open", path);
  if (fsync(file.fd) != 0) return ErrnoStatus(errno, "cannot sync", path);
  return absl::OkStatus();
}

absl::Status SyncDirectory(const fs::path& dir) {
  const Descriptor opened{open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (opened.fd < 0) return ErrnoStatus(errno, "cannot open directory", dir);
  if (fsync(opened.fd) != 0) return ErrnoStatus(errno, "cannot sync directory", dir);
  return absl::OkStatus();
}

absl::Status CopyAndSync(const fs::path& from, const fs::path& to) {
  const Descriptor file{open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644)};
  if (file.fd < 0) return ErrnoStatus(errno, "cannot create", to);
  absl::Status written;
  auto status = VisitBytes(from, [&](std::string_view piece) {
    if (written.ok()) written = WriteAll(file.fd, piece, to);
  });
  if (!status.ok()) return status;
  if (!written.ok()) return written;
  if (fsync(file.fd) != 0) return ErrnoStatus(errno, "cannot sync", to);
  return absl::OkStatus();
}

absl::Status LinkOrCopy(const fs::path& from, const fs::path& to) {
  if (link(from.c_str(), to.c_str()) == 0) return absl::OkStatus();
  // Another file system; one without hard links; too many links to one file; or a file that we may read but not link.
  if (errno == EXDEV || errno == EPERM || errno == EOPNOTSUPP || errno == EMLINK) return CopyAndSync(from, to);
  return ErrnoStatus(errno, fmt::format("cannot link {} to", from.string()), to);
}

absl::Status VisitBytes(const fs::path& path, const std::function<void(std::string_view)>& visit) {
  const Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) return ErrnoStatus(errno, "cannot open", path);
  std::string piece(kPieceBytes, '\0');
  for (;;) {
    const ssize_t size = read(file.fd, piece.data(), piece.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return ErrnoStatus(errno, "cannot read", path);
    if (size == 0) return absl::OkStatus();
    visit(std::string_view(piece.data(), static_cast<size_t>(size)));
  }
}

absl::StatusOr<std::vector<std::string>> NamesIn(const fs::path& dir) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(dir, error), end; !error && it != end; it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  if (error == std::errc::no_such_file_or_directory) return std::vector<std::string>();
  if (error) return ErrnoStatus(error.value(), "cannot list", dir);
  std::sort(names.begin(), names.end());
  return names;
}

fs::path MakingPath(const fs::path& path) {
  return path.parent_path() / (std::string(kMaking) + path.filename().string());
}

bool IsUnfinishedName(std::string_view name) { return name.starts_with(kMaking) || name.starts_with(kDeleting); }

UnfinishedDirectory::~UnfinishedDirectory() {
  std::error_code error;
  fs::remove_all(path_, error);
  if (error) LogWarn(Room::kStorage, "cannot delete {}: {}", path_.string(), error.message());
}

absl::Status UnfinishedDirectory::RenameTo(const fs::path& to) {
  std::error_code ignored;
  // Exchanged, so that a kill leaves the one or the other under the name; what was there is then deleted with us.
  const unsigned flags = fs::exists(to, ignored) ? RENAME_EXCHANGE : 0;
  if (renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, to.c_str(), flags) != 0) {
    return ErrnoStatus(errno, fmt::format("cannot rename {} to", path_.string()), to);
  }
  return SyncDirectory(to.parent_path());
}

absl::Status DeleteDirectory(const fs::path& dir) {
  const std::string name = dir.filename().string();
  const fs::path doomed = IsUnfinishedName(name) ? dir : dir.parent_path() / (std::string(kDeleting) + name);
  std::error_code error;
  if (doomed != dir) {
    fs::remove_all(doomed, error);  // of an earlier kill
    if (!error) fs::rename(dir, doomed, error);
  }
  if (!error) fs::remove_all(doomed, error);
  return error ? ErrnoStatus(error.value(), "cannot delete", dir) : absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> DeleteUnfinishedIn(const fs::path& dir) {
  const auto names = NamesIn(dir);
  if (!names.ok()) return names.status();
  std::vector<std::string> deleted;
  for (const std::string& name : *names) {
    std::error_code error;
    if (!IsUnfinishedName(name) || !fs::is_directory(dir / name, error)) continue;
    LogWarn(Room::kStorage, "deleting {}: it was left unfinished", (dir / name).string());
    if (auto status = DeleteDirectory(dir / name); !status.ok()) return status;
    deleted.push_back(name);
  }
  return deleted;
}

}  // namespace everstate
