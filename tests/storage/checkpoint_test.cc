// Making, listing, verifying and pruning checkpoints; every kind of damage.
#include "storage/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/db.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <random>
#include <sstream>
#include <thread>

#include "server/base/base58.h"
#include "server/base/sha256.h"
#include "storage/checkpoint_record.h"
#include "tests/storage/bank.h"

namespace everstate {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Message(const absl::Status& status) { return std::string(status.message()); }

void WriteFile(const fs::path& path, const std::string& bytes) {
  fs::remove(path);  // a table's bytes belong to the store too: only this name gets others
  SetBytesOfFile(path, bytes);
}

// Names, bytes and times of change of all that lies in a directory.
std::map<std::string, std::pair<std::string, int64_t>> ImageOf(const fs::path& dir) {
  std::map<std::string, std::pair<std::string, int64_t>> image;
  for (const auto& entry : fs::recursive_directory_iterator(dir)) {
    const std::string bytes = entry.is_regular_file() ? BytesOfFile(entry.path()) : "";
    image[entry.path().string()] = {bytes, entry.last_write_time().time_since_epoch().count()};
  }
  return image;
}

// The digest of a checkpoint, by starting from it in an empty data directory.
std::string DigestOfCheckpoint(const CheckpointInfo& info) {
  TemporaryFolder folder;
  OpenStore open = OpenTestStore(folder.path());
  auto begun = open.store->BeginGeneration(info);
  if (!begun.ok()) return begun.status().ToString();
  const auto status = (*begun)->MakeCurrent(info.watermark.block.slot);
  return status.ok() ? DigestOf(folder.path()) : status.ToString();
}

// A store whose checkpoint has all sorts of files: tables, from a close, and a WAL.
class CheckpointTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ApplyBank(&open_, 3);
    open_.Close();
    open_ = OpenTestStore(folder_.path());
    ApplyBank(&open_, 2);
  }
  fs::path dir() const { return folder_ / "checkpoints"; }

  TemporaryFolder folder_;
  OpenStore open_ = OpenTestStore(folder_.path());
};

TEST_F(CheckpointTest, SaysWhatItHolds) {
  const CheckpointInfo info = MakeCheckpoint(*open_.store);
  const Watermark watermark = open_.store->watermark();
  EXPECT_EQ(info.name, "15-" + EncodeBase58(HashOfByte(15)).substr(0, 8) + "-" + open_.store->lineage().substr(0, 4));
  EXPECT_EQ(fs::canonical(info.path), fs::canonical(dir() / info.name));
  EXPECT_EQ(info.format, kStoreFormat);
  EXPECT_EQ(info.stack_name, "bank");
  EXPECT_EQ(info.stack_hash, HexOf(std::string(32, '\xab')));
  EXPECT_EQ(info.lineage, open_.store->lineage());
  EXPECT_EQ(info.watermark.number, 5u);
  EXPECT_EQ(info.watermark.block, watermark.block);
  EXPECT_EQ(info.watermark.last_index, watermark.last_index);
  EXPECT_EQ(info.entities, kBankAccounts + 1);
  EXPECT_NEAR(static_cast<double>(info.created_at), static_cast<double>(time(nullptr)), 600);
  const auto entries = Listed(folder_.path());
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_TRUE(entries[0].status.ok()) << entries[0].status;
  uint64_t bytes = 0;
  for (const auto& file : fs::directory_iterator(info.path)) {
    if (file.path().filename() != "CHECKPOINT") bytes += file.file_size();
  }
  for (const CheckpointInfo& read :
       {entries[0].info, *VerifyCheckpoint(info.path), *VerifyCheckpoint(info.path / "")}) {
    EXPECT_EQ(read.name, info.name);
    EXPECT_EQ(read.format, info.format);
    EXPECT_EQ(read.stack_name, info.stack_name);
    EXPECT_EQ(read.stack_hash, info.stack_hash);
    EXPECT_EQ(read.lineage, info.lineage);
    EXPECT_EQ(read.watermark.number, info.watermark.number);
    EXPECT_EQ(read.watermark.block, info.watermark.block);
    EXPECT_EQ(read.watermark.last_index, info.watermark.last_index);
    EXPECT_EQ(read.entities, info.entities);
    EXPECT_EQ(read.bytes, bytes);
    EXPECT_EQ(read.created_at, info.created_at);
  }
  EXPECT_EQ(DigestOfCheckpoint(info), DigestOf(folder_.path()));
}

TEST(Checkpoint, TheRecordKeepsWhatANameMayHold) {
  CheckpointRecord record;
  record.info.format = kStoreFormat;
  record.info.stack_name = "50% of\na \x7f name";
  record.info.stack_hash = record.info.lineage = std::string(64, 'a');
  record.info.watermark.number = 1;
  record.files.push_back({"000001.sst", 7, "crc32c:00"});
  const auto read = DecodeCheckpointRecord(EncodeCheckpointRecord(record));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->info.stack_name, record.info.stack_name);
  EXPECT_FALSE(read->info.watermark.block.block_time);
  EXPECT_EQ(read->info.bytes, 7u);
}

TEST(Checkpoint, AStoreWithoutABlockHasNone) {
  TemporaryFolder folder;
  OpenStore open = OpenTestStore(folder.path());
  const auto made = open.store->CreateCheckpoint();
  EXPECT_EQ(made.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(Listed(folder.path()).empty());
  EXPECT_TRUE(Listed(folder / "nowhere").empty());
}

// A list that could not be read is not an empty one.
TEST(Checkpoint, ADirectoryThatCannotBeListedIsAnError) {
  TemporaryFolder folder;
  SetBytesOfFile(folder / "checkpoints", "a file");
  for (const auto& status : {ListCheckpoints(folder.path()).status(), PruneCheckpoints(folder.path(), 1).status()}) {
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(Message(status), HasSubstr("cannot list " + (folder / "checkpoints").string()));
  }
}

TEST_F(CheckpointTest, TheSameStateIsMadeOnce) {
  const CheckpointInfo first = MakeCheckpoint(*open_.store);
  const auto image = ImageOf(dir());
  const CheckpointInfo second = MakeCheckpoint(*open_.store);
  EXPECT_EQ(second.created_at, first.created_at);
  EXPECT_EQ(second.path.filename(), first.path.filename());
  EXPECT_EQ(ImageOf(dir()), image);
}

// Another batch of the same slot has the same name but is another state; a damaged one is no answer either.
TEST_F(CheckpointTest, ANameIsReplacedWhenItsStateIsAnotherOrDamaged) {
  const CheckpointInfo first = MakeCheckpoint(*open_.store);
  BatchMaker more(BatchKind::kRetention, open_.store->watermark());
  ASSERT_TRUE(open_.writer->Apply(more.Put(kOrder, "more", 7).batch()).ok());
  const CheckpointInfo second = MakeCheckpoint(*open_.store);
  EXPECT_EQ(second.name, first.name);
  EXPECT_EQ(second.watermark.number, first.watermark.number + 1);
  EXPECT_EQ(VerifyCheckpoint(first.path)->watermark.number, second.watermark.number);

  fs::remove(second.path / "CURRENT");
  EXPECT_TRUE(absl::IsDataLoss(VerifyCheckpoint(second.path).status()));
  const CheckpointInfo third = MakeCheckpoint(*open_.store);
  EXPECT_TRUE(VerifyCheckpoint(third.path).ok());
  EXPECT_EQ(fs::directory_entry(dir()).path(), dir());
  EXPECT_EQ(std::distance(fs::directory_iterator(dir()), fs::directory_iterator()), 1) << "what was replaced is gone";
}

// The writer goes on, with batches big enough that a copy of the WAL may end in the middle of one.
TEST(Checkpoint, WhileTheWriterGoesOn) {
  constexpr size_t kNoteBytes = 20000;
  constexpr int kCheckpoints = 8;
  TemporaryFolder folder;
  OpenStore open = OpenTestStore(folder.path());
  ApplyBank(&open, 1, kNoteBytes);
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    while (!stop) ApplyBank(&open, 1, kNoteBytes);
  });
  std::vector<CheckpointInfo> made;
  Number applied = 0;
  for (int i = 0; i < kCheckpoints; ++i) {
    while (open.store->watermark().number < applied + 3) std::this_thread::yield();
    const Number before = open.store->watermark().number;
    made.push_back(MakeCheckpoint(*open.store));
    applied = open.store->watermark().number;
    EXPECT_GE(made.back().watermark.number, before) << "what was applied before is in it";
    EXPECT_LE(made.back().watermark.number, applied + 1);
  }
  stop = true;
  writer.join();
  BankDigests digests(kNoteBytes);
  for (const CheckpointInfo& info : made) {
    EXPECT_TRUE(VerifyCheckpoint(info.path).ok()) << VerifyCheckpoint(info.path).status();
    EXPECT_EQ(DigestOfCheckpoint(info), digests.At(info.watermark.number)) << info.name;
  }
  EXPECT_EQ(AuditBank(*open.store), "");
}

TEST_F(CheckpointTest, VerifyingChangesNothing) {
  const CheckpointInfo info = MakeCheckpoint(*open_.store);
  const auto image = ImageOf(info.path);
  ASSERT_TRUE(VerifyCheckpoint(info.path).ok());
  Listed(folder_.path());
  EXPECT_EQ(ImageOf(info.path), image);
  // Also where nothing could be written at all.
  fs::permissions(info.path, fs::perms::owner_read | fs::perms::owner_exec);
  EXPECT_TRUE(VerifyCheckpoint(info.path).ok());
  fs::permissions(info.path, fs::perms::owner_all);
}

// ---- damage ----

// Every file of a checkpoint, and how an error about it must read.
class DamageTest : public CheckpointTest {
 protected:
  void SetUp() override {
    CheckpointTest::SetUp();
    info_ = MakeCheckpoint(*open_.store);
    whole_ = folder_ / "whole";
    fs::rename(info_.path, whole_);
    Restore();
    bool table = false, wal = false;
    for (const auto& file : fs::directory_iterator(whole_)) {
      names_.push_back(file.path().filename().string());
      table = table || file.path().extension() == ".sst";
      wal = wal || (file.path().extension() == ".log" && file.file_size() > 0);
    }
    ASSERT_TRUE(table && wal) << "the tests below must meet all sorts of files";
  }
  void Restore() {
    fs::remove_all(info_.path);
    fs::copy(whole_, info_.path);
  }
  // Of the check that reads everything; `listed` is what ListCheckpoints must say.
  void ExpectDamage(const std::string& name, bool listed) {
    SCOPED_TRACE(name);
    const absl::Status status = VerifyCheckpoint(info_.path).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
    EXPECT_THAT(Message(status), AllOf(HasSubstr(info_.path.string()), HasSubstr("file " + name),
                                       HasSubstr("copy it again or delete it")));
    const auto entries = Listed(folder_.path());
    ASSERT_EQ(entries.size(), 1u);
    EXPECT_EQ(entries[0].info.name, info_.name);
    EXPECT_EQ(entries[0].status.code(), listed ? absl::StatusCode::kDataLoss : absl::StatusCode::kOk);
    const auto begun = open_.store->BeginGeneration(info_);
    EXPECT_EQ(begun.status().code(), absl::StatusCode::kDataLoss) << begun.status();
    EXPECT_FALSE(fs::exists(folder_ / "2")) << "a refused start leaves nothing";
  }

  CheckpointInfo info_;
  fs::path whole_;
  std::vector<std::string> names_;
};

TEST_F(DamageTest, AMissingFile) {
  for (const std::string& name : names_) {
    Restore();
    fs::remove(info_.path / name);
    ExpectDamage(name, true);
  }
}

TEST_F(DamageTest, AFileThatIsCut) {
  for (const std::string& name : names_) {
    const std::string bytes = BytesOfFile(whole_ / name);
    for (const size_t size : {bytes.size() - 1, bytes.size() / 2, size_t{0}}) {
      Restore();
      WriteFile(info_.path / name, bytes.substr(0, size));
      ExpectDamage(name, true);
    }
  }
}

TEST_F(DamageTest, AFileThatIsTooLong) {
  for (const std::string& name : names_) {
    Restore();
    WriteFile(info_.path / name, BytesOfFile(whole_ / name) + "\n");
    ExpectDamage(name, true);
  }
}

TEST_F(DamageTest, AByteFlippedAnywhere) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (const std::string& name : names_) {
    const std::string bytes = BytesOfFile(whole_ / name);
    std::vector<size_t> places{0, bytes.size() - 1};
    for (int i = 0; i < 10; ++i) places.push_back(random() % bytes.size());
    for (const size_t place : places) {
      SCOPED_TRACE("byte " + std::to_string(place));
      Restore();
      std::string flipped = bytes;
      flipped[place] = static_cast<char>(flipped[place] ^ (1u << random() % 8));
      WriteFile(info_.path / name, flipped);
      // Only the record itself is read by those who list.
      ExpectDamage(name, name == "CHECKPOINT");
    }
  }
}

TEST_F(DamageTest, AFileTooMany) {
  for (const char* name : {"999999.sst", "LOG", "000001.sst.trash"}) {
    Restore();
    WriteFile(info_.path / name, "x");
    ExpectDamage(name, true);
    EXPECT_TRUE(fs::exists(info_.path / name)) << "verifying deletes nothing";
  }
}

TEST_F(DamageTest, AForeignDirectory) {
  fs::remove_all(info_.path);
  const fs::path photos = dir() / "photos";
  fs::create_directory(photos);
  WriteFile(photos / "1.jpg", "x");
  const auto status = VerifyCheckpoint(photos).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(Message(status), AllOf(HasSubstr(photos.string()), HasSubstr("no file CHECKPOINT")));
  EXPECT_EQ(VerifyCheckpoint(dir() / "nowhere").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(VerifyCheckpoint(photos / "1.jpg").status().code(), absl::StatusCode::kNotFound);
  ASSERT_EQ(Listed(folder_.path()).size(), 1u);
  EXPECT_EQ(Listed(folder_.path())[0].status.code(), absl::StatusCode::kDataLoss);
}

// Writes the record anew, with a right sum.
void Rewrite(const fs::path& dir, const std::string& from, const std::string& to) {
  std::string text = BytesOfFile(dir / "CHECKPOINT");
  text.erase(text.rfind("sum "));
  ASSERT_NE(text.find(from), std::string::npos);
  text.replace(text.find(from), from.size(), to);
  const Sha256Digest sum = Sha256Of(text);
  WriteFile(dir / "CHECKPOINT", text + "sum " + HexOf({reinterpret_cast<const char*>(sum.data()), sum.size()}) + "\n");
}

TEST_F(DamageTest, AnotherFormatNamesBoth) {
  Rewrite(info_.path, "format " + std::to_string(kStoreFormat), "format 99");
  for (const auto& status : {VerifyCheckpoint(info_.path).status(), Listed(folder_.path())[0].status,
                             open_.store->BeginGeneration(info_).status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(Message(status), AllOf(HasSubstr("99"), HasSubstr("format " + std::to_string(kStoreFormat))));
  }
  Restore();
  Rewrite(info_.path, "everstate-checkpoint 1", "everstate-checkpoint 2");
  EXPECT_EQ(VerifyCheckpoint(info_.path).status().code(), absl::StatusCode::kFailedPrecondition);
}

// A record that is whole but not about these files: each line that the database can contradict.
TEST_F(DamageTest, ARecordThatSaysSomethingElse) {
  const std::string other_hash = EncodeBase58(HashOfByte(1));
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"stack-name bank", "stack-name bang"},
           {"stack-hash ab", "stack-hash ac"},
           {"lineage " + info_.lineage.substr(0, 4), "lineage zzzz"},
           {"number 5", "number 6"},
           {"slot 15", "slot 16"},
           {"last-index 51", "last-index 50"},
           {"\nblockhash " + EncodeBase58(HashOfByte(15)), "\nblockhash " + other_hash},
           {"block-time 1700000015", "block-time none"},
           {"entities 51", "entities 52"}}) {
    SCOPED_TRACE(to);
    Restore();
    Rewrite(info_.path, from, to);
    const auto status = VerifyCheckpoint(info_.path).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
    EXPECT_THAT(Message(status), AllOf(HasSubstr("its file CHECKPOINT says"), HasSubstr("copy it again")));
    const std::string value = to.substr(to.find(' ') + 1);  // both sides are told, and how they differ
    EXPECT_THAT(Message(status), HasSubstr(value)) << status;
  }
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"number 5", "number five"}, {"entities 51\n", ""}, {"file CURRENT", "file ../../current"}}) {
    SCOPED_TRACE(to);
    Restore();
    Rewrite(info_.path, from, to);
    EXPECT_THAT(Message(VerifyCheckpoint(info_.path).status()), HasSubstr("file CHECKPOINT: line "));
  }
}

// ---- pruning ----

class PruneTest : public CheckpointTest {
 protected:
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const CheckpointEntry& entry : Listed(folder_.path())) names.push_back(entry.info.name);
    return names;
  }
};

TEST_F(PruneTest, KeepsTheNewestWholeOnesAndWhatIsNotOurs) {
  std::vector<std::string> made;
  for (int i = 0; i < 5; ++i) {
    made.push_back(MakeCheckpoint(*open_.store).name);
    ApplyBank(&open_, 30);  // slots of two and three digits: their order is no text's
  }
  EXPECT_EQ(Names(), made);
  fs::remove(dir() / made[4] / "CURRENT");
  fs::create_directory(dir() / "photos");
  WriteFile(dir() / "photos/1.jpg", "x");
  WriteFile(dir() / "notes.txt", "x");
  fs::create_directories(dir() / ".making-15-x/sub");
  fs::create_directories(dir() / ".deleting-15-x");

  const auto deleted = PruneCheckpoints(folder_.path(), 2);
  ASSERT_TRUE(deleted.ok()) << deleted.status();
  EXPECT_THAT(*deleted, ElementsAre(".deleting-15-x", ".making-15-x", made[0], made[1]));
  EXPECT_THAT(Names(), ElementsAre("photos", made[2], made[3], made[4]));
  EXPECT_TRUE(fs::exists(dir() / "photos/1.jpg"));
  EXPECT_TRUE(fs::exists(dir() / "notes.txt"));
  EXPECT_TRUE(VerifyCheckpoint(dir() / made[3]).ok());
  EXPECT_TRUE(PruneCheckpoints(folder_.path(), 2)->empty());
  EXPECT_EQ(PruneCheckpoints(folder_.path(), 0)->size(), 2u);
  EXPECT_TRUE(PruneCheckpoints(folder_ / "nowhere", 0)->empty());
}

TEST_F(PruneTest, WhatAKillLeftGoesWithTheNextOpenOrCheckpoint) {
  const std::string whole = MakeCheckpoint(*open_.store).name;
  const fs::path left = dir() / ".making-15-x";
  fs::create_directory(left);
  EXPECT_THAT(Names(), ElementsAre(whole)) << "it is taken for no checkpoint";
  ApplyBank(&open_, 1);
  MakeCheckpoint(*open_.store);
  EXPECT_FALSE(fs::exists(left));
  fs::create_directory(left);
  open_.Close();
  open_ = OpenTestStore(folder_.path());
  EXPECT_FALSE(fs::exists(left));
  EXPECT_EQ(Names().size(), 2u);
}

}  // namespace
}  // namespace everstate
