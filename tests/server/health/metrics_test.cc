#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>

#include "server/health/counter_groups.h"
#include "server/health/health.h"
#include "tests/server/health/running_status.h"

namespace everstate {
namespace {

using testing::RunningStatus;

// A line of the text: what stands before the value, and the value.
std::map<std::string, double> Samples(const std::string& text) {
  std::map<std::string, double> samples;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line[0] == '#') continue;
    const size_t space = line.rfind(' ');
    EXPECT_TRUE(samples.emplace(line.substr(0, space), std::stod(line.substr(space + 1))).second) << line;
  }
  return samples;
}

void Set(Counter* c, uint64_t v) { c->Add(v - c->value()); }
void Set(Gauge* g, uint64_t v) { g->Set(v); }
void Set(uint64_t* n, uint64_t v) { *n = v; }
void Set(std::chrono::nanoseconds* t, uint64_t v) { *t = std::chrono::microseconds(v); }

// Another value for every counter that there is.
ServerStatus Counted() {
  ServerStatus status = RunningStatus();
  status.line->deployment.archive.emplace();
  status.line->deployment.archive_counters.emplace();
  status.line->programs = {"one", "two"};
  status.line->deployment.projector.shares = {.programs = {{1, 2, 3}, {4, 5, 6}}, .mutations = {7}};
  uint64_t next = 1'000'001;
  ForEachCounters(*status.line, [&next](const CounterGroup&, const auto& counters, const auto& list) {
    using S = std::remove_cvref_t<decltype(counters)>;
    for (const auto& counter : list)
      std::visit([&](auto member) { Set(&(const_cast<S&>(counters).*member), next++); }, counter.member);
  });
  return status;
}

double Scale(std::string_view name) { return name.ends_with("_us") ? 1e6 : name.ends_with("_ms") ? 1e3 : 1; }

TEST(MetricsTest, EveryCounterIsInThem) {
  const ServerStatus status = Counted();
  std::set<double> values;
  for (const auto& [sample, value] : Samples(MetricsText(status))) values.insert(value);
  const auto shown = [&values](double value) {  // the text has 16 digits
    const auto at = values.lower_bound(value * (1 - 1e-12));
    return at != values.end() && *at <= value * (1 + 1e-12);
  };
  size_t counters_seen = 0;
  ForEachCounters(*status.line, [&](const CounterGroup& group, const auto& counters, const auto& list) {
    for (const auto& counter : list) {
      ++counters_seen;
      EXPECT_TRUE(shown(static_cast<double>(counter.Of(counters)) / Scale(counter.name)))
          << group.metrics << counter.name;
    }
  });
  EXPECT_GT(counters_seen, 80u);
}

TEST(MetricsTest, StatusHasEveryCounterToo) {
  const ServerStatus status = Counted();
  const auto json = nlohmann::json::parse(StatusJson(status));
  ForEachCounters(*status.line, [&](const CounterGroup& group, const auto& counters, const auto& list) {
    for (const auto& counter : list) {
      const nlohmann::json::json_pointer at(std::string(group.status) + "/" + std::string(counter.name));
      ASSERT_TRUE(json.contains(at)) << at.to_string();
      EXPECT_EQ(json[at], counter.Of(counters)) << at.to_string();
    }
  });
}

TEST(MetricsTest, NamesOfTheReferenceAreKept) {
  const auto samples = Samples(MetricsText(Counted()));
  for (const char* name :
       {"hyperstack_ws_connections_total{stack=\"Demo\"}",
        "hyperstack_ws_connections_active{stack=\"Demo\"}",
        "hyperstack_ws_messages_received_total{stack=\"Demo\"}",
        "hyperstack_ws_messages_sent_total{stack=\"Demo\"}",
        "hyperstack_ws_connection_duration_seconds_sum{stack=\"Demo\"}",
        "hyperstack_projector_latency_seconds_count{stack=\"Demo\"}",
        "hyperstack_projector_mutations_processed_total{stack=\"Demo\",entity=\"Thing\"}",
        "hyperstack_stream_events_received_total{stack=\"Demo\",event_type=\"account\"}",
        "hyperstack_stream_events_received_total{stack=\"Demo\",event_type=\"transaction\"}",
        "hyperstack_stream_events_received_total{stack=\"Demo\",event_type=\"slot\"}",
        "hyperstack_stream_events_received_total{stack=\"Demo\",event_type=\"block_meta\"}",
        "hyperstack_stream_errors_total{stack=\"Demo\",error_type=\"malformed_message\"}",
        "hyperstack_vm_events_processed_total{stack=\"Demo\",event_type=\"account\",program_id=\"one\"}",
        "hyperstack_vm_events_processed_total{stack=\"Demo\",event_type=\"instruction\",program_id=\"one\"}",
        "hyperstack_vm_events_processed_total{stack=\"Demo\",event_type=\"log_event\",program_id=\"one\"}",
        "hyperstack_vm_pending_updates_queued_total{stack=\"Demo\"}",
        "hyperstack_vm_pending_updates_flushed_total{stack=\"Demo\"}",
        "hyperstack_vm_pending_updates_expired_total{stack=\"Demo\"}",
        "hyperstack_vm_pending_queue_memory_bytes{stack=\"Demo\"}",
        "hyperstack_entities_active{stack=\"Demo\"}"}) {
    EXPECT_TRUE(samples.contains(name)) << name;
  }
}

TEST(MetricsTest, TimesAreInSeconds) {
  ServerStatus status = RunningStatus();
  status.uptime = std::chrono::milliseconds(1500);
  status.line->deployment.projector.project_time = std::chrono::microseconds(2500);
  status.line->deployment.projector.apply_time = std::chrono::microseconds(500);
  for (const uint64_t us : {500, 501, 5'000'000}) status.line->deployment.projector.block_times.Count(us);
  status.line->fanout.session_times.Count(90'000);
  status.line->fanout.oldest_look_ms.Set(250);
  const auto samples = Samples(MetricsText(status));
  EXPECT_EQ(samples.at("everstate_uptime_seconds{stack=\"Demo\"}"), 1.5);
  EXPECT_EQ(samples.at("everstate_projector_project_seconds_total{stack=\"Demo\"}"), 0.0025);
  EXPECT_EQ(samples.at("everstate_fanout_oldest_look_seconds{stack=\"Demo\"}"), 0.25);
  EXPECT_EQ(samples.at("hyperstack_projector_latency_seconds_sum{stack=\"Demo\"}"), 5.001001);
  EXPECT_EQ(samples.at("hyperstack_projector_latency_seconds_count{stack=\"Demo\"}"), 3);
  const auto bucket = [&](const std::string& name, const std::string& bound) {
    return samples.at("hyperstack_" + name + "_seconds_bucket{stack=\"Demo\",le=\"" + bound + "\"}");
  };
  EXPECT_EQ(bucket("projector_latency", "0.0001"), 0);
  EXPECT_EQ(bucket("projector_latency", "0.0005"), 1);
  EXPECT_EQ(bucket("projector_latency", "0.001"), 2);
  EXPECT_EQ(bucket("projector_latency", "1"), 2);
  EXPECT_EQ(bucket("projector_latency", "+Inf"), 3);
  EXPECT_EQ(bucket("ws_connection_duration", "60"), 0);
  EXPECT_EQ(bucket("ws_connection_duration", "300"), 1);
  EXPECT_EQ(samples.at("hyperstack_ws_connection_duration_seconds_sum{stack=\"Demo\"}"), 90);
}

// Each entity and each program has its own sample, that of all stays beside them.
TEST(MetricsTest, WhatBelongsToAnEntityOrAProgramSaysSo) {
  const auto samples = Samples(MetricsText(Counted()));
  const auto events = [&](const std::string& type, const std::string& program) {
    return samples.at("hyperstack_vm_events_processed_total{stack=\"Demo\",event_type=\"" + type + "\",program_id=\"" +
                      program + "\"}");
  };
  EXPECT_EQ(events("account", "one"), 1);
  EXPECT_EQ(events("log_event", "one"), 3);
  EXPECT_EQ(events("instruction", "two"), 5);
  EXPECT_EQ(samples.at("hyperstack_projector_mutations_processed_total{stack=\"Demo\",entity=\"Thing\"}"), 7);
  EXPECT_TRUE(samples.contains("everstate_vm_mutations_total{stack=\"Demo\"}"));
  // Two IDLs of one program: a sample is there once.
  ServerStatus same = Counted();
  same.line->programs = {"one", "one"};
  EXPECT_EQ(
      Samples(MetricsText(same))
          .at("hyperstack_vm_events_processed_total{stack=\"Demo\",event_type=\"instruction\",program_id=\"one\"}"),
      7);
}

TEST(MetricsTest, WhatIsNotKnownIsAbsent) {
  const std::string text = MetricsText(RunningStatus());
  for (const char* name : {"everstate_watermark_slot", "everstate_lag_slots", "everstate_lag_seconds",
                           "everstate_ingest_newest_slot", "everstate_stream_since_heard_seconds",
                           "everstate_rewind_state", "everstate_archive_bytes", "everstate_faults_total"})
    EXPECT_EQ(text.find(name), std::string::npos) << name;
}

TEST(MetricsTest, PositionFaultsAndViews) {
  ServerStatus status = RunningStatus();
  status.ready = true;
  status.at = std::chrono::system_clock::time_point(std::chrono::seconds(1700000010));
  status.at_steady = std::chrono::steady_clock::time_point(std::chrono::hours(5));
  LineStatus& line = *status.line;
  line.watermark.number = 3;
  line.watermark.block.slot = 100;
  line.watermark.block.block_time = 1700000007;
  line.ingest.newest_slot.Set(102);
  line.deployment.stream.state = ingest::StreamState::kLive;
  line.deployment.stream.last_slot_heard = status.at_steady - std::chrono::milliseconds(1500);
  line.traffic = {{"Thing/list", 5, 500, 2}};
  for (const char* handler : {"h", "i"}) {
    line.deployment.faults.push_back({.entity = "Thing",
                                      .handler = handler,
                                      .reason = vm::FaultReason::kKeyNull,
                                      .count = 4,
                                      .sample_slot = 1,
                                      .sample = "s"});
  }
  const auto samples = Samples(MetricsText(status));
  EXPECT_EQ(samples.at("everstate_ready{stack=\"Demo\"}"), 1);
  EXPECT_EQ(samples.at("everstate_watermark_slot{stack=\"Demo\"}"), 100);
  EXPECT_EQ(samples.at("everstate_lag_slots{stack=\"Demo\"}"), 2);
  EXPECT_EQ(samples.at("everstate_lag_seconds{stack=\"Demo\"}"), 3);
  EXPECT_EQ(samples.at("everstate_stream_since_heard_seconds{stack=\"Demo\"}"), 1.5);
  EXPECT_EQ(samples.at("everstate_stream_state{stack=\"Demo\",state=\"live\"}"), 1);
  EXPECT_EQ(samples.at("everstate_stream_state{stack=\"Demo\",state=\"stopped\"}"), 0);
  EXPECT_EQ(samples.at("hyperstack_ws_subscriptions_active{stack=\"Demo\",view_id=\"Thing/list\"}"), 2);
  EXPECT_EQ(samples.at("everstate_view_bytes_total{stack=\"Demo\",view_id=\"Thing/list\"}"), 500);
  EXPECT_EQ(samples.at("hyperstack_projector_frames_published_total{stack=\"Demo\",view_id=\"Thing/"
                       "list\",entity=\"Thing\",mode=\"list\"}"),
            5);
  // One for an entity and a reason, however many handlers have it.
  const std::string reason(vm::Name(vm::FaultReason::kKeyNull));
  EXPECT_EQ(samples.at("everstate_faults_total{stack=\"Demo\",entity=\"Thing\",reason=\"" + reason + "\"}"), 8);
}

TEST(MetricsTest, BeforeTheRoomsExistItSaysSo) {
  const HttpReply reply = Health().Answer("/metrics");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.content_type, "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_EQ(Samples(reply.body).at("everstate_ready"), 0);
}

}  // namespace
}  // namespace everstate
