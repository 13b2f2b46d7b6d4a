#include <nlohmann/json.hpp>
#include <utility>

#include "server/base/base58.h"
#include "server/health/status.h"

namespace everstate {
namespace {

using Json = nlohmann::json;

std::string Dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

template <typename T>
Json OrNull(const std::optional<T>& value) {
  return value.has_value() ? Json(*value) : Json(nullptr);
}

std::string HashText(const Hash32& hash) { return EncodeBase58(hash); }

// The reference's words for the state of its stream; clients of /status know them.
std::string StatusWord(const ingest::StreamStatus& stream) {
  switch (stream.state) {
    case ingest::StreamState::kLive:
      return "Connected";
    case ingest::StreamState::kWaitingToReconnect:
    case ingest::StreamState::kProviderBehind:
      return stream.error.empty() ? "Reconnecting" : "Error(" + Dump(stream.error) + ")";
    case ingest::StreamState::kConnecting:
      return stream.connects == 0 ? "Disconnected" : "Reconnecting";
    case ingest::StreamState::kStopped:
      return "Disconnected";
  }
  return "Disconnected";
}

Json WatermarkJson(const Watermark& watermark) {
  if (watermark.number == 0) return nullptr;
  return {{"number", watermark.number},
          {"slot", watermark.block.slot},
          {"blockhash", HashText(watermark.block.blockhash)},
          {"block_time", OrNull(watermark.block.block_time)}};
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
  const auto us = [](std::chrono::nanoseconds t) {
    return std::chrono::duration_cast<std::chrono::microseconds>(t).count();
  };
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
          {"events_logged", s.machine.events_logged},
          {"events_twice", s.machine.events_twice},
          {"logs_incomplete", s.machine.logs_incomplete},
          {"events_waited", s.machine.events_waited},
          {"events_resumed", s.machine.events_resumed},
          {"waiting_replaced", s.machine.waiting_replaced},
          {"waiting_dropped", s.machine.waiting_dropped},
          {"handler_runs", s.machine.handler_runs},
          {"cache",
           {{"hits", s.cache.hits}, {"misses", s.cache.misses}, {"bytes", s.cache.bytes}, {"rows", s.cache.rows}}}};
}

Json FaultsJson(const std::vector<vm::Fault>& faults) {
  Json json = Json::array();
  for (const vm::Fault& fault : faults) {
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
    if (view.unsupported.empty())
      json.push_back({{"id", view.id}, {"entity", schema.entity(view.entity).name}, {"mode", ViewModeName(view.mode)}});
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

Json StreamJson(const ingest::StreamStatus& stream) {
  return {{"state", ingest::Name(stream.state)},
          {"proven", stream.proven},
          {"error", stream.error},
          {"connects", stream.connects},
          {"reconnects", stream.reconnects},
          {"from_slot", OrNull(stream.from_slot)}};
}

Json QueueJson(const QueueStats& queue) {
  return {{"name", queue.name},
          {"count", queue.count},
          {"count_max", queue.count_max},
          {"bytes", queue.bytes},
          {"bytes_max", queue.bytes_max}};
}

Json StoreJson(const EntityStore::Sizes& sizes) {
  return {{"sst_bytes", sizes.sst_bytes},
          {"memtable_bytes", sizes.memtable_bytes},
          {"wal_bytes", sizes.wal_bytes},
          {"entities_estimate", sizes.entities_estimate}};
}

Json TrafficJson(const std::vector<ViewTraffic>& traffic) {
  Json json = Json::array();
  for (const ViewTraffic& t : traffic)
    json.push_back({{"view", t.view}, {"frames", t.frames}, {"bytes", t.bytes}, {"listeners", t.listeners}});
  return json;
}

// Nothing settles or is applied in less than its clock can tell: 0 stands for "not measured".
template <typename Duration>
Json MeasuredJson(Duration duration) {
  return duration.count() == 0 ? Json(nullptr) : Json(duration.count());
}

Json SlotsJson(const std::vector<SlotSeen>& slots) {
  Json json = Json::array();
  for (const SlotSeen& seen : slots) {
    json.push_back({{"slot", seen.slot},
                    {"updates", seen.updates},
                    {"mutations", seen.mutations},
                    {"confirm_ms", MeasuredJson(seen.confirm)},
                    {"settle_to_apply_us", MeasuredJson(seen.settle_to_apply)}});
  }
  return json;
}

Json RewindJson(const std::optional<RewindStatus>& rewind) {
  if (!rewind.has_value()) return nullptr;
  return {{"requested_slot", rewind->request.slot},
          {"again", rewind->request.again},
          {"accept_gap", rewind->request.accept_gap},
          {"checkpoint", rewind->checkpoint},
          {"generation", rewind->generation},
          {"from_slot", rewind->from_slot},
          {"slot", rewind->slot},
          {"target_slot", rewind->target_slot},
          {"state", Name(rewind->state)},
          {"error", rewind->error}};
}

Json ArchiveJson(const DeploymentStatus& deployment) {
  if (!deployment.archive.has_value()) return nullptr;
  Json runs = Json::array();
  for (const ingest::ArchiveReach& run : deployment.archive->runs) {
    runs.push_back({{"after", run.before.slot}, {"last", run.last.slot}, {"blocks", run.blocks}, {"bytes", run.bytes}});
  }
  return {{"bytes", deployment.archive->bytes},
          {"keep_bytes", deployment.archive_keep_bytes},
          {"segments", deployment.archive->segments},
          {"failures", deployment.archive_failures},
          {"runs", std::move(runs)},
          {"faults", deployment.archive->faults}};
}

Json LineJson(const LineStatus& line) {
  const DeploymentStatus& deployment = line.deployment;
  return {
      {"status", StatusWord(deployment.stream)},
      {"stack", {{"name", line.stack_name}, {"hash", line.stack_hash}}},
      {"generation", line.generation},
      {"lineage", line.lineage.empty() ? Json(nullptr) : Json(line.lineage)},
      {"watermark", WatermarkJson(line.watermark)},
      {"newest_slot", OrNull(line.newest_slot())},
      {"lag_slots", OrNull(line.lag_slots())},
      {"stream", StreamJson(deployment.stream)},
      {"views", ViewsJson(*line.schema)},
      {"traffic", TrafficJson(line.traffic)},
      {"gaps", GapsJson(line.gaps)},
      {"faults", FaultsJson(deployment.faults)},
      {"error_count", line.faults()},
      {"unsupported_views", UnsupportedViewsJson(*line.schema)},
      {"ingest", IngestJson(line.ingest)},
      {"projector", ProjectorJson(deployment.projector)},
      {"fanout", FanoutJson(line.fanout)},
      {"queues", Json::array({QueueJson(deployment.inbox)})},
      {"store", StoreJson(line.sizes)},
      {"slots", SlotsJson(deployment.slots)},
      {"rewind", RewindJson(deployment.rewind)},
      {"archive", ArchiveJson(deployment)},
      {"checkpoints_made", deployment.checkpoints_made},
      {"checkpoints_failed", deployment.checkpoints_failed},
      {"checkpoint_error", deployment.checkpoint_error.empty() ? Json(nullptr) : Json(deployment.checkpoint_error)}};
}

}  // namespace

std::optional<Slot> LineStatus::newest_slot() const {
  const Slot slot = ingest.newest_slot.value();
  return slot == 0 ? std::nullopt : std::optional<Slot>(slot);
}

std::optional<uint64_t> LineStatus::lag_slots() const {
  const std::optional<Slot> newest = newest_slot();
  if (!newest.has_value() || watermark.number == 0) return std::nullopt;
  return *newest > watermark.block.slot ? *newest - watermark.block.slot : 0;
}

uint64_t LineStatus::faults() const {
  uint64_t total = 0;
  for (const vm::Fault& fault : deployment.faults) total += fault.count;
  return total;
}

std::string StatusJson(const ServerStatus& status) {
  Json json = {{"status", "Disconnected"}, {"error_count", 0}, {"watermark", nullptr}};
  if (status.line.has_value()) json = LineJson(*status.line);
  json["healthy"] = status.ready;
  return Dump(json);
}

}  // namespace everstate
