#include "server/health/health.h"

#include <utility>

#include "server/base/sha256.h"

namespace everstate {
namespace {

// As the reference's health server says it.
constexpr const char* kText = "text/plain";

std::string_view Bytes(const Hash32& hash) { return {reinterpret_cast<const char*>(hash.data()), hash.size()}; }

}  // namespace

std::string TroubleOf(const ingest::StreamStatus& stream, const Watermark& watermark,
                      std::chrono::steady_clock::time_point now, std::chrono::milliseconds slot_silence_max) {
  if (stream.state != ingest::StreamState::kLive) {
    const std::string state = "the stream is not live (" + std::string(Name(stream.state)) + ")";
    return stream.error.empty() ? state : state + ": " + stream.error;
  }
  if (stream.last_slot_heard == std::chrono::steady_clock::time_point{})
    return "the stream is live, but no slot was heard yet";
  const auto silent = now - stream.last_slot_heard;
  if (silent >= slot_silence_max) {
    return "the stream is live, but no slot was heard for " +
           std::to_string(std::chrono::duration_cast<std::chrono::seconds>(silent).count()) + " s";
  }
  if (!stream.proven) return "the stream has not shown yet that it goes on where the store is";
  return watermark.number != 0 ? "" : "no block is in the store yet";
}

void Health::Attach(HealthSubjects subjects) {
  std::lock_guard lock(mutex_);
  subjects_ = subjects;
}

void Health::Detach() {
  std::lock_guard lock(mutex_);
  subjects_ = {};
}

ServerStatus Health::Take() const {
  ServerStatus status;
  status.at = std::chrono::system_clock::now();
  status.at_steady = std::chrono::steady_clock::now();
  status.uptime = std::chrono::duration_cast<std::chrono::microseconds>(status.at_steady - started_);
  std::lock_guard lock(mutex_);
  if (subjects_.deployment == nullptr) return status;
  const vm::Projection& projection = subjects_.deployment->projection();
  const std::shared_ptr<const EntityStore> store = subjects_.deployment->store();
  std::vector<std::string> programs;
  for (const stack::Idl& idl : projection.stack().idls) programs.push_back(idl.program_id);
  status.line.emplace(LineStatus{.stack_name = projection.stack().name,
                                 .stack_hash = HexOf(Bytes(projection.stack().hash)),
                                 .programs = std::move(programs),
                                 .schema = projection.schema(),
                                 .generation = store->generation(),
                                 .lineage = store->lineage(),
                                 .watermark = store->watermark(),
                                 .gaps = store->gaps(),
                                 .sizes = store->sizes(),
                                 .ingest = subjects_.deployment->ingest_counters(),
                                 .deployment = subjects_.deployment->status(),
                                 .store = store->counters(),
                                 .fanout = subjects_.fanout->counters(),
                                 .traffic = subjects_.fanout->traffic()});
  status.ready =
      TroubleOf(status.line->deployment.stream, status.line->watermark, status.at_steady, slot_silence_max_).empty();
  return status;
}

bool Health::ready() const { return Trouble().empty(); }

std::string Health::Trouble() const {
  std::lock_guard lock(mutex_);
  if (subjects_.deployment == nullptr) return "the store is not open";
  return TroubleOf(subjects_.deployment->stream_status(), subjects_.deployment->store()->watermark(),
                   std::chrono::steady_clock::now(), slot_silence_max_);
}

Progress Health::progress() const {
  const ServerStatus status = Take();
  if (!status.line.has_value()) return {};
  const LineStatus& line = *status.line;
  return {.slot = line.watermark.block.slot,
          .lag_slots = line.lag_slots().value_or(0),
          .updates = line.deployment.projector.updates,
          .entities_estimate = line.sizes.entities_estimate,
          .sessions = line.fanout.sessions.value()};
}

HttpReply Health::Answer(std::string_view path) const {
  if (path == "/health" || path == "/healthz") return {200, kText, "OK"};
  if (path == "/ready" || path == "/readiness") {
    return ready() ? HttpReply{200, kText, "READY"} : HttpReply{503, kText, "NOT READY"};
  }
  if (path == "/status") {
    const ServerStatus status = Take();
    return {status.ready ? 200 : 503, "application/json", StatusJson(status)};
  }
  if (path == "/metrics") return {200, "text/plain; version=0.0.4; charset=utf-8", MetricsText(Take())};
  return {404, kText,
          "There is nothing here. What there is: /health, /healthz, /ready, /readiness, /status, /metrics\n"};
}

}  // namespace everstate
