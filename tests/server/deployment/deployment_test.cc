// Checkpoints of a running line: when they are made, which of them go, what reaches them.
#include "server/deployment/deployment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>

#include "storage/checkpoint.h"
#include "tests/server/deployment/deployment_support.h"

namespace everstate::testing {
namespace {

using ::testing::HasSubstr;

// What a provider says of how far it reaches back.
struct Reach {
  std::atomic<Slot> first{0};  // 0: it replays nothing
  std::atomic<int> asked{0};
};

class SourceThatReaches : public ingest::Source {
 public:
  SourceThatReaches(std::unique_ptr<ingest::Source> source, Reach* reach) : source_(std::move(source)), reach_(reach) {}
  absl::StatusOr<std::unique_ptr<ingest::Connection>> Connect(const ingest::Subscription& subscription,
                                                              std::optional<Slot> from_slot) override {
    return source_->Connect(subscription, from_slot);
  }
  absl::StatusOr<Slot> Tip(Commitment commitment) override { return source_->Tip(commitment); }
  absl::StatusOr<Slot> FirstReplayable() override {
    ++reach_->asked;
    if (reach_->first == 0) return absl::NotFoundError("the provider replays nothing");
    return reach_->first.load();
  }
  void Cancel() override { source_->Cancel(); }

 private:
  const std::unique_ptr<ingest::Source> source_;
  Reach* const reach_;
};

class ReachTest : public RewindTest {
 protected:
  // Without an archive only the provider can bring what lies behind the checkpoint.
  DeploymentOptions WithoutArchive() {
    wrap_source_ = [this](std::unique_ptr<ingest::Source> source) {
      return std::make_unique<SourceThatReaches>(std::move(source), &reach_);
    };
    auto options = Options("data");
    options.archive_keep_bytes = 0;
    options.replay_reach_max_age = std::chrono::milliseconds(0);
    return options;
  }
  Reach reach_;
};

// A stream is asked for from the checkpoint's own slot, which proves the link: one slot further is too far.
TEST_F(ReachTest, AProviderThatBeginsBehindTheCheckpointDoesNotReachIt) {
  StartProvider(kPace, std::nullopt);
  auto deployment = RunPastCheckpoint(WithoutArchive());
  reach_.first = checkpoint_.watermark.block.slot + 1;
  EXPECT_EQ(deployment->ResumeFrom({.slot = asked_}).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(deployment->ReachOf(checkpoint_),
              HasSubstr("the provider replays from slot " + std::to_string(reach_.first.load())));
  reach_.first = checkpoint_.watermark.block.slot;
  EXPECT_EQ(deployment->ReachOf(checkpoint_), "");
  EXPECT_TRUE(deployment->ResumeFrom({.slot = asked_}).ok());
  WaitForRewind(*deployment);
  EXPECT_EQ(deployment->status().rewind->state, RewindState::kDone) << deployment->status().rewind->error;
}

TEST_F(ReachTest, WithAProviderThatReplaysNothingItIsRefusedBeforeAnythingStandsStill) {
  StartProvider(kPace, std::nullopt);
  auto deployment = RunPastCheckpoint(WithoutArchive());
  const Slot slot = checkpoint_.watermark.block.slot;
  EXPECT_EQ(deployment->ReachOf(checkpoint_), "there is no archive; the provider replays nothing");
  const absl::Status refused = deployment->ResumeFrom({.slot = asked_}).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(refused), HasSubstr("the blocks of slots " + std::to_string(slot + 1) + " to "));
  EXPECT_FALSE(deployment->status().rewind.has_value());
}

// A console asks for the list again and again, and for each checkpoint in it.
TEST_F(ReachTest, AListingAsksTheProviderOnce) {
  StartProvider(kPace, std::nullopt);
  auto options = WithoutArchive();
  options.replay_reach_max_age = std::chrono::hours(1);
  auto deployment = RunPastCheckpoint(options);
  reach_.first = kFirst;
  for (int i = 0; i < 10; ++i) EXPECT_EQ(deployment->ReachOf(checkpoint_), "");
  EXPECT_EQ(reach_.asked, 1);
  reach_.first = kLast;  // a rewind is begun on what is true now
  EXPECT_EQ(deployment->ResumeFrom({.slot = asked_}).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(reach_.asked, 2);
  EXPECT_NE(deployment->ReachOf(checkpoint_), "");
}

// A checkpoint that somebody put there, of a state that is not ours and ahead of us: it does not count among those that
// are kept, and goes nowhere.
TEST_F(DeploymentTest, PruningCountsOnlyWhatLedHere) {
  StartProvider(200, std::nullopt);
  auto options = Options("other");
  options.from_slot = kFirst + 3;
  auto other = Open(options);
  Start(other.get());
  WaitForSlot(*other, kLast);
  const auto foreign = other->CreateCheckpoint();
  ASSERT_TRUE(foreign.ok()) << foreign.status();
  const auto copy = folder_ / "data" / "checkpoints" / foreign->name;
  std::filesystem::create_directories(copy.parent_path());
  std::filesystem::copy(foreign->path, copy, std::filesystem::copy_options::recursive);

  StartProvider(kPace, std::nullopt);
  options = Options("data");
  options.checkpoints.every_slots = 4;
  options.checkpoints.keep = 1;
  auto deployment = Open(options);
  Start(deployment.get());
  const auto ours = [&] {
    std::vector<std::string> names;
    const auto entries = ListCheckpoints(options.store.data_dir);
    EXPECT_TRUE(entries.ok()) << entries.status();
    for (const CheckpointEntry& entry : *entries) {
      if (deployment->Ours(entry.info)) names.push_back(entry.info.name);
    }
    return names;
  };
  WaitFor("two checkpoints", [&] { return deployment->status().counters.checkpoints_made >= 2; });
  EXPECT_TRUE(std::filesystem::exists(copy));
  EXPECT_GE(ours().size(), 1u) << "the newest one is kept";
  deployment->Stop();
  ASSERT_TRUE(deployment->CreateCheckpoint().ok());
  ASSERT_TRUE(deployment->PruneCheckpoints(1).ok());
  EXPECT_EQ(ours().size(), 1u);
  EXPECT_TRUE(std::filesystem::exists(copy));
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
