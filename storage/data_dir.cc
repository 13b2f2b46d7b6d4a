#include "storage/data_dir.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <system_error>

#include "server/base/log.h"
#include "storage/files.h"

namespace everstate {
namespace {

namespace fs = std::filesystem;

constexpr size_t kCurrentBytesMax = 128;  // two numbers and words, and room to see that there is more
constexpr std::string_view kResumedFrom = "resumed-from ";

// Digits as we write them: no sign, no leading zero.
std::optional<uint64_t> ParseNumber(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || (text.size() > 1 && text.front() == '0'))
    return std::nullopt;
  return number;
}

std::optional<uint64_t> ParseGeneration(std::string_view text) {
  const auto generation = ParseNumber(text);
  return generation == 0 ? std::nullopt : generation;
}

std::optional<CurrentRecord> ParseCurrent(std::string_view text) {
  const size_t end = text.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  const auto generation = ParseGeneration(text.substr(0, end));
  if (!generation) return std::nullopt;
  text.remove_prefix(end + 1);
  if (text.empty()) return CurrentRecord{*generation, std::nullopt};
  if (!text.starts_with(kResumedFrom) || text.back() != '\n') return std::nullopt;
  const auto slot = ParseNumber(text.substr(kResumedFrom.size(), text.size() - kResumedFrom.size() - 1));
  if (!slot) return std::nullopt;
  return CurrentRecord{*generation, *slot};
}

// A RocksDB directory has a LOG before it has anything else; one begun from a checkpoint has all but the LOG before it
// gets its name. An empty one is a kill right after mkdir.
bool LooksLikeStore(const fs::path& dir) {
  std::error_code error;
  if (!fs::is_directory(dir, error)) return false;
  return fs::is_empty(dir, error) || fs::exists(dir / "LOG", error) || fs::exists(dir / "LOCK", error) ||
         fs::exists(dir / "CURRENT", error);
}

absl::Status InUse(const fs::path& path) {
  return absl::UnavailableError(fmt::format("data directory {} is in use by another process", path.string()));
}

}  // namespace

fs::path GenerationPath(const fs::path& data_dir, uint64_t generation) { return data_dir / std::to_string(generation); }
fs::path CheckpointsPath(const fs::path& data_dir) { return data_dir / "checkpoints"; }

absl::StatusOr<std::optional<CurrentRecord>> ReadCurrent(const fs::path& data_dir) {
  const fs::path path = data_dir / "current";
  const auto text = ReadFile(path, kCurrentBytesMax);
  if (absl::IsNotFound(text.status())) return std::nullopt;
  if (!text.ok()) return text.status();
  if (const auto current = ParseCurrent(*text)) return current;
  return absl::DataLossError(
      fmt::format("{} must be the number of a generation and a newline, and after a rewind a line `resumed-from SLOT`",
                  path.string()));
}

absl::StatusOr<std::vector<uint64_t>> GenerationsIn(const fs::path& data_dir) {
  const auto names = NamesIn(data_dir);
  if (!names.ok()) return names.status();
  std::vector<uint64_t> generations;
  for (const std::string& name : *names) {
    const auto generation = ParseGeneration(name);
    if (generation && LooksLikeStore(data_dir / name)) generations.push_back(*generation);
  }
  std::sort(generations.begin(), generations.end());
  return generations;
}

GenerationClaim& GenerationClaim::operator=(GenerationClaim&& other) noexcept {
  if (dir_) dir_->Release(generation_);
  dir_ = std::move(other.dir_);
  generation_ = other.generation_;
  return *this;
}

GenerationClaim::~GenerationClaim() {
  if (dir_) dir_->Release(generation_);
}

absl::StatusOr<std::shared_ptr<DataDir>> DataDir::Lock(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return ErrnoStatus(error.value(), "cannot create data directory", path);
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, "cannot open data directory", path);
  std::shared_ptr<DataDir> dir(new DataDir(path, fd));
  if (access(path.c_str(), W_OK) != 0) return ErrnoStatus(errno, "cannot write to data directory", path);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return ErrnoStatus(errno, "cannot lock data directory", path);
    return InUse(path);
  }
  return dir;
}

absl::Status DataDir::CheckFree(const fs::path& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return absl::OkStatus();
  // A shared lock stands beside those of others who look; only the holder's excludes it.
  const bool held = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  close(fd);
  return held ? InUse(path) : absl::OkStatus();
}

DataDir::~DataDir() { close(fd_); }

absl::StatusOr<GenerationClaim> DataDir::Claim(uint64_t generation) {
  std::lock_guard lock(mutex_);
  if (!open_.insert(generation).second) {
    return absl::FailedPreconditionError(
        fmt::format("generation {} of {} is open already", generation, path_.string()));
  }
  return GenerationClaim(shared_from_this(), generation);
}

void DataDir::Release(uint64_t generation) {
  std::lock_guard lock(mutex_);
  open_.erase(generation);
  // What the disk says, not what we believe to have written: whatever went wrong, the generation in force stays.
  const auto current = ReadCurrent(path_);
  if (!current.ok() || !*current || (*current)->generation == generation) return;
  absl::Status status;
  if (generation < (*current)->generation) {
    status = DeleteOlder((*current)->generation);
  } else {
    status = DeleteNeverNamed(generation);
  }
  if (!status.ok()) LogWarn(Room::kStorage, "{}", std::string(status.message()));
}

absl::Status DataDir::DeleteOlder(uint64_t current) {
  auto generations = GenerationsIn(path_);
  if (!generations.ok()) return generations.status();
  std::erase_if(*generations, [&](uint64_t generation) { return generation >= current; });
  if (!generations->empty()) generations->pop_back();  // the one left last
  for (const uint64_t generation : *generations) {
    if (open_.contains(generation)) continue;
    LogInfo(Room::kStorage, "deleting generation {} of {}: two newer ones are there", generation, path_.string());
    if (auto status = DeleteDirectory(GenerationPath(path_, generation)); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status DataDir::NameCurrent(const CurrentRecord& current) {
  std::lock_guard lock(mutex_);
  std::string text = fmt::format("{}\n", current.generation);
  if (current.resumed_from) text += fmt::format("{}{}\n", kResumedFrom, *current.resumed_from);
  const fs::path beside = path_ / "current.new";
  if (auto status = WriteAndSync(beside, text); !status.ok()) return status;
  std::error_code error;
  fs::rename(beside, path_ / "current", error);
  if (error) return ErrnoStatus(error.value(), "cannot rename to `current`:", beside);
  if (auto status = SyncDirectory(path_); !status.ok()) return status;
  // The switch is done; what cannot be deleted now goes with the next open.
  if (auto status = DeleteOlder(current.generation); !status.ok())
    LogWarn(Room::kStorage, "{}", std::string(status.message()));
  return absl::OkStatus();
}

absl::Status DataDir::DeleteNeverNamed(uint64_t generation) {
  const fs::path dir = GenerationPath(path_, generation);
  std::error_code error;
  if (!fs::exists(dir, error)) return absl::OkStatus();
  if (!LooksLikeStore(dir)) {
    return absl::FailedPreconditionError(
        fmt::format("{} is named like a generation but is no store: the data directory must be our own", dir.string()));
  }
  LogWarn(Room::kStorage, "deleting {}: its creation was never finished", dir.string());
  return DeleteDirectory(dir);
}

absl::Status DataDir::DeleteUnfinished() {
  std::lock_guard lock(mutex_);
  const auto record = ReadCurrent(path_);
  if (!record.ok()) return record.status();
  const uint64_t current = *record ? (*record)->generation : 0;
  const auto names = NamesIn(path_);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    const auto generation = ParseGeneration(name);
    if (!generation || *generation <= current || open_.contains(*generation)) continue;
    if (auto status = DeleteNeverNamed(*generation); !status.ok()) return status;
  }
  if (*record) {
    if (auto status = DeleteOlder(current); !status.ok()) return status;
  }
  for (const fs::path& dir : {path_, CheckpointsPath(path_)}) {
    if (const auto deleted = DeleteUnfinishedIn(dir); !deleted.ok()) return deleted.status();
  }
  return absl::OkStatus();
}

}  // namespace everstate
