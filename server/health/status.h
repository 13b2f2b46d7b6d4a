// ServerStatus: a copy of everything that a running server can tell of itself, taken at one moment. /status, /metrics
// and the admin service are functions of it. What is not known is empty, never 0.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/deployment/deployment.h"
#include "server/fanout/fanout.h"
#include "server/ingest/ledger.h"
#include "storage/entity_store.h"
#include "storage/model.h"
#include "storage/row_schema.h"

namespace everstate {

// One stack's line, from its stream to the sessions.
struct LineStatus {
  std::string stack_name, stack_hash;  // hash in hex
  std::vector<std::string> programs;   // ids in base58, as the stack lists their IDLs
  std::shared_ptr<const RowSchema> schema;
  uint64_t generation = 0;
  std::string lineage;  // hex; empty before the first block
  Watermark watermark;
  std::vector<Gap> gaps;  // all there ever were, oldest first
  EntityStore::Sizes sizes;
  ingest::LedgerCounters ingest;
  DeploymentStatus deployment;
  StoreCounters store;
  FanoutCounters fanout;
  std::vector<ViewTraffic> traffic;

  std::optional<Slot> newest_slot() const;    // heard of
  std::optional<uint64_t> lag_slots() const;  // newest slot heard of minus the watermark's
  uint64_t faults() const;                    // all that were counted
};

struct ServerStatus {
  std::chrono::system_clock::time_point at{};
  std::chrono::steady_clock::time_point at_steady{};
  std::chrono::microseconds uptime{0};
  bool ready = false;
  std::optional<LineStatus> line;  // empty: the rooms do not exist yet, or no longer

  // Since the newest slot status or block came; empty when none has.
  std::optional<std::chrono::milliseconds> since_slot_heard() const;
  // From the time of the watermark's block, by the clock of this machine; empty when it is not known.
  std::optional<std::chrono::milliseconds> lag_time() const;
};

// The body of /status: JSON with the keys status, healthy, error_count and everything beside them. Texts that are no
// UTF-8 (a provider's error may be anything) have their bad bytes replaced.
std::string StatusJson(const ServerStatus& status);

// The body of /metrics: the text format of Prometheus, version 0.0.4. The README says how names are made.
std::string MetricsText(const ServerStatus& status);

}  // namespace everstate
