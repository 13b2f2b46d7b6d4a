// What a power loss leaves: fsync and fdatasync of the test's process pass through synced_files.cc. It is linked into
// the test's program, and so its two functions come before those of the C library.
#pragma once

#include <cstdint>
#include <filesystem>

namespace everstate::testing {

// The last sync of a file under the name that it had then.
struct Synced {
  uint64_t order = 0;  // among all syncs of this process, from 1; 0: it was never synced
  uint64_t bytes = 0;  // how long the file was when that sync began
};
Synced LastSyncOf(const std::filesystem::path& file);

// Bytes of the write-ahead logs in the directory of a store that a power loss would take.
uint64_t LogBytesAtRisk(const std::filesystem::path& store);

// True when these logs hold something, and all that they hold was synced before `file` was synced for the last time.
bool LogsSyncedBefore(const std::filesystem::path& store, const std::filesystem::path& file);

}  // namespace everstate::testing
