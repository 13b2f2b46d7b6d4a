#include "server/deployment/checkpoint_keeper.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "server/base/log.h"

namespace everstate {
namespace {

auto LedTo(const EntityStore& store) {
  return [&store](const CheckpointInfo& checkpoint) { return LedHere(store, checkpoint); };
}

}  // namespace

bool LedHere(const EntityStore& store, const CheckpointInfo& checkpoint) {
  const std::vector<EntityStore::LineageStart> lineages = store.lineages();
  return lineages.empty() ||
         std::ranges::any_of(lineages, [&](const auto& l) { return l.lineage == checkpoint.lineage; });
}

void CheckpointKeeper::Note(const absl::Status& made, std::string error) {
  std::lock_guard lock(mutex_);
  ++(made.ok() ? counters_.checkpoints_made : counters_.checkpoints_failed);
  error_ = std::move(error);
}

absl::StatusOr<CheckpointInfo> CheckpointKeeper::Create(const EntityStore& store) {
  std::lock_guard lock(working_);
  auto made = store.CreateCheckpoint();
  Note(made.status(), std::string(made.status().message()));
  return made;
}

void CheckpointKeeper::CreateAndPrune(const EntityStore& store) {
  std::lock_guard lock(working_);
  auto made = store.CreateCheckpoint();
  absl::Status status = made.status();
  if (made.ok()) {
    LogInfo(Room::kDeployment, "checkpoint {}: {} entities, {} bytes", made->name, made->entities, made->bytes);
    status = PruneCheckpoints(data_dir_, keep_, LedTo(store)).status();
  }
  if (!status.ok()) LogWarn(Room::kDeployment, "checkpoint: {}", std::string(status.message()));
  Note(made.status(), std::string(status.message()));
}

absl::StatusOr<std::vector<std::string>> CheckpointKeeper::Prune(const EntityStore& store, size_t keep) {
  std::lock_guard lock(working_);
  return PruneCheckpoints(data_dir_, keep, LedTo(store));
}

Checkpointer::Made CheckpointKeeper::Newest(const EntityStore& store) const {
  using std::chrono::steady_clock;
  using std::chrono::system_clock;
  const Watermark watermark = store.watermark();
  Checkpointer::Made newest{0, watermark.number == 0 ? steady_clock::now() : steady_clock::time_point::min()};
  if (watermark.number == 0) return newest;
  const auto entries = ListCheckpoints(data_dir_);
  if (!entries.ok()) LogWarn(Room::kDeployment, "checkpoints: {}", std::string(entries.status().message()));
  for (const CheckpointEntry& entry : entries.ok() ? *entries : std::vector<CheckpointEntry>()) {
    if (!entry.status.ok() || !LedHere(store, entry.info) || entry.info.watermark.block.slot > watermark.block.slot)
      continue;
    const auto age = system_clock::now() - system_clock::from_time_t(entry.info.created_at);
    newest = {entry.info.watermark.block.slot, steady_clock::now() - std::max(age, system_clock::duration{0})};
  }
  return newest;
}

DeploymentCounters CheckpointKeeper::counters() const {
  std::lock_guard lock(mutex_);
  return counters_;
}

std::string CheckpointKeeper::error() const {
  std::lock_guard lock(mutex_);
  return error_;
}

}  // namespace everstate
