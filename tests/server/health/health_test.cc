#include "server/health/health.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "absl/strings/str_replace.h"
#include "tests/server/health/running_status.h"

namespace everstate {
namespace {

using testing::RunningStatus;

// Before the rooms exist (the listener is the first of them) and after they are gone: alive, not ready, and it says so.
TEST(HealthTest, WithoutSubjectsItIsAliveAndNotReady) {
  Health health;
  EXPECT_EQ(health.Answer("/health").status, 200);
  EXPECT_EQ(health.Answer("/healthz").body, "OK");
  EXPECT_EQ(health.Answer("/healthz").content_type, "text/plain");
  for (const char* path : {"/ready", "/readiness"}) {
    EXPECT_EQ(health.Answer(path).status, 503);
    EXPECT_EQ(health.Answer(path).body, "NOT READY");
  }
  const HttpReply status = health.Answer("/status");
  EXPECT_EQ(status.status, 503);
  EXPECT_EQ(status.content_type, "application/json");
  const auto json = nlohmann::json::parse(status.body);
  EXPECT_EQ(json["status"], "Disconnected");
  EXPECT_EQ(json["healthy"], false);
  EXPECT_EQ(json["error_count"], 0);
  EXPECT_FALSE(health.ready());
  EXPECT_EQ(health.progress().slot, 0u);
}

TEST(TroubleTest, SaysWhyAStreamIsNotReady) {
  const auto now = std::chrono::steady_clock::now();
  Watermark watermark{.number = 1, .block = {}};
  const auto trouble = [&](const ingest::StreamStatus& stream) {
    return TroubleOf(stream, watermark, now, std::chrono::seconds(10));
  };
  ingest::StreamStatus stream;
  stream.state = ingest::StreamState::kWaitingToReconnect;
  stream.proven = true;
  stream.error = "UNAVAILABLE: gone";
  stream.last_slot_heard = now;
  EXPECT_EQ(trouble(stream), "the stream is not live (waiting to reconnect): UNAVAILABLE: gone");
  stream.error.clear();
  EXPECT_EQ(trouble(stream), "the stream is not live (waiting to reconnect)");
  stream.state = ingest::StreamState::kLive;
  EXPECT_EQ(trouble(stream), "");
  stream.proven = false;
  EXPECT_EQ(trouble(stream), "the stream has not shown yet that it goes on where the store is");
  stream.proven = true;
  watermark.number = 0;  // a new store, whose first block was heard and is not applied
  EXPECT_EQ(trouble(stream), "no block is in the store yet");
  watermark.number = 1;
  stream.last_slot_heard = now - std::chrono::milliseconds(9999);
  EXPECT_EQ(trouble(stream), "");
  stream.last_slot_heard = now - std::chrono::seconds(10);
  EXPECT_EQ(trouble(stream), "the stream is live, but no slot was heard for 10 s");
  stream.last_slot_heard = {};
  EXPECT_EQ(trouble(stream), "the stream is live, but no slot was heard yet");
}

TEST(StatusJsonTest, WhatIsNotKnownIsNull) {
  const auto json = nlohmann::json::parse(StatusJson(RunningStatus()));
  for (const char* key :
       {"watermark", "newest_slot", "lag_slots", "lineage", "rewind", "archive", "checkpoint_error"}) {
    ASSERT_TRUE(json.contains(key)) << key;
    EXPECT_TRUE(json[key].is_null()) << key;
  }
  EXPECT_TRUE(json["stream"]["from_slot"].is_null());
  EXPECT_TRUE(json["stream"]["heard_ms_ago"].is_null());
  EXPECT_TRUE(json["ingest"]["newest_slot"].is_null());
  EXPECT_EQ(json["checkpoints_made"], 0);
  EXPECT_EQ(json["slots"], nlohmann::json::array());
}

TEST(StatusJsonTest, WhatIsKnownIsThere) {
  ServerStatus status = RunningStatus();
  status.ready = true;
  LineStatus& line = *status.line;
  line.generation = 2;
  line.lineage = "00ff";
  line.watermark.number = 3;
  line.watermark.block.slot = 100;
  line.ingest.newest_slot.Set(104);
  line.ingest.gaps.Add(7);
  line.deployment.stream.state = ingest::StreamState::kLive;
  status.at_steady = std::chrono::steady_clock::time_point(std::chrono::hours(5));
  line.deployment.stream.last_slot_heard = status.at_steady - std::chrono::milliseconds(1500);
  line.deployment.inbox.name = "inbox";
  line.deployment.slots = {{.slot = 99, .updates = 6, .mutations = 2, .confirm = std::chrono::milliseconds(400)}};
  RewindStatus& rewind = line.deployment.rewind.emplace();
  rewind.request.slot = 50;
  rewind.checkpoint = "40-a-1";
  rewind.state = RewindState::kDone;
  line.deployment.archive.emplace().runs.resize(1);
  line.deployment.archive->runs[0].last.slot = 100;
  line.deployment.counters.checkpoints_made = 4;
  line.deployment.faults = {{.entity = "Thing",
                             .handler = "h",
                             .reason = vm::FaultReason::kKeyNull,
                             .count = 5,
                             .sample_slot = 1,
                             .sample = "s"},
                            {.entity = "Thing",
                             .handler = "i",
                             .reason = vm::FaultReason::kKeyNull,
                             .count = 6,
                             .sample_slot = 1,
                             .sample = "s"}};
  line.traffic = {{"Thing/list", 5, 500, 2}};
  const auto json = nlohmann::json::parse(StatusJson(status));
  EXPECT_EQ(json["status"], "Connected");
  EXPECT_EQ(json["healthy"], true);
  EXPECT_EQ(json["error_count"], 11);
  EXPECT_EQ(json["generation"], 2);
  EXPECT_EQ(json["lineage"], "00ff");
  EXPECT_EQ(json["watermark"]["slot"], 100);
  EXPECT_TRUE(json["watermark"]["block_time"].is_null());
  EXPECT_EQ(json["newest_slot"], 104);
  EXPECT_EQ(json["lag_slots"], 4);
  EXPECT_EQ(json["ingest"]["gaps"], 7);
  EXPECT_EQ(json["stream"]["heard_ms_ago"], 1500);
  EXPECT_EQ(json["queues"][0]["name"], "inbox");
  EXPECT_EQ(json["slots"][0]["confirm_ms"], 400);
  EXPECT_TRUE(json["slots"][0]["settle_to_apply_us"].is_null());
  EXPECT_EQ(json["rewind"]["requested_slot"], 50);
  EXPECT_EQ(json["rewind"]["state"].get<std::string>(), Name(RewindState::kDone));
  EXPECT_EQ(json["archive"]["runs"][0]["last"], 100);
  EXPECT_EQ(json["checkpoints_made"], 4);
  EXPECT_EQ(json["traffic"][0]["listeners"], 2);
  EXPECT_EQ(json["views"][0]["id"], "Thing/list");
  EXPECT_EQ(json["unsupported_views"][0]["view"], "Thing/top");
}

// A provider's error may be anything; the answer is JSON all the same.
TEST(StatusJsonTest, BytesThatAreNoTextAreReplaced) {
  ServerStatus status = RunningStatus();
  status.line->deployment.stream.state = ingest::StreamState::kWaitingToReconnect;
  status.line->deployment.stream.error = "bad \xff\xfe";
  const auto json = nlohmann::json::parse(StatusJson(status));
  EXPECT_EQ(json["stream"]["error"], "bad \uFFFD\uFFFD");
  EXPECT_EQ(json["status"], "Error(\"bad \uFFFD\uFFFD\")");
}

TEST(HealthTest, AnUnknownPathIs404AndNamesThoseThatAreThere) {
  Health health;
  for (const char* path : {"/", "/statusx", ""}) {
    const HttpReply reply = health.Answer(path);
    EXPECT_EQ(reply.status, 404) << path;
    const size_t list = reply.body.find(": ");
    ASSERT_NE(list, std::string::npos);
    std::istringstream paths(absl::StrReplaceAll(reply.body.substr(list + 2), {{",", ""}}));
    size_t count = 0;
    for (std::string known; paths >> known; ++count) EXPECT_NE(health.Answer(known).status, 404) << known;
    EXPECT_EQ(count, 6u);
  }
}

}  // namespace
}  // namespace everstate
