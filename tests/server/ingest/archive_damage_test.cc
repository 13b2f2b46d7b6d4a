// Archives that were cut, flipped, robbed of a file, written by somebody newer, killed, or out of room.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <random>
#include <thread>

#include "server/base/log.h"
#include "server/ingest/archive_format.h"
#include "server/ingest/archive_segment.h"
#include "tests/server/ingest/archive_support.h"
#include "tests/support/child_process.h"
#include "tests/support/file_size_limit.h"

namespace everstate::ingest {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::MadeChain;
using testing::MadeSubscription;
using testing::OpenWriter;
using testing::ReadAfter;
using testing::ReadBack;
using ::testing::SizeIs;
using testing::WholeText;
using testing::WriteArchive;

std::filesystem::path FirstSegment(const std::filesystem::path& dir) { return ListSegments(dir)->front().path; }

// Where each record begins, and the end of the file.
std::vector<uint64_t> Boundaries(const std::filesystem::path& segment) {
  std::vector<uint64_t> list;
  auto file = *SegmentFile::Open(segment);
  do list.push_back(file.offset());
  while (file.Next()->has_value());
  return list;
}

void ExpectBlocks(const std::filesystem::path& dir, const std::vector<BlockRef>& expected) {
  const ReadBack read = ReadAfter(dir, 0);
  EXPECT_TRUE(read.status.ok()) << read.status;
  ASSERT_EQ(read.blocks.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) ASSERT_EQ(WholeText(*read.blocks[i]), WholeText(*expected[i]));
}

// Whatever the length of the file: the whole records count, the rest is cut at open, and what is missing is appended
// again.
TEST(ArchiveDamage, ACutAtEveryByteLosesTheTornRecordOnly) {
  InitLog({.level = LogLevel::kOff});
  TemporaryFolder folder;
  const auto blocks = MadeChain(14, 15);  // one that is empty, one with a transaction
  WriteArchive({.dir = folder.path()}, blocks);
  const auto segment = FirstSegment(folder.path());
  const std::string whole = BytesOfFile(segment);
  const std::vector<uint64_t> ends = Boundaries(segment);
  ASSERT_EQ(ends.size(), 3u);
  for (size_t size = 0; size < whole.size(); ++size) {
    SCOPED_TRACE(size);
    SetBytesOfFile(segment, whole.substr(0, size));
    size_t left = 0;
    while (left < 2 && ends[left + 1] <= size) ++left;
    const ReadBack torn = ReadAfter(folder.path(), 0);  // nobody has cut it yet
    ASSERT_EQ(torn.blocks.size(), left);
    ASSERT_EQ(torn.status.ok(), size >= ends[0]) << torn.status;
    {
      auto writer = OpenWriter({.dir = folder.path()});
      if (left == 0) {
        ASSERT_FALSE(writer->last().has_value());
      } else {
        ASSERT_EQ(writer->last()->slot, blocks[left - 1]->id.slot);
        ASSERT_EQ(std::filesystem::file_size(segment), ends[left]);
      }
      for (const BlockRef& block : blocks) ASSERT_TRUE(writer->Append(*block).ok());
      ASSERT_EQ(writer->counters().blocks_known.value(), left);
    }
    ASSERT_TRUE(BytesOfFile(segment) == whole);
  }
  InitLog({});
}

// A power cut may leave zeros where bytes were not written yet, also in the middle of a record.
TEST(ArchiveDamage, ZerosAtTheEndAreATornTail) {
  TemporaryFolder folder;
  const auto blocks = MadeChain(15, 18);
  WriteArchive({.dir = folder.path()}, blocks);
  const auto segment = FirstSegment(folder.path());
  const std::string whole = BytesOfFile(segment);
  const std::vector<uint64_t> ends = Boundaries(segment);
  for (size_t keep : {ends[3], ends[3] + 60, ends[3] + kRecordHeaderBytes + 20}) {
    std::string file = whole.substr(0, keep);
    file.resize(whole.size(), '\0');
    SetBytesOfFile(segment, file);
    {
      auto writer = OpenWriter({.dir = folder.path()});
      EXPECT_EQ(writer->last()->slot, 17u);
      ASSERT_TRUE(writer->Append(*blocks.back()).ok());
    }
    EXPECT_TRUE(BytesOfFile(segment) == whole) << keep;
  }
}

// Nothing of the newest file was on the disk, and of the one before it only a part.
TEST(ArchiveDamage, AFileOfZerosIsNoSegmentAndTheOneBeforeItIsTheNewest) {
  TemporaryFolder folder;
  const auto blocks = MadeChain(10, 60);
  WriteArchive({.dir = folder.path(), .segment_bytes = 5000}, blocks);
  const std::vector<SegmentName> segments = *ListSegments(folder.path());
  ASSERT_GT(segments.size(), 2u);
  const SegmentName& newest = segments.back();
  const SegmentName& before = *std::prev(segments.end(), 2);
  const std::vector<uint64_t> ends = Boundaries(before.path);
  ASSERT_GT(ends.size(), 2u);
  for (const uint64_t zeros : {newest.bytes, uint64_t{0}}) {
    SetBytesOfFile(newest.path, std::string(zeros, '\0'));
    std::filesystem::resize_file(before.path, ends[2] - 1);
    WriteArchive({.dir = folder.path(), .segment_bytes = 5000}, blocks);
    const ArchiveListing listing = *ListArchive(folder.path(), ArchiveCheck::kFrames);
    EXPECT_THAT(listing.faults, IsEmpty());
    EXPECT_EQ(listing.runs.size(), 1u);
    ExpectBlocks(folder.path(), blocks);
  }
}

// A flipped bit anywhere is found; what lies before it and the other segments remain; the writer goes on behind it.
TEST(ArchiveDamage, AFlippedBitEndsTheRunOfItsSegment) {
  InitLog({.level = LogLevel::kOff});
  const auto blocks = MadeChain(10, 60);
  const auto later = MadeChain(61, 64);
  TemporaryFolder whole;
  WriteArchive({.dir = whole.path(), .segment_bytes = 5000}, blocks);
  const std::vector<SegmentName> segments = *ListSegments(whole.path());
  ASSERT_GT(segments.size(), 4u);
  std::mt19937 random(11);
  for (int round = 0; round < 150; ++round) {
    TemporaryFolder folder;
    std::filesystem::copy(whole.path(), folder.path());
    const size_t which = random() % segments.size();
    const auto path = folder.path() / segments[which].path.filename();
    std::string bytes = BytesOfFile(path);
    const size_t at = random() % bytes.size();
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8));
    SetBytesOfFile(path, bytes);
    SCOPED_TRACE(path.string() + " byte " + std::to_string(at));

    const ArchiveListing listing = *ListArchive(folder.path(), ArchiveCheck::kFrames);
    const bool newest = which + 1 == segments.size();
    ASSERT_THAT(listing.faults, SizeIs(1));
    EXPECT_THAT(listing.faults.front(), AllOf(HasSubstr(path.string()), HasSubstr("at offset ")));
    EXPECT_EQ(listing.runs.back().last.slot == 60, !newest);

    const ReadBack read = ReadAfter(folder.path(), 0);
    EXPECT_EQ(read.status.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(read.status.message()), AllOf(HasSubstr(path.string()), HasSubstr("at offset ")));
    ASSERT_LT(read.blocks.size(), blocks.size());
    for (size_t i = 0; i < read.blocks.size(); ++i) ASSERT_EQ(WholeText(*read.blocks[i]), WholeText(*blocks[i]));
    if (!newest) {  // a state at the last block of the damaged segment is carried on from the next one
      const Slot after = segments[which + 1].first_slot - 1;
      const ReadBack rest = ReadAfter(folder.path(), after);
      EXPECT_TRUE(rest.status.ok()) << rest.status;
      EXPECT_EQ(rest.blocks.size(), 60 - after);
    }
    {
      auto writer = OpenWriter({.dir = folder.path(), .segment_bytes = 5000});
      for (const BlockRef& block : blocks) ASSERT_TRUE(writer->Append(*block).ok());
      for (const BlockRef& block : later) ASSERT_TRUE(writer->Append(*block).ok());
      // At open the newest segment is read with its frames, of the others the headers.
      const ArchiveCheck check = newest ? ArchiveCheck::kFrames : ArchiveCheck::kHeaders;
      ASSERT_EQ(testing::TextOf(writer->listing()), testing::TextOf(*ListArchive(folder.path(), check)));
    }
    const ReadBack again = ReadAfter(folder.path(), 60);
    EXPECT_TRUE(again.status.ok()) << again.status;
    EXPECT_THAT(again.slots(), ElementsAre(61, 62, 63, 64));
  }
  InitLog({});
}

TEST(ArchiveDamage, AMissingSegmentIsAHole) {
  TemporaryFolder folder;
  const auto blocks = MadeChain(10, 60);
  WriteArchive({.dir = folder.path(), .segment_bytes = 5000}, blocks);
  const std::vector<SegmentName> segments = *ListSegments(folder.path());
  std::filesystem::remove(segments[1].path);
  const ArchiveListing listing = *ListArchive(folder.path());
  EXPECT_THAT(listing.faults, IsEmpty());
  ASSERT_EQ(listing.runs.size(), 2u);
  EXPECT_EQ(listing.runs[0].last.slot, segments[1].first_slot - 1);
  EXPECT_EQ(listing.runs[1].before.slot, segments[2].first_slot - 1);
  const ReadBack read = ReadAfter(folder.path(), 0);
  EXPECT_TRUE(read.status.ok()) << read.status;
  EXPECT_EQ(read.blocks.size(), blocks.size() - (segments[2].first_slot - segments[1].first_slot));
}

// The last bytes of a closed segment are gone.
TEST(ArchiveDamage, AClosedSegmentThatIsCutIsAFault) {
  TemporaryFolder folder;
  WriteArchive({.dir = folder.path(), .segment_bytes = 5000}, MadeChain(10, 60));
  const std::vector<SegmentName> segments = *ListSegments(folder.path());
  std::filesystem::resize_file(segments[1].path, segments[1].bytes - 1);
  const ArchiveListing listing = *ListArchive(folder.path());
  ASSERT_THAT(listing.faults, SizeIs(1));
  EXPECT_THAT(listing.faults.front(),
              AllOf(HasSubstr(segments[1].path.string()), HasSubstr("the file ends inside a record")));
  EXPECT_EQ(listing.runs.size(), 2u);
  const ReadBack read = ReadAfter(folder.path(), 0);
  EXPECT_EQ(read.status.code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(read.blocks.back()->id.slot, segments[2].first_slot - 2);
}

// A segment of another archive under a name that fits.
TEST(ArchiveDamage, AForeignSegmentIsNoPartOfTheRun) {
  TemporaryFolder folder, other;
  const auto blocks = MadeChain(10, 60);
  WriteArchive({.dir = folder.path(), .segment_bytes = 5000}, blocks);
  std::vector<std::string> messages;
  for (Slot slot = 10; slot <= 60; ++slot) {
    for (std::string& m :
         testing::MessagesOf({.slot = slot, .parent = slot - 1, .fork = "other", .parent_fork = "other"}))
      messages.push_back(std::move(m));
  }
  WriteArchive({.dir = other.path(), .segment_bytes = 1 << 20}, testing::BlocksOf(messages));
  const std::vector<SegmentName> segments = *ListSegments(folder.path());
  std::filesystem::copy_file(FirstSegment(other.path()), segments[1].path,
                             std::filesystem::copy_options::overwrite_existing);
  SetBytesOfFile(folder.path() / "notes.blocks", "no number, so no segment");
  const ArchiveListing listing = *ListArchive(folder.path());
  ASSERT_EQ(listing.runs.size(), 3u);
  EXPECT_EQ(listing.runs[0].last.slot, segments[1].first_slot - 1);
  EXPECT_EQ(listing.runs[1].before.blockhash, testing::BlockhashOf(9, "other"));
  EXPECT_EQ(listing.runs[2].last.slot, 60u);
  auto writer = OpenWriter({.dir = folder.path()});
  const absl::Status status = writer->Append(*blocks[segments[1].first_slot - 10]);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
}

// Rewrites a checksummed number: `at` lies in the part that begins at `begin` with its checksum.
void Forge(std::string* file, size_t crc_at, size_t end, size_t at, char value) {
  (*file)[at] = value;
  const uint32_t crc = ChecksumOf(std::string_view(*file).substr(crc_at + 4, end - crc_at - 4));
  std::memcpy(file->data() + crc_at, &crc, sizeof crc);
}

TEST(ArchiveDamage, WhatANewerVersionWroteIsNamedAndLeftAlone) {
  const auto blocks = MadeChain(15, 18);
  TemporaryFolder folder;
  WriteArchive({.dir = folder.path()}, blocks);
  const auto segment = FirstSegment(folder.path());
  const std::string whole = BytesOfFile(segment);
  const std::vector<uint64_t> ends = Boundaries(segment);

  std::string kind = whole;  // the third record is of kind 2
  Forge(&kind, ends[2] + 8, ends[2] + kRecordHeaderBytes, ends[2] + 12, 2);
  std::string format = whole;
  Forge(&format, 16, ends[0], 20, 7);
  for (const auto& [file, text, left] :
       {std::tuple(kind, "a record of kind 2", 2), std::tuple(format, "the segment is of format 7", 0)}) {
    SetBytesOfFile(segment, file);
    const ReadBack read = ReadAfter(folder.path(), 0);
    EXPECT_EQ(read.blocks.size(), static_cast<size_t>(left));
    EXPECT_EQ(read.status.code(), absl::StatusCode::kUnimplemented);
    EXPECT_THAT(std::string(read.status.message()), AllOf(HasSubstr(segment.string()), HasSubstr(text)));
    EXPECT_THAT(ListArchive(folder.path())->faults, ElementsAre(HasSubstr(text)));
    auto writer = OpenWriter({.dir = folder.path()});
    ASSERT_TRUE(writer->Append(*MadeChain(19, 19).front()).ok());
    EXPECT_TRUE(BytesOfFile(segment) == file);
    EXPECT_THAT(ReadAfter(folder.path(), 18).slots(), ElementsAre(19));
    std::filesystem::remove(SegmentPath(folder.path(), 19));
  }
}

// Each segment is cut back where the file could not grow; the block is lost, the next one begins another segment.
TEST(ArchiveDamage, AFileThatMayNotGrowCostsABlock) {
  TemporaryFolder folder;
  const auto blocks = MadeChain(10, 200);
  std::vector<Slot> failed;
  auto writer = OpenWriter({.dir = folder.path()});
  std::vector<absl::Status> errors;
  {
    const FileSizeLimit limit(20'000);
    for (const BlockRef& block : blocks) {
      absl::Status status = writer->Append(*block);
      if (status.ok()) continue;
      failed.push_back(block->id.slot);
      errors.push_back(std::move(status));
    }
  }
  ASSERT_GE(failed.size(), 2u);
  EXPECT_EQ(writer->counters().failures.value(), failed.size());
  for (const absl::Status& error : errors)
    EXPECT_THAT(error.ToString(), AllOf(HasSubstr("cannot write"), HasSubstr("File too large")));
  const ArchiveListing listing = *ListArchive(folder.path(), ArchiveCheck::kFrames);
  EXPECT_THAT(listing.faults, IsEmpty());
  ASSERT_EQ(listing.runs.size(), failed.size() + 1);
  for (size_t i = 0; i < failed.size(); ++i) {
    EXPECT_EQ(listing.runs[i].last.slot, failed[i] - 1);
    EXPECT_EQ(listing.runs[i + 1].before.slot, failed[i]);
  }
  EXPECT_EQ(ReadAfter(folder.path(), 0).blocks.size(), blocks.size() - failed.size());
}

// An archive_appender and what it prints.
class Appender : public ChildProcess {
 public:
  Appender(const char* mode, const std::filesystem::path& dir)
      : ChildProcess({EVERSTATE_ARCHIVE_APPENDER, mode, dir.string()}) {}
};

TEST(ArchiveDamage, AKilledWriterLosesNothingThatItHadAppended) {
  TemporaryFolder folder;
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  Slot last = 0;
  for (int round = 0; round < 12 || last <= 50; ++round) {  // each appends a block at least
    Appender appender("run", folder.path());
    std::string line = appender.ReadLine();
    ASSERT_EQ(line, "slot " + std::to_string(last == 0 ? 10 : last + 1));
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 60000));
    appender.Kill();
    for (; !line.empty(); line = appender.ReadLine()) last = std::stoull(line.substr(5));
    auto writer = OpenWriter({.dir = folder.path()});
    ASSERT_GE(writer->last()->slot, last);
    ASSERT_LE(writer->last()->slot, last + 1) << "one block can be appended and not yet printed";
    last = writer->last()->slot;
  }
  const ArchiveListing listing = *ListArchive(folder.path(), ArchiveCheck::kFrames);
  EXPECT_THAT(listing.faults, IsEmpty());
  ASSERT_EQ(listing.runs.size(), 1u);
  EXPECT_EQ(listing.runs[0].first_slot, 10u);
  ExpectBlocks(folder.path(), MadeChain(10, last));
}

TEST(ArchiveDamage, AFullDiskCostsReachAndNotTheStream) {
  TemporaryFolder folder;
  Appender appender("no-space", folder.path());
  std::string line = appender.ReadLine();
  if (line.empty() && appender.Wait() == kCannotMount) GTEST_SKIP() << "a small file system can not be mounted here";
  for (int i = 0; i < 3; ++i, line = appender.ReadLine()) {
    EXPECT_TRUE(line.starts_with("failed RESOURCE_EXHAUSTED cannot ")) << line;
  }
  EXPECT_EQ(line, "done");
  EXPECT_EQ(appender.Wait(), 0);
}

}  // namespace
}  // namespace everstate::ingest
