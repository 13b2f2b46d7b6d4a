// A file system without much room, seen by this process only and gone with it.
#pragma once

#include <sched.h>
#include <sys/mount.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

namespace everstate::testing {

// Mounts it on an existing folder. Threads that run already do not see it, so: before any other is started. False where
// it is not allowed.
inline bool MountSmallDisk(const std::filesystem::path& path, uint64_t bytes) {
  if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
  return mount("tmpfs", path.c_str(), "tmpfs", 0, ("size=" + std::to_string(bytes)).c_str()) == 0;
}

// Writes a file that leaves only so many bytes in its file system; removing it gives them back.
inline void FillDisk(const std::filesystem::path& ballast, uint64_t bytes_left) {
  const uint64_t available = std::filesystem::space(ballast.parent_path()).available;
  if (available > bytes_left) std::ofstream(ballast) << std::string(available - bytes_left, 'x');
}

}  // namespace everstate::testing
