#include "server/health/health.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace everstate {
namespace {

// Before the rooms exist (the listener is the first of them) and after they are gone: alive, not ready, and it says so.
TEST(HealthTest, WithoutSubjectsItIsAliveAndNotReady) {
  Health health;
  EXPECT_EQ(health.Answer("/health").status, 200);
  EXPECT_EQ(health.Answer("/healthz").body, "OK");
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

TEST(HealthTest, AnUnknownPathIs404) {
  Health health;
  EXPECT_EQ(health.Answer("/").status, 404);
  EXPECT_EQ(health.Answer("/statusx").status, 404);
}

}  // namespace
}  // namespace everstate
