#include "tests/support/synced_files.h"

#include <dlfcn.h>
#include <sys/stat.h>

#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <system_error>
#include <vector>

namespace everstate::testing {
namespace {

struct Ledger {
  std::mutex mutex;
  uint64_t count = 0;
  std::map<std::filesystem::path, Synced> last;
};

// Never destroyed: threads may sync until the process ends.
Ledger& TheLedger() {
  static Ledger* const ledger = new Ledger;
  return *ledger;
}

// By name and not by inode, which a new file may have from one that was deleted.
int SyncAndNote(const char* function, int fd) {
  const auto next = reinterpret_cast<int (*)(int)>(dlsym(RTLD_NEXT, function));
  if (next == nullptr) std::abort();
  std::error_code error;
  const auto name = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), error);
  struct stat file {};
  const bool known = !error && fstat(fd, &file) == 0;
  const int result = next(fd);
  if (known && result == 0) {
    Ledger& ledger = TheLedger();
    const std::lock_guard lock(ledger.mutex);
    ledger.last[name] = {++ledger.count, static_cast<uint64_t>(file.st_size)};
  }
  return result;
}

std::vector<std::filesystem::path> LogsOf(const std::filesystem::path& store) {
  std::vector<std::filesystem::path> logs;
  for (const auto& entry : std::filesystem::directory_iterator(store)) {
    if (entry.path().extension() == ".log") logs.push_back(entry.path());
  }
  return logs;
}

}  // namespace

Synced LastSyncOf(const std::filesystem::path& file) {
  const auto name = std::filesystem::weakly_canonical(file);
  Ledger& ledger = TheLedger();
  const std::lock_guard lock(ledger.mutex);
  const auto it = ledger.last.find(name);
  return it == ledger.last.end() ? Synced{} : it->second;
}

uint64_t LogBytesAtRisk(const std::filesystem::path& store) {
  uint64_t bytes = 0;
  for (const auto& log : LogsOf(store)) bytes += std::filesystem::file_size(log) - LastSyncOf(log).bytes;
  return bytes;
}

bool LogsSyncedBefore(const std::filesystem::path& store, const std::filesystem::path& file) {
  uint64_t bytes = 0;
  for (const auto& log : LogsOf(store)) {
    const uint64_t size = std::filesystem::file_size(log);
    const Synced synced = LastSyncOf(log);
    if (size > 0 && (synced.bytes != size || synced.order > LastSyncOf(file).order)) return false;
    bytes += size;
  }
  return bytes > 0;
}

}  // namespace everstate::testing

extern "C" int fsync(int fd) { return everstate::testing::SyncAndNote("fsync", fd); }
extern "C" int fdatasync(int fd) { return everstate::testing::SyncAndNote("fdatasync", fd); }
