#include "server/health/health.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "server/base/base58.h"
#include "server/base/sha256.h"

namespace everstate {
namespace {

using Json = nlohmann::json;

std::string HashText(const Hash32& hash) { return EncodeBase58(hash); }
std::string_view Bytes(const Hash32& hash) { return {reinterpret_cast<const char*>(hash.data()), hash.size()}; }

// The reference's words for the state of its stream; clients of /status know them.
std::string StatusWord(const ingest::StreamStatus& stream) {
  switch (stream.state) {
    case ingest::StreamState::kLive:
      return "Connected";
    case ingest::StreamState::kWaitingToReconnect:
    case ingest::StreamState::kProviderBehind:
      return stream.error.empty() ? "Reconnecting" : "Error(" + Json(stream.error).dump() + ")";
    case ingest::StreamState::kConnecting:
      return stream.connects == 0 ? "Disconnected" : "Reconnecting";
    case ingest::StreamState::kStopped:
      return "Disconnected";
  }
  return "Disconnected";
}

Json WatermarkJson(const Watermark& watermark) {
  if (watermark.number == 0) return nullptr;
  Json json = {{"number", watermark.number}, {"slot", watermark.block.slot}, {"blockhash", HashText(watermark.block.blockhash)}, {"block_time", nullptr}};
  if (watermark.block.block_time.has_value()) json["block_time"] = *watermark.block.block_time;
  return json;
}

Json GapsJson(const std::vector<Gap>& gaps) {
  Json json = Json::array();
  for (const Gap& gap : gaps) json.push_back({{"from", gap.from}, {"to", gap.to}, {"cause", gap.cause}});
  return json;
}

Json IngestJson(const ingest::LedgerCounters& c) {
  return {{"messages", c.messages.value()},
          {"bytes", c.bytes.value()},
          {"accounts", c.accounts.value()},
          {"transactions", c.transactions.value()},
          {"slots", c.slots.value()},
          {"block_metas", c.block_metas.value()},
          {"pings", c.pings.value()},
          {"unknown_messages", c.unknown_messages.value()},
          {"malformed_messages", c.malformed_messages.value()},
          {"blocks_settled", c.blocks_settled.value()},
          {"blocks_dead", c.blocks_dead.value()},
          {"blocks_duplicate", c.blocks_duplicate.value()},
          {"blocks_below_watermark", c.blocks_below_watermark.value()},
          {"accounts_duplicate", c.accounts_duplicate.value()},
          {"transactions_duplicate", c.transactions_duplicate.value()},
          {"transactions_conflicting", c.transactions_conflicting.value()},
          {"bank_resets", c.bank_resets.value()},
          {"late_messages", c.late_messages.value()},
          {"gaps", c.gaps.value()},
          {"slots_incomplete", c.slots_incomplete.value()},
          {"open_slots", c.open_slots.value()},
          {"open_bytes", c.open_bytes.value()}};
}

Json FanoutJson(const FanoutCounters& c) {
  return {{"sessions", c.sessions.value()},
          {"subscriptions", c.subscriptions.value()},
          {"sessions_total", c.sessions_total.value()},
          {"sessions_refused", c.sessions_refused.value()},
          {"sessions_closed_slow", c.sessions_closed_slow.value()},
          {"sessions_closed_idle", c.sessions_closed_idle.value()},
          {"sessions_closed_error", c.sessions_closed_error.value()},
          {"subscribes", c.subscribes.value()},
          {"subscribe_errors", c.subscribe_errors.value()},
          {"messages_ignored", c.messages_ignored.value()},
          {"frames_encoded", c.frames_encoded.value()},
          {"frames_sent", c.frames_sent.value()},
          {"bytes_sent", c.bytes_sent.value()},
          {"batches_published", c.batches_published.value()},
          {"batches_with_frames", c.batches_with_frames.value()},
          {"socket_writes", c.socket_writes.value()},
          {"snapshot_rows_sent", c.snapshot_rows_sent.value()},
          {"snapshots_total", c.snapshots_total.value()},
          {"frames_dropped_by_look", c.frames_dropped_by_look.value()},
          {"queued_bytes", c.queued_bytes.value()}};
}

Json ProjectorJson(const ProjectorStats& s) {
  const auto us = [](std::chrono::nanoseconds t) { return std::chrono::duration_cast<std::chrono::microseconds>(t).count(); };
  return {{"blocks", s.blocks},
          {"updates", s.updates},
          {"mutations", s.mutations},
          {"gaps", s.gaps},
          {"project_us", us(s.project_time)},
          {"apply_us", us(s.apply_time)},
          {"publish_us", us(s.publish_time)},
          {"transactions", s.machine.transactions},
          {"transactions_failed", s.machine.transactions_failed},
          {"instructions_matched", s.machine.instructions_matched},
          {"instructions_unknown", s.machine.instructions_unknown},
          {"accounts_matched", s.machine.accounts_matched},
          {"accounts_unknown", s.machine.accounts_unknown},
          {"accounts_closed", s.machine.accounts_closed},
          {"handler_runs", s.machine.handler_runs},
          {"cache", {{"hits", s.cache.hits}, {"misses", s.cache.misses}, {"bytes", s.cache.bytes}, {"rows", s.cache.rows}}}};
}

Json FaultsJson(const std::vector<vm::Fault>& faults, uint64_t* total) {
  Json json = Json::array();
  for (const vm::Fault& fault : faults) {
    *total += fault.count;
    json.push_back({{"entity", fault.entity},
                    {"handler", fault.handler},
                    {"reason", vm::Name(fault.reason)},
                    {"count", fault.count},
                    {"sample_slot", fault.sample_slot},
                    {"sample", fault.sample}});
  }
  return json;
}

Json ViewsJson(const RowSchema& schema) {
  Json json = Json::array();
  for (const ViewDef& view : schema.views()) {
    if (view.unsupported.empty()) json.push_back({{"id", view.id}, {"entity", schema.entity(view.entity).name}, {"mode", ViewModeName(view.mode)}});
  }
  return json;
}

Json UnsupportedViewsJson(const RowSchema& schema) {
  Json json = Json::array();
  for (const ViewDef& view : schema.views()) {
    if (!view.unsupported.empty()) json.push_back({{"view", view.id}, {"reason", view.unsupported}});
  }
  return json;
}

}  // namespace

void Health::Attach(HealthSubjects subjects) {
  std::lock_guard lock(mutex_);
  subjects_ = std::move(subjects);
  attached_ = true;
}

void Health::Detach() {
  std::lock_guard lock(mutex_);
  subjects_ = {};
  attached_ = false;
}

bool Health::ReadyLocked() const {
  if (!attached_) return false;
  const ingest::StreamStatus stream = subjects_.ingest->status();
  return stream.state == ingest::StreamState::kLive && stream.proven &&
         std::chrono::steady_clock::now() - stream.last_slot_heard < slot_silence_max_;
}

bool Health::ready() const {
  std::lock_guard lock(mutex_);
  return ReadyLocked();
}

Progress Health::progress() const {
  std::lock_guard lock(mutex_);
  Progress progress;
  if (!attached_) return progress;
  progress.slot = subjects_.store->watermark().block.slot;
  const Slot newest = subjects_.ingest->counters().newest_slot.value();
  progress.lag_slots = newest > progress.slot ? newest - progress.slot : 0;
  progress.updates = subjects_.projector->stats().updates;
  progress.entities_estimate = subjects_.store->sizes().entities_estimate;
  progress.sessions = subjects_.fanout->counters().sessions.value();
  return progress;
}

std::string Health::StatusJson(bool* healthy) const {
  std::lock_guard lock(mutex_);
  *healthy = ReadyLocked();
  Json json = {{"status", "Disconnected"}, {"healthy", *healthy}, {"error_count", 0}, {"watermark", nullptr}};
  if (!attached_) return json.dump();

  const HealthSubjects& s = subjects_;
  const ingest::StreamStatus stream = s.ingest->status();
  const Watermark watermark = s.store->watermark();
  const Slot newest = s.ingest->counters().newest_slot.value();
  const Hash32& stack_hash = s.projection->stack().hash;
  uint64_t faults_total = 0;
  json["status"] = StatusWord(stream);
  json["stack"] = {{"name", s.projection->stack().name}, {"hash", HexOf(Bytes(stack_hash))}};
  json["generation"] = s.store->generation();
  json["lineage"] = s.store->lineage();
  json["watermark"] = WatermarkJson(watermark);
  json["newest_slot"] = newest == 0 ? Json(nullptr) : Json(newest);
  json["lag_slots"] = newest == 0 || watermark.number == 0 ? Json(nullptr) : Json(newest > watermark.block.slot ? newest - watermark.block.slot : 0);
  json["stream"] = {{"state", ingest::Name(stream.state)},
                    {"proven", stream.proven},
                    {"error", stream.error},
                    {"connects", stream.connects},
                    {"reconnects", stream.reconnects},
                    {"from_slot", stream.from_slot.has_value() ? Json(*stream.from_slot) : Json(nullptr)}};
  json["views"] = ViewsJson(*s.projection->schema());
  json["gaps"] = GapsJson(s.store->gaps());
  json["faults"] = FaultsJson(s.projector->faults(), &faults_total);
  json["error_count"] = faults_total;
  json["unsupported_views"] = UnsupportedViewsJson(*s.projection->schema());
  json["ingest"] = IngestJson(s.ingest->counters());
  json["projector"] = ProjectorJson(s.projector->stats());
  json["fanout"] = FanoutJson(s.fanout->counters());
  const QueueStats inbox = s.inbox();
  json["queues"] = Json::array({{{"name", inbox.name}, {"count", inbox.count}, {"count_max", inbox.count_max}, {"bytes", inbox.bytes}, {"bytes_max", inbox.bytes_max}}});
  const EntityStore::Sizes sizes = s.store->sizes();
  json["store"] = {{"sst_bytes", sizes.sst_bytes}, {"memtable_bytes", sizes.memtable_bytes}, {"wal_bytes", sizes.wal_bytes}, {"entities_estimate", sizes.entities_estimate}};
  return json.dump();
}

HttpReply Health::Answer(std::string_view path) const {
  if (path == "/health" || path == "/healthz") return {200, "text/plain; charset=utf-8", "OK"};
  if (path == "/ready" || path == "/readiness") {
    return ready() ? HttpReply{200, "text/plain; charset=utf-8", "READY"} : HttpReply{503, "text/plain; charset=utf-8", "NOT READY"};
  }
  if (path == "/status") {
    bool healthy = false;
    std::string body = StatusJson(&healthy);
    return {healthy ? 200 : 503, "application/json", std::move(body)};
  }
  return {404, "text/plain; charset=utf-8", "Not Found"};
}

}  // namespace everstate
