// Projector: block → machine → layer → applier. One block in, one batch applied, one publication out.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "absl/status/status.h"
#include "server/base/buckets.h"
#include "server/base/thread_role.h"
#include "server/projector/state_cache.h"
#include "server/vm/block.h"
#include "server/vm/machine.h"
#include "server/vm/projection.h"
#include "storage/entity_store.h"
#include "storage/entity_writer.h"
#include "storage/model.h"

namespace everstate {

// The one thread of a line that projects and applies.
inline constexpr ThreadRole kProjectorThread;

#define EVERSTATE_ON_PROJECTOR EVERSTATE_REQUIRES(::everstate::kProjectorThread)
#define EVERSTATE_OF_PROJECTOR EVERSTATE_GUARDED_BY(::everstate::kProjectorThread)

// Whoever publishes an applied batch. Called on the projector's thread, after the store has the batch; what it waits
// for holds up the line.
using BatchSink = std::function<void(const Applied&)>;

struct ProjectorOptions {
  size_t state_cache_bytes_max = 256u << 20;
};

// Of histograms of the time that a block takes, in microseconds. A slot takes 400 ms.
inline constexpr std::array<uint64_t, 12> kBlockTimeBoundsUs = {100,    250,    500,    1'000,   2'500,   5'000,
                                                                10'000, 25'000, 50'000, 100'000, 250'000, 1'000'000};

// A copy of what the projector counts, taken after each block.
struct ProjectorStats {
  uint64_t blocks = 0, updates = 0, gaps = 0;
  std::chrono::nanoseconds project_time{0}, apply_time{0}, publish_time{0};
  Buckets<kBlockTimeBoundsUs> block_times;  // from a block's updates to its frames
  vm::MachineShares shares;
  vm::MachineCounters machine;
  StateCacheStats cache;
};

inline constexpr auto kProjectorStats = std::to_array<Described<ProjectorStats>>({
    {"blocks", &ProjectorStats::blocks, "Blocks projected"},
    {"updates", &ProjectorStats::updates, "Transactions and account writes of the blocks projected"},
    {"gaps", &ProjectorStats::gaps, "Gaps recorded"},
    {"project_us", &ProjectorStats::project_time, "Time spent in the machine"},
    {"apply_us", &ProjectorStats::apply_time, "Time spent in applying batches to store and cache"},
    {"publish_us", &ProjectorStats::publish_time, "Time spent in encoding and posting frames"},
});
static_assert(DescribesAll(kProjectorStats, sizeof(Buckets<kBlockTimeBoundsUs>) + sizeof(vm::MachineShares) +
                                                sizeof(vm::MachineCounters) + sizeof(StateCacheStats)));

// Applier: takes a sealed batch wherever it was made: store, then cache, then sink.
//   Thread:    the projector's.
//   Errors:    those of EntityWriter::Apply; after one the caller stops.
//   Invariant: a batch is published only after it was applied.
class Applier {
 public:
  Applier(uint64_t generation, std::unique_ptr<EntityWriter> writer, StateCache* cache, BatchSink sink)
      : generation_(generation), writer_(std::move(writer)), cache_(cache), sink_(std::move(sink)) {}
  absl::Status Apply(BatchRef batch) EVERSTATE_ON_PROJECTOR;
  absl::Status SyncWal() EVERSTATE_ON_PROJECTOR { return writer_->SyncWal(); }
  std::chrono::nanoseconds apply_time() const EVERSTATE_ON_PROJECTOR { return apply_time_; }
  std::chrono::nanoseconds publish_time() const EVERSTATE_ON_PROJECTOR { return publish_time_; }

 private:
  const uint64_t generation_;
  const std::unique_ptr<EntityWriter> writer_ EVERSTATE_OF_PROJECTOR;
  StateCache* const cache_ EVERSTATE_OF_PROJECTOR;
  const BatchSink sink_;
  std::chrono::nanoseconds apply_time_ EVERSTATE_OF_PROJECTOR{0}, publish_time_ EVERSTATE_OF_PROJECTOR{0};
};

// Projector
//   Thread:    Project, RecordGap and SyncWal in the projector thread; stats and faults any.
//   Owns:      machine, cache and the store's writer. The store must outlive it.
//   Errors:    those of the store: final, the caller stops. Nothing in a block is an error: what is wrong with an
//              update is a fault that is counted.
class Projector {
 public:
  Projector(const ProjectorOptions& options, std::shared_ptr<const vm::Projection> projection, EntityStore* store,
            BatchSink sink);
  absl::Status Project(const Block& block) EVERSTATE_ON_PROJECTOR;
  absl::Status RecordGap(const Gap& gap) EVERSTATE_ON_PROJECTOR;
  // What was applied survives a power loss from here on
  absl::Status SyncWal() EVERSTATE_ON_PROJECTOR { return applier_.SyncWal(); }

  ProjectorStats stats() const;
  std::vector<vm::Fault> faults() const;

 private:
  void PublishStats() EVERSTATE_ON_PROJECTOR;

  vm::Machine machine_ EVERSTATE_OF_PROJECTOR;
  StateCache cache_ EVERSTATE_OF_PROJECTOR;
  Applier applier_ EVERSTATE_OF_PROJECTOR;
  ProjectorStats working_ EVERSTATE_OF_PROJECTOR;

  mutable std::mutex mutex_;  // guards the two below, copies for other threads
  ProjectorStats stats_;
  std::vector<vm::Fault> faults_;
};

}  // namespace everstate
