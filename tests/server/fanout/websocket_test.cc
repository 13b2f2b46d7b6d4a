// What RFC 6455 asks of the port, below the messages of the protocol: the upgrade, fragments, pings and the close.
#include <chrono>
#include <string>

#include "tests/server/fanout/fanout_fixture.h"

namespace everstate::testing {
namespace {

class WebSocketTest : public FanoutTest {};

TEST_F(WebSocketTest, UpgradesOnAnyPath) {
  Start();
  for (const char* path : {"/", "/ws", "/a/b?x=1"}) {
    WsClient client = Connect(path);
    EXPECT_TRUE(client.open()) << client.answer();
    EXPECT_NE(client.answer().find("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), std::string::npos) << client.answer();
    EXPECT_EQ(client.answer().find("Sec-WebSocket-Extensions"), std::string::npos);
  }
}

TEST_F(WebSocketTest, ProtocolPingIsAnswered) {
  Start();
  WsClient client = Connect();
  client.SendFrame(9, "hi");
  const auto pong = client.Next(std::chrono::seconds(20), /*control=*/true);
  ASSERT_TRUE(pong.has_value());
  EXPECT_EQ(pong->opcode, 10);
  EXPECT_EQ(pong->payload, "hi");
}

TEST_F(WebSocketTest, FragmentedAndGluedMessagesAreRead) {
  Start();
  // Behind the head in the same segment, in two fragments with a ping between.
  WsClient client(
      fanout_->address(), "/", 0,
      ClientFrame(1, R"({"view":)", false) + ClientFrame(9, "p") + ClientFrame(0, R"("Thing/list"})", true));
  ASSERT_TRUE(client.open());
  EXPECT_EQ(client.NextText().value_or("").find(R"({"op":"subscribed","view":"Thing/list")"), 0u);
}

TEST_F(WebSocketTest, CloseIsEchoed) {
  Start();
  for (uint16_t code : {1000, 1001, 4321}) {
    WsClient client = Connect();
    FakeClient model;
    Subscribe(client, model, "Thing/list");
    client.SendClose(code);
    const auto close = client.WaitClose();
    ASSERT_TRUE(close.has_value());
    EXPECT_EQ(close->close_code, code);
    EXPECT_TRUE(client.WaitEnd());
  }
  EXPECT_TRUE(Eventually([&] { return counters().sessions.value() == 0; }));
  EXPECT_EQ(counters().subscriptions.value(), 0u);
  EXPECT_EQ(counters().sessions_closed_error.value(), 0u);
}

}  // namespace
}  // namespace everstate::testing
