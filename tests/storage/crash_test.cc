// A store whose process is killed, inspected while it is written, or out of room.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <thread>

#include "tests/storage/bank.h"
#include "tests/storage/bank_process.h"

namespace everstate {
namespace {

using std::chrono::microseconds;
using ::testing::HasSubstr;

TEST(Crash, LosesNothingThatWasAppliedAndKeepsNothingPartial) {
  TemporaryFolder folder;
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  Number before = 0;
  for (int round = 0; round < 10 || before <= 20; ++round) {  // each applies a batch at least
    SCOPED_TRACE("round " + std::to_string(round));
    {
      BankWriter writer("run", folder.path(), 500);
      ASSERT_EQ(writer.ReadLine(), "number " + std::to_string(before + 1));
      std::this_thread::sleep_for(microseconds(random() % 300000));
      before = writer.KillAndReadLast(before + 1);
    }
    OpenStore open = OpenTestStore(folder.path());
    const Number number = open.store->watermark().number;
    EXPECT_GE(number, before) << "an applied batch was lost";
    EXPECT_LE(number, before + 1) << "only one batch can be applied and not yet printed";
    EXPECT_EQ(AuditBank(*open.store), "");
    before = number;
    if (HasFailure()) break;
  }
}

// Killed at any moment of creation: the next start finds a whole store or begins again.
TEST(Crash, DuringCreationLeavesNothingInTheWay) {
  std::mt19937 random(std::random_device{}());
  for (int round = 0; round < 15; ++round) {
    TemporaryFolder folder;
    Number printed = 0;
    {
      BankWriter writer("run", folder.path(), 10);
      std::this_thread::sleep_for(microseconds(random() % 60000));
      printed = writer.KillAndReadLast(0);
    }
    OpenStore open = OpenTestStore(folder.path());
    EXPECT_EQ(open.store->generation(), 1u);
    EXPECT_GE(open.store->watermark().number, printed);
    EXPECT_EQ(AuditBank(*open.store), "");
  }
}

TEST(Crash, TheLockIsHeldByTheLivingOnly) {
  TemporaryFolder folder;
  {
    BankWriter writer("run", folder.path(), 10);
    ASSERT_EQ(writer.ReadLine(), "number 1");
    const auto opened = EntityStore::Open(TestOptions(folder.path()), TestIdentity());
    EXPECT_EQ(opened.status().code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(std::string(opened.status().message()), HasSubstr(folder.path().string()));
  }
  EXPECT_TRUE(EntityStore::Open(TestOptions(folder.path()), TestIdentity()).ok());
}

// Rows of 4 KB fill a memtable several times a second, so that flushes and compactions go on all the time.
TEST(Crash, InspectingALiveStoreNeverFailsAndSeesOneState) {
  TemporaryFolder folder;
  BankWriter writer("run", folder.path(), 4000);
  ASSERT_EQ(writer.ReadLine(), "number 1");
  // Its output must not fill the pipe. However this test ends, the process dies first and the reader with its output.
  struct Drain {
    BankWriter* writer;
    std::thread thread{[this] {
      while (!writer->ReadLine().empty()) {
      }
    }};
    ~Drain() {
      writer->Kill();
      thread.join();
    }
  } drain{&writer};
  Number last = 0;
  for (int look = 0; look < 50 || last <= 50; ++look) {
    ASSERT_LT(look, 5000) << "the writer does not get on";
    const auto inspector = StoreInspector::Open(folder.path());
    ASSERT_TRUE(inspector.ok()) << "look " << look << ": " << inspector.status();
    const auto report = (*inspector)->Report();
    ASSERT_TRUE(report.ok()) << "look " << look << ": " << report.status();
    EXPECT_GE(report->watermark.number, last);
    last = report->watermark.number;
    const auto digest = (*inspector)->Digest();
    ASSERT_TRUE(digest.ok()) << digest.status();
    EXPECT_EQ(AuditBank(last,
                        [&](EntityId entity, const auto& visit) {
                          const auto status = (*inspector)->Scan(entity, visit);
                          EXPECT_TRUE(status.ok()) << status;
                        }),
              "");
    EXPECT_EQ(*(*inspector)->Digest(), *digest) << "an inspector stands still";
  }
}

// What a bank_writer that runs out of room prints, and what must hold of it.
void ExpectFailedAndReopened(BankWriter* writer, std::string* failed) {
  Number last = 0;
  std::string line = writer->ReadLine();
  for (; line.starts_with("number "); line = writer->ReadLine()) last = BankWriter::NumberOf(line);
  EXPECT_GT(last, 0u);
  *failed = line;
  EXPECT_THAT(line, HasSubstr("applying batch " + std::to_string(last + 1)));
  line = writer->ReadLine();
  ASSERT_TRUE(line.starts_with("reopened ")) << line;
  EXPECT_GE(BankWriter::NumberOf(line), last);
  EXPECT_LE(BankWriter::NumberOf(line), last + 1);
  EXPECT_EQ(writer->Wait(), 0);
}

TEST(Crash, AFullDiskIsResourceExhausted) {
  TemporaryFolder folder;
  BankWriter writer("no-space", folder.path(), 4000);
  std::string failed = writer.ReadLine();
  if (failed.empty() && writer.Wait() == kCannotMount) GTEST_SKIP() << "a small file system can not be mounted here";
  ExpectFailedAndReopened(&writer, &failed);
  EXPECT_TRUE(failed.starts_with("failed RESOURCE_EXHAUSTED ")) << failed;
}

TEST(Crash, AFileThatMayNotGrowIsAClearError) {
  TemporaryFolder folder;
  BankWriter writer("file-limit", folder.path(), 4000);
  std::string failed;
  ExpectFailedAndReopened(&writer, &failed);
  EXPECT_THAT(failed, HasSubstr("File too large"));
}

}  // namespace
}  // namespace everstate
