#include "server/admin/address.h"

#include <gtest/gtest.h>

#include "server/admin/text.h"
#include "storage/utf8.h"
#include "tests/server/admin/fake_backend.h"

namespace everstate {
namespace {

TEST(AddressTest, LoopbackIsToldFromWhatOthersCanReach) {
  EXPECT_TRUE(CheckListenAddress("127.0.0.1:0")->loopback);
  EXPECT_TRUE(CheckListenAddress("127.1.2.3:0")->loopback);
  EXPECT_FALSE(CheckListenAddress("0.0.0.0:0")->loopback);
  if (const auto v6 = CheckListenAddress("[::1]:0"); v6.ok()) {
    EXPECT_TRUE(v6->loopback);
    EXPECT_EQ(v6->host, "[::1]");
    EXPECT_FALSE(CheckListenAddress("[::]:0")->loopback);
  }
}

TEST(AddressTest, WhatIsNoAddressIsRefusedByName) {
  const std::vector<std::string> texts = {"off ",
                                          "8880",
                                          ":8880",
                                          "127.0.0.1:65536",
                                          "127.0.0.1:-1",
                                          "127.0.0.1:",
                                          "no.such.host.invalid:1",
                                          "::1:8880",
                                          std::string(5000, 'x') + ":1"};
  for (const std::string& text : texts) {
    const absl::Status status = CheckListenAddress(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_NE(status.message().find("--admin"), absl::string_view::npos) << status;
    EXPECT_LT(status.message().size(), 600u);
  }
}

TEST(AddressTest, AnAddressInUseSaysWhich) {
  auto first = AdminServer::Start({.listen = "127.0.0.1:0"}, std::make_unique<FakeBackend>());
  ASSERT_TRUE(first.ok()) << first.status();
  auto second = AdminServer::Start({.listen = (*first)->address()}, std::make_unique<FakeBackend>());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_NE(second.status().message().find((*first)->address()), absl::string_view::npos) << second.status();
  // Once it is stopped the address is free.
  (*first)->Stop();
  EXPECT_TRUE(AdminServer::Start({.listen = (*first)->address()}, std::make_unique<FakeBackend>()).ok());
}

TEST(TextTest, IsAlwaysUtf8AndNeverLongerThanAsked) {
  EXPECT_EQ(ProtoText("straße"), "straße");
  EXPECT_EQ(ProtoText("a\xff\xc3"), "a\uFFFD\uFFFD");
  EXPECT_EQ(ProtoText("ßßß", 4), "ßß…");
  for (size_t max = 0; max < 40; ++max) {
    const std::string text =
        ProtoText(std::string("a\xf0\x9f\x98\x80") + "b\xfe" + "cß\xe2\x82\xac\xe2\x82 tail that is long", max);
    EXPECT_TRUE(IsUtf8(text)) << max;
    EXPECT_LE(text.size(), max + 3);
  }
}

TEST(TextTest, AStatusKeepsItsCodeAndIsCut) {
  const grpc::Status status = ToGrpc(absl::DataLossError(std::string(100000, 'x') + "\xff"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DATA_LOSS);
  EXPECT_LE(status.error_message().size(), kStatusMessageBytesMax + 3);
  EXPECT_TRUE(ToGrpc(absl::OkStatus()).ok());
}

}  // namespace
}  // namespace everstate
