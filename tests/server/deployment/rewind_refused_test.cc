// Rewinds that are refused, fail or are cut short: the present generation is unhurt.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "server/ingest/archive_segment.h"
#include "server/ingest/wire.h"
#include "tests/server/deployment/deployment_support.h"
#include "tests/support/small_disk.h"

namespace everstate::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// Flips a bit of what the archive holds of this block.
void FlipFrame(const std::filesystem::path& segment, Slot slot) {
  auto file = ingest::SegmentFile::Open(segment);
  ASSERT_TRUE(file.ok()) << file.status();
  for (;;) {
    const auto record = file->Next();
    ASSERT_TRUE(record.ok() && record->has_value()) << "the archive has no block " << slot;
    if ((*record)->block.slot == slot) break;
  }
  std::string bytes = BytesOfFile(segment);
  char& last = bytes[file->offset() - 1];
  last = static_cast<char>(last ^ 1);
  std::fstream(segment, std::ios::in | std::ios::out | std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(file->offset()));
}

// A source whose streams, after the first one, bring nothing of the blocks behind `last`.
class SourceThatStopsShort : public ingest::Source {
 public:
  SourceThatStopsShort(std::unique_ptr<ingest::Source> source, Slot last) : source_(std::move(source)), last_(last) {}
  absl::StatusOr<std::unique_ptr<ingest::Connection>> Connect(const ingest::Subscription& subscription,
                                                              std::optional<Slot> from_slot) override {
    auto connection = source_->Connect(subscription, from_slot);
    if (!connection.ok() || connections_++ == 0) return connection;
    return std::make_unique<Stream>(*std::move(connection), last_);
  }
  absl::StatusOr<Slot> Tip(Commitment commitment) override { return source_->Tip(commitment); }
  absl::StatusOr<Slot> FirstReplayable() override { return source_->FirstReplayable(); }
  void Cancel() override { source_->Cancel(); }

 private:
  class Stream : public ingest::Connection {
   public:
    Stream(std::unique_ptr<ingest::Connection> connection, Slot last)
        : connection_(std::move(connection)), last_(last) {}
    absl::StatusOr<std::optional<std::string>> Next(std::chrono::steady_clock::time_point deadline) override {
      for (;;) {
        auto message = connection_->Next(deadline);
        if (!message.ok() || !message->has_value()) return message;
        const auto walked = ingest::WalkMessage(**message);
        if (!walked.ok() || walked->slot <= last_) return message;
      }
    }
    void Cancel() override { connection_->Cancel(); }

   private:
    const std::unique_ptr<ingest::Connection> connection_;
    const Slot last_;
  };

  const std::unique_ptr<ingest::Source> source_;
  const Slot last_;
  int connections_ = 0;
};

// A disk that can be filled. Mounted before there is a thread that would not see it.
class SmallDisk : public ::testing::Environment {
 public:
  void SetUp() override {
    std::string pattern = std::filesystem::temp_directory_path() / "everstate-small-disk-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    path = pattern;
    mounted = MountSmallDisk(path, 64 << 20);
  }
  void TearDown() override {
    if (mounted) umount(path.c_str());
    std::filesystem::remove_all(path);
  }
  std::filesystem::path path;
  bool mounted = false;
};
SmallDisk* const small_disk = static_cast<SmallDisk*>(::testing::AddGlobalTestEnvironment(new SmallDisk));

TEST_F(RewindTest, WhereNeitherReachesItIsRefusedAndThePresentOneGoesOn) {
  const std::string wanted = UninterruptedDigest();
  StartProvider(kPace, 3);
  auto options = Options("data");
  options.archive_keep_bytes = 0;
  auto deployment = RunPastCheckpoint(options);
  const auto begun = deployment->ResumeFrom({.slot = asked_});
  EXPECT_EQ(begun.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(begun.status()),
              HasSubstr("the blocks of slots " + std::to_string(checkpoint_.watermark.block.slot + 1) + " to "));
  EXPECT_THAT(Message(begun.status()), HasSubstr("--accept-gap"));
  EXPECT_THAT(deployment->ReachOf(checkpoint_), HasSubstr("there is no archive; the provider replays from slot "));
  EXPECT_EQ(deployment->store()->generation(), 1u);
  EXPECT_EQ(RunToTheEnd(std::move(deployment), "data"), wanted);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "data" / "2"));
}

// Here a block of the archive turns out to be damaged. The present generation goes on where it stood.
TEST_F(RewindTest, OneThatFailsOnItsWayLeavesThePresentOneUnhurt) {
  const std::string wanted = UninterruptedDigest();
  StartProvider(kPace, 3);
  auto deployment = RunPastCheckpoint(Options("data"));
  const auto segment = std::filesystem::directory_iterator(folder_ / "data" / "archive")->path();
  FlipFrame(segment, checkpoint_.watermark.block.slot + 1);
  ASSERT_TRUE(deployment->ResumeFrom({.slot = asked_}).ok());
  WaitForRewind(*deployment);
  EXPECT_EQ(deployment->status().rewind->state, RewindState::kFailed);
  EXPECT_THAT(deployment->status().rewind->error,
              AllOf(HasSubstr(segment.string() + ": at offset "), HasSubstr("delete this file")));
  EXPECT_EQ(deployment->store()->generation(), 1u);
  EXPECT_EQ(RunToTheEnd(std::move(deployment), "data"), wanted);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "data" / "2"));
}

// What happened to the files since they were written is seen before anything stands still.
TEST_F(RewindTest, AnArchiveThatWasCutOrDeletedIsSeenBefore) {
  StartProvider(kPace, 3);
  auto deployment = RunPastCheckpoint(Options("data"));
  const auto segment = std::filesystem::directory_iterator(folder_ / "data" / "archive")->path();
  std::filesystem::resize_file(segment, std::filesystem::file_size(segment) / 2);
  EXPECT_THAT(Message(deployment->ResumeFrom({.slot = asked_}).status()), HasSubstr("the archive does not have them"));
  std::filesystem::remove(segment);
  EXPECT_THAT(Message(deployment->ResumeFrom({.slot = asked_}).status()), HasSubstr("the archive does not have them"));
  EXPECT_FALSE(deployment->status().rewind.has_value());
}

TEST_F(RewindTest, AFullDiskCostsTheAttemptAndNotThePresentOne) {
  if (!small_disk->mounted) GTEST_SKIP() << "a small file system can not be mounted here";
  const std::string wanted = UninterruptedDigest();
  StartProvider(kPace, std::nullopt);
  auto options = Options("");
  options.store.data_dir = small_disk->path / "data";
  auto deployment = RunPastCheckpoint(options);
  const int port = provider_->port();
  // Nothing comes that would need room, until there is some again.
  provider_->Stop();
  WaitFor("the last block that came", [&] {
    return deployment->stream_status().state != ingest::StreamState::kLive &&
           deployment->store()->watermark().number == deployment->ingest_counters().blocks_settled.value();
  });
  FillDisk(small_disk->path / "ballast", 64 << 10);
  const auto begun = deployment->ResumeFrom({.slot = asked_});
  std::string error = Message(begun.status());
  if (begun.ok()) {
    WaitForRewind(*deployment);
    EXPECT_EQ(deployment->status().rewind->state, RewindState::kFailed);
    error = deployment->status().rewind->error;
  }
  EXPECT_THAT(error, HasSubstr("No space left on device"));
  EXPECT_FALSE(deployment->failed());
  EXPECT_EQ(deployment->store()->generation(), 1u);
  std::filesystem::remove(small_disk->path / "ballast");
  StartProvider(kPace, std::nullopt, port);
  WaitForSlot(*deployment, kLast);
  EXPECT_EQ(deployment->store()->generation(), 1u);
  EXPECT_EQ(RunToTheEnd(std::move(deployment), options.store.data_dir), wanted);
}

// An order that nobody will carry out is answered, and leaves nothing behind: neither a state nor a generation.
TEST_F(RewindTest, OneThatComesWhenTheServerStopsIsNotUnderWay) {
  StartProvider(kPace, std::nullopt);
  auto deployment = RunPastCheckpoint(Options("data"));
  deployment->Stop();
  for (int i = 0; i < 2; ++i) {
    const auto begun = deployment->ResumeFrom({.slot = asked_});
    EXPECT_EQ(begun.status().code(), absl::StatusCode::kUnavailable) << begun.status();
    EXPECT_EQ(deployment->status().rewind->state, RewindState::kFailed);
    EXPECT_THAT(deployment->status().rewind->error, HasSubstr("stops"));
    EXPECT_FALSE(std::filesystem::exists(folder_ / "data" / "2"));
  }
}

TEST_F(RewindTest, ARunningServerWithoutABlockSaysHowToBegin) {
  StartProvider(kPace, std::nullopt);
  auto deployment = RunPastCheckpoint(Options("data"));
  deployment->Stop();
  std::filesystem::create_directories(folder_ / "elsewhere");
  std::filesystem::copy(folder_ / "data" / "checkpoints", folder_ / "elsewhere" / "checkpoints",
                        std::filesystem::copy_options::recursive);
  const auto options = Options("elsewhere");
  provider_->Stop();
  auto elsewhere = Open(options);
  Start(elsewhere.get());
  const auto begun = elsewhere->ResumeFrom({.slot = asked_});
  EXPECT_EQ(begun.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(begun.status()), HasSubstr("start the server with --resume-from"));
  EXPECT_FALSE(elsewhere->failed()) << elsewhere->failure().status;
}

TEST_F(RewindTest, WhatIsAskedForMustBeThere) {
  StartProvider(kPace, std::nullopt);
  auto deployment = Open(Options("data"));
  Start(deployment.get());
  WaitForSlot(*deployment, kFirst + 2);
  EXPECT_THAT(Message(deployment->ResumeFrom({.slot = kFirst + 1}).status()),
              HasSubstr("there is no checkpoint at or before slot 398210001"));
  auto made = deployment->CreateCheckpoint();
  ASSERT_TRUE(made.ok()) << made.status();
  const auto before = deployment->ResumeFrom({.slot = kFirst});
  EXPECT_THAT(Message(before.status()),
              HasSubstr("the oldest is at slot " + std::to_string(made->watermark.block.slot)));
  const auto beyond = deployment->ResumeFrom({.slot = kLast + 100});
  EXPECT_THAT(Message(beyond.status()), HasSubstr("lies beyond the state"));
  EXPECT_EQ(deployment->store()->generation(), 1u);
}

TEST_F(RewindTest, ASecondOneDuringTheFirstIsRefused) {
  StartProvider(kPace, std::nullopt);
  auto options = Options("data");
  options.archive_keep_bytes = 0;
  auto deployment = RunPastCheckpoint(options);
  WaitForSlot(*deployment, kLast);
  provider_->Stop();  // the first one waits for blocks that do not come
  ASSERT_TRUE(deployment->ResumeFrom({.slot = asked_}).ok());
  const auto second = deployment->ResumeFrom({.slot = asked_, .again = true});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(second.status()), HasSubstr("under way"));
  deployment->Stop();
  deployment.reset();
  // It was not finished: the generation that serves is the old one, and the same request begins it anew.
  StartProvider(200, std::nullopt);
  options = Options("data");
  options.archive_keep_bytes = 0;
  options.rewind = RewindRequest{.slot = asked_};
  deployment = Open(options);
  EXPECT_EQ(deployment->store()->generation(), 1u);
  Start(deployment.get());
  WaitForRewind(*deployment);
  EXPECT_EQ(deployment->store()->generation(), 2u);
}

// The provider refuses the position, and the stream that joins live instead shows the hole with its first block.
TEST_F(RewindTest, AtTheStartARefusalEndsTheServer) {
  StartEndlessProvider(kPace, 3);
  auto options = Options("data");
  options.archive_keep_bytes = 0;
  auto deployment = RunPastCheckpoint(options);
  deployment->Stop();
  deployment.reset();
  const std::string digest = Digest("data");
  options.rewind = RewindRequest{.slot = asked_};
  deployment = Open(options);
  Start(deployment.get());
  WaitFor("the refusal", [&] { return deployment->failed(); });
  EXPECT_EQ(deployment->failure().where, Deployment::Failure::Where::kRewind);
  EXPECT_THAT(Message(deployment->failure().status), HasSubstr("is refused: the blocks of slots "));
  deployment->Stop();
  deployment.reset();
  EXPECT_EQ(Digest("data"), digest);
}

// The stream brings blocks faster than they can be projected, so its thread waits for room in the inbox, which nobody
// makes any more. However fast the disk is, the rewind is not over before: the last blocks do not come.
TEST_F(RewindTest, AStopInTheMiddleOfOneEnds) {
  constexpr Slot kPresent = kFirst + 300;
  StartEndlessProvider(1000, std::nullopt);
  wrap_source_ = [](std::unique_ptr<ingest::Source> source) {
    return std::make_unique<SourceThatStopsShort>(std::move(source), kPresent - 10);
  };
  auto options = Options("data");
  options.archive_keep_bytes = 0;
  options.inbox_blocks_max = 1;
  options.store.wal_sync_interval_ms = 0;  // slow, because each block is synced
  auto deployment = RunPastCheckpoint(options);
  WaitForSlot(*deployment, kPresent);
  ASSERT_TRUE(deployment->ResumeFrom({.slot = asked_}).ok());
  WaitFor("some blocks", [&] { return deployment->status().rewind->slot > checkpoint_.watermark.block.slot + 10; });
  deployment->Stop();
  EXPECT_EQ(deployment->status().rewind->state, RewindState::kFailed);
  EXPECT_THAT(deployment->status().rewind->error, HasSubstr("stops"));
  EXPECT_FALSE(deployment->failed()) << deployment->failure().status;
}

}  // namespace
}  // namespace everstate::testing
