#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "server/base/base58.h"
#include "server/health/counter_groups.h"

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

Json StreamJson(const ServerStatus& status) {
  const ingest::StreamStatus& stream = status.line->deployment.stream;
  const auto heard = status.since_slot_heard();
  return {{"state", ingest::Name(stream.state)},
          {"proven", stream.proven},
          {"error", stream.error},
          {"connects", stream.connects},
          {"reconnects", stream.reconnects},
          {"heard_ms_ago", heard.has_value() ? Json(heard->count()) : Json(nullptr)},
          {"from_slot", OrNull(stream.from_slot)}};
}

Json QueueJson(const QueueStats& queue) {
  return {{"name", queue.name},
          {"count", queue.count},
          {"count_max", queue.count_max},
          {"bytes", queue.bytes},
          {"bytes_max", queue.bytes_max}};
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
          {"runs", std::move(runs)},
          {"faults", deployment.archive->faults}};
}

// A position that is not known yet is null.
template <typename S>
Json CountJson(const Described<S>& counter, const S& counters) {
  const uint64_t value = counter.Of(counters);
  return counter.kind == CountKind::kPosition && value == 0 ? Json(nullptr) : Json(value);
}

Json LineJson(const ServerStatus& status) {
  const LineStatus& line = *status.line;
  const DeploymentStatus& deployment = line.deployment;
  Json json = {
      {"status", StatusWord(deployment.stream)},
      {"stack", {{"name", line.stack_name}, {"hash", line.stack_hash}}},
      {"generation", line.generation},
      {"lineage", line.lineage.empty() ? Json(nullptr) : Json(line.lineage)},
      {"watermark", WatermarkJson(line.watermark)},
      {"newest_slot", OrNull(line.newest_slot())},
      {"lag_slots", OrNull(line.lag_slots())},
      {"stream", StreamJson(status)},
      {"views", ViewsJson(*line.schema)},
      {"traffic", TrafficJson(line.traffic)},
      {"gaps", GapsJson(line.gaps)},
      {"faults", FaultsJson(deployment.faults)},
      {"error_count", line.faults()},
      {"unsupported_views", UnsupportedViewsJson(*line.schema)},
      {"queues", Json::array({QueueJson(deployment.inbox)})},
      {"slots", SlotsJson(deployment.slots)},
      {"rewind", RewindJson(deployment.rewind)},
      {"archive", ArchiveJson(deployment)},
      {"checkpoint_error", deployment.checkpoint_error.empty() ? Json(nullptr) : Json(deployment.checkpoint_error)}};
  ForEachCounters(line, [&json](const CounterGroup& group, const auto& counters, const auto& list) {
    Json& object = json[Json::json_pointer(group.status)];
    for (const auto& counter : list) object[std::string(counter.name)] = CountJson(counter, counters);
  });
  return json;
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

std::optional<std::chrono::milliseconds> ServerStatus::since_slot_heard() const {
  using std::chrono::steady_clock;
  if (!line.has_value() || line->deployment.stream.last_slot_heard == steady_clock::time_point{}) return std::nullopt;
  const auto since = std::max(at_steady - line->deployment.stream.last_slot_heard, steady_clock::duration::zero());
  return std::chrono::duration_cast<std::chrono::milliseconds>(since);
}

std::optional<std::chrono::milliseconds> ServerStatus::lag_time() const {
  if (!line.has_value() || line->watermark.number == 0 || !line->watermark.block.block_time.has_value())
    return std::nullopt;
  const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(at.time_since_epoch());
  return now - std::chrono::seconds(*line->watermark.block.block_time);
}

std::string StatusJson(const ServerStatus& status) {
  Json json = {{"status", "Disconnected"}, {"error_count", 0}, {"watermark", nullptr}};
  if (status.line.has_value()) json = LineJson(status);
  json["healthy"] = status.ready;
  return Dump(json);
}

}  // namespace everstate
