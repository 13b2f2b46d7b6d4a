#include "server/ingest/endpoint_hint.h"

#include <gtest/gtest.h>

#include <string>

namespace everstate::ingest {
namespace {

constexpr char kOther[] = "; this may be no Yellowstone server: check --endpoint";

std::string Hint(absl::StatusCode code, const std::string& text, const std::string& token = "") {
  YellowstoneOptions options;
  options.x_token = token;
  options.receive_bytes_max = 1000;
  return HintFor(absl::Status(code, text), options);
}

TEST(EndpointHintTest, EveryEndThatAPersonCanDoSomethingAbout) {
  using Code = absl::StatusCode;
  for (const Code refused : {Code::kUnauthenticated, Code::kPermissionDenied}) {
    EXPECT_EQ(Hint(refused, "no"), "; no token is set: --x-token-file names the file that holds it");
    EXPECT_EQ(Hint(refused, "no", "t"),
              "; the token of --x-token-file (or --x-token) is not the one that the provider wants");
  }
  EXPECT_EQ(Hint(Code::kUnimplemented, "unknown service"), kOther);
  for (const Code answer : {Code::kInternal, Code::kUnknown}) {
    EXPECT_EQ(Hint(answer, "Received http2 header with status: 405"), kOther);
    EXPECT_EQ(Hint(answer, "failed to get replay response"), "");
  }
  EXPECT_EQ(Hint(Code::kResourceExhausted, "Received message larger than max (2000 vs. 1000)"),
            "; stream.message_max is 1000 bytes");
  EXPECT_EQ(Hint(Code::kResourceExhausted, "too many subscriptions"), "");
  EXPECT_EQ(Hint(Code::kUnavailable, "Socket closed"), "");
}

TEST(EndpointHintTest, WithoutAConnection) {
  for (const bool tls : {false, true}) {
    for (const char* text :
         {"failed to connect to all addresses; last error: UNKNOWN: Failed to connect to remote host: "
          "Connection refused",
          "DNS resolution failed for x:1"}) {
      EXPECT_EQ(HintForNoConnection(text, tls), "; nobody answers there: check host and port of --endpoint");
    }
    EXPECT_EQ(HintForNoConnection("Trying to connect an http1.x server", tls), kOther);
  }
  EXPECT_EQ(HintForNoConnection("Socket closed", true), kOther);
  EXPECT_EQ(HintForNoConnection("Socket closed", false),
            "; this may be no Yellowstone server, or one that speaks TLS (https://): check --endpoint");
  EXPECT_EQ(HintForNoConnection("no connection to x within 10000 ms", true),
            "; nobody may answer there, or this may be no Yellowstone server: check --endpoint");
  EXPECT_EQ(HintForNoConnection("no connection to x within 10000 ms", false),
            "; nobody may answer there, or this may be no Yellowstone server, or one that speaks TLS (https://): check "
            "--endpoint");
}

}  // namespace
}  // namespace everstate::ingest
