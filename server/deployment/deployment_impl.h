// What a deployment is made of. Inside this room only: deployment.cc runs the line, deployment_rewind.cc rewinds it.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "server/deployment/checkpoint_keeper.h"
#include "server/deployment/checkpointer.h"
#include "server/deployment/counted.h"
#include "server/deployment/deployment.h"
#include "server/deployment/hand_over.h"
#include "server/deployment/line.h"
#include "server/deployment/replay_reach.h"
#include "server/deployment/rewind.h"

namespace everstate {

inline ingest::Subscription SubscriptionOf(const DeploymentOptions& options, const vm::Projection& projection) {
  return {projection.transaction_programs(), projection.account_owners(), options.commitment};
}

struct Deployment::Impl {
  Impl(DeploymentOptions o, std::shared_ptr<const vm::Projection> p, std::shared_ptr<EntityStore> s,
       std::unique_ptr<ingest::ArchiveWriter> archive)
      : options(std::move(o)),
        projection(std::move(p)),
        archive_dir(options.store.data_dir / "archive"),
        hand_over(std::move(archive), options.inbox_blocks_max, options.inbox_bytes_max),
        filler(&hand_over, archive_dir, SubscriptionOf(options, *projection), &stopping),
        checkpoints(options.store.data_dir, options.checkpoints.keep),
        reach(
            [this] {
              return feed == nullptr ? absl::StatusOr<Slot>(absl::UnavailableError("not connected"))
                                     : feed->FirstReplayable();
            },
            options.replay_reach_max_age),
        serving(std::move(s)) {}

  absl::StatusOr<std::shared_ptr<RewindPlan>> Plan(const RewindRequest& request);
  absl::StatusOr<bool> TakesArchive(const RewindRequest& request, const BlockId& checkpoint);
  ingest::IngestOptions MakeIngestOptions() const;
  std::unique_ptr<Line> MakeLine(std::shared_ptr<EntityStore> store);

  // Of the projector's thread.
  void RunProjector() EVERSTATE_ON_PROJECTOR;
  absl::Status Follow() EVERSTATE_ON_PROJECTOR;
  absl::Status Handle(const HandOver::Item& item) EVERSTATE_ON_PROJECTOR;
  absl::Status ProjectBlock(const Block& block) EVERSTATE_ON_PROJECTOR;
  absl::Status Rewind(RewindPlan* plan, bool at_start) EVERSTATE_ON_PROJECTOR;
  absl::Status Fill(RewindPlan* plan, Line* next, bool at_start) EVERSTATE_ON_PROJECTOR;
  absl::Status Switch(RewindPlan* plan, std::unique_ptr<Line>* next) EVERSTATE_ON_PROJECTOR;
  absl::Status Abandon(const RewindPlan& plan, const absl::Status& why, bool at_start) EVERSTATE_ON_PROJECTOR;
  void RestartAt(const BlockId& position) EVERSTATE_ON_PROJECTOR;
  void ShowRewind(const Line& next);
  void ShowRewindFailed(std::string why);

  void Report(Failure::Where where, const absl::Status& status);
  std::shared_ptr<EntityStore> Serving() const {
    std::lock_guard lock(mutex);
    return serving;
  }
  std::function<std::optional<Hash32>(Slot)> AppliedBlockhash() const;

  const DeploymentOptions options;
  const std::shared_ptr<const vm::Projection> projection;
  const std::filesystem::path archive_dir;
  std::atomic<bool> stopping{false};
  HandOver hand_over;
  Filler filler;
  CheckpointKeeper checkpoints;
  ReplayReach reach;
  DeploymentSinks sinks;
  std::shared_ptr<RewindPlan> rewind_at_start;
  std::unique_ptr<ingest::Ingest> feed;
  std::unique_ptr<Checkpointer> checkpointer;
  std::thread ingest_thread, projector_thread;

  std::unique_ptr<Line> line EVERSTATE_OF_PROJECTOR;

  std::atomic<bool> rewinding{false};
  std::atomic<bool> projector_ended{false};  // orders are carried out no more

  mutable std::mutex mutex;  // guards the rest
  std::shared_ptr<EntityStore> serving;
  std::shared_ptr<EntityStore> filling;  // by a rewind
  const Projector* projector = nullptr;  // the serving line's
  Counted earlier;                       // by the lines before it
  std::deque<SlotSeen> slots;
  std::optional<RewindStatus> rewind;
  std::optional<Failure> failure;
  std::atomic<bool> failed{false};
};

}  // namespace everstate
