// Generations that begin from checkpoints: what is accepted, what `current` says, what is kept and what goes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <sstream>

#include "storage/files.h"
#include "tests/storage/bank.h"

namespace everstate {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Message(const absl::Status& status) { return std::string(status.message()); }

OpenStore Begin(const EntityStore& store, const CheckpointInfo& info) {
  auto begun = store.BeginGeneration(info);
  if (!begun.ok()) {
    ADD_FAILURE() << begun.status();
    std::abort();
  }
  return OpenStore(*std::move(begun));
}

class GenerationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ApplyBank(&open_, 4);
    checkpoint_ = MakeCheckpoint(*open_.store);
    ApplyBank(&open_, 6);
    digest_ = DigestOf(folder_.path());
  }
  // What the data directory holds besides checkpoints.
  std::vector<std::string> Names() const {
    auto names = *NamesIn(folder_.path());
    std::erase(names, "checkpoints");
    return names;
  }
  // One rewind to the checkpoint, up to where the present generation stands.
  OpenStore Rewind(const OpenStore& from, Slot slot) {
    OpenStore next = Begin(*from.store, checkpoint_);
    ApplyBank(&next, static_cast<int>(from.store->watermark().number - next.store->watermark().number));
    const auto status = next.store->MakeCurrent(slot);
    EXPECT_TRUE(status.ok()) << status;
    return next;
  }

  TemporaryFolder folder_;
  OpenStore open_ = OpenTestStore(folder_.path());
  CheckpointInfo checkpoint_;
  std::string digest_;  // of the state after all batches
};

TEST_F(GenerationTest, IsFilledBesideAndThenPutInForce) {
  EXPECT_FALSE(open_.store->resumed_from());
  OpenStore next = Begin(*open_.store, checkpoint_);
  EXPECT_EQ(next.store->generation(), 2u);
  EXPECT_EQ(next.store->watermark().number, 4u);
  EXPECT_EQ(next.store->watermark().block, checkpoint_.watermark.block);
  EXPECT_EQ(next.store->lineage(), open_.store->lineage());
  EXPECT_EQ(AuditBank(*next.store), "");
  EXPECT_EQ(BytesOfFile(folder_ / "current"), "1\n");
  EXPECT_EQ(DigestOf(folder_.path()), digest_);

  ApplyBank(&next, 6);
  EXPECT_EQ(AuditBank(*open_.store), "") << "the one in force is read meanwhile";
  ASSERT_TRUE(next.store->MakeCurrent(13).ok());
  EXPECT_EQ(BytesOfFile(folder_ / "current"), "2\nresumed-from 13\n");
  EXPECT_EQ(next.store->resumed_from(), 13u);
  EXPECT_FALSE(open_.store->resumed_from());
  EXPECT_EQ(DigestOf(folder_.path()), digest_) << "the same blocks, the same state";
  EXPECT_EQ(AuditBank(*open_.store), "") << "the one left can be read on";
  EXPECT_TRUE(VerifyCheckpoint(checkpoint_.path).ok()) << "starting from it did not change it";

  open_.Close();
  ApplyBank(&next, 1);
  next.Close();
  EXPECT_THAT(Names(), ElementsAre("1", "2", "current"));
  open_ = OpenTestStore(folder_.path());
  EXPECT_EQ(open_.store->generation(), 2u);
  EXPECT_EQ(open_.store->resumed_from(), 13u);
  EXPECT_EQ(open_.store->watermark().number, 11u);
  EXPECT_EQ(AuditBank(*open_.store), "");
}

TEST_F(GenerationTest, TablesAreLinkedNotCopied) {
  open_.Close();
  open_ = OpenTestStore(folder_.path());
  checkpoint_ = MakeCheckpoint(*open_.store);
  OpenStore next = Begin(*open_.store, checkpoint_);
  int tables = 0;
  for (const auto& file : fs::directory_iterator(checkpoint_.path)) {
    if (file.path().extension() != ".sst") continue;
    ++tables;
    EXPECT_TRUE(fs::equivalent(file.path(), folder_ / "1" / file.path().filename()));
    EXPECT_TRUE(fs::equivalent(file.path(), folder_ / "2" / file.path().filename()));
  }
  EXPECT_GT(tables, 0);
}

// Each row of state comes along, not only entities, and so do journal and lineages: seq by seq the same.
TEST_F(GenerationTest, StartsInAnotherDataDirectoryFromACopy) {
  TemporaryFolder other;
  fs::create_directories(other / "checkpoints");
  fs::copy(checkpoint_.path, other / "checkpoints" / checkpoint_.name);
  OpenStore empty = OpenTestStore(other.path());
  const auto entries = Listed(other.path());
  ASSERT_EQ(entries.size(), 1u);
  OpenStore next = Begin(*empty.store, entries[0].info);
  ASSERT_TRUE(next.store->MakeCurrent(12).ok());
  empty.Close();
  EXPECT_EQ(next.store->lineage(), open_.store->lineage());
  ApplyBank(&next, 6);
  EXPECT_EQ(DigestOf(other.path()), digest_);
  EXPECT_EQ(next.store->watermark().number, open_.store->watermark().number);
  const auto journal = [](const EntityStore& store) {
    const auto snapshot = store.TakeSnapshot();
    std::vector<std::string> seqs;
    EXPECT_TRUE(JournalReader(snapshot.get())
                    .VisitAfter({},
                                [&](const JournalRow& row) {
                                  seqs.push_back(std::to_string(row.number) + " " + row.cursor.ToSeq());
                                  return true;
                                })
                    .ok());
    return seqs;
  };
  EXPECT_EQ(journal(*next.store), journal(*open_.store));
}

TEST_F(GenerationTest, StartsFromAnotherFileSystem) {
  struct stat here {
  }, there{};
  if (stat(folder_.path().c_str(), &here) != 0 || stat("/dev/shm", &there) != 0 || here.st_dev == there.st_dev) {
    GTEST_SKIP() << "there is no second file system to copy from";
  }
  std::string far = "/dev/shm/everstate-test-XXXXXX";
  ASSERT_NE(mkdtemp(far.data()), nullptr);
  open_.Close();  // so that it has tables
  open_ = OpenTestStore(folder_.path());
  CheckpointInfo info = MakeCheckpoint(*open_.store);
  fs::copy(info.path, fs::path(far) / info.name);
  info.path = fs::path(far) / info.name;
  {
    OpenStore next = Begin(*open_.store, info);
    EXPECT_EQ(AuditBank(*next.store), "");
  }
  fs::remove_all(far);
}

TEST_F(GenerationTest, RefusesWhatIsNotOurs) {
  TemporaryFolder other;
  const auto refused = [&](const StoreIdentity& identity, const auto& message) {
    TemporaryFolder folder;
    auto store = EntityStore::Open(TestOptions(folder.path()), identity);
    ASSERT_TRUE(store.ok());
    const auto begun = (*store)->BeginGeneration(checkpoint_);
    EXPECT_EQ(begun.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(Message(begun.status()), message);
    EXPECT_FALSE(fs::exists(folder / "2"));
  };
  StoreIdentity identity = TestIdentity();
  identity.stack_hash = HashOfByte(0xcd);
  refused(identity, AllOf(HasSubstr("abababab"), HasSubstr("cdcdcdcd"), HasSubstr(checkpoint_.name)));
  identity = TestIdentity();
  identity.settings = "append_keep=7";
  refused(identity, AllOf(HasSubstr("append_keep=100"), HasSubstr("append_keep=7")));
  identity = TestIdentity();
  identity.schema = *RowSchema::Build({{"Account", {{"balance", true}}}}, {}, {});
  refused(identity, HasSubstr("schema"));

  // Another first block makes another lineage.
  OpenStore stranger = OpenTestStore(other.path());
  ASSERT_TRUE(stranger.writer->Apply(BatchMaker(999).Put(kAccount, "a", 1).batch()).ok());
  const auto begun = stranger.store->BeginGeneration(checkpoint_);
  EXPECT_EQ(begun.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(begun.status()), AllOf(HasSubstr(checkpoint_.lineage), HasSubstr(stranger.store->lineage())));
  CheckpointInfo nowhere = checkpoint_;
  nowhere.path = other / "nowhere";
  EXPECT_EQ(open_.store->BeginGeneration(nowhere).status().code(), absl::StatusCode::kNotFound);
}

// A gap makes a lineage; checkpoints from before it led here, those from after it lead nowhere else.
TEST_F(GenerationTest, ALineageBeforeAGapIsOurs) {
  const Slot slot = open_.store->watermark().block.slot;
  ASSERT_TRUE(
      open_.writer->Apply(BatchMaker(BatchKind::kGap, open_.store->watermark()).WithGap({slot, slot + 10, "x"}).batch())
          .ok());
  const CheckpointInfo after = MakeCheckpoint(*open_.store);
  EXPECT_NE(after.lineage, checkpoint_.lineage);
  EXPECT_EQ(after.watermark.block, open_.store->watermark().block);
  OpenStore next = Begin(*open_.store, checkpoint_);
  ASSERT_TRUE(next.store->MakeCurrent(12).ok());
  EXPECT_EQ(next.store->BeginGeneration(after).status().code(), absl::StatusCode::kFailedPrecondition)
      << "the gap is not in this generation's history";
}

TEST_F(GenerationTest, OneThatWasNeverPutInForceGoes) {
  {
    OpenStore next = Begin(*open_.store, checkpoint_);
    ApplyBank(&next, 1);
    const auto second = open_.store->BeginGeneration(checkpoint_);
    EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition) << "one at a time";
    EXPECT_TRUE(fs::exists(folder_ / "2/CURRENT")) << "and the first is unhurt";
    EXPECT_EQ(next.store->BeginGeneration(checkpoint_).status().code(), absl::StatusCode::kFailedPrecondition);
  }
  EXPECT_THAT(Names(), ElementsAre("1", "current"));
  OpenStore again = Begin(*open_.store, checkpoint_);
  EXPECT_EQ(again.store->generation(), 2u);
  EXPECT_EQ(again.store->watermark().number, 4u) << "nothing of the first attempt";
  EXPECT_EQ(open_.store->MakeCurrent(1).code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(again.store->MakeCurrent(12).ok());
  EXPECT_EQ(again.store->MakeCurrent(12).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(open_.store->BeginGeneration(checkpoint_).status().code(), absl::StatusCode::kFailedPrecondition)
      << "only the generation in force begins another";
}

// What a kill leaves of an attempt is in the way of nobody.
TEST_F(GenerationTest, WhatAKillLeftIsDeleted) {
  const auto leave = [&] {
    for (const char* name : {"2", ".making-2", ".deleting-1"}) {
      fs::create_directory(folder_ / name);
      std::ofstream(folder_ / name / "CURRENT") << "x";
    }
  };
  leave();
  OpenStore next = Begin(*open_.store, checkpoint_);
  EXPECT_EQ(next.store->watermark().number, 4u);
  next.Close();
  leave();
  open_.Close();
  open_ = OpenTestStore(folder_.path());
  EXPECT_THAT(Names(), ElementsAre("1", "current"));
  fs::create_directory(folder_ / "2");
  std::ofstream(folder_ / "2/photo") << "x";
  EXPECT_EQ(open_.store->BeginGeneration(checkpoint_).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(fs::exists(folder_ / "2/photo"));
}

TEST_F(GenerationTest, TheOneLeftLastIsKeptAndOlderOnesGo) {
  OpenStore second = Rewind(open_, 12);
  OpenStore third = Rewind(second, 14);
  EXPECT_THAT(Names(), ElementsAre("1", "2", "3", "current")) << "the first is still open";
  EXPECT_EQ(AuditBank(*open_.store), "");
  open_.Close();
  EXPECT_THAT(Names(), ElementsAre("2", "3", "current"));
  second.Close();
  OpenStore fourth = Rewind(third, 15);
  EXPECT_THAT(Names(), ElementsAre("3", "4", "current"));
  third.Close();
  fourth.Close();

  // At open the highest below `current` is the one left last; what lies below that was being deleted.
  fs::copy(folder_ / "4", folder_ / "2", fs::copy_options::recursive);
  fs::copy(folder_ / "4", folder_ / "5", fs::copy_options::recursive);
  fs::create_directory(folder_ / "1");
  std::ofstream(folder_ / "1/photo") << "x";
  open_ = OpenTestStore(folder_.path());
  EXPECT_EQ(open_.store->generation(), 4u);
  EXPECT_EQ(open_.store->resumed_from(), 15u);
  EXPECT_THAT(Names(), ElementsAre("1", "3", "4", "current")) << "what is no store is no generation";
  EXPECT_EQ(DigestOf(folder_.path()), digest_);
}

TEST_F(GenerationTest, SaysWhatIsWrongWithCurrent) {
  open_.Close();
  for (const char* text : {"1\nresumed-from\n", "1\nresumed-from x\n", "1\nresumed-from 5", "1\nresumed-from 5\n\n",
                           "1\nresumed-from 05\n", "1\nRESUMED-FROM 5\n", "1\n\n", "1\nresumed-from 5\nmore\n"}) {
    std::ofstream(folder_ / "current") << text;
    const auto opened = EntityStore::Open(TestOptions(folder_.path()), TestIdentity());
    EXPECT_EQ(opened.status().code(), absl::StatusCode::kDataLoss) << text;
    EXPECT_THAT(Message(opened.status()), AllOf(HasSubstr("current"), HasSubstr("resumed-from SLOT")));
  }
  std::ofstream(folder_ / "current") << "1\nresumed-from 18446744073709551615\n";
  open_ = OpenTestStore(folder_.path());
  EXPECT_EQ(open_.store->resumed_from(), UINT64_MAX);
}

TEST_F(GenerationTest, InspectReadsOneThatCurrentDoesNotName) {
  OpenStore next = Begin(*open_.store, checkpoint_);
  const auto filling = StoreInspector::Open(folder_.path(), 2);
  ASSERT_TRUE(filling.ok()) << filling.status();
  const auto report = (*filling)->Report();
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->generation, 2u);
  EXPECT_EQ(report->watermark.number, 4u);
  ASSERT_EQ(report->checkpoints.size(), 1u);
  EXPECT_EQ(report->checkpoints[0].info.name, checkpoint_.name);
  ApplyBank(&next, 6);
  ASSERT_TRUE(next.store->MakeCurrent(12).ok());
  const auto left = StoreInspector::Open(folder_.path(), 1);
  ASSERT_TRUE(left.ok()) << left.status();
  EXPECT_EQ(*(*left)->Digest(), digest_) << "the one left has what it had";
  const auto missing = StoreInspector::Open(folder_.path(), 7);
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Message(missing.status()), AllOf(HasSubstr("generation 7"), HasSubstr("1, 2")));
}

// A secondary that was opened before its generation is deleted reads on.
TEST_F(GenerationTest, InspectOutlivesItsGeneration) {
  OpenStore second = Rewind(open_, 12);
  open_.Close();
  const auto inspector = StoreInspector::Open(folder_.path(), 1);
  ASSERT_TRUE(inspector.ok());
  OpenStore third = Rewind(second, 12);
  EXPECT_FALSE(fs::exists(folder_ / "1"));
  EXPECT_EQ(*(*inspector)->Digest(), digest_);
}

}  // namespace
}  // namespace everstate
