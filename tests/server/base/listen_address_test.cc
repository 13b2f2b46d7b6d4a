#include "server/base/listen_address.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

namespace everstate {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(ListenAddressTest, IsAnAddressAndAPort) {
  const auto v4 = ParseListenAddress("192.168.1.2:8877");
  ASSERT_TRUE(v4.ok()) << v4.status();
  EXPECT_EQ(v4->host, "192.168.1.2");
  const auto* in = reinterpret_cast<const sockaddr_in*>(&v4->address);
  EXPECT_EQ(in->sin_family, AF_INET);
  EXPECT_EQ(ntohl(in->sin_addr.s_addr), 0xc0a80102u);
  EXPECT_EQ(ntohs(in->sin_port), 8877);
  EXPECT_EQ(v4->size, sizeof(sockaddr_in));

  const auto v6 = ParseListenAddress("[2001:db8::7]:65535");
  ASSERT_TRUE(v6.ok()) << v6.status();
  EXPECT_EQ(v6->host, "[2001:db8::7]");
  const auto* in6 = reinterpret_cast<const sockaddr_in6*>(&v6->address);
  EXPECT_EQ(in6->sin6_family, AF_INET6);
  EXPECT_EQ(in6->sin6_addr.s6_addr[0], 0x20);
  EXPECT_EQ(in6->sin6_addr.s6_addr[15], 7);
  EXPECT_EQ(ntohs(in6->sin6_port), 65535);
  EXPECT_EQ(v6->size, sizeof(sockaddr_in6));
}

TEST(ListenAddressTest, LoopbackIsToldFromWhatOthersCanReach) {
  EXPECT_TRUE(ParseListenAddress("127.0.0.1:0")->loopback);
  EXPECT_TRUE(ParseListenAddress("127.1.2.3:0")->loopback);
  EXPECT_FALSE(ParseListenAddress("0.0.0.0:0")->loopback);
  EXPECT_TRUE(ParseListenAddress("[::1]:0")->loopback);
  EXPECT_FALSE(ParseListenAddress("[::]:0")->loopback);
}

TEST(ListenAddressTest, WhatIsNoneIsNamedWithAnExample) {
  for (const auto& [text, why] : std::vector<std::pair<std::string, std::string>>{
           {"", "is no address and port"},
           {"off", "is no address and port"},
           {"31063", "is no address and port"},
           {"0.0.0.0", "is no address and port"},
           {"[::1]", "is no address and port"},
           {":31063", "has no IP address"},
           {"off:1", "has no IP address"},
           {"localhost:31063", "has no IP address"},
           {"127.1:1", "has no IP address"},
           {"[127.0.0.1]:1", "has no IP address"},
           {"[]:1", "has no IP address"},
           {"[::1:1", "has an IPv6 address without brackets"},
           {"::1:8880", "has an IPv6 address without brackets"},
           {"127.0.0.1:", "has no port from 0 to 65535"},
           {"127.0.0.1:x", "has no port from 0 to 65535"},
           {"127.0.0.1:-1", "has no port from 0 to 65535"},
           {"127.0.0.1:+1", "has no port from 0 to 65535"},
           {"127.0.0.1: 1", "has no port from 0 to 65535"},
           {"127.0.0.1:65536", "has no port from 0 to 65535"},
           {"127.0.0.1:80 ", "has no port from 0 to 65535"},
           {std::string("127.0.0.1\0x:1", 13), "has no IP address"},
           {std::string("[::1\0]:1", 8), "has no IP address"},
       }) {
    const absl::Status status = ParseListenAddress(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), StartsWith("\"" + text + "\" " + why));
    EXPECT_THAT(std::string(status.message()), HasSubstr("127.0.0.1:8877"));
  }
}

TEST(ListenAddressTest, TryingLeavesThePortFreeAndSaysWhenItIsNot) {
  const int taken = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(taken, reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
  ASSERT_EQ(listen(taken, 1), 0);
  socklen_t size = sizeof at;
  ASSERT_EQ(getsockname(taken, reinterpret_cast<sockaddr*>(&at), &size), 0);
  const std::string text = "127.0.0.1:" + std::to_string(ntohs(at.sin_port));
  const absl::Status in_use = TryToListen(*ParseListenAddress(text));
  EXPECT_EQ(in_use.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(in_use.message(), "cannot listen on " + text + ": Address already in use");
  close(taken);
  EXPECT_TRUE(TryToListen(*ParseListenAddress(text)).ok());
  EXPECT_TRUE(TryToListen(*ParseListenAddress(text)).ok());
  const absl::Status elsewhere = TryToListen(*ParseListenAddress("192.0.2.1:0"));  // of nobody: RFC 5737
  EXPECT_EQ(elsewhere.code(), absl::StatusCode::kUnavailable) << elsewhere;
}

}  // namespace
}  // namespace everstate
