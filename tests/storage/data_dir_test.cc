// Whose a data directory is: what is made in it, named, deleted and left alone.
#include "storage/data_dir.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/storage/store_support.h"

namespace everstate {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string Message(const absl::Status& status) { return std::string(status.message()); }

TEST(DataDir, IsOpenOnce) {
  TemporaryFolder folder;
  OpenStore open = OpenTestStore(folder.path());
  const auto again = EntityStore::Open(TestOptions(folder.path()), TestIdentity());
  EXPECT_EQ(again.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(Message(again.status()),
              AllOf(HasSubstr(folder.path().string()), HasSubstr("in use by another process")));
}

TEST(DataDir, IsSaidToBeHeldOnlyWhileItIs) {
  TemporaryFolder folder;
  const auto path = folder / "data";
  EXPECT_TRUE(DataDir::CheckFree(path).ok());
  EXPECT_FALSE(std::filesystem::exists(path)) << "who only asks makes nothing";
  {
    const auto locked = DataDir::Lock(path);
    ASSERT_TRUE(locked.ok()) << locked.status();
    EXPECT_EQ(DataDir::CheckFree(path), DataDir::Lock(path).status());
    EXPECT_EQ(DataDir::CheckFree(path).code(), absl::StatusCode::kUnavailable);
  }
  EXPECT_TRUE(DataDir::CheckFree(path).ok());
  EXPECT_TRUE(DataDir::Lock(path).ok()) << "and holds nothing";
  SetBytesOfFile(folder / "file", "x");
  EXPECT_TRUE(DataDir::CheckFree(folder / "file").ok()) << "what else is wrong is for Lock to say";
}

TEST(DataDir, NamesADirectoryThatCannotBe) {
  TemporaryFolder folder;
  SetBytesOfFile(folder / "file", "x");
  for (const auto& path : {folder / "file", folder / "file/below", std::filesystem::path("/proc/everstate/data")}) {
    const auto opened = EntityStore::Open(TestOptions(path), TestIdentity());
    ASSERT_FALSE(opened.ok());
    EXPECT_THAT(Message(opened.status()), AllOf(HasSubstr("data directory"), HasSubstr(path.string())));
    EXPECT_NE(opened.status().code(), absl::StatusCode::kFailedPrecondition) << "that would be another stack's store";
  }
}

TEST(DataDir, DeletesAGenerationThatWasNeverNamed) {
  TemporaryFolder folder;
  FillSlots(folder.path(), 3);
  std::filesystem::copy(folder / "1", folder / "2", std::filesystem::copy_options::recursive);
  std::filesystem::create_directory(folder / "3");
  FillSlots(folder / "other", 0);
  OpenStore open = OpenTestStore(folder.path());
  EXPECT_FALSE(std::filesystem::exists(folder / "2"));
  EXPECT_FALSE(std::filesystem::exists(folder / "3"));
  EXPECT_TRUE(std::filesystem::exists(folder / "other/1"));
  EXPECT_EQ(open.store->watermark().number, 3u);
}

TEST(DataDir, BeginsAgainAfterAKillDuringCreation) {
  TemporaryFolder folder;
  {
    const OpenStore open = OpenTestStore(folder / "made");
    std::filesystem::create_directory(folder / "killed");  // just before it was named
    std::filesystem::copy(folder / "made/1", folder / "killed/1");
  }
  const std::string killed = BytesOfFile(folder / "killed/1/IDENTITY");
  const OpenStore open = OpenTestStore(folder / "killed");
  EXPECT_EQ(open.store->generation(), 1u);
  EXPECT_EQ(open.store->watermark().number, 0u);
  EXPECT_NE(BytesOfFile(folder / "killed/1/IDENTITY"), killed) << "it was made anew";
}

// A directory of which `current` was lost, or was not copied with the rest, is not taken for one that was never
// finished.
TEST(DataDir, DeletesNothingThatWasAppliedWhenCurrentIsLost) {
  TemporaryFolder folder;
  FillSlots(folder / "flushed", 3);  // closing puts it into tables
  OpenStore open = OpenTestStore(folder / "live");
  ASSERT_TRUE(open.writer->Apply(BatchMaker(1).Put(kAccount, "a", 1).batch()).ok());
  std::filesystem::create_directories(folder / "logged");  // this one has no table, only the log
  std::filesystem::copy(folder / "live/1", folder / "logged/1");
  FillSlots(folder / "cut", 3);
  std::filesystem::remove(folder / "cut/1/CURRENT");  // what cannot be opened may hold all the same
  for (const char* name : {"flushed", "logged", "cut"}) {
    SCOPED_TRACE(name);
    std::filesystem::remove(folder / name / "current");
    const auto opened = EntityStore::Open(TestOptions(folder / name), TestIdentity());
    EXPECT_EQ(opened.status().code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(Message(opened.status()), AllOf(HasSubstr((folder / name / "current").string() + " is missing"),
                                                HasSubstr("generation 1"), HasSubstr("copy")));
    EXPECT_TRUE(std::filesystem::exists(folder / name / "1/IDENTITY"));
  }
  SetBytesOfFile(folder / "flushed/current", "1\n");
  EXPECT_EQ(OpenTestStore(folder / "flushed").store->watermark().number, 3u);
  SetBytesOfFile(folder / "logged/current", "1\n");
  EXPECT_EQ(OpenTestStore(folder / "logged").store->watermark().number, 1u);
}

TEST(DataDir, DeletesNothingThatIsNotOurs) {
  TemporaryFolder folder;
  std::filesystem::create_directory(folder / "2024");
  SetBytesOfFile(folder / "2024/photo", "x");
  const auto opened = EntityStore::Open(TestOptions(folder.path()), TestIdentity());
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(opened.status()), HasSubstr("2024"));
  EXPECT_TRUE(std::filesystem::exists(folder / "2024/photo"));
}

TEST(DataDir, SaysWhatIsWrongWithCurrent) {
  for (const char* text : {"", "\n", "x\n", "1", "0\n", "01\n", "1\n1\n", "-1\n", "99999999999999999999999\n"}) {
    TemporaryFolder folder;
    SetBytesOfFile(folder / "current", text);
    const auto opened = EntityStore::Open(TestOptions(folder.path()), TestIdentity());
    EXPECT_EQ(opened.status().code(), absl::StatusCode::kDataLoss) << text;
    EXPECT_THAT(Message(opened.status()), HasSubstr("current"));
  }
  TemporaryFolder folder;
  SetBytesOfFile(folder / "current", "4\n");
  EXPECT_EQ(EntityStore::Open(TestOptions(folder.path()), TestIdentity()).status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace everstate
