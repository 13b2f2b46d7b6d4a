// CheckpointKeeper: the one hand on <data>/checkpoints: making them, pruning them, beginning from one. Inside this room
// only.
#pragma once

#include <cstddef>
#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/deployment/checkpointer.h"
#include "server/deployment/deployment.h"
#include "storage/checkpoint.h"
#include "storage/entity_store.h"

namespace everstate {

// Whether the checkpoint is of a lineage that led to this store; every one is, as long as the store is empty.
bool LedHere(const EntityStore& store, const CheckpointInfo& checkpoint);

// CheckpointKeeper
//   Thread:    any; one thing at a time.
//   Invariant: only checkpoints that led to the store are counted and pruned: one that somebody put there to begin
//              another state from pushes none of ours out, and stays.
class CheckpointKeeper {
 public:
  CheckpointKeeper(std::filesystem::path data_dir, size_t keep) : data_dir_(std::move(data_dir)), keep_(keep) {}

  absl::StatusOr<CheckpointInfo> Create(const EntityStore& store);
  // For the schedule: makes one, then prunes. What goes wrong is warned of, counted, and told in error().
  void CreateAndPrune(const EntityStore& store);
  absl::StatusOr<std::vector<std::string>> Prune(const EntityStore& store, size_t keep);
  // Which the schedule goes on from, whichever process made it. A store without one is due; an empty one has nothing to
  // keep yet.
  Checkpointer::Made Newest(const EntityStore& store) const;
  // While it is held none is made and none goes: for whoever begins from one.
  std::unique_lock<std::mutex> Hold() { return std::unique_lock(working_); }

  DeploymentCounters counters() const;
  std::string error() const;  // of the last one made or pruned by the schedule, or made on demand; empty: none

 private:
  void Note(const absl::Status& made, std::string error);

  const std::filesystem::path data_dir_;
  const size_t keep_;
  std::mutex working_;
  mutable std::mutex mutex_;  // guards the two below
  DeploymentCounters counters_;
  std::string error_;
};

}  // namespace everstate
