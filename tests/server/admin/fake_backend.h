// A backend that a test fills, and a client of the service that shows it.
#pragma once

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "proto/admin.grpc.pb.h"
#include "server/admin/admin_server.h"
#include "server/admin/backend.h"
#include "tests/support/eventually.h"

namespace everstate {

// A frame with texts of its own.
struct FakeFrame {
  std::string view, key, op, json;
  Number number = 0;
};

// FakeBus: batches of frames to whoever has a tap; a tap holds so many batches and drops what comes after them.
class FakeBus {
 public:
  explicit FakeBus(size_t held_max = 8) : held_max_(held_max) {}
  std::unique_ptr<BusTap> Open(std::vector<std::string> views);
  void Publish(const std::vector<FakeFrame>& batch);
  size_t taps() const;
  uint64_t opened() const;  // ever
  size_t held() const;      // batches that wait in all taps

 private:
  class Tap;
  const size_t held_max_;
  mutable std::mutex mutex_;
  std::condition_variable published_;
  std::vector<Tap*> taps_;
  uint64_t opened_ = 0;
};

class FakeBackend final : public AdminBackend {
 public:
  FakeBackend();

  const AdminInfo& info() const override { return fields; }
  ServerStatus status() const override;
  absl::StatusOr<std::unique_ptr<BusTap>> OpenTap(const std::vector<std::string>& views) override;
  absl::StatusOr<CheckpointInfo> CreateCheckpoint() override { return create(); }
  absl::StatusOr<std::vector<CheckpointEntry>> ListCheckpoints() const override { return entries; }
  absl::StatusOr<CheckpointInfo> VerifyCheckpoint(const std::string& name) const override { return verify(name); }
  absl::StatusOr<std::vector<std::string>> PruneCheckpoints(size_t keep) override { return prune(keep); }
  bool Ours(const CheckpointInfo& checkpoint) const override { return checkpoint.lineage == "ours"; }
  std::string ReachOf(const CheckpointInfo& checkpoint) const override {
    return checkpoint.watermark.block.slot >= 100 ? "" : "slots 7 to 9 are missing";
  }
  absl::StatusOr<RewindBegun> ResumeFrom(const RewindRequest& request) override { return resume(request); }

  AdminInfo fields;
  FakeBus bus;
  std::function<ServerStatus()> make_status;
  std::function<absl::StatusOr<CheckpointInfo>()> create;
  std::function<absl::StatusOr<CheckpointInfo>(const std::string&)> verify;
  std::function<absl::StatusOr<std::vector<std::string>>(size_t)> prune;
  std::function<absl::StatusOr<RewindBegun>(const RewindRequest&)> resume;
  std::vector<CheckpointEntry> entries;
};

CheckpointInfo FakeCheckpoint(const std::string& name, Slot slot, const std::string& lineage);

// A server on a free loopback port over a FakeBackend.
class AdminFixture : public ::testing::Test {
 protected:
  void SetUp() override { StartServer({.listen = "127.0.0.1:0"}); }
  void StartServer(const AdminOptions& options);
  // Clients of one test do not share a connection.
  std::unique_ptr<admin::v1::Admin::Stub> NewStub() const;

  FakeBackend* backend_ = nullptr;  // owned by the server
  std::unique_ptr<AdminServer> server_;
};

}  // namespace everstate
