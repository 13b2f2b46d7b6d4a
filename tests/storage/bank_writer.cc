// bank_writer MODE DATA_DIR NOTE_BYTES: a process of its own that writes to a store until it dies.
//   run         until it is killed
//   no-space    on a file system of its own that is too small (exit code 77 when it cannot be mounted)
//   file-limit  until no file may grow any more
//   rewind      until it is killed, making checkpoints, pruning them, and rewinding to one of them
//   no-space-rewind   a checkpoint, the start from one and the switch, each without and then with room, as no-space
// It prints "number N" after each batch that was OK; no-space and file-limit then print "failed CODE TEXT", give the
// room back, open the store again and print "reopened N" when the books are right. What rewind prints, see Rewind.
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <fstream>

#include "server/base/log.h"
#include "storage/checkpoint.h"
#include "tests/storage/bank.h"
#include "tests/support/child_process.h"
#include "tests/support/small_disk.h"

namespace everstate {
namespace {

constexpr uint64_t kDiskBytes = 64 << 20;
constexpr size_t kBallastBytes = 24 << 20;
constexpr rlim_t kFileBytesMax = 16 << 20;

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}

// Writes until something fails, and answers what.
absl::Status WriteOn(const std::filesystem::path& data_dir, size_t note_bytes) {
  auto store = EntityStore::Open(TestOptions(data_dir), TestIdentity());
  if (!store.ok()) return store.status();
  OpenStore open(*std::move(store));
  for (;;) {
    const auto batch = NextBankBatch(*open.store, note_bytes);
    if (!batch.ok()) return batch.status();
    const auto number = open.writer->Apply(*batch);
    if (!number.ok()) {
      const auto again = open.writer->Apply(*batch);
      if (again.ok()) return absl::InternalError("the writer went on after a failure");
      return number.status();
    }
    Say("number " + std::to_string(*number));
  }
}

int FailAndReopen(const std::filesystem::path& data_dir, size_t note_bytes, const std::function<void()>& give_room) {
  const absl::Status failed = WriteOn(data_dir, note_bytes);
  Say("failed " + absl::StatusCodeToString(failed.code()) + " " + std::string(failed.message()));
  give_room();
  auto store = EntityStore::Open(TestOptions(data_dir), TestIdentity());
  if (!store.ok()) return Fail(store.status());
  OpenStore open(*std::move(store));
  const std::string wrong = AuditBank(*open.store);
  if (!wrong.empty()) return Fail(absl::DataLossError(wrong));
  const Number reopened = open.store->watermark().number;
  const auto batch = NextBankBatch(*open.store, note_bytes);
  if (!batch.ok()) return Fail(batch.status());
  const auto number = open.writer->Apply(*batch);
  if (!number.ok()) return Fail(number.status());
  Say("reopened " + std::to_string(reopened));
  return 0;
}

int NoSpace(const std::filesystem::path& data_dir, size_t note_bytes) {
  if (!testing::MountSmallDisk(data_dir, kDiskBytes)) return kCannotMount;
  const auto ballast = data_dir / "ballast";
  std::ofstream(ballast) << std::string(kBallastBytes, 'x');
  return FailAndReopen(data_dir, note_bytes, [&] { std::filesystem::remove(ballast); });
}

int FileLimit(const std::filesystem::path& data_dir, size_t note_bytes) {
  signal(SIGXFSZ, SIG_IGN);
  rlimit limit{};
  if (getrlimit(RLIMIT_FSIZE, &limit) != 0) return 1;
  const rlim_t before = std::exchange(limit.rlim_cur, kFileBytesMax);
  if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 1;
  return FailAndReopen(data_dir, note_bytes, [&] {
    limit.rlim_cur = before;
    setrlimit(RLIMIT_FSIZE, &limit);
  });
}

// Applies one batch.
absl::Status Step(const OpenStore& open, size_t note_bytes) {
  const auto batch = NextBankBatch(*open.store, note_bytes);
  if (!batch.ok()) return batch.status();
  return open.writer->Apply(*batch).status();
}

// A rewind to the checkpoint and back to where the present generation stands. Prints "filling G" and "current G SLOT",
// each when it is so.
absl::Status RewindTo(const CheckpointInfo& checkpoint, size_t note_bytes, OpenStore* open) {
  auto begun = open->store->BeginGeneration(checkpoint);
  if (!begun.ok()) return begun.status();
  OpenStore next(*std::move(begun));
  Say("filling " + std::to_string(next.store->generation()));
  while (next.store->watermark().number < open->store->watermark().number) {
    if (auto status = Step(next, note_bytes); !status.ok()) return status;
  }
  const Slot slot = checkpoint.watermark.block.slot;
  if (auto status = next.store->MakeCurrent(slot); !status.ok()) return status;
  Say("current " + std::to_string(next.store->generation()) + " " + std::to_string(slot));
  *open = std::move(next);
  return absl::OkStatus();
}

// Prints "number N", "checkpoint NAME" and "pruned NAME", each when it is so, and what RewindTo does.
absl::Status Rewind(const std::filesystem::path& data_dir, size_t note_bytes) {
  auto store = EntityStore::Open(TestOptions(data_dir), TestIdentity());
  if (!store.ok()) return store.status();
  OpenStore open(*std::move(store));
  for (;;) {
    if (auto status = Step(open, note_bytes); !status.ok()) return status;
    const Number number = open.store->watermark().number;
    Say("number " + std::to_string(number));
    const auto made = open.store->CreateCheckpoint();
    if (!made.ok()) return made.status();
    Say("checkpoint " + made->name);
    const auto pruned = PruneCheckpoints(data_dir, 3);
    if (!pruned.ok()) return pruned.status();
    for (const std::string& name : *pruned) Say("pruned " + name);
    const auto checkpoints = Listed(data_dir);
    const CheckpointEntry& entry = checkpoints[number % checkpoints.size()];
    if (auto status = RewindTo(entry.info, note_bytes, &open); !status.ok()) return status;
  }
}

// Does it without room, which must be ResourceExhausted, leave `names` in the data directory and the writer able to go
// on; then does it again with room.
absl::Status TwiceFor(const OpenStore& open, const std::filesystem::path& data_dir, uint64_t left,
                      const std::vector<std::string>& names, const std::function<absl::Status()>& act) {
  const auto ballast = data_dir / "ballast";
  testing::FillDisk(ballast, left);
  const absl::Status failed = act();
  Say("failed " + absl::StatusCodeToString(failed.code()) + " " + std::string(failed.message()));
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(data_dir)) {
    const auto path = std::filesystem::relative(entry.path(), data_dir);
    if (entry.is_directory()) found.push_back(path.string());
  }
  std::sort(found.begin(), found.end());
  if (found != names) return absl::InternalError("it left " + ::testing::PrintToString(found));
  std::filesystem::resize_file(ballast, std::filesystem::file_size(ballast) / 2);
  if (auto status = Step(open, 10); !status.ok()) return status;
  std::filesystem::remove(ballast);
  return act();
}

absl::Status RewindWithoutSpace(const std::filesystem::path& data_dir, size_t note_bytes) {
  constexpr Number kNumbers = 40;
  constexpr uint64_t kLeftBytes = 1 << 20;  // less than the WAL has
  auto store = EntityStore::Open(TestOptions(data_dir), TestIdentity());
  if (!store.ok()) return store.status();
  OpenStore open(*std::move(store));
  while (open.store->watermark().number < kNumbers) {
    if (auto status = Step(open, note_bytes); !status.ok()) return status;
  }
  absl::StatusOr<CheckpointInfo> made;
  auto status = TwiceFor(open, data_dir, kLeftBytes, {"1", "checkpoints"}, [&] {
    made = open.store->CreateCheckpoint();
    return made.status();
  });
  if (!status.ok()) return status;
  if (auto verified = VerifyCheckpoint(made->path); !verified.ok()) return verified.status();
  const std::string checkpoint = "checkpoints/" + made->name;

  absl::StatusOr<std::unique_ptr<EntityStore>> begun;
  status = TwiceFor(open, data_dir, kLeftBytes, {"1", "checkpoints", checkpoint}, [&] {
    begun = open.store->BeginGeneration(*made);
    return begun.status();
  });
  if (!status.ok()) return status;
  OpenStore next(*std::move(begun));
  status = TwiceFor(next, data_dir, 0, {"1", "2", "checkpoints", checkpoint}, [&] {
    const absl::Status switched = next.store->MakeCurrent(1);
    const auto inspector = StoreInspector::Open(data_dir);
    if (!inspector.ok()) return inspector.status();
    const uint64_t named = (*inspector)->Report()->generation;
    if (named != (switched.ok() ? 2u : 1u)) return absl::InternalError("`current` names " + std::to_string(named));
    return switched;
  });
  if (!status.ok()) return status;
  for (const OpenStore* each : {&open, &next}) {
    if (const std::string wrong = AuditBank(*each->store); !wrong.empty()) return absl::DataLossError(wrong);
  }
  open.Close();
  Say("rewound " + std::to_string(next.store->generation()));
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  InitLog({.level = LogLevel::kOff});  // what is expected to go wrong is printed above
  if (argc != 4) return 2;
  const std::string mode = argv[1];
  const std::filesystem::path data_dir = argv[2];
  const size_t note_bytes = std::stoul(argv[3]);
  if (mode == "run") return Fail(WriteOn(data_dir, note_bytes));
  if (mode == "rewind") return Fail(Rewind(data_dir, note_bytes));
  if (mode == "no-space-rewind") {
    if (!testing::MountSmallDisk(data_dir, kDiskBytes)) return kCannotMount;
    const absl::Status status = RewindWithoutSpace(data_dir, note_bytes);
    return status.ok() ? 0 : Fail(status);
  }
  if (mode == "no-space") return NoSpace(data_dir, note_bytes);
  if (mode == "file-limit") return FileLimit(data_dir, note_bytes);
  return 2;
}

}  // namespace
}  // namespace everstate

int main(int argc, char** argv) { return everstate::Main(argc, argv); }
