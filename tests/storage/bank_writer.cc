// bank_writer MODE DATA_DIR NOTE_BYTES: a process of its own that writes to a store until it dies.
//   run         until it is killed
//   no-space    on a file system of its own that is too small (exit code 77 when it cannot be mounted)
//   file-limit  until no file may grow any more
// It prints "number N" after each batch that was OK; the last two modes then print "failed CODE TEXT", give the room
// back, open the store again and print "reopened N" when the books are right.
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <fstream>

#include "tests/storage/bank.h"

namespace everstate {
namespace {

constexpr int kCannotMount = 77;
constexpr size_t kBallastBytes = 24 << 20;
constexpr rlim_t kFileBytesMax = 16 << 20;

// Unbuffered: what was printed is out, whatever happens next.
void Say(const std::string& line) {
  const std::string text = line + "\n";
  if (write(STDOUT_FILENO, text.data(), text.size()) != static_cast<ssize_t>(text.size())) _exit(1);
}

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
  // The mount is seen by this process only and goes with it.
  if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return kCannotMount;
  mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
  if (mount("tmpfs", data_dir.c_str(), "tmpfs", 0, "size=64m") != 0) return kCannotMount;
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

int Main(int argc, char** argv) {
  if (argc != 4) return 2;
  const std::string mode = argv[1];
  const std::filesystem::path data_dir = argv[2];
  const size_t note_bytes = std::stoul(argv[3]);
  if (mode == "run") return Fail(WriteOn(data_dir, note_bytes));
  if (mode == "no-space") return NoSpace(data_dir, note_bytes);
  if (mode == "file-limit") return FileLimit(data_dir, note_bytes);
  return 2;
}

}  // namespace
}  // namespace everstate

int main(int argc, char** argv) { return everstate::Main(argc, argv); }
