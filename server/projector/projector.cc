#include "server/projector/projector.h"

#include <utility>

namespace everstate {
namespace {

using SteadyClock = std::chrono::steady_clock;

}  // namespace

absl::Status Applier::Apply(BatchRef batch) {
  const auto begin = SteadyClock::now();
  const absl::StatusOr<Number> number = writer_->Apply(*batch);
  if (!number.ok()) return number.status();
  cache_->Applied(*batch);
  const auto applied = SteadyClock::now();
  apply_time_ += applied - begin;
  sink_(Applied{generation_, *number, std::move(batch)});
  publish_time_ += SteadyClock::now() - applied;
  return absl::OkStatus();
}

Projector::Projector(const ProjectorOptions& options, std::shared_ptr<const vm::Projection> projection,
                     EntityStore* store, BatchSink sink)
    : machine_(std::move(projection)),
      cache_(store, options.state_cache_bytes_max),
      applier_(store->generation(), store->TakeWriter(), &cache_, std::move(sink)) {
  working_.shares = machine_.shares();  // so that each entity has a count before the first block
  stats_ = working_;
}

absl::Status Projector::Project(const Block& block) {
  const auto begin = SteadyClock::now();
  machine_.Begin(block.id, &cache_);
  for (const TransactionUpdate& transaction : block.transactions) {
    if (absl::Status status = machine_.Feed(transaction); !status.ok()) return status;
  }
  for (const AccountUpdate& account : block.accounts) {
    if (absl::Status status = machine_.Feed(account); !status.ok()) return status;
  }
  absl::StatusOr<vm::Layer> layer = machine_.Seal();
  if (!layer.ok()) return layer.status();
  working_.project_time += SteadyClock::now() - begin;

  working_.blocks += 1;
  working_.updates += block.transactions.size() + block.accounts.size();
  if (absl::Status status = applier_.Apply(std::move(layer->batch)); !status.ok()) return status;
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(SteadyClock::now() - begin);
  working_.block_times.Count(static_cast<uint64_t>(took.count()));
  PublishStats();
  return absl::OkStatus();
}

absl::Status Projector::RecordGap(const Gap& gap) {
  auto batch = std::make_shared<Batch>();
  batch->kind = BatchKind::kGap;
  batch->gap = gap;
  if (absl::Status status = applier_.Apply(std::move(batch)); !status.ok()) return status;
  working_.gaps += 1;
  PublishStats();
  return absl::OkStatus();
}

void Projector::PublishStats() {
  working_.machine = machine_.counters();
  working_.shares = machine_.shares();
  working_.cache = cache_.stats();
  working_.apply_time = applier_.apply_time();
  working_.publish_time = applier_.publish_time();
  std::vector<vm::Fault> faults = machine_.faults();
  std::lock_guard lock(mutex_);
  stats_ = working_;
  faults_ = std::move(faults);
}

ProjectorStats Projector::stats() const {
  std::lock_guard lock(mutex_);
  return stats_;
}

std::vector<vm::Fault> Projector::faults() const {
  std::lock_guard lock(mutex_);
  return faults_;
}

}  // namespace everstate
