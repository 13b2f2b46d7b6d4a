// A running Fanout over a ThingWorld, for tests that speak to it through sockets.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "server/fanout/fanout.h"
#include "tests/server/fanout/thing_world.h"
#include "tests/support/eventually.h"
#include "tests/support/ws_client.h"

namespace everstate::testing {

class FanoutTest : public ::testing::Test {
 protected:
  static FanoutOptions Options() {
    FanoutOptions options;
    options.listen = "127.0.0.1:0";
    options.lanes = 2;
    return options;
  }

  // For batches that fly while clients look: a snapshot is many frames, and who does not read for a while, as nothing
  // holds the batches back, is not closed for that.
  static FanoutOptions OptionsForAFlood() {
    FanoutOptions options = Options();
    options.snapshot_rows_first = 3;
    options.snapshot_rows_next = 7;
    options.session_queue_bytes_max = 256u << 20;
    return options;
  }

  void Start(const FanoutOptions& options = Options(), bool attach = true, HttpHandler http = nullptr) {
    auto fanout = Fanout::Start(options, std::move(http));
    ASSERT_TRUE(fanout.ok()) << fanout.status();
    fanout_ = *std::move(fanout);
    if (attach) fanout_->AttachStore(world_.store());
  }
  void TearDown() override {
    if (fanout_ != nullptr) fanout_->Stop();
    // What was counted in must have been counted out.
    if (fanout_ != nullptr) {
      EXPECT_EQ(fanout_->counters().sessions.value(), 0u);
      EXPECT_EQ(fanout_->counters().subscriptions.value(), 0u);
      EXPECT_EQ(fanout_->counters().queued_bytes.value(), 0u);
    }
  }

  WsClient Connect(std::string_view path = "/") { return WsClient(fanout_->address(), path); }
  const FanoutCounters& counters() { return fanout_->counters(); }
  void Commit() { fanout_->Publish(world_.Apply()); }

  // Sends a subscribe and takes everything up to the end of its snapshot.
  void Subscribe(WsClient& client, FakeClient& model, std::string_view view,
                 const std::optional<std::string>& key = std::nullopt) {
    const int before = model.completes[std::string(view)];
    client.SendText(ViewMessage("subscribe", view, key));
    while (model.completes[std::string(view)] == before) {
      auto text = client.NextText();
      ASSERT_TRUE(text.has_value());
      ASSERT_EQ(model.Take(*text), "");
    }
  }
  // Takes messages until the model's store of the view is the world's truth.
  void ExpectTruth(WsClient& client, FakeClient& model, const std::string& view) {
    ExpectTruth(client, model, view, world_.Truth());
  }
  void ExpectTruth(WsClient& client, FakeClient& model, const std::string& view,
                   const std::map<std::string, nlohmann::json>& truth) {
    while (model.stores[view] != truth) {
      auto text = client.NextText();
      ASSERT_TRUE(text.has_value()) << "client " << nlohmann::json(model.stores[view]) << " truth "
                                    << nlohmann::json(truth);
      ASSERT_EQ(model.Take(*text), "");
    }
  }
  // A message of the client that is answered, so that everything sent before has been handled.
  std::string Ask(WsClient& client, std::string_view text) {
    client.SendText(text);
    return client.NextText().value_or("");
  }

  ThingWorld world_;
  std::unique_ptr<Fanout> fanout_;
};

}  // namespace everstate::testing
