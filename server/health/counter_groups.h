// All structs of counters that a line has. Inside this room only.
#pragma once

#include <string_view>

#include "server/health/status.h"

namespace everstate {

// Where the counters of one struct are shown.
struct CounterGroup {
  const char* status;        // JSON pointer of their object in /status
  std::string_view metrics;  // what the names of their metrics begin with
};

// Calls visit(group, counters, list) for each struct of counters, with the list of its members. /status and /metrics
// show what is visited here and nothing else; tests/tidy/counters_test.py looks for structs that are missing.
template <typename Visit>
void ForEachCounters(const LineStatus& line, Visit visit) {
  const DeploymentStatus& deployment = line.deployment;
  visit(CounterGroup{"/ingest", "everstate_ingest_"}, line.ingest, ingest::kLedgerCounters);
  if (deployment.archive_counters.has_value())
    visit(CounterGroup{"/archive", "everstate_archive_"}, *deployment.archive_counters, ingest::kArchiveCounters);
  visit(CounterGroup{"/projector", "everstate_projector_"}, deployment.projector, kProjectorStats);
  visit(CounterGroup{"/projector", "everstate_vm_"}, deployment.projector.machine, vm::kMachineCounters);
  visit(CounterGroup{"/projector/cache", "everstate_cache_"}, deployment.projector.cache, kStateCacheStats);
  visit(CounterGroup{"", "everstate_"}, deployment.counters, kDeploymentCounters);
  visit(CounterGroup{"/store", "everstate_store_"}, line.store, kStoreCounters);
  visit(CounterGroup{"/store", "everstate_store_"}, line.sizes, kStoreSizes);
  visit(CounterGroup{"/fanout", "everstate_fanout_"}, line.fanout, kFanoutCounters);
}

}  // namespace everstate
