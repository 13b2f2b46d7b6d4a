// Ingest: follows one Yellowstone stream for ever and hands whole, settled blocks over, in order.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/thread_role.h"
#include "server/ingest/ledger.h"
#include "server/ingest/source.h"

namespace everstate {

// The thread that runs a feed, and hands its blocks over.
inline constexpr ThreadRole kIngestThread;

}  // namespace everstate

#define EVERSTATE_ON_INGEST EVERSTATE_REQUIRES(::everstate::kIngestThread)
#define EVERSTATE_OF_INGEST EVERSTATE_GUARDED_BY(::everstate::kIngestThread)

namespace everstate::ingest {

struct IngestOptions {
  Subscription subscription;
  LedgerOptions ledger;
  // Doubled each time, full jitter; begins anew after a settled block
  std::chrono::milliseconds backoff_first{100}, backoff_max{30000};
  // Nothing heard for this long: the link is half-open, reconnect
  std::chrono::milliseconds silence_max{30000};
};

enum class StreamState : uint8_t { kConnecting, kLive, kWaitingToReconnect, kProviderBehind, kStopped };
std::string_view Name(StreamState state);

struct StreamStatus {
  StreamState state = StreamState::kConnecting;
  bool proven = false;  // the stream links to what the store has (on an empty store: the first block came)
  std::string error;    // why the last connection ended; empty while all is well
  uint64_t connects = 0, reconnects = 0;
  std::optional<Slot> from_slot;                            // of the present connection's request
  std::chrono::steady_clock::time_point last_slot_heard{};  // when the newest slot status or block came; epoch = never
};

// Ingest
//   Thread:    Run in the ingest thread, until Stop (any thread) or an error that only a person can mend. status() any
//              thread.
//   Errors:    Run answers OK after Stop; Aborted for another chain; InvalidArgument when the provider refuses the
//              request (INVALID_ARGUMENT "failed to create filter") or cannot begin at the slot that an empty store was
//              told to begin at. A refused token is shown in status() and tried again slowly: a provider may mend it.
//   Invariant: `sink` gets each event once, in order; it may block (that is the back-pressure); false = the receiver
//              closed: Run ends. After a Restarted nothing comes that belongs to an earlier position.
class Ingest {
 public:
  using Sink = std::function<bool(LedgerEvent)>;
  Ingest(IngestOptions options, std::unique_ptr<Source> source, Sink sink);
  ~Ingest();
  absl::Status Run() EVERSTATE_ON_INGEST;
  void Stop();
  // Any thread, also while the sink blocks; returns at once. The present connection is cancelled, `sink` gets
  // Restarted, and the stream is asked for again from position.slot on, as if `position` were the last block that was
  // handed over. `applied_blockhash` takes the place of the one in LedgerOptions: another generation has another chain
  // table. Of several calls that the loop has not seen yet only the last one counts. Without effect once Run has
  // answered.
  void RestartAt(const BlockId& position, std::function<std::optional<Hash32>(Slot)> applied_blockhash);
  StreamStatus status() const;
  const LedgerCounters& counters() const;
  // The first slot that the provider could replay from now; errors as Source::FirstReplayable. Any thread; asks the
  // provider.
  absl::StatusOr<Slot> FirstReplayable() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace everstate::ingest
