// What goes over the wire, message by message.
#include "tests/server/fanout/fanout_fixture.h"

namespace everstate::testing {
namespace {

using nlohmann::json;

class ProtocolTest : public FanoutTest {};

constexpr char kListSubscribed[] =
    R"({"op":"subscribed","view":"Thing/list","mode":"list","sort":{"field":["_seq"],"order":"desc"}})";

TEST_F(ProtocolTest, ExactTextOfASubscription) {
  Start();
  world_.Edit("k\"1", [](RowEditor& editor) {
    editor.Set(kRank, Value::Uint(UINT64_MAX));
    editor.Set(kHidden, Value::Uint(7));
    editor.Set(kName, Value::Text("x"));
  });
  Commit();
  WsClient client = Connect();
  client.SendText(R"({"type":"subscribe","view":"Thing/list"})");
  EXPECT_EQ(client.NextText(), kListSubscribed);
  EXPECT_EQ(
      client.NextText(),
      R"({"mode":"list","entity":"Thing/list","op":"snapshot","data":[{"key":"k\"1","data":{"_seq":"1000:000000000001",)"
      R"("id":{"rank":"18446744073709551615"},"name":"x"}}],"complete":true})");
  world_.Edit("k\"1", [](RowEditor& editor) {
    EXPECT_TRUE(editor.Append(kEv, Value::Uint(1)));
    EXPECT_TRUE(editor.Append(kItems, Value::Text("i")));
    editor.Set(kRank, Value::Uint(9007199254740991));
  });
  Commit();
  EXPECT_EQ(
      client.NextText(),
      R"({"mode":"list","entity":"Thing/list","op":"patch","key":"k\"1","data":{"_seq":"1001:000000000001","ev":[1],)"
      R"("id":{"rank":9007199254740991},"log":{"items":["i"]}},"append":["ev","log.items"],"seq":"1001:000000000001"})");
  world_.Edit("k\"1", [](RowEditor& editor) { editor.Set(kHidden, Value::Uint(8)); });
  Commit();  // nothing that anybody may see
  world_.Delete("k\"1");
  Commit();
  EXPECT_EQ(
      client.NextText(),
      R"({"mode":"list","entity":"Thing/list","op":"delete","key":"k\"1","data":null,"seq":"1003:000000000001"})");
}

TEST_F(ProtocolTest, WhatAPatchCannotSayGoesOutWhole) {
  Start();
  world_.AddEv("k", 1);
  Commit();
  world_.SetKind("k", 1, 2);
  Commit();
  WsClient client = Connect();
  FakeClient model;
  Subscribe(client, model, "Thing/list");
  world_.Edit("k", [](RowEditor& editor) { EXPECT_TRUE(editor.Append(kEv, Value::Uint(2))); });
  Commit();
  EXPECT_NE(client.NextText().value_or("").find(
                R"("op":"patch","key":"k","data":{"_seq":"1002:000000000001","ev":[2]},"append")"),
            std::string::npos);
  world_.SetKind("k", std::nullopt, 3);  // merged, the old "a" would stay for ever
  Commit();
  EXPECT_EQ(
      client.NextText(),
      R"({"mode":"list","entity":"Thing/list","op":"upsert","key":"k","data":{"_seq":"1003:000000000001","ev":[1,2],)"
      R"("kind":{"b":3}},"seq":"1003:000000000001"})");
  world_.SetKind("k", 4, 3);
  Commit();
  EXPECT_EQ(
      client.NextText(),
      R"({"mode":"list","entity":"Thing/list","op":"patch","key":"k","data":{"_seq":"1004:000000000001","kind":{"a":4,"b":3}},)"
      R"("seq":"1004:000000000001"})");
}

TEST_F(ProtocolTest, EveryKindOfViewGetsTheMutation) {
  Start();
  WsClient client = Connect();
  FakeClient model;
  model.keep_live = true;
  Subscribe(client, model, "Thing/list");
  Subscribe(client, model, "Thing/state", "a");
  Subscribe(client, model, "Thing/append");
  world_.SetRank("a", 1);
  world_.SetRank("b", 2);
  Commit();
  ExpectTruth(client, model, "Thing/list");
  ExpectTruth(client, model, "Thing/append");
  while (!model.stores["Thing/state"].contains("a")) EXPECT_EQ(model.Take(client.NextText().value_or("")), "");
  EXPECT_EQ(model.live_frames, 5u);
  std::map<std::string, std::string> modes;
  for (const json& frame : model.live) {
    modes[frame["entity"]] = frame["mode"];
    EXPECT_EQ(frame["seq"], frame["key"] == "a" ? "1000:000000000001" : "1000:000000000002");
  }
  EXPECT_EQ(modes, (std::map<std::string, std::string>{
                       {"Thing/list", "list"}, {"Thing/state", "state"}, {"Thing/append", "append"}}));
}

TEST_F(ProtocolTest, SubscribedSaysTheSortOfListsOnly) {
  Start();
  WsClient client = Connect();
  client.SendText(R"({"type":"subscribe","view":"Thing/append"})");
  EXPECT_EQ(client.NextText(), R"({"op":"subscribed","view":"Thing/append","mode":"append"})");
  client.NextText();
  client.SendText(R"({"type":"subscribe","view":"Thing/state","key":"a"})");
  EXPECT_EQ(client.NextText(), R"({"op":"subscribed","view":"Thing/state","mode":"state"})");
}

TEST_F(ProtocolTest, EmptyResultsEndTheirSnapshot) {
  Start();
  WsClient client = Connect();
  FakeClient model;
  Subscribe(client, model, "Thing/list");
  Subscribe(client, model, "Thing/state", "nobody");
  Subscribe(client, model, "Thing/state");  // watches the empty key
  EXPECT_EQ(model.stores["Thing/list"].size() + model.stores["Thing/state"].size(), 0u);
}

TEST_F(ProtocolTest, LegacySubscribe) {
  Start();
  WsClient client = Connect();
  client.SendText(R"({"view":"Thing/list"})");
  EXPECT_EQ(client.NextText(), kListSubscribed);
}

TEST_F(ProtocolTest, IssuesNameWhatIsWrong) {
  Start();
  WsClient client = Connect();
  EXPECT_EQ(
      Ask(client, R"({"type":"subscribe","view":"Nope/list","key":"k"})"),
      R"({"type":"error","error":"unknown-view","message":"There is no view \"Nope/list\".","code":"unknown-view",)"
      R"("retryable":false,"fatal":false,"view":"Nope/list","key":"k"})");
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({"view":"Thing/top"})", "derived views are not built"},
      {R"({"view":"Thing/list","take":5})", "\"take\""},
      {R"({"view":"Thing/list","skip":5})", "\"skip\""},
      {R"({"view":"Thing/list","after":"1:2"})", "\"after\""},
      {R"({"view":"Thing/list","snapshotLimit":5})", "\"snapshotLimit\""},
      {R"({"view":"Thing/list","filters":{"a":"b"}})", "\"filters\""},
      {R"({"type":"foo","view":"Thing/list"})", "\"type\""},
      {"not json", "JSON"},
      {"[]", "object"},
      {"null", "object"},
      {R"({"type":"subscribe"})", "\"view\""},
      {R"({"view":"Thing/list","key":5})", "\"key\""},
  };
  for (const auto& [text, part] : cases) {
    const json issue = json::parse(Ask(client, text));
    EXPECT_EQ(issue["type"], "error") << text;
    EXPECT_EQ(issue["fatal"], false) << text;
    EXPECT_EQ(issue["retryable"], false) << text;
    EXPECT_NE(issue["message"].get<std::string>().find(part), std::string::npos) << issue;
  }
  EXPECT_EQ(counters().subscriptions.value(), 0u);
  EXPECT_EQ(counters().messages_ignored.value(), 6u);
  EXPECT_EQ(counters().subscribe_errors.value(), 7u);
  FakeClient model;
  Subscribe(client, model, "Thing/list");  // the connection is as good as before
}

TEST_F(ProtocolTest, PingsHaveNoReplyAndBinaryIsIgnored) {
  Start();
  WsClient client = Connect();
  client.SendText(R"({"type":"ping"})");
  client.SendFrame(2, R"({"type":"subscribe","view":"Thing/list"})");
  client.SendText(R"({"type":"unsubscribe","view":"Thing/list"})");
  client.SendText(R"({"type":"refresh_auth"})");
  EXPECT_EQ(Ask(client, R"({"type":"refresh_auth","token":"t"})"),
            R"({"success":false,"error":"token-invalid","expiresAt":null,"expires_at":null})");
  EXPECT_EQ(counters().subscriptions.value(), 0u);
}

TEST_F(ProtocolTest, SnapshotsComeInBatches) {
  Start();
  for (int i = 0; i < 260; ++i) world_.SetRank("k" + std::to_string(1000 + i), static_cast<uint64_t>(i));
  Commit();
  WsClient client = Connect();
  client.SendText(R"({"view":"Thing/list"})");
  client.NextText();
  std::vector<size_t> rows;
  std::string last_key;
  bool complete = false;
  while (!complete) {
    const json frame = json::parse(client.NextText().value_or("{}"));
    ASSERT_EQ(frame["op"], "snapshot");
    rows.push_back(frame["data"].size());
    complete = frame["complete"];
    for (const json& row : frame["data"]) {
      EXPECT_LT(last_key, row["key"].get<std::string>());
      last_key = row["key"];
    }
  }
  EXPECT_EQ(rows, (std::vector<size_t>{50, 100, 100, 10}));
  EXPECT_EQ(counters().snapshot_rows_sent.value(), 260u);
  EXPECT_EQ(counters().snapshots_total.value(), 1u);
}

TEST_F(ProtocolTest, FullBatchesHaveNoEmptyTail) {
  Start();
  for (int i = 0; i < 50; ++i) world_.SetRank("k" + std::to_string(1000 + i), 1);
  Commit();
  WsClient client = Connect();
  client.SendText(R"({"view":"Thing/list"})");
  client.NextText();
  const json frame = json::parse(client.NextText().value_or("{}"));
  EXPECT_EQ(frame["data"].size(), 50u);
  EXPECT_EQ(frame["complete"], true);
}

TEST_F(ProtocolTest, LargeRowsCutTheFrames) {
  Start();
  for (int i = 0; i < 100; ++i) {
    world_.Edit("k" + std::to_string(100 + i),
                [](RowEditor& editor) { editor.Set(kName, Value::Text(std::string(20000, 'x'))); });
  }
  Commit();
  WsClient client = Connect();
  client.SendText(R"({"view":"Thing/list"})");
  client.NextText();
  size_t rows = 0, frames = 0;
  for (bool complete = false; !complete; ++frames) {
    const std::string text = client.NextText().value_or("");
    EXPECT_LE(text.size(), 512u << 10);
    const json frame = json::parse(text);
    rows += frame["data"].size();
    complete = frame["complete"];
  }
  EXPECT_EQ(rows, 100u);
  EXPECT_GE(frames, 4u);
}

TEST_F(ProtocolTest, WithoutSnapshotOnlyLiveFrames) {
  Start();
  world_.SetRank("a", 1);
  Commit();
  WsClient client = Connect();
  client.SendText(ViewMessage("subscribe", "Thing/list", std::nullopt, false));
  EXPECT_EQ(client.NextText(), kListSubscribed);
  Ask(client, "x");  // an issue; the subscription has joined
  world_.SetRank("a", 2);
  Commit();
  EXPECT_EQ(json::parse(client.NextText().value_or("{}"))["op"], "patch");
}

TEST_F(ProtocolTest, SameSubscriptionTwiceGoesOn) {
  Start();
  world_.AddEv("a", 1);
  Commit();
  WsClient client = Connect();
  FakeClient model;
  Subscribe(client, model, "Thing/list");
  Subscribe(client, model, "Thing/list");
  EXPECT_EQ(model.subscribed["Thing/list"], 2);
  EXPECT_EQ(counters().subscriptions.value(), 1u);
  world_.AddEv("a", 2);
  Commit();
  ExpectTruth(client, model, "Thing/list");
  EXPECT_EQ(model.live_frames, 1u);
}

TEST_F(ProtocolTest, UnsubscribeStopsAndResubscribeStartsAfresh) {
  Start();
  WsClient client = Connect();
  FakeClient model;
  Subscribe(client, model, "Thing/list");
  Subscribe(client, model, "Thing/list", "a");
  client.SendText(ViewMessage("unsubscribe", "Thing/list"));
  client.SendText(ViewMessage("unsubscribe", "Thing/list"));         // unknown by now: silence
  client.SendText(ViewMessage("unsubscribe", "Thing/list", "zzz"));  // never known
  Ask(client, "x");
  world_.SetRank("a", 1);
  world_.SetRank("b", 1);
  Commit();
  EXPECT_EQ(json::parse(client.NextText().value_or("{}"))["key"], "a");  // the keyed one goes on
  client.SendText(ViewMessage("unsubscribe", "Thing/list", "a"));
  Ask(client, "x");
  EXPECT_EQ(counters().subscriptions.value(), 0u);
  world_.SetRank("a", 2);
  Commit();
  client.SendText(ViewMessage("subscribe", "Thing/list"));
  EXPECT_EQ(client.NextText(), kListSubscribed);
  EXPECT_EQ(json::parse(client.NextText().value_or("{}"))["data"].size(), 2u);
}

TEST_F(ProtocolTest, KeyedListSeesItsKeyOnly) {
  Start();
  world_.SetRank("a", 1);
  world_.SetRank("b", 1);
  Commit();
  WsClient client = Connect();
  FakeClient model;
  Subscribe(client, model, "Thing/list", "b");
  EXPECT_EQ(model.stores["Thing/list"].size(), 1u);
  world_.SetRank("a", 2);
  Commit();
  world_.SetRank("b", 2);
  Commit();
  const json frame = json::parse(client.NextText().value_or("{}"));
  EXPECT_EQ(frame["key"], "b");
}

TEST_F(ProtocolTest, OverlappingSubscriptionsShareOneFrame) {
  Start();
  world_.AddEv("a", 1);
  Commit();
  WsClient client = Connect();
  FakeClient model;
  Subscribe(client, model, "Thing/list");
  Subscribe(client, model, "Thing/list", "a");
  world_.AddEv("a", 2);
  Commit();
  world_.AddEv("a", 3);
  Commit();
  ExpectTruth(client, model, "Thing/list");
  EXPECT_EQ(model.live_frames, 2u);
  EXPECT_EQ(model.stores["Thing/list"]["a"]["ev"], json({1, 2, 3}));
}

TEST_F(ProtocolTest, ABurstArrivesWholeAndInOrder) {
  Start();
  WsClient client = Connect();
  FakeClient list, state;
  Subscribe(client, list, "Thing/list");
  for (uint64_t i = 0; i < 3000; ++i) {
    world_.Edit("k" + std::to_string(i % 7), [i](RowEditor& editor) {
      editor.Set(kRank, Value::Uint(i));
      EXPECT_TRUE(editor.Append(i % 2 == 0 ? kEv : kItems, Value::Uint(i)));
    });
    Commit();
  }
  ExpectTruth(client, list, "Thing/list");
  EXPECT_EQ(list.live_frames, 3000u);
}

TEST_F(ProtocolTest, SubscribesBeforeTheStoreWait) {
  Start(Options(), /*attach=*/false);
  world_.SetRank("a", 1);
  Commit();
  WsClient client = Connect();
  client.SendText(ViewMessage("subscribe", "Thing/list"));
  client.SendText(ViewMessage("subscribe", "Thing/append"));
  client.SendText(ViewMessage("unsubscribe", "Thing/append"));
  EXPECT_NE(Ask(client, "x").find("invalid-message"), std::string::npos);
  fanout_->AttachStore(world_.store());
  FakeClient model;
  while (model.stores["Thing/list"].empty()) ASSERT_EQ(model.Take(client.NextText().value_or("")), "");
  EXPECT_TRUE(Eventually([&] { return counters().subscriptions.value() == 1; }));
}

TEST_F(ProtocolTest, SayingNothingToNobodyCostsNothing) {
  Start();
  world_.SetRank("a", 1);
  Commit();
  EXPECT_EQ(counters().frames_encoded.value(), 0u);
  EXPECT_EQ(counters().batches_published.value(), 1u);
  EXPECT_EQ(counters().batches_with_frames.value(), 0u);
}

}  // namespace
}  // namespace everstate::testing
