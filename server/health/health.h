// Health: what the server says of itself over HTTP: /health, /ready, /status. It only reads.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>

#include "server/base/bounded_queue.h"
#include "server/fanout/fanout.h"
#include "server/ingest/ingest.h"
#include "server/projector/projector.h"
#include "server/vm/projection.h"
#include "storage/entity_store.h"

namespace everstate {

// What a server is made of, as far as it exists yet. All pointers stay valid until Detach.
struct HealthSubjects {
  const vm::Projection* projection = nullptr;
  const EntityStore* store = nullptr;
  const Projector* projector = nullptr;
  const ingest::Ingest* ingest = nullptr;
  const Fanout* fanout = nullptr;
  std::function<QueueStats()> inbox;  // blocks on their way from ingest to the projector
};

// The one line that a person watches.
struct Progress {
  Slot slot = 0;               // watermark
  uint64_t lag_slots = 0;      // newest slot heard of minus the watermark's
  uint64_t updates = 0;        // ever, in this process
  uint64_t entities_estimate = 0, sessions = 0;
};

// Health
//   Thread:    Attach and Detach from the thread that owns the subjects; everything else from any.
//   Invariant: ready exactly while the stream is live and proven and a slot was heard within slot_silence_max. A quiet program
//              is no fault; an error is over when the stream is live again.
class Health {
 public:
  explicit Health(std::chrono::milliseconds slot_silence_max = std::chrono::seconds(30)) : slot_silence_max_(slot_silence_max) {}

  void Attach(HealthSubjects subjects);
  void Detach();  // from here on: not ready

  // /health /healthz: 200 OK. /ready /readiness: 200 READY or 503 NOT READY. /status: JSON with the keys status, healthy,
  // error_count and everything that can be counted; 200 or 503. Another path: 404.
  HttpReply Answer(std::string_view path) const;

  bool ready() const;
  Progress progress() const;

 private:
  std::string StatusJson(bool* healthy) const;
  bool ReadyLocked() const;

  const std::chrono::milliseconds slot_silence_max_;
  mutable std::mutex mutex_;
  HealthSubjects subjects_;
  bool attached_ = false;
};

}  // namespace everstate
