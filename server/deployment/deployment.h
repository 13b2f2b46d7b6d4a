// Deployment: one stack's line from its stream to its store, on threads of its own: ingest → archive → inbox →
// projector. Beside it the schedule of checkpoints, and the rewind, which fills another generation from a checkpoint
// and switches to it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/bounded_queue.h"
#include "server/base/counters.h"
#include "server/ingest/archive.h"
#include "server/ingest/ingest.h"
#include "server/projector/projector.h"
#include "server/vm/projection.h"
#include "storage/checkpoint.h"
#include "storage/entity_store.h"

namespace everstate {

// When checkpoints are made: every so many slots, or every so much time; neither: only on demand.
struct CheckpointSchedule {
  std::optional<uint64_t> every_slots = std::nullopt;
  std::optional<std::chrono::seconds> every = std::nullopt;
  size_t keep = 5;  // the newest so many; more are deleted after one was made
};

// What a person asked for with --resume-from or over the admin service.
struct RewindRequest {
  Slot slot = 0;
  bool again = false;       // also when the present generation was made by the same request
  bool accept_gap = false;  // also when blocks are missing: the hole becomes a gap of the new generation
};

enum class RewindState : uint8_t { kFilling, kDone, kFailed };
std::string_view Name(RewindState state);

struct RewindStatus {
  RewindRequest request;
  std::string checkpoint;
  uint64_t generation = 0;  // the one being filled
  Slot from_slot = 0;       // the checkpoint's
  Slot slot = 0;            // the new generation's watermark
  Slot target_slot = 0;     // the newest block that it has to apply before the switch
  RewindState state = RewindState::kFilling;
  std::string error;  // why it failed; the present generation goes on
};

// What a rewind that was asked for came to.
struct RewindBegun {
  bool nothing_to_do = false;  // the present generation was made by this request
  std::string checkpoint;
  uint64_t generation = 0;
};

// A block on its way, for those who watch: the newest ones are kept.
struct SlotSeen {
  Slot slot = 0;
  uint64_t updates = 0, mutations = 0;
  std::chrono::milliseconds confirm{0};  // from the first thing heard of the slot to its settlement
  std::chrono::microseconds settle_to_apply{0};
};

struct DeploymentOptions {
  StoreOptions store;
  std::string endpoint;  // for people; without credentials
  Commitment commitment = Commitment::kConfirmed;
  std::optional<Slot> from_slot;
  size_t inbox_blocks_max = 64, inbox_bytes_max = 512u << 20;
  uint64_t archive_keep_bytes = 8ull << 30;  // 0: no archive
  CheckpointSchedule checkpoints;
  std::optional<RewindRequest> rewind;  // begun before the first block is applied
  // Limits and patience of the stream; its subscription, commitment and position are the deployment's own.
  ingest::IngestOptions stream;
  ProjectorOptions projector;
  // How old the provider's word on what it can replay may be where people look at it; a rewind asks anew.
  std::chrono::milliseconds replay_reach_max_age{5000};
};

// Where the line ends. All are called on the projector's thread.
struct DeploymentSinks {
  BatchSink publish;
  // After a rewind, before the new one's next batch
  std::function<void(std::shared_ptr<const EntityStore>)> switch_store;
};

struct DeploymentCounters {
  uint64_t checkpoints_made = 0, checkpoints_failed = 0;
};

inline constexpr auto kDeploymentCounters = std::to_array<Described<DeploymentCounters>>({
    {"checkpoints_made", &DeploymentCounters::checkpoints_made, "Checkpoints made by this process"},
    {"checkpoints_failed", &DeploymentCounters::checkpoints_failed, "Checkpoints that could not be made"},
});
static_assert(DescribesAll(kDeploymentCounters));

// A consistent copy of what can be counted; see each member's type.
struct DeploymentStatus {
  ingest::StreamStatus stream;
  ProjectorStats projector;
  std::vector<vm::Fault> faults;
  QueueStats inbox;
  std::vector<SlotSeen> slots;  // newest 64, oldest first
  std::optional<RewindStatus> rewind;
  std::optional<ingest::ArchiveListing> archive;  // empty: off
  std::optional<ingest::ArchiveCounters> archive_counters;
  uint64_t archive_keep_bytes = 0;
  DeploymentCounters counters;
  std::string checkpoint_error;  // why the last one failed; empty when the last one was made
};

// Deployment
//   Thread:    Open, Start and Stop from the owner's; everything else from any.
//   Owns:      store, archive, stream and the threads. store() may be another one after a rewind; whoever holds the
//              pointer keeps that generation readable.
//   Errors:    Open: those of EntityStore::Open; a rewind that cannot begin is FailedPrecondition and names why
//              (missing slots). What ends a running line is in failure(); `failed` says that there is one.
class Deployment {
 public:
  static absl::StatusOr<std::unique_ptr<Deployment>> Open(DeploymentOptions options,
                                                          std::shared_ptr<const vm::Projection> projection,
                                                          std::unique_ptr<ingest::Source> source);
  ~Deployment();  // stops

  void Start(DeploymentSinks sinks);
  void Stop();  // no new blocks; what is queued is applied and published

  bool failed() const;
  struct Failure {
    enum class Where : uint8_t { kStore, kStream, kRewind } where = Where::kStore;
    absl::Status status;
  };
  Failure failure() const;

  std::shared_ptr<const EntityStore> store() const;
  const vm::Projection& projection() const;
  const ingest::LedgerCounters& ingest_counters() const;
  const DeploymentOptions& options() const;
  DeploymentStatus status() const;
  ingest::StreamStatus stream_status() const;  // its `stream` alone, for those who ask often

  absl::StatusOr<CheckpointInfo> CreateCheckpoint();
  absl::StatusOr<std::vector<std::string>> PruneCheckpoints(size_t keep);
  // Whether the archive reaches from the checkpoint to the head: empty when it does, else what is missing, in words.
  std::string ReachOf(const CheckpointInfo& checkpoint) const;
  // Whether the checkpoint is of a lineage that led to the serving state.
  bool Ours(const CheckpointInfo& checkpoint) const;
  absl::StatusOr<RewindBegun> ResumeFrom(const RewindRequest& request);

 private:
  struct Impl;
  explicit Deployment(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace everstate
