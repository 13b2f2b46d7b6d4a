#include "server/deployment/deployment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <fstream>

#include "server/ingest/archive_segment.h"
#include "storage/checkpoint.h"
#include "tests/server/deployment/deployment_support.h"
#include "tests/support/small_disk.h"

namespace everstate::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// Slots per second at which a test has time to act between two slots, and yet ends soon.
constexpr double kPace = 10;

std::string Message(const absl::Status& status) { return std::string(status.message()); }

// A source whose provider says that it replays from `first` on.
class SourceThatBegins : public ingest::Source {
 public:
  SourceThatBegins(std::unique_ptr<ingest::Source> source, const std::atomic<Slot>* first) : source_(std::move(source)), first_(first) {}
  absl::StatusOr<std::unique_ptr<ingest::Connection>> Connect(const ingest::Subscription& subscription,
                                                              std::optional<Slot> from_slot) override {
    return source_->Connect(subscription, from_slot);
  }
  absl::StatusOr<Slot> Tip(Commitment commitment) override { return source_->Tip(commitment); }
  absl::StatusOr<Slot> FirstReplayable() override { return first_->load(); }
  void Cancel() override { source_->Cancel(); }

 private:
  const std::unique_ptr<ingest::Source> source_;
  const std::atomic<Slot>* const first_;
};

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
  std::fstream(segment, std::ios::in | std::ios::out | std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(file->offset()));
}

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

class RewindTest : public DeploymentTest {
 protected:
  // A deployment that made a checkpoint at about slot kFirst + 4 and has gone on for some slots.
  std::unique_ptr<Deployment> RunPastCheckpoint(const DeploymentOptions& options) {
    auto deployment = Open(options);
    Start(deployment.get());
    WaitForSlot(*deployment, kFirst + 4);
    auto made = deployment->CreateCheckpoint();
    EXPECT_TRUE(made.ok()) << made.status();
    checkpoint_ = made.value_or(CheckpointInfo{});
    WaitForSlot(*deployment, kFirst + 10);
    return deployment;
  }

  // Runs on to the end of the recording; the digest then.
  std::string RunToTheEnd(std::unique_ptr<Deployment> deployment, const std::string& data) {
    WaitForSlot(*deployment, kLast);
    EXPECT_TRUE(deployment->store()->gaps().empty());
    deployment->Stop();
    deployment.reset();
    return Digest(data);
  }

  CheckpointInfo checkpoint_;
};

TEST_F(RewindTest, FromTheArchiveEndsAsIfNothingHadHappened) {
  const std::string wanted = UninterruptedDigest();
  StartProvider(kPace, 3);  // the provider alone would not reach back to the checkpoint
  auto deployment = RunPastCheckpoint(Options("data"));
  const auto begun = deployment->ResumeFrom({.slot = kFirst + 6});
  ASSERT_TRUE(begun.ok()) << begun.status();
  EXPECT_EQ(begun->checkpoint, checkpoint_.name);
  EXPECT_EQ(begun->generation, 2u);
  WaitForRewind(*deployment);
  EXPECT_EQ(deployment->status().rewind->state, RewindState::kDone) << deployment->status().rewind->error;
  EXPECT_EQ(deployment->store()->generation(), 2u);
  EXPECT_EQ(deployment->store()->resumed_from(), kFirst + 6);
  EXPECT_EQ(RunToTheEnd(std::move(deployment), "data"), wanted);
}

TEST_F(RewindTest, WithoutAnArchiveTheProviderIsAskedAgain) {
  const std::string wanted = UninterruptedDigest();
  StartProvider(kPace, std::nullopt);
  auto options = Options("data");
  options.archive_keep_bytes = 0;
  auto deployment = RunPastCheckpoint(options);
  ASSERT_TRUE(deployment->ResumeFrom({.slot = kFirst + 6}).ok());
  WaitForRewind(*deployment);
  EXPECT_EQ(deployment->status().rewind->state, RewindState::kDone) << deployment->status().rewind->error;
  EXPECT_EQ(RunToTheEnd(std::move(deployment), "data"), wanted);
}

TEST_F(RewindTest, TheGenerationLeftBehindIsAsItWas) {
  StartProvider(kPace, 3);
  auto deployment = RunPastCheckpoint(Options("data"));
  const std::shared_ptr<const EntityStore> left = deployment->store();
  ASSERT_TRUE(deployment->ResumeFrom({.slot = kFirst + 6}).ok());
  const Number number_then = left->watermark().number;
  WaitForRewind(*deployment);
  EXPECT_EQ(left->watermark().number, number_then);
  const std::string digest_then = Digest("data", 1);
  WaitForSlot(*deployment, deployment->store()->watermark().block.slot + 2);
  EXPECT_EQ(Digest("data", 1), digest_then);
  EXPECT_EQ(left->watermark().number, number_then);
}

// A batch of the generation being filled is nobody's before the switch; after it every number comes once.
TEST_F(RewindTest, NothingIsPublishedBeforeTheSwitch) {
  StartProvider(kPace, 3);
  auto deployment = RunPastCheckpoint(Options("data"));
  ASSERT_TRUE(deployment->ResumeFrom({.slot = kFirst + 6}).ok());
  WaitForRewind(*deployment);
  const Number switched_at = deployment->store()->watermark().number;
  RunToTheEnd(std::move(deployment), "data");
  const std::vector<Published::Step> steps = published_.All();
  const auto at = std::ranges::find_if(steps, [](const auto& step) { return step.switched; });
  ASSERT_NE(at, steps.end());
  EXPECT_EQ(at->generation, 2u);
  EXPECT_EQ(std::ranges::count_if(steps, [](const auto& step) { return step.switched; }), 1);
  EXPECT_TRUE(std::all_of(steps.begin(), at, [](const auto& step) { return step.generation == 1; }));
  Number number = (at + 1)->number;
  EXPECT_LE(number, switched_at + 1);
  for (auto step = at + 1; step != steps.end(); ++step) {
    EXPECT_EQ(step->generation, 2u);
    EXPECT_EQ(step->number, number++);
  }
}

TEST_F(RewindTest, WhereNeitherReachesItIsRefusedAndThePresentOneGoesOn) {
  const std::string wanted = UninterruptedDigest();
  StartProvider(kPace, 3);
  auto options = Options("data");
  options.archive_keep_bytes = 0;
  auto deployment = RunPastCheckpoint(options);
  const auto begun = deployment->ResumeFrom({.slot = kFirst + 6});
  EXPECT_EQ(begun.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(begun.status()), HasSubstr("the blocks of slots " + std::to_string(checkpoint_.watermark.block.slot + 1) + " to "));
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
  ASSERT_TRUE(deployment->ResumeFrom({.slot = kFirst + 6}).ok());
  WaitForRewind(*deployment);
  EXPECT_EQ(deployment->status().rewind->state, RewindState::kFailed);
  EXPECT_THAT(deployment->status().rewind->error, AllOf(HasSubstr(segment.string() + ": at offset "), HasSubstr("delete this file")));
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
  EXPECT_THAT(Message(deployment->ResumeFrom({.slot = kFirst + 6}).status()), HasSubstr("the archive does not have them"));
  std::filesystem::remove(segment);
  EXPECT_THAT(Message(deployment->ResumeFrom({.slot = kFirst + 6}).status()), HasSubstr("the archive does not have them"));
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
  provider_->Stop();  // nothing comes that would need room, until there is some again
  FillDisk(small_disk->path / "ballast", 64 << 10);
  const auto begun = deployment->ResumeFrom({.slot = kFirst + 6});
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

TEST_F(RewindTest, AnAcceptedGapIsRecorded) {
  StartProvider(kPace, 3);
  auto options = Options("data");
  options.archive_keep_bytes = 0;
  auto deployment = RunPastCheckpoint(options);
  ASSERT_TRUE(deployment->ResumeFrom({.slot = kFirst + 6, .accept_gap = true}).ok());
  WaitForRewind(*deployment);
  EXPECT_EQ(deployment->status().rewind->state, RewindState::kDone) << deployment->status().rewind->error;
  WaitForSlot(*deployment, kLast);
  const std::vector<Gap> gaps = deployment->store()->gaps();
  ASSERT_EQ(gaps.size(), 1u);
  EXPECT_EQ(gaps[0].from, checkpoint_.watermark.block.slot);
  EXPECT_EQ(deployment->store()->lineages().size(), 2u);
}

// What the archive still has is applied: the gap is no larger than the hole in it.
TEST_F(RewindTest, AnAcceptedGapIsNoLargerThanTheHole) {
  StartProvider(kPace, 3);
  auto deployment = RunPastCheckpoint(Options("data"));
  WaitForSlot(*deployment, kLast);
  const uint64_t bytes = deployment->status().archive->bytes;
  deployment->Stop();
  deployment.reset();
  // The same once more, in an archive of several segments, one of which is lost.
  StartProvider(kPace, 3);
  auto options = Options("segments");
  options.archive_keep_bytes = 2 * bytes;
  deployment = RunPastCheckpoint(options);
  WaitForSlot(*deployment, kLast);
  std::vector<std::filesystem::path> segments;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "segments" / "archive")) segments.push_back(entry.path());
  std::ranges::sort(segments);
  ASSERT_GE(segments.size(), 3u);
  const auto first_slot = [](const std::filesystem::path& segment) { return std::stoull(segment.stem().string()); };
  const auto lost = std::prev(segments.end(), 2);
  ASSERT_GT(first_slot(*lost), checkpoint_.watermark.block.slot + 1);
  std::filesystem::remove(*lost);
  EXPECT_THAT(Message(deployment->ResumeFrom({.slot = kFirst + 6}).status()), HasSubstr("--accept-gap"));
  ASSERT_TRUE(deployment->ResumeFrom({.slot = kFirst + 6, .accept_gap = true}).ok());
  WaitForRewind(*deployment);
  EXPECT_EQ(deployment->status().rewind->state, RewindState::kDone) << deployment->status().rewind->error;
  EXPECT_EQ(deployment->store()->watermark().block.slot, kLast);
  const std::vector<Gap> gaps = deployment->store()->gaps();
  ASSERT_EQ(gaps.size(), 1u);
  EXPECT_EQ(gaps[0].from, first_slot(*lost) - 1);
  EXPECT_EQ(gaps[0].to, first_slot(segments.back()));
}

// A stream is asked for from the checkpoint's own slot, which proves the link: one slot further is too far.
TEST_F(RewindTest, AProviderThatBeginsBehindTheCheckpointDoesNotReachIt) {
  std::atomic<Slot> first{0};
  wrap_source_ = [&](std::unique_ptr<ingest::Source> source) { return std::make_unique<SourceThatBegins>(std::move(source), &first); };
  StartProvider(kPace, std::nullopt);
  auto options = Options("data");
  options.archive_keep_bytes = 0;
  auto deployment = RunPastCheckpoint(options);
  first = checkpoint_.watermark.block.slot + 1;
  EXPECT_EQ(deployment->ResumeFrom({.slot = kFirst + 6}).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(deployment->ReachOf(checkpoint_), HasSubstr("the provider replays from slot " + std::to_string(first.load())));
  first = checkpoint_.watermark.block.slot;
  EXPECT_EQ(deployment->ReachOf(checkpoint_), "");
  EXPECT_TRUE(deployment->ResumeFrom({.slot = kFirst + 6}).ok());
  WaitForRewind(*deployment);
  EXPECT_EQ(deployment->status().rewind->state, RewindState::kDone) << deployment->status().rewind->error;
}

// An order that nobody will carry out is answered, and leaves nothing behind: neither a state nor a generation.
TEST_F(RewindTest, OneThatComesWhenTheServerStopsIsNotUnderWay) {
  StartProvider(kPace, std::nullopt);
  auto deployment = RunPastCheckpoint(Options("data"));
  deployment->Stop();
  for (int i = 0; i < 2; ++i) {
    const auto begun = deployment->ResumeFrom({.slot = kFirst + 6});
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
  std::filesystem::copy(folder_ / "data" / "checkpoints", folder_ / "elsewhere" / "checkpoints", std::filesystem::copy_options::recursive);
  const auto options = Options("elsewhere");
  provider_->Stop();
  auto elsewhere = Open(options);
  Start(elsewhere.get());
  const auto begun = elsewhere->ResumeFrom({.slot = kFirst + 6});
  EXPECT_EQ(begun.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(begun.status()), HasSubstr("start the server with --resume-from"));
  EXPECT_FALSE(elsewhere->failed()) << elsewhere->failure().status;
}

TEST_F(RewindTest, WhatIsAskedForMustBeThere) {
  StartProvider(kPace, std::nullopt);
  auto deployment = Open(Options("data"));
  Start(deployment.get());
  WaitForSlot(*deployment, kFirst + 2);
  EXPECT_THAT(Message(deployment->ResumeFrom({.slot = kFirst + 1}).status()), HasSubstr("there is no checkpoint at or before slot 398210001"));
  auto made = deployment->CreateCheckpoint();
  ASSERT_TRUE(made.ok()) << made.status();
  const auto before = deployment->ResumeFrom({.slot = kFirst});
  EXPECT_THAT(Message(before.status()), HasSubstr("the oldest is at slot " + std::to_string(made->watermark.block.slot)));
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
  ASSERT_TRUE(deployment->ResumeFrom({.slot = kFirst + 6}).ok());
  const auto second = deployment->ResumeFrom({.slot = kFirst + 6, .again = true});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(second.status()), HasSubstr("under way"));
  deployment->Stop();
  deployment.reset();
  // It was not finished: the generation that serves is the old one, and the same request begins it anew.
  StartProvider(200, std::nullopt);
  options = Options("data");
  options.archive_keep_bytes = 0;
  options.rewind = RewindRequest{.slot = kFirst + 6};
  deployment = Open(options);
  EXPECT_EQ(deployment->store()->generation(), 1u);
  Start(deployment.get());
  WaitForRewind(*deployment);
  EXPECT_EQ(deployment->store()->generation(), 2u);
}

TEST_F(RewindTest, TheSameRequestAgainStartsNormallyUnlessSaidOtherwise) {
  const std::string wanted = UninterruptedDigest();
  StartProvider(kPace, std::nullopt);  // the server is away for as long as it takes
  auto deployment = RunPastCheckpoint(Options("data"));
  deployment->Stop();
  deployment.reset();
  auto options = Options("data");
  options.rewind = RewindRequest{.slot = kFirst + 6};
  for (uint64_t generation : {2u, 2u}) {  // a supervisor repeats its command
    deployment = Open(options);
    Start(deployment.get());
    WaitFor("the generation", [&] { return deployment->failed() || deployment->store()->generation() == generation; });
    ASSERT_FALSE(deployment->failed()) << deployment->failure().status;
    deployment->Stop();
    deployment.reset();
  }
  options.rewind->again = true;
  deployment = Open(options);
  Start(deployment.get());
  WaitForRewind(*deployment);
  EXPECT_EQ(deployment->store()->generation(), 3u);
  EXPECT_EQ(RunToTheEnd(std::move(deployment), "data"), wanted);
}

TEST_F(RewindTest, AtTheStartARefusalEndsTheServer) {
  StartProvider(kPace, 3);
  auto options = Options("data");
  options.archive_keep_bytes = 0;
  auto deployment = RunPastCheckpoint(options);
  deployment->Stop();
  deployment.reset();
  const std::string digest = Digest("data");
  options.rewind = RewindRequest{.slot = kFirst + 6};
  deployment = Open(options);
  Start(deployment.get());
  WaitFor("the refusal", [&] { return deployment->failed(); });
  EXPECT_EQ(deployment->failure().where, Deployment::Failure::Where::kRewind);
  EXPECT_THAT(Message(deployment->failure().status), HasSubstr("is refused: the blocks of slots "));
  deployment->Stop();
  deployment.reset();
  EXPECT_EQ(Digest("data"), digest);
}

TEST_F(RewindTest, ACopiedCheckpointStartsElsewhere) {
  const std::string wanted = UninterruptedDigest();
  StartProvider(kPace, std::nullopt);
  auto deployment = RunPastCheckpoint(Options("data"));
  const auto copy = folder_ / "elsewhere" / "checkpoints";
  std::filesystem::create_directories(copy);
  std::filesystem::copy(checkpoint_.path, copy / checkpoint_.name, std::filesystem::copy_options::recursive);
  auto options = Options("elsewhere");
  options.rewind = RewindRequest{.slot = kFirst + 6};
  auto elsewhere = Open(options);
  Start(elsewhere.get());
  WaitForRewind(*elsewhere);
  EXPECT_EQ(elsewhere->store()->lineages().front().lineage, checkpoint_.lineage);
  EXPECT_EQ(RunToTheEnd(std::move(elsewhere), "elsewhere"), wanted);
  EXPECT_EQ(RunToTheEnd(std::move(deployment), "data"), wanted);
}

// Servers that are restarted more often than a checkpoint is due make them all the same.
TEST_F(DeploymentTest, TheScheduleOutlivesARestart) {
  StartProvider(kPace, std::nullopt);
  auto options = Options("data");
  options.checkpoints.every = std::chrono::hours(1);
  const auto run_to = [&](Slot slot) {
    auto deployment = Open(options);
    Start(deployment.get());
    WaitForSlot(*deployment, slot);
    return deployment;
  };
  auto deployment = run_to(kFirst + 2);
  deployment->Stop();
  EXPECT_EQ(deployment->status().counters.checkpoints_made, 0u) << "an hour is not over";
  deployment.reset();
  deployment = run_to(kFirst + 6);
  WaitFor("a checkpoint", [&] { return deployment->status().counters.checkpoints_made == 1; });
  deployment->Stop();
  deployment.reset();
  deployment = run_to(kFirst + 10);
  deployment->Stop();
  EXPECT_EQ(deployment->status().counters.checkpoints_made, 0u) << "the one of the process before is new enough";
}

TEST_F(RewindTest, CountersOnlyRise) {
  StartProvider(kPace, 3);
  auto deployment = RunPastCheckpoint(Options("data"));
  const uint64_t before = deployment->status().projector.blocks;
  ASSERT_TRUE(deployment->ResumeFrom({.slot = kFirst + 6}).ok());
  WaitForRewind(*deployment);
  EXPECT_GE(deployment->status().projector.blocks, before);
  EXPECT_FALSE(deployment->status().slots.empty());
}

TEST_F(RewindTest, TheReachOfACheckpointIsTold) {
  StartProvider(kPace, 3);
  auto deployment = RunPastCheckpoint(Options("data"));
  EXPECT_EQ(deployment->ReachOf(checkpoint_), "");
  EXPECT_TRUE(deployment->Ours(checkpoint_));
  CheckpointInfo older = checkpoint_;
  older.watermark.block.slot = kFirst - 10;
  EXPECT_THAT(deployment->ReachOf(older), HasSubstr("are not in the archive"));
  older.lineage = std::string(64, '0');
  EXPECT_FALSE(deployment->Ours(older));
}

}  // namespace
}  // namespace everstate::testing
