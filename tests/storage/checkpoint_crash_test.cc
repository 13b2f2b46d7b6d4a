// Checkpoints and rewinds of a process that is killed, watched while they go on, or out of room.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <set>
#include <sstream>
#include <thread>

#include "storage/files.h"
#include "tests/storage/bank.h"
#include "tests/storage/bank_process.h"

namespace everstate {
namespace {

namespace fs = std::filesystem;
using std::chrono::microseconds;
using ::testing::HasSubstr;

constexpr size_t kNoteBytes = 2000;

// What a bank_writer that rewinds has said.
struct Said {
  Number number = 0;     // of the last batch of a generation in force
  uint64_t current = 1;  // generation
  uint64_t filling = 0;  // generation; 0 when none was begun after `current` was said
  uint64_t rewinds = 0;
  std::optional<Slot> resumed_from;
  std::set<std::string> checkpoints;

  void Read(const std::string& line) {
    std::istringstream words(line);
    std::string what, name;
    words >> what;
    if (what == "number") words >> number;
    if (what == "filling") words >> filling;
    if (what == "checkpoint" && words >> name) checkpoints.insert(name);
    if (what == "pruned" && words >> name) checkpoints.erase(name);
    if (what != "current") return;
    Slot slot = 0;
    words >> current >> slot;
    resumed_from = slot;
    filling = 0;
    ++rewinds;
  }
};

// After a kill, before anybody has opened the store: each checkpoint that is listed is whole. At most the one that was
// being pruned is missing of those that were said.
void ExpectWholeCheckpoints(const fs::path& data_dir, Said* said) {
  std::set<std::string> found;
  for (const CheckpointEntry& entry : Listed(data_dir)) {
    EXPECT_TRUE(entry.status.ok()) << entry.status;
    const auto verified = VerifyCheckpoint(entry.info.path);
    EXPECT_TRUE(verified.ok()) << verified.status();
    found.insert(entry.info.name);
  }
  size_t missing = 0;
  for (const std::string& name : said->checkpoints) missing += found.contains(name) ? 0 : 1;
  EXPECT_LE(missing, said->checkpoints.size() > 3 ? said->checkpoints.size() - 3 : 0u);
  said->checkpoints = found;
}

// The old or the new generation, whole, and nothing of an unfinished one.
void ExpectOldOrNew(const fs::path& data_dir, BankDigests* digests, Said* said) {
  {
    OpenStore open = OpenTestStore(data_dir);
    const uint64_t generation = open.store->generation();
    EXPECT_TRUE(generation == said->current || (said->filling != 0 && generation == said->filling))
        << generation << " after " << said->current << " and " << said->filling;
    if (generation == said->current) {
      EXPECT_EQ(open.store->resumed_from(), said->resumed_from);
    } else {
      EXPECT_TRUE(open.store->resumed_from());
    }
    EXPECT_GE(open.store->watermark().number, said->number) << "an applied batch was lost";
    EXPECT_LE(open.store->watermark().number, said->number + 1);
    EXPECT_EQ(AuditBank(*open.store), "");
    said->current = generation;
    said->resumed_from = open.store->resumed_from();
    said->number = open.store->watermark().number;
    said->filling = 0;
  }
  EXPECT_EQ(DigestOf(data_dir), digests->At(said->number));
  std::set<std::string> allowed{"checkpoints", "current", "current.new", std::to_string(said->current),
                                std::to_string(said->current - 1)};
  const auto names = NamesIn(data_dir);
  for (const std::string& name : *names) EXPECT_TRUE(allowed.contains(name)) << name;
  const auto checkpoints = NamesIn(data_dir / "checkpoints");
  for (const std::string& name : *checkpoints) EXPECT_FALSE(IsUnfinishedName(name)) << name;
}

TEST(CheckpointCrash, LeavesTheOldOrTheNewNeverAMixture) {
  TemporaryFolder folder;
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  BankDigests digests(kNoteBytes);
  Said said;
  // Of the first one, which is not disturbed; then it follows what the machine does: longer after a round in which none
  // came to its end, else shorter. So the kills hit all of a rewind, however slow it is.
  microseconds rewind_time{};
  for (int round = 0; round < 20; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    {
      BankWriter writer("rewind", folder.path(), kNoteBytes);
      const std::string first = writer.ReadLine();
      ASSERT_TRUE(first.starts_with("number ")) << first;
      said.Read(first);
      const uint64_t rewinds_before = said.rewinds;
      if (round == 0) {
        const auto begun = std::chrono::steady_clock::now();
        while (said.rewinds == 0) {
          const std::string line = writer.ReadLine();
          ASSERT_FALSE(line.empty()) << "the process ended";
          said.Read(line);
        }
        rewind_time = std::chrono::duration_cast<microseconds>(std::chrono::steady_clock::now() - begun);
      } else {
        std::this_thread::sleep_for(rewind_time * (random() % 2000) / 1000);
      }
      writer.Kill();
      for (std::string line = writer.ReadLine(); !line.empty(); line = writer.ReadLine()) said.Read(line);
      if (round > 0) rewind_time = said.rewinds == rewinds_before ? rewind_time * 3 / 2 : rewind_time * 2 / 3;
    }
    ExpectWholeCheckpoints(folder.path(), &said);
    ExpectOldOrNew(folder.path(), &digests, &said);
    if (HasFailure()) break;
  }
  EXPECT_GT(said.rewinds, 1u) << "none but the first one came to its end";
}

TEST(CheckpointCrash, InspectReadsDuringAllOfIt) {
  TemporaryFolder folder;
  BankWriter writer("rewind", folder.path(), kNoteBytes);
  ASSERT_TRUE(writer.ReadLine().starts_with("number "));
  Said said;
  // Its output must not fill the pipe. However this test ends, the process dies first and the reader with its output.
  struct Drain {
    BankWriter* writer;
    Said* said;
    std::thread thread{[this] {
      for (std::string line = writer->ReadLine(); !line.empty(); line = writer->ReadLine()) said->Read(line);
    }};
    ~Drain() {
      writer->Kill();
      if (thread.joinable()) thread.join();
    }
  } drain{&writer, &said};
  uint64_t generation = 0;
  std::set<uint64_t> seen;
  Number number = 0;
  while (seen.size() < 5) {
    const auto inspector = StoreInspector::Open(folder.path());
    ASSERT_TRUE(inspector.ok()) << inspector.status();
    const auto report = (*inspector)->Report();
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_GE(report->generation, generation);
    EXPECT_GE(report->watermark.number, number) << "a switch leads to where the generation before it stood";
    generation = report->generation;
    number = report->watermark.number;
    seen.insert(generation);
    EXPECT_EQ(AuditBank(number,
                        [&](EntityId entity, const auto& visit) {
                          const auto status = (*inspector)->Scan(entity, visit);
                          EXPECT_TRUE(status.ok()) << status;
                        }),
              "");
    if (HasFailure()) break;
  }
  writer.Kill();
  drain.thread.join();
  // Five generations are four switches, of which the last may have been killed before it was said.
  EXPECT_GE(said.rewinds, 3u);
}

TEST(CheckpointCrash, AFullDiskCostsTheAttemptOnly) {
  TemporaryFolder folder;
  BankWriter writer("no-space-rewind", folder.path(), 4000);
  std::string line = writer.ReadLine();
  if (line.empty() && writer.Wait() == kCannotMount) GTEST_SKIP() << "a small file system can not be mounted here";
  for (const char* what : {"checkpoint", "making-2", "current"}) {
    EXPECT_TRUE(line.starts_with("failed RESOURCE_EXHAUSTED ")) << line;
    EXPECT_THAT(line, HasSubstr(what));
    line = writer.ReadLine();
  }
  EXPECT_EQ(line, "rewound 2");
  EXPECT_EQ(writer.Wait(), 0);
}

}  // namespace
}  // namespace everstate
