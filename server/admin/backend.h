// AdminBackend: what the service shows and commands, as it needs it. The server's own is made of deployment, fanout and
// health.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/deployment/deployment.h"
#include "server/fanout/fanout.h"
#include "server/health/status.h"
#include "storage/checkpoint.h"
#include "storage/model.h"

namespace everstate {

// What does not change while a server runs.
struct AdminInfo {
  std::string version, stack_name, stack_hash, endpoint, listen;
  Commitment commitment = Commitment::kConfirmed;
  std::filesystem::path data_dir;  // absolute
  int64_t started_at = 0;          // unix seconds
  std::vector<ViewDef> views;
};

// AdminBackend
//   Thread:    any, several at a time.
//   Errors:    as the functions of Deployment, Fanout and storage/checkpoint.h that have these names; they reach the
//              client as they are.
class AdminBackend {
 public:
  virtual ~AdminBackend() = default;
  virtual const AdminInfo& info() const = 0;
  virtual ServerStatus status() const = 0;
  virtual absl::StatusOr<std::unique_ptr<BusTap>> OpenTap(const std::vector<std::string>& views) = 0;
  virtual absl::StatusOr<CheckpointInfo> CreateCheckpoint() = 0;
  virtual absl::StatusOr<std::vector<CheckpointEntry>> ListCheckpoints() const = 0;
  virtual absl::StatusOr<CheckpointInfo> VerifyCheckpoint(const std::string& name) const = 0;
  virtual absl::StatusOr<std::vector<std::string>> PruneCheckpoints(size_t keep) = 0;
  virtual bool Ours(const CheckpointInfo& checkpoint) const = 0;
  virtual std::string ReachOf(const CheckpointInfo& checkpoint) const = 0;
  virtual absl::StatusOr<RewindBegun> ResumeFrom(const RewindRequest& request) = 0;
};

}  // namespace everstate
