#include "server/fanout/client_message.h"

#include <gtest/gtest.h>

namespace everstate {
namespace {

using Kind = ClientMessage::Kind;

TEST(ClientMessageTest, ReadsSubscribe) {
  const ClientMessage message =
      ParseClientMessage(R"({"type":"subscribe","view":"Thing/list","key":"a\n","withSnapshot":false,"x":[1]})");
  EXPECT_EQ(message.kind, Kind::kSubscribe) << message.problem;
  EXPECT_EQ(message.view, "Thing/list");
  EXPECT_EQ(message.key, "a\n");
  EXPECT_FALSE(message.with_snapshot);
  EXPECT_EQ(message.unsupported, "");
}

TEST(ClientMessageTest, NoTypeIsSubscribeAndNullIsAbsent) {
  const ClientMessage message = ParseClientMessage(
      R"({"type":null,"view":"V","key":null,"withSnapshot":null,"take":null,"skip":null,"after":null,"snapshotLimit":null,"filters":null,"partition":null})");
  EXPECT_EQ(message.kind, Kind::kSubscribe) << message.problem;
  EXPECT_EQ(message.key, std::nullopt);
  EXPECT_TRUE(message.with_snapshot);
  EXPECT_EQ(message.unsupported, "");
}

TEST(ClientMessageTest, NamesUnsupportedOptions) {
  for (const char* option : {R"("take":1)", R"("skip":0)", R"("after":"1:2")", R"("snapshotLimit":5)",
                             R"("filters":{"a":"b"})", R"("partition":"p")"}) {
    const ClientMessage message = ParseClientMessage(std::string(R"({"type":"subscribe","view":"V",)") + option + "}");
    EXPECT_EQ(message.kind, Kind::kSubscribe) << option;
    EXPECT_EQ(message.unsupported, std::string(option).substr(1, std::string(option).find(':') - 2));
  }
  for (const char* option : {R"("filters":{})", R"("partition":"")"}) {
    EXPECT_EQ(ParseClientMessage(std::string(R"({"type":"subscribe","view":"V",)") + option + "}").unsupported, "")
        << option;
  }
}

// -0 is 0 in JSON, and 0 is what "take" and "skip" may be; the parser calls all that begins with a minus signed.
TEST(ClientMessageTest, MinusZeroIsAnIntegerOfAtLeastZero) {
  for (const char* option : {"take", "skip", "snapshotLimit"}) {
    const auto subscribe = [option](const char* number) {
      return ParseClientMessage(R"({"view":"V",")" + std::string(option) + "\":" + number + "}");
    };
    EXPECT_EQ(subscribe("-0").kind, Kind::kSubscribe) << subscribe("-0").problem;
    EXPECT_EQ(subscribe("-0").unsupported, subscribe("0").unsupported);
    for (const char* number : {"-1", "-0.0", "-9223372036854775808"}) {
      EXPECT_EQ(subscribe(number).kind, Kind::kInvalid) << option << " " << number;
      EXPECT_NE(subscribe(number).problem.find(option), std::string::npos) << subscribe(number).problem;
    }
  }
}

TEST(ClientMessageTest, KnowsTheOtherTypes) {
  EXPECT_EQ(ParseClientMessage(R"({"type":"unsubscribe","view":"V","take":-1})").kind, Kind::kUnsubscribe);
  EXPECT_EQ(ParseClientMessage(R"({"type":"ping","view":5})").kind, Kind::kPing);
  EXPECT_TRUE(ParseClientMessage(R"({"type":"refresh_auth","token":"t"})").has_token);
  const ClientMessage refresh = ParseClientMessage(R"({"type":"refresh_auth","view":"V"})");
  EXPECT_EQ(refresh.kind, Kind::kRefreshAuth);
  EXPECT_FALSE(refresh.has_token);
}

TEST(ClientMessageTest, RefusesWhatIsNoMessage) {
  for (const char* text : {"",
                           "x",
                           "{",
                           "[]",
                           "null",
                           "3",
                           "\"a\"",
                           "{}",
                           "{}{}",
                           R"({"type":"subscribe"})",
                           R"({"type":"unsubscribe"})",
                           R"({"type":"foo","view":"V"})",
                           R"({"type":5,"view":"V"})",
                           R"({"type":{"type":"ping"}})",
                           R"([{"type":"ping"}])",
                           R"({"view":5})",
                           R"({"view":"V","key":5})",
                           R"({"view":"V","take":-1})",
                           R"({"view":"V","take":"3"})",
                           R"({"view":"V","take":1.5})",
                           R"({"view":"V","withSnapshot":"true"})",
                           R"({"view":"V","filters":[]})",
                           R"({"type":"unsubscribe","view":"V","key":{}})",
                           R"({"a":{"view":"V"}})"}) {
    const ClientMessage message = ParseClientMessage(text);
    EXPECT_EQ(message.kind, Kind::kInvalid) << text;
    EXPECT_NE(message.problem, "") << text;
  }
}

// A session keeps what it is subscribed to: without a bound a few thousand messages would fill the memory.
TEST(ClientMessageTest, BoundsWhatASubscriptionKeeps) {
  for (const char* type : {"subscribe", "unsubscribe"}) {
    for (const char* field : {"view", "key"}) {
      const auto sent = [&](size_t bytes) {
        const std::string other = std::string(field) == "view" ? "key" : "view";
        return ParseClientMessage(R"({"type":")" + std::string(type) + R"(",")" + other + R"(":"V",")" + field +
                                  R"(":")" + std::string(bytes, 'k') + R"("})");
      };
      EXPECT_NE(sent(1024).kind, Kind::kInvalid) << type << " " << field;
      EXPECT_EQ(sent(1025).kind, Kind::kInvalid) << type << " " << field;
      EXPECT_NE(sent(1025).problem.find("\"" + std::string(field) + "\""), std::string::npos) << sent(1025).problem;
      EXPECT_NE(sent(1025).problem.find("1024"), std::string::npos) << sent(1025).problem;
    }
  }
}

TEST(ClientMessageTest, BoundsTheDepth) {
  const auto nested = [](size_t depth) {
    return R"({"view":"V","x":)" + std::string(depth, '[') + std::string(depth, ']') + "}";
  };
  EXPECT_EQ(ParseClientMessage(nested(15)).kind, Kind::kSubscribe);
  EXPECT_NE(ParseClientMessage(nested(16)).problem.find("deeper"), std::string::npos);
  EXPECT_EQ(ParseClientMessage(nested(30000)).kind, Kind::kInvalid);
}

}  // namespace
}  // namespace everstate
