#include "storage/data_dir.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "server/base/log.h"

namespace everstate {
namespace {

namespace fs = std::filesystem;

constexpr size_t kCurrentBytesMax = 32;  // a u64 and a newline, and room to see that there is more

absl::Status Errno(int error, std::string_view doing, const fs::path& path) {
  return absl::ErrnoToStatus(error, fmt::format("{} {}", doing, path.string()));
}

std::optional<uint64_t> ParseGeneration(std::string_view text) {
  uint64_t generation = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), generation);
  if (error != std::errc() || end != text.data() + text.size() || generation == 0 || text.front() == '0')
    return std::nullopt;
  return generation;
}

// A RocksDB directory has a LOG before it has anything else; an empty one is a kill right after mkdir.
bool LooksLikeStore(const fs::path& dir) {
  std::error_code error;
  return fs::is_empty(dir, error) || fs::exists(dir / "LOG", error) || fs::exists(dir / "LOCK", error);
}

// Closes a descriptor at the end of a scope.
struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

absl::Status WriteAndSync(const fs::path& path, std::string_view text) {
  const Descriptor file{open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)};
  if (file.fd < 0) return Errno(errno, "cannot create", path);
  const ssize_t written = write(file.fd, text.data(), text.size());
  if (written < 0) return Errno(errno, "cannot write", path);
  if (static_cast<size_t>(written) != text.size()) return Errno(ENOSPC, "cannot write all of", path);
  if (fsync(file.fd) != 0) return Errno(errno, "cannot sync", path);
  return absl::OkStatus();
}

}  // namespace

fs::path GenerationPath(const fs::path& data_dir, uint64_t generation) { return data_dir / std::to_string(generation); }

absl::StatusOr<std::optional<uint64_t>> ReadCurrentGeneration(const fs::path& data_dir) {
  const fs::path path = data_dir / "current";
  const Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) {
    if (errno == ENOENT) return std::nullopt;
    return Errno(errno, "cannot open", path);
  }
  char buffer[kCurrentBytesMax];
  const ssize_t size = read(file.fd, buffer, sizeof buffer);
  if (size < 0) return Errno(errno, "cannot read", path);
  const std::string_view text(buffer, static_cast<size_t>(size));
  if (text.size() > 1 && text.back() == '\n') {
    if (const auto generation = ParseGeneration(text.substr(0, text.size() - 1))) return generation;
  }
  return absl::DataLossError(fmt::format("{} must be the number of a generation and a newline", path.string()));
}

absl::Status SyncDirectory(const fs::path& dir) {
  const Descriptor opened{open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (opened.fd < 0) return Errno(errno, "cannot open directory", dir);
  if (fsync(opened.fd) != 0) return Errno(errno, "cannot sync directory", dir);
  return absl::OkStatus();
}

absl::StatusOr<DataDir> DataDir::Lock(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return Errno(error.value(), "cannot create data directory", path);
  Descriptor opened{open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (opened.fd < 0) return Errno(errno, "cannot open data directory", path);
  if (access(path.c_str(), W_OK) != 0) return Errno(errno, "cannot write to data directory", path);
  if (flock(opened.fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return Errno(errno, "cannot lock data directory", path);
    return absl::UnavailableError(fmt::format("data directory {} is in use by another process", path.string()));
  }
  return DataDir(path, std::exchange(opened.fd, -1));
}

DataDir::DataDir(DataDir&& other) noexcept : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}

DataDir::~DataDir() {
  if (fd_ >= 0) close(fd_);
}

absl::Status DataDir::NameCurrent(uint64_t generation) const {
  const fs::path beside = path_ / "current.new";
  if (auto status = WriteAndSync(beside, fmt::format("{}\n", generation)); !status.ok()) return status;
  std::error_code error;
  fs::rename(beside, path_ / "current", error);
  if (error) return Errno(error.value(), "cannot rename to `current`:", beside);
  return SyncDirectory(path_);
}

absl::Status DataDir::DeleteUnnamed(std::optional<uint64_t> current) const {
  std::error_code error;
  std::vector<fs::path> unnamed;
  for (fs::directory_iterator it(path_, error), end; !error && it != end; it.increment(error)) {
    const auto generation = ParseGeneration(it->path().filename().string());
    if (generation && (!current || *generation > *current)) unnamed.push_back(it->path());
  }
  if (error) return Errno(error.value(), "cannot list data directory", path_);
  for (const fs::path& path : unnamed) {
    if (!LooksLikeStore(path)) {
      return absl::FailedPreconditionError(fmt::format(
          "{} is named like a generation but is no store: the data directory must be our own", path.string()));
    }
    spdlog::warn("deleting {}: its creation was never finished", path.string());
    fs::remove_all(path, error);
    if (error) return Errno(error.value(), "cannot delete", path);
  }
  return absl::OkStatus();
}

}  // namespace everstate
