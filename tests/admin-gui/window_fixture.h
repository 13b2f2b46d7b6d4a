// The console as a person uses it: clicks, keys and text go in, and what comes out is compared at both ends: what the
// server was asked, and what the widgets show. With EVERSTATE_SHOTS=FOLDER it also leaves pictures there.
#pragma once

#include <gmock/gmock.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/admin-gui/driven_console.h"
#include "tests/support/eventually.h"
#include "tests/support/fake_admin.h"

namespace everstate::console {

class WindowTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!display_.Start()) GTEST_SKIP() << "no Xvfb on this machine (package xvfb)";
    ConfigureHealthy(&server_);
    server_.Start();
  }
  void Open(std::vector<std::string> more = {}, const std::string& scale = "1") {
    std::vector<std::string> arguments{"--admin", server_.address(), "--scale", scale};
    arguments.insert(arguments.end(), more.begin(), more.end());
    console_ = std::make_unique<DrivenConsole>(EVERSTATE_CONSOLE_PROGRAM, display_, arguments);
  }
  void TearDown() override {
    if (console_ && !HasFailure()) {
      EXPECT_EQ(console_->Quit(), 0);
    }
  }
  void Do(const std::string& command) { ASSERT_EQ(console_->Do(command), ""); }
  void Shot(const std::string& name) {
    if (const char* folder = std::getenv("EVERSTATE_SHOTS"))
      Do("screenshot " + std::string(folder) + "/" + name + ".ppm");
  }
  // The widgets shown now.
  nlohmann::json Widgets() { return console_->Dump()["widgets"]; }
  std::string Tip() {
    std::string tip;
    const auto widgets = Widgets();
    for (const auto& widget : widgets) {
      if (widget["kind"] == "tooltip") tip += widget["text"];
    }
    return tip;
  }
  // The newest request, when the panel has settled on one that holds.
  bool Asked(const std::function<bool(const admin::v1::TailRequest&)>& holds) {
    return Eventually([&] {
      const auto asked = server_.tail_requests();
      return !asked.empty() && holds(asked.back());
    });
  }
  void SendSome(uint64_t from, uint64_t count) {
    std::vector<admin::v1::TailFrame> frames;
    for (uint64_t n = from; n < from + count; ++n) {
      const char* op = n % 11 == 0 ? "delete" : n % 5 == 0 ? "upsert" : "patch";
      frames.push_back(TailFrameMessage(n % 3 ? "TokenMint/list" : "TokenAccount/list",
                                        "So1111111111111111111111111111111111111111" + std::to_string(n % 7), op, n,
                                        n % 2 ? "odd" : "even"));
    }
    server_.SendFrames(frames);
  }

  Display display_;
  FakeAdmin server_;
  std::unique_ptr<DrivenConsole> console_;
};

}  // namespace everstate::console
