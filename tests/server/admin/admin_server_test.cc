#include "server/admin/admin_server.h"

#include <gtest/gtest.h>

#include "tests/server/admin/fake_backend.h"

namespace everstate {
namespace {

TEST(AdminServerTest, WhatIsNoAddressIsRefusedBeforeAndByTheStart) {
  for (const char* listen : {"off ", "8880", ":8880", "127.0.0.1:65536", "no.such.host.invalid:1", "::1:8880"}) {
    for (const absl::Status& status :
         {AdminServer::CheckAddress(listen),
          AdminServer::Start({.listen = listen}, std::make_unique<FakeBackend>()).status()}) {
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
      EXPECT_EQ(status.message().find(std::string("the admin service \"") + listen + "\" "), 0u) << status;
    }
  }
}

TEST(AdminServerTest, AnAddressInUseSaysWhich) {
  auto first = AdminServer::Start({.listen = "127.0.0.1:0"}, std::make_unique<FakeBackend>());
  ASSERT_TRUE(first.ok()) << first.status();
  const std::string listen = (*first)->address();
  for (const absl::Status& status :
       {AdminServer::CheckAddress(listen),
        AdminServer::Start({.listen = listen}, std::make_unique<FakeBackend>()).status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
    EXPECT_EQ(status.message(), "the admin service cannot listen on " + listen + ": Address already in use");
  }
  // Once it is stopped the address is free.
  (*first)->Stop();
  EXPECT_TRUE(AdminServer::CheckAddress(listen).ok());
  EXPECT_TRUE(AdminServer::Start({.listen = listen}, std::make_unique<FakeBackend>()).ok());
}

}  // namespace
}  // namespace everstate
