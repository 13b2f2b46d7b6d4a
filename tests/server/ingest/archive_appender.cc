// archive_appender MODE DIR: a process of its own that appends to an archive until it dies.
//   run       one made block after the other, from the last one on; prints "slot N" after each Append
//   no-space  the same on a file system of its own that is too small (exit code 77 when it cannot be mounted); prints
//             "failed CODE TEXT" for each Append that failed; after the third it makes room, appends ten more and
//             prints "done" when the listing is as it should be
#include <cstdio>
#include <cstdlib>
#include <functional>

#include "tests/server/ingest/archive_support.h"
#include "tests/support/child_process.h"
#include "tests/support/small_disk.h"

namespace everstate {
namespace {

constexpr Slot kFirstSlot = 10;

int Run(const std::filesystem::path& dir) {
  auto writer = ingest::ArchiveWriter::Open({.dir = dir, .segment_bytes = 20'000}, testing::MadeSubscription());
  if (!writer.ok()) return 1;
  for (Slot slot = (*writer)->last().has_value() ? (*writer)->last()->slot + 1 : kFirstSlot;; ++slot) {
    if (!(*writer)->Append(*testing::MadeChain(slot, slot).front()).ok()) return 1;
    Say("slot " + std::to_string(slot));
  }
}

int NoSpace(const std::filesystem::path& dir) {
  if (!testing::MountSmallDisk(dir, 1 << 20)) return kCannotMount;
  const auto ballast = dir / "ballast";
  SetBytesOfFile(ballast, std::string(512 << 10, 'x'));
  auto writer =
      ingest::ArchiveWriter::Open({.dir = dir / "archive", .segment_bytes = 100'000}, testing::MadeSubscription());
  if (!writer.ok()) return 1;
  Slot slot = kFirstSlot;
  Slot failed_first = 0;
  for (int failures = 0; failures < 3; ++slot) {
    const absl::Status status = (*writer)->Append(*testing::MadeChain(slot, slot).front());
    if (status.ok()) continue;
    if (failures++ == 0) failed_first = slot;
    Say("failed " + absl::StatusCodeToString(status.code()) + " " + std::string(status.message()));
  }
  std::filesystem::remove(ballast);
  const Slot room_from = slot;
  for (; slot < room_from + 10; ++slot) {
    if (!(*writer)->Append(*testing::MadeChain(slot, slot).front()).ok()) return 1;
  }
  const auto listing = ingest::ListArchive(dir / "archive", ingest::ArchiveCheck::kFrames);
  if (!listing.ok() || !listing->faults.empty() || listing->runs.size() < 2) return 1;
  const auto& before = listing->runs.front();
  const auto& after = listing->runs.back();
  if (before.first_slot != kFirstSlot || before.last.slot != failed_first - 1) return 1;
  if (after.first_slot > room_from || after.last.slot != slot - 1) return 1;
  Say("done");
  return 0;
}

}  // namespace
}  // namespace everstate

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  return std::string(argv[1]) == "run" ? everstate::Run(argv[2]) : everstate::NoSpace(argv[2]);
}
