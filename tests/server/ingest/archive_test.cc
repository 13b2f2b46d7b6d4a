// What the archive gives back, whom it serves, and how it is bounded. Damage and crashes have tests of their own.
#include "server/ingest/archive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zstd.h>

#include <atomic>
#include <thread>

#include "server/base/base58.h"
#include "tests/server/ingest/archive_support.h"
#include "tests/support/source_dir.h"

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
using testing::WholeText;
using testing::WriteArchive;

const std::string kOtherRecordings = InSharedData("recordings");

// Everything that the blocks hold, so that nothing is left out when they are read.
Subscription CoverOf(const std::vector<BlockRef>& blocks) {
  Subscription cover;
  const auto key = [](const uint8_t* bytes) {
    std::array<uint8_t, 32> out;
    std::copy(bytes, bytes + 32, out.begin());
    return out;
  };
  const auto add = [](std::vector<std::array<uint8_t, 32>>* list, const std::array<uint8_t, 32>& k) {
    if (std::find(list->begin(), list->end(), k) == list->end()) list->push_back(k);
  };
  for (const BlockRef& block : blocks) {
    for (const AccountUpdate& account : block->accounts) add(&cover.account_owners, key(account.owner));
    for (const TransactionUpdate& t : block->transactions) {
      for (const InstructionUpdate& i : t.instructions) add(&cover.transaction_programs, key(i.program));
    }
  }
  return cover;
}

void ExpectSame(const std::vector<BlockRef>& expected, const std::vector<BlockRef>& got) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i]->id, expected[i]->id);
    ASSERT_EQ(WholeText(*got[i]), WholeText(*expected[i])) << "block " << expected[i]->id.slot;
  }
}

std::vector<std::filesystem::path> Recordings() {
  std::vector<std::filesystem::path> found;
  for (const std::string& folder : {InSource("tests/recordings"), kOtherRecordings}) {
    std::error_code absent;
    for (const auto& entry : std::filesystem::directory_iterator(folder, absent)) {
      if (entry.path().extension() == ".updates") found.push_back(entry.path());
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

void RoundTrip(const std::filesystem::path& recording) {
  SCOPED_TRACE(recording.string());
  const std::vector<BlockRef> blocks = testing::BlocksOf(testing::MessagesIn(recording));
  if (blocks.empty()) return;  // a recording without a whole block
  const Subscription cover = CoverOf(blocks);
  TemporaryFolder folder;
  {
    auto writer = OpenWriter({.dir = folder.path(), .segment_bytes = 200'000}, cover);
    for (const BlockRef& block : blocks) ASSERT_TRUE(writer->Append(*block).ok());
    EXPECT_EQ(writer->last(), blocks.back()->id);
    EXPECT_EQ(writer->counters().blocks_written.value(), blocks.size());
  }
  const ReadBack read = ReadAfter(folder.path(), 0, cover);
  ASSERT_TRUE(read.status.ok()) << read.status;
  ExpectSame(blocks, read.blocks);
  const auto listing = ListArchive(folder.path(), ArchiveCheck::kFrames);
  ASSERT_TRUE(listing.ok());
  EXPECT_THAT(listing->faults, IsEmpty());
  uint64_t listed = 0;
  for (const ArchiveReach& run : listing->runs) listed += run.blocks;
  EXPECT_EQ(listed, blocks.size());
  std::printf("%s: %zu blocks, %zu segments, %.1f %% of the bytes\n", recording.filename().c_str(), blocks.size(),
              static_cast<size_t>(listing->segments), [&] {
                double raw = 0;
                for (const BlockRef& block : blocks) raw += static_cast<double>(block->bytes);
                return 100.0 * static_cast<double>(listing->bytes) / raw;
              }());
}

TEST(Archive, GivesBackWhatTheLedgerMade) {
  const auto recordings = Recordings();
  ASSERT_FALSE(recordings.empty());
  for (const auto& recording : recordings) RoundTrip(recording);
  if (!std::filesystem::exists(kOtherRecordings))
    GTEST_SKIP() << kOtherRecordings << " is absent: only the small one was looked at";
}

// A segment is a sequence of zstd frames, and what they hold is a recording.
TEST(Archive, ADecompressedSegmentIsARecording) {
  TemporaryFolder folder;
  const auto blocks = MadeChain(10, 30);
  WriteArchive({.dir = folder.path()}, blocks);
  const std::string segment = BytesOfFile(folder.path() / "00000000000000000010.blocks");
  std::string recording(16 << 20, '\0');
  const size_t size = ZSTD_decompress(recording.data(), recording.size(), segment.data(), segment.size());
  ASSERT_FALSE(ZSTD_isError(size)) << ZSTD_getErrorName(size);
  recording.resize(size);
  const auto path = folder.path() / "archive.updates";
  SetBytesOfFile(path, recording);
  LedgerOptions options;
  options.position = BlockId{9, testing::BlockhashOf(9), 8, testing::BlockhashOf(8), std::nullopt};
  ExpectSame(blocks, testing::BlocksOf(testing::MessagesIn(path), options));
}

TEST(Archive, ReadsFromAnyBlockOn) {
  TemporaryFolder folder;
  const auto blocks = MadeChain(10, 60);
  auto writer = OpenWriter({.dir = folder.path(), .segment_bytes = 5000});
  for (const BlockRef& block : blocks) ASSERT_TRUE(writer->Append(*block).ok());
  EXPECT_GT(ListArchive(folder.path())->segments, 3u);
  for (Slot after = 0; after <= 62; ++after) {
    const ReadBack read = ReadAfter(folder.path(), after);
    EXPECT_TRUE(read.status.ok()) << read.status;
    EXPECT_EQ(read.blocks.size(), after < 10 ? 51 : after > 60 ? 0 : 60 - after) << after;
    if (!read.blocks.empty()) {
      EXPECT_EQ(read.blocks.front()->id.slot, std::max<Slot>(after + 1, 10));
    }
  }
}

TEST(Archive, IsListedAsRuns) {
  TemporaryFolder folder;
  EXPECT_THAT(ListArchive(folder.path() / "absent")->runs, IsEmpty());
  auto writer = OpenWriter({.dir = folder.path(), .segment_bytes = 5000});
  for (const BlockRef& block : MadeChain(10, 40)) ASSERT_TRUE(writer->Append(*block).ok());
  for (const BlockRef& block : MadeChain(50, 70)) ASSERT_TRUE(writer->Append(*block).ok());
  const ArchiveListing listing = *ListArchive(folder.path());
  ASSERT_EQ(listing.runs.size(), 2u);
  EXPECT_THAT(listing.faults, IsEmpty());
  EXPECT_EQ(listing.runs[0].before.slot, 9u);
  EXPECT_EQ(listing.runs[0].before.blockhash, testing::BlockhashOf(9));
  EXPECT_EQ(listing.runs[0].first_slot, 10u);
  EXPECT_EQ(listing.runs[0].last.slot, 40u);
  EXPECT_EQ(listing.runs[0].blocks, 31u);
  EXPECT_EQ(listing.runs[1].before.slot, 49u);
  EXPECT_EQ(listing.runs[1].last.blockhash, testing::BlockhashOf(70));
  EXPECT_EQ(listing.runs[1].blocks, 21u);
  EXPECT_EQ(testing::TextOf(writer->listing()), testing::TextOf(listing));
  writer = OpenWriter({.dir = folder.path()});
  EXPECT_EQ(testing::TextOf(writer->listing()), testing::TextOf(listing));
  uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) bytes += entry.file_size();
  EXPECT_EQ(listing.bytes, bytes);
  EXPECT_GT(bytes, listing.runs[0].bytes + listing.runs[1].bytes);
  // The hole is the caller's to judge.
  const ReadBack read = ReadAfter(folder.path(), 38);
  EXPECT_EQ(read.slots()[1], 40u);
  EXPECT_EQ(read.slots()[2], 50u);
}

TEST(Archive, AKnownBlockIsCountedAndAnotherChainRefused) {
  TemporaryFolder folder;
  const ArchiveOptions options{.dir = folder.path(), .segment_bytes = 3000};
  const auto blocks = MadeChain(10, 40);
  WriteArchive(options, blocks);
  const auto before = ListArchive(folder.path())->bytes;
  for (bool opened_again : {false, true}) {
    auto writer = OpenWriter(options);
    EXPECT_EQ(writer->last(), blocks.back()->id);
    for (const BlockRef& block : blocks) ASSERT_TRUE(writer->Append(*block).ok()) << opened_again;
    EXPECT_EQ(writer->counters().blocks_known.value(), blocks.size());
    EXPECT_EQ(ListArchive(folder.path())->bytes, before);
    for (Slot slot : {12, 25, 40, 41}) {
      Block other;
      other.id = {slot, testing::BlockhashOf(slot, "other"), slot - 1, testing::BlockhashOf(slot - 1, "other"), {}};
      const absl::Status status = writer->Append(other);
      EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << slot;
      EXPECT_THAT(std::string(status.message()),
                  AllOf(HasSubstr("another chain"), HasSubstr("slot " + std::to_string(std::min<Slot>(slot, 40)))));
    }
    EXPECT_EQ(writer->counters().failures.value(), 4u) << "what is not in the archive is counted";
    Block skips;  // its parent lies below our last block, which is thus not of its chain
    skips.id = {45, testing::BlockhashOf(45), 39, testing::BlockhashOf(39), {}};
    EXPECT_EQ(writer->Append(skips).code(), absl::StatusCode::kFailedPrecondition);
    Block early;  // before the archive's first one
    early.id = {5, testing::BlockhashOf(5), 4, testing::BlockhashOf(4), {}};
    EXPECT_TRUE(writer->Append(early).ok());
    EXPECT_EQ(ListArchive(folder.path())->bytes, before);
  }
}

TEST(Archive, GoesOnWhereItStopped) {
  TemporaryFolder folder;
  const auto blocks = MadeChain(10, 40);
  for (const BlockRef& block : blocks) {
    auto writer = OpenWriter({.dir = folder.path()});
    ASSERT_TRUE(writer->Append(*block).ok());
  }
  EXPECT_EQ(ListArchive(folder.path())->segments, 1u);
  ExpectSame(blocks, ReadAfter(folder.path(), 0).blocks);
}

TEST(Archive, AnotherSubscriptionBeginsASegmentAndServesOnlyWhatItCovers) {
  const auto blocks = MadeChain(10, 40);
  Subscription wide = MadeSubscription(), narrow = MadeSubscription();
  wide.account_owners.push_back(testing::KeyBytes("other owner"));
  wide.transaction_programs.push_back(testing::KeyBytes("other program"));
  TemporaryFolder folder;
  for (size_t i = 0; i < blocks.size(); ++i) {
    auto writer = OpenWriter({.dir = folder.path()}, i < 20 ? wide : narrow);
    ASSERT_TRUE(writer->Append(*blocks[i]).ok());
  }
  EXPECT_EQ(ListArchive(folder.path())->segments, 2u);
  EXPECT_EQ(ListArchive(folder.path())->runs.size(), 1u);
  ExpectSame(blocks, ReadAfter(folder.path(), 0, narrow).blocks);
  const ReadBack read = ReadAfter(folder.path(), 0, wide);
  EXPECT_EQ(read.blocks.size(), 20u);
  EXPECT_EQ(read.status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(read.status.message()),
              AllOf(HasSubstr("00000000000000000030.blocks"),
                    HasSubstr("the transactions of program " + EncodeBase58(testing::KeyBytes("other program"))),
                    HasSubstr("the accounts of owner " + EncodeBase58(testing::KeyBytes("other owner")))));
  Subscription finalized = narrow;
  finalized.commitment = Commitment::kFinalized;
  EXPECT_THAT(std::string(ReadAfter(folder.path(), 0, finalized).status.message()),
              HasSubstr("the commitment finalized"));
}

// Out of an archive that holds more comes what a stream of the narrower subscription would have brought.
TEST(Archive, AWiderArchiveGivesWhatTheNarrowerStreamWould) {
  std::vector<std::string> all, selected;
  const Subscription narrow{
      {testing::KeyBytes("their program")}, {testing::KeyBytes("their owner")}, Commitment::kConfirmed};
  Subscription wide = narrow;
  wide.transaction_programs.push_back(testing::KeyBytes("program"));
  wide.account_owners.push_back(testing::KeyBytes("program"));
  for (Slot slot = 10; slot < 40; ++slot) {
    for (const std::string& message :
         testing::MessagesOf({.slot = slot, .parent = slot - 1, .transactions = 6, .accounts = 9})) {
      geyser::SubscribeUpdate update;
      ASSERT_TRUE(update.ParseFromString(message));
      bool theirs = !update.has_account() && !update.has_transaction();
      const bool chosen = std::hash<std::string>()(message) % 3 == 0;
      if (update.has_account() && chosen) {
        update.mutable_account()->mutable_account()->set_owner(testing::KeyOf("their owner"));
        theirs = true;
      }
      if (update.has_transaction() && chosen) {
        auto* meta = update.mutable_transaction()->mutable_transaction()->mutable_meta();
        meta->set_loaded_readonly_addresses(0, testing::KeyOf("their program"));
        theirs = true;
      }
      all.push_back(update.SerializeAsString());
      if (theirs) selected.push_back(all.back());
    }
  }
  TemporaryFolder folder;
  WriteArchive({.dir = folder.path()}, testing::BlocksOf(all), wide);
  const ReadBack read = ReadAfter(folder.path(), 0, narrow);
  ASSERT_TRUE(read.status.ok()) << read.status;
  ExpectSame(testing::BlocksOf(selected), read.blocks);
  ExpectSame(testing::BlocksOf(all), ReadAfter(folder.path(), 0, wide).blocks);
}

TEST(Archive, IsBoundedByBytes) {
  TemporaryFolder folder;
  const uint64_t keep = 60'000;
  auto writer = OpenWriter({.dir = folder.path(), .keep_bytes = keep, .segment_bytes = 1 << 20});
  const auto blocks = MadeChain(10, 400);
  for (const BlockRef& block : blocks) {
    ASSERT_TRUE(writer->Append(*block).ok());
    ASSERT_LE(writer->listing().bytes, keep);
    ASSERT_EQ(testing::TextOf(writer->listing()), testing::TextOf(*ListArchive(folder.path())));
  }
  const ArchiveListing listing = *ListArchive(folder.path());
  EXPECT_GT(listing.bytes, keep / 2);
  ASSERT_EQ(listing.runs.size(), 1u);
  EXPECT_EQ(listing.runs[0].last.slot, 400u);
  EXPECT_GT(listing.runs[0].first_slot, 100u);
  EXPECT_EQ(listing.runs[0].before.slot, listing.runs[0].first_slot - 1);
  EXPECT_GT(writer->counters().segments_deleted.value(), 3u);
  // Another bound holds from the next start on.
  writer.reset();
  writer = OpenWriter({.dir = folder.path(), .keep_bytes = keep / 3});
  EXPECT_LE(ListArchive(folder.path())->bytes, keep / 3);
  EXPECT_EQ(ArchiveWriter::Open({.dir = folder.path(), .keep_bytes = 0}, MadeSubscription()).status().code(),
            absl::StatusCode::kInvalidArgument);
}

// It reads its segment to the end although the name is gone; then it is told.
TEST(Archive, AReaderThatPruningOvertakesIsTold) {
  TemporaryFolder folder;
  auto writer = OpenWriter({.dir = folder.path(), .keep_bytes = 60'000});
  const auto blocks = MadeChain(10, 400);
  size_t next = 0;
  for (; next < 5; ++next) ASSERT_TRUE(writer->Append(*blocks[next]).ok());
  BlockId after;
  after.slot = 9;
  auto reader = *ArchiveReader::Open(folder.path(), MadeSubscription(), after);
  EXPECT_EQ((**reader->Next()).id.slot, 10u);
  for (; next < blocks.size(); ++next) ASSERT_TRUE(writer->Append(*blocks[next]).ok());
  Slot last = 10;
  absl::Status status;
  while (status.ok()) {
    const auto block = reader->Next();
    status = block.status();
    if (!block.ok()) break;
    ASSERT_NE(*block, nullptr);
    EXPECT_EQ((**block).id.slot, ++last);
  }
  EXPECT_GE(last, 14u);
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_THAT(std::string(status.message()), HasSubstr("no longer reaches back to slot " + std::to_string(last)));
  EXPECT_EQ(reader->Next().status(), status);
}

TEST(Archive, AReaderFollowsTheWriter) {
  TemporaryFolder folder;
  BlockId after;
  after.slot = 9;
  auto reader = *ArchiveReader::Open(folder.path() / "archive", MadeSubscription(), after);
  EXPECT_EQ(*reader->Next(), nullptr);  // there is not even a folder
  const auto blocks = MadeChain(10, 600);
  std::atomic<bool> failed{false};
  std::thread write([&] {
    auto writer = OpenWriter({.dir = folder.path() / "archive", .segment_bytes = 20'000});
    for (const BlockRef& block : blocks) {
      if (!writer->Append(*block).ok()) failed = true;
    }
  });
  size_t got = 0;
  while (got < blocks.size() && !failed) {
    const auto block = reader->Next();
    EXPECT_TRUE(block.ok()) << block.status();
    if (!block.ok()) break;
    if (*block == nullptr) {
      std::this_thread::yield();
      continue;
    }
    EXPECT_EQ(WholeText(**block), WholeText(*blocks[got]));
    ++got;
  }
  write.join();
  EXPECT_FALSE(failed);
  EXPECT_EQ(got, blocks.size());
  EXPECT_EQ(*reader->Next(), nullptr);
}

}  // namespace
}  // namespace everstate::ingest
