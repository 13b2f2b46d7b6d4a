// /metrics: a copy of the server's status in the text format of Prometheus. Nothing is counted here.
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/base/buckets.h"
#include "server/health/counter_groups.h"

namespace everstate {
namespace {

using Labels = std::vector<prometheus::ClientMetric::Label>;
using Type = prometheus::MetricType;

// Counters that the reference has, under its names (dots are _, counters end in _total). Several of ours may be one
// metric there, told apart by a label.
struct ReferenceName {
  std::string_view prefix, counter;  // ours: see CounterGroup::metrics, Described::name
  std::string_view metric;
  std::string_view label, value;
  std::string_view help;  // of the metric; empty: that of the counter
};
constexpr std::string_view kEventsReceived = "Messages of the stream by what they carry";
constexpr auto kReferenceNames = std::to_array<ReferenceName>({
    {"everstate_fanout_", "sessions_total", "hyperstack_ws_connections_total", "", "", ""},
    {"everstate_fanout_", "sessions", "hyperstack_ws_connections_active", "", "", ""},
    {"everstate_fanout_", "messages_received", "hyperstack_ws_messages_received_total", "", "", ""},
    {"everstate_fanout_", "frames_sent", "hyperstack_ws_messages_sent_total", "", "", ""},
    {"everstate_ingest_", "accounts", "hyperstack_stream_events_received_total", "event_type", "account",
     kEventsReceived},
    {"everstate_ingest_", "transactions", "hyperstack_stream_events_received_total", "event_type", "transaction",
     kEventsReceived},
    {"everstate_ingest_", "slots", "hyperstack_stream_events_received_total", "event_type", "slot", kEventsReceived},
    {"everstate_ingest_", "block_metas", "hyperstack_stream_events_received_total", "event_type", "block_meta",
     kEventsReceived},
    {"everstate_ingest_", "malformed_messages", "hyperstack_stream_errors_total", "error_type", "malformed_message",
     "What was wrong with the stream"},
    {"everstate_vm_", "events_waited", "hyperstack_vm_pending_updates_queued_total", "", "", ""},
    {"everstate_vm_", "events_resumed", "hyperstack_vm_pending_updates_flushed_total", "", "", ""},
    {"everstate_vm_", "waiting_dropped", "hyperstack_vm_pending_updates_expired_total", "", "", ""},
    {"everstate_vm_", "waiting_bytes", "hyperstack_vm_pending_queue_memory_bytes", "", "", ""},
    {"everstate_store_", "entities_estimate", "hyperstack_entities_active", "", "", ""},
});

// The families of one answer, in the order in which they were first added.
class Families {
 public:
  explicit Families(Labels common) : common_(std::move(common)) {}

  void Count(std::string_view name, std::string_view help, double value, Labels labels = {}) {
    Sample(name, Type::Counter, help, std::move(labels)).counter.value = value;
  }
  void Gauge(std::string_view name, std::string_view help, double value, Labels labels = {}) {
    Sample(name, Type::Gauge, help, std::move(labels)).gauge.value = value;
  }
  // `per_second` of the buckets' unit are a second.
  template <const auto& kBounds>
  void Histogram(std::string_view name, std::string_view help, const Buckets<kBounds>& buckets, double per_second) {
    auto& histogram = Sample(name, Type::Histogram, help, {}).histogram;
    for (size_t i = 0; i < Buckets<kBounds>::kCount; ++i) {
      histogram.sample_count += buckets.count(i);
      const double bound =
          i < kBounds.size() ? static_cast<double>(kBounds[i]) / per_second : std::numeric_limits<double>::infinity();
      histogram.bucket.push_back({.cumulative_count = histogram.sample_count, .upper_bound = bound});
    }
    histogram.sample_sum = static_cast<double>(buckets.sum()) / per_second;
  }
  // One sample of 0 or 1 for each of the states.
  template <size_t N>
  void State(std::string_view name, std::string_view help, const std::array<std::string_view, N>& states,
             std::string_view present) {
    for (const std::string_view state : states) Gauge(name, help, state == present, {{"state", std::string(state)}});
  }

  std::string Text() const {
    std::ostringstream text;
    prometheus::TextSerializer().Serialize(text, families_);
    return text.str();
  }

 private:
  prometheus::ClientMetric& Sample(std::string_view name, Type type, std::string_view help, Labels labels) {
    const auto [at, added] = places_.try_emplace(std::string(name), families_.size());
    if (added) families_.push_back({.name = at->first, .help = std::string(help), .type = type, .metric = {}});
    prometheus::ClientMetric& sample = families_[at->second].metric.emplace_back();
    sample.label = common_;
    for (auto& label : labels) sample.label.push_back(std::move(label));
    return sample;
  }

  const Labels common_;
  std::map<std::string, size_t> places_;  // in families_
  std::vector<prometheus::MetricFamily> families_;
};

double Seconds(std::chrono::nanoseconds time) { return std::chrono::duration<double>(time).count(); }

template <typename S>
void AddCounter(std::string_view prefix, const Described<S>& counter, const S& counters, Families* families) {
  double value = static_cast<double>(counter.Of(counters));
  if (counter.kind == CountKind::kPosition && value == 0) return;
  std::string name = std::string(prefix) + std::string(counter.name);
  for (const auto& [unit, per_second] : {std::pair("_us", 1e6), std::pair("_ms", 1e3)}) {
    if (!name.ends_with(unit)) continue;
    name.replace(name.size() - std::string_view(unit).size(), std::string::npos, "_seconds");
    value /= per_second;
  }
  std::string_view help = counter.help;
  Labels labels;
  if (counter.kind == CountKind::kCounter && !name.ends_with("_total")) name += "_total";
  for (const ReferenceName& reference : kReferenceNames) {
    if (reference.prefix != prefix || reference.counter != counter.name) continue;
    name = reference.metric;
    if (!reference.label.empty()) labels.push_back({std::string(reference.label), std::string(reference.value)});
    if (!reference.help.empty()) help = reference.help;
  }
  if (counter.kind == CountKind::kCounter) return families->Count(name, help, value, std::move(labels));
  families->Gauge(name, help, value, std::move(labels));
}

void AddStream(const ServerStatus& status, Families* families) {
  using ingest::StreamState;
  const ingest::StreamStatus& stream = status.line->deployment.stream;
  constexpr StreamState kStates[] = {StreamState::kConnecting, StreamState::kLive, StreamState::kWaitingToReconnect,
                                     StreamState::kProviderBehind, StreamState::kStopped};
  std::array<std::string_view, std::size(kStates)> names;
  std::ranges::transform(kStates, names.begin(), [](StreamState state) { return ingest::Name(state); });
  families->State("everstate_stream_state", "1 for the state that the stream is in", names, ingest::Name(stream.state));
  families->Gauge("everstate_stream_proven", "1 when the stream is known to link to what the store has", stream.proven);
  families->Count("everstate_stream_connects_total", "Connections to the provider",
                  static_cast<double>(stream.connects));
  families->Count("everstate_stream_reconnects_total", "Connections to the provider after the first one",
                  static_cast<double>(stream.reconnects));
  if (const auto since = status.since_slot_heard())
    families->Gauge("everstate_stream_since_heard_seconds", "Since the newest slot status or block came",
                    Seconds(*since));
}

void AddPosition(const ServerStatus& status, Families* families) {
  const LineStatus& line = *status.line;
  families->Gauge("everstate_generation", "The generation of the store that is served",
                  static_cast<double>(line.generation));
  families->Gauge("everstate_gaps", "Gaps that the state has, of all times", static_cast<double>(line.gaps.size()));
  if (line.watermark.number > 0) {
    families->Gauge("everstate_watermark_slot", "The slot that was applied last",
                    static_cast<double>(line.watermark.block.slot));
    families->Gauge("everstate_watermark_number", "The batch that was applied last, counted within its generation",
                    static_cast<double>(line.watermark.number));
  }
  if (const auto lag = line.lag_slots())
    families->Gauge("everstate_lag_slots", "The newest slot heard of minus the slot that was applied last",
                    static_cast<double>(*lag));
  if (const auto lag = status.lag_time())
    families->Gauge("everstate_lag_seconds", "Since the time of the block that was applied last", Seconds(*lag));
}

void AddRewind(const RewindStatus& rewind, Families* families) {
  constexpr std::array<RewindState, 3> kStates = {RewindState::kFilling, RewindState::kDone, RewindState::kFailed};
  std::array<std::string_view, kStates.size()> names;
  std::ranges::transform(kStates, names.begin(), [](RewindState state) { return Name(state); });
  families->State("everstate_rewind_state", "1 for the state of the newest rewind", names, Name(rewind.state));
  families->Gauge("everstate_rewind_slot", "The slot that the newest rewind has reached",
                  static_cast<double>(rewind.slot));
  families->Gauge("everstate_rewind_target_slot", "The slot at which the newest rewind takes over",
                  static_cast<double>(rewind.target_slot));
}

void AddQueue(const QueueStats& queue, Families* families) {
  const Labels labels = {{"queue", queue.name}};
  families->Gauge("everstate_queue_items", "What waits between two threads", static_cast<double>(queue.count), labels);
  families->Gauge("everstate_queue_items_max", "How many may wait", static_cast<double>(queue.count_max), labels);
  families->Gauge("everstate_queue_bytes", "Bytes of what waits", static_cast<double>(queue.bytes), labels);
  families->Gauge("everstate_queue_bytes_max", "Bytes that may wait", static_cast<double>(queue.bytes_max), labels);
}

void AddArchive(const DeploymentStatus& deployment, Families* families) {
  families->Gauge("everstate_archive_bytes", "Bytes of the archive", static_cast<double>(deployment.archive->bytes));
  families->Gauge("everstate_archive_keep_bytes", "Bytes that the archive may have",
                  static_cast<double>(deployment.archive_keep_bytes));
  families->Gauge("everstate_archive_segments", "Files of the archive",
                  static_cast<double>(deployment.archive->segments));
  families->Gauge("everstate_archive_damaged_segments", "Damaged files of the archive",
                  static_cast<double>(deployment.archive->faults.size()));
}

// By entity and reason: there are as many handlers as a stack has, and the samples of /status name them.
void AddFaults(const std::vector<vm::Fault>& faults, Families* families) {
  std::map<std::pair<std::string, std::string_view>, uint64_t> sums;
  for (const vm::Fault& fault : faults) sums[{fault.entity, vm::Name(fault.reason)}] += fault.count;
  for (const auto& [kind, count] : sums) {
    families->Count("everstate_faults_total", "Operations that were skipped because something was wrong with an update",
                    static_cast<double>(count), {{"entity", kind.first}, {"reason", std::string(kind.second)}});
  }
}

void AddViews(const LineStatus& line, Families* families) {
  for (const ViewTraffic& traffic : line.traffic) {
    Labels labels = {{"view_id", traffic.view}};
    families->Gauge("hyperstack_ws_subscriptions_active", "Subscriptions and taps of a view",
                    static_cast<double>(traffic.listeners), labels);
    families->Count("everstate_view_bytes_total", "Bytes of the live frames encoded for a view",
                    static_cast<double>(traffic.bytes), labels);
    const auto& views = line.schema->views();
    const auto view = std::ranges::find(views, traffic.view, &ViewDef::id);
    if (view != views.end()) {
      labels.push_back({"entity", line.schema->entity(view->entity).name});
      labels.push_back({"mode", std::string(ViewModeName(view->mode))});
    }
    families->Count("hyperstack_projector_frames_published_total",
                    "Live frames encoded for a view, each once however many listen",
                    static_cast<double>(traffic.frames), std::move(labels));
  }
}

// What of the machine's counters belongs to one entity or program; the sums are among the counters of the machine.
void AddShares(const LineStatus& line, Families* families) {
  const vm::MachineShares& shares = line.deployment.projector.shares;
  for (size_t e = 0; e < shares.mutations.size(); ++e) {
    families->Count("hyperstack_projector_mutations_processed_total", "Entities changed, each once per block",
                    static_cast<double>(shares.mutations[e]),
                    {{"entity", line.schema->entity(static_cast<EntityId>(e)).name}});
  }
  std::map<std::string, vm::MachineShares::OfProgram> programs;  // two IDLs may be of one program
  for (size_t p = 0; p < shares.programs.size(); ++p) {
    vm::MachineShares::OfProgram& program = programs[line.programs[p]];
    program.accounts_matched += shares.programs[p].accounts_matched;
    program.instructions_matched += shares.programs[p].instructions_matched;
    program.events_logged += shares.programs[p].events_logged;
  }
  for (const auto& [id, program] : programs) {
    const auto count = [&](std::string_view type, uint64_t value) {
      families->Count("hyperstack_vm_events_processed_total", "What the stack's programs know of the stream",
                      static_cast<double>(value), {{"event_type", std::string(type)}, {"program_id", id}});
    };
    count("account", program.accounts_matched);
    count("instruction", program.instructions_matched);
    count("log_event", program.events_logged);
  }
}

void AddHistograms(const LineStatus& line, Families* families) {
  const ProjectorStats& projector = line.deployment.projector;
  families->Histogram("hyperstack_projector_latency_seconds",
                      "Time that the projector spent on a block, from its updates to its frames", projector.block_times,
                      1e6);
  families->Histogram("hyperstack_ws_connection_duration_seconds", "How long the sessions that have ended were open",
                      line.fanout.session_times, 1e3);
}

void AddLine(const ServerStatus& status, Families* families) {
  const LineStatus& line = *status.line;
  families->Gauge("everstate_stack_info", "Always 1: the stack that is served", 1, {{"hash", line.stack_hash}});
  AddStream(status, families);
  AddPosition(status, families);
  AddQueue(line.deployment.inbox, families);
  if (line.deployment.archive.has_value()) AddArchive(line.deployment, families);
  if (line.deployment.rewind.has_value()) AddRewind(*line.deployment.rewind, families);
  AddFaults(line.deployment.faults, families);
  AddViews(line, families);
  AddShares(line, families);
  AddHistograms(line, families);
  ForEachCounters(line, [families](const CounterGroup& group, const auto& counters, const auto& list) {
    for (const auto& counter : list) AddCounter(group.metrics, counter, counters, families);
  });
}

}  // namespace

std::string MetricsText(const ServerStatus& status) {
  Labels common;
  if (status.line.has_value()) common.push_back({"stack", status.line->stack_name});
  Families families(std::move(common));
  families.Gauge("everstate_ready", "1 when /ready answers 200", status.ready);
  families.Gauge("everstate_uptime_seconds", "Since the server began", Seconds(status.uptime));
  if (status.line.has_value()) AddLine(status, &families);
  return families.Text();
}

}  // namespace everstate
