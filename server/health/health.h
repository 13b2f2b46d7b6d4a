// Health: what the server says of itself over HTTP: /health, /ready, /status, /metrics. It only reads.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "server/deployment/deployment.h"
#include "server/fanout/fanout.h"
#include "server/health/status.h"
#include "storage/model.h"

namespace everstate {

// What a server is made of, once it exists. Both pointers stay valid until Detach.
struct HealthSubjects {
  const Deployment* deployment = nullptr;
  const Fanout* fanout = nullptr;
};

// The one line that a person watches.
struct Progress {
  Slot slot = 0;           // watermark
  uint64_t lag_slots = 0;  // newest slot heard of minus the watermark's
  uint64_t updates = 0;    // ever, in this process
  uint64_t entities_estimate = 0, sessions = 0;
};

// Why a stream is not as it should be, in words; empty when it is live, a slot was heard within slot_silence_max, it is
// proven, and a block of it or of an earlier one is in the store (a new store is proven by a block that is yet to be
// applied).
std::string TroubleOf(const ingest::StreamStatus& stream, const Watermark& watermark,
                      std::chrono::steady_clock::time_point now, std::chrono::milliseconds slot_silence_max);

// Health
//   Thread:    Attach and Detach from the thread that owns the subjects; everything else from any.
//   Invariant: ready exactly while there is no trouble. A quiet program is no fault; an error is over when the stream
//              is live again.
class Health {
 public:
  explicit Health(std::chrono::milliseconds slot_silence_max = std::chrono::seconds(30))
      : slot_silence_max_(slot_silence_max) {}

  void Attach(HealthSubjects subjects);
  void Detach();  // from here on: not ready

  // /health /healthz: 200 OK. /ready /readiness: 200 READY or 503 NOT READY. /status: JSON with the keys status,
  // healthy, error_count and everything that can be counted; 200 or 503. /metrics: the same in the text format of
  // Prometheus, 200. Another path: 404.
  HttpReply Answer(std::string_view path) const;

  ServerStatus Take() const;  // everything, now
  bool ready() const;
  std::string Trouble() const;  // why it is not ready, in words; empty when it is
  Progress progress() const;

 private:
  const std::chrono::milliseconds slot_silence_max_;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  mutable std::mutex mutex_;  // held while the subjects are read, so that none goes away meanwhile
  HealthSubjects subjects_;
};

}  // namespace everstate
