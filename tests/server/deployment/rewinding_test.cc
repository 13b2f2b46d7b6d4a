// Rewinds that end well, whole: the state afterwards is that of a run that nothing interrupted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "tests/server/deployment/deployment_support.h"

namespace everstate::testing {
namespace {

using ::testing::HasSubstr;

TEST_F(RewindTest, FromTheArchiveEndsAsIfNothingHadHappened) {
  const std::string wanted = UninterruptedDigest();
  StartProvider(kPace, 3);  // the provider alone would not reach back to the checkpoint
  auto deployment = RunPastCheckpoint(Options("data"));
  const auto begun = deployment->ResumeFrom({.slot = asked_});
  ASSERT_TRUE(begun.ok()) << begun.status();
  EXPECT_EQ(begun->checkpoint, checkpoint_.name);
  EXPECT_EQ(begun->generation, 2u);
  WaitForRewind(*deployment);
  EXPECT_EQ(deployment->status().rewind->state, RewindState::kDone) << deployment->status().rewind->error;
  EXPECT_EQ(deployment->store()->generation(), 2u);
  EXPECT_EQ(deployment->store()->resumed_from(), asked_);
  EXPECT_EQ(RunToTheEnd(std::move(deployment), "data"), wanted);
}

TEST_F(RewindTest, WithoutAnArchiveTheProviderIsAskedAgain) {
  const std::string wanted = UninterruptedDigest();
  StartProvider(kPace, std::nullopt);
  auto options = Options("data");
  options.archive_keep_bytes = 0;
  auto deployment = RunPastCheckpoint(options);
  ASSERT_TRUE(deployment->ResumeFrom({.slot = asked_}).ok());
  WaitForRewind(*deployment);
  EXPECT_EQ(deployment->status().rewind->state, RewindState::kDone) << deployment->status().rewind->error;
  EXPECT_EQ(RunToTheEnd(std::move(deployment), "data"), wanted);
}

TEST_F(RewindTest, TheGenerationLeftBehindIsAsItWas) {
  StartEndlessProvider(kPace, 3);
  auto deployment = RunPastCheckpoint(Options("data"));
  const std::shared_ptr<const EntityStore> left = deployment->store();
  ASSERT_TRUE(deployment->ResumeFrom({.slot = asked_}).ok());
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
  StartEndlessProvider(kPace, 3);
  auto deployment = RunPastCheckpoint(Options("data"));
  ASSERT_TRUE(deployment->ResumeFrom({.slot = asked_}).ok());
  WaitForRewind(*deployment);
  const Number switched_at = deployment->store()->watermark().number;
  WaitFor("some blocks behind the switch", [&] { return deployment->store()->watermark().number >= switched_at + 5; });
  EXPECT_TRUE(deployment->store()->gaps().empty());
  deployment->Stop();  // publishes what it has applied
  const std::vector<Published::Step> steps = published_.All();
  const auto at = std::ranges::find_if(steps, [](const auto& step) { return step.switched; });
  ASSERT_NE(at, steps.end());
  EXPECT_EQ(at->generation, 2u);
  EXPECT_EQ(std::ranges::count_if(steps, [](const auto& step) { return step.switched; }), 1);
  EXPECT_TRUE(std::all_of(steps.begin(), at, [](const auto& step) { return step.generation == 1; }));
  ASSERT_NE(at + 1, steps.end());
  Number number = (at + 1)->number;
  EXPECT_LE(number, switched_at + 1);
  for (auto step = at + 1; step != steps.end(); ++step) {
    EXPECT_EQ(step->generation, 2u);
    EXPECT_EQ(step->number, number++);
  }
}

// The stream joins live behind the gap.
TEST_F(RewindTest, AnAcceptedGapIsRecorded) {
  StartEndlessProvider(kPace, 3);
  auto options = Options("data");
  options.archive_keep_bytes = 0;
  auto deployment = RunPastCheckpoint(options);
  ASSERT_TRUE(deployment->ResumeFrom({.slot = asked_, .accept_gap = true}).ok());
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
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "segments" / "archive"))
    segments.push_back(entry.path());
  std::ranges::sort(segments);
  ASSERT_GE(segments.size(), 3u);
  const auto first_slot = [](const std::filesystem::path& segment) { return std::stoull(segment.stem().string()); };
  const auto lost = std::prev(segments.end(), 2);
  ASSERT_GT(first_slot(*lost), checkpoint_.watermark.block.slot + 1);
  std::filesystem::remove(*lost);
  EXPECT_THAT(Message(deployment->ResumeFrom({.slot = asked_}).status()), HasSubstr("--accept-gap"));
  ASSERT_TRUE(deployment->ResumeFrom({.slot = asked_, .accept_gap = true}).ok());
  WaitForRewind(*deployment);
  EXPECT_EQ(deployment->status().rewind->state, RewindState::kDone) << deployment->status().rewind->error;
  EXPECT_EQ(deployment->store()->watermark().block.slot, kLast);
  const std::vector<Gap> gaps = deployment->store()->gaps();
  ASSERT_EQ(gaps.size(), 1u);
  EXPECT_EQ(gaps[0].from, first_slot(*lost) - 1);
  EXPECT_EQ(gaps[0].to, first_slot(segments.back()));
}

TEST_F(RewindTest, TheSameRequestAgainStartsNormallyUnlessSaidOtherwise) {
  const std::string wanted = UninterruptedDigest();
  StartProvider(kPace, std::nullopt);  // the server is away for as long as it takes
  auto deployment = RunPastCheckpoint(Options("data"));
  deployment->Stop();
  deployment.reset();
  auto options = Options("data");
  options.rewind = RewindRequest{.slot = asked_};
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

TEST_F(RewindTest, ACopiedCheckpointStartsElsewhere) {
  const std::string wanted = UninterruptedDigest();
  StartProvider(kPace, std::nullopt);
  auto deployment = RunPastCheckpoint(Options("data"));
  const auto copy = folder_ / "elsewhere" / "checkpoints";
  std::filesystem::create_directories(copy);
  std::filesystem::copy(checkpoint_.path, copy / checkpoint_.name, std::filesystem::copy_options::recursive);
  auto options = Options("elsewhere");
  options.rewind = RewindRequest{.slot = asked_};
  auto elsewhere = Open(options);
  Start(elsewhere.get());
  WaitForRewind(*elsewhere);
  EXPECT_EQ(elsewhere->store()->lineages().front().lineage, checkpoint_.lineage);
  EXPECT_EQ(RunToTheEnd(std::move(elsewhere), "elsewhere"), wanted);
  EXPECT_EQ(RunToTheEnd(std::move(deployment), "data"), wanted);
}

TEST_F(RewindTest, CountersOnlyRise) {
  StartProvider(kPace, 3);
  auto deployment = RunPastCheckpoint(Options("data"));
  const uint64_t before = deployment->status().projector.blocks;
  ASSERT_TRUE(deployment->ResumeFrom({.slot = asked_}).ok());
  WaitForRewind(*deployment);
  const ProjectorStats after = deployment->status().projector;
  EXPECT_GE(after.blocks, before);
  // So do those that are told by bucket, entity and program: they stay the parts of the sums.
  uint64_t blocks = 0, mutations = 0, instructions = 0;
  for (size_t i = 0; i < Buckets<kBlockTimeBoundsUs>::kCount; ++i) blocks += after.block_times.count(i);
  for (const uint64_t of_entity : after.shares.mutations) mutations += of_entity;
  for (const auto& program : after.shares.programs) instructions += program.instructions_matched;
  EXPECT_EQ(blocks, after.blocks);
  EXPECT_EQ(mutations, after.machine.mutations);
  EXPECT_EQ(instructions, after.machine.instructions_matched);
  EXPECT_FALSE(deployment->status().slots.empty());
}

}  // namespace
}  // namespace everstate::testing
