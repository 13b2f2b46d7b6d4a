// The running server as the service sees it.
#include <chrono>
#include <filesystem>
#include <utility>

#include "server/admin/admin_server.h"
#include "server/admin/backend.h"
#include "server/base/sha256.h"
#include "server/vm/projection.h"

namespace everstate {
namespace {

AdminInfo InfoOf(const AdminSubjects& subjects) {
  const stack::Stack& stack = subjects.deployment->projection().stack();
  const DeploymentOptions& options = subjects.deployment->options();
  AdminInfo info;
  info.version = EVERSTATE_VERSION;
  info.stack_name = stack.name;
  info.stack_hash = HexOf({reinterpret_cast<const char*>(stack.hash.data()), stack.hash.size()});
  info.endpoint = options.endpoint;
  info.listen = subjects.fanout->address();
  info.commitment = options.commitment;
  std::error_code error;
  info.data_dir = std::filesystem::weakly_canonical(options.store.data_dir, error);
  if (error) info.data_dir = options.store.data_dir;
  info.started_at =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  info.views = subjects.deployment->projection().schema()->views();
  return info;
}

class LiveBackend final : public AdminBackend {
 public:
  explicit LiveBackend(const AdminSubjects& subjects) : subjects_(subjects), info_(InfoOf(subjects)) {}

  const AdminInfo& info() const override { return info_; }
  ServerStatus status() const override { return subjects_.health->Take(); }
  absl::StatusOr<std::unique_ptr<BusTap>> OpenTap(const std::vector<std::string>& views) override {
    return subjects_.fanout->OpenTap(views);
  }

  absl::StatusOr<CheckpointInfo> CreateCheckpoint() override { return subjects_.deployment->CreateCheckpoint(); }
  absl::StatusOr<std::vector<CheckpointEntry>> ListCheckpoints() const override {
    return everstate::ListCheckpoints(data_dir());
  }
  absl::StatusOr<CheckpointInfo> VerifyCheckpoint(const std::string& name) const override {
    return everstate::VerifyCheckpoint(data_dir() / "checkpoints" / name);
  }
  absl::StatusOr<std::vector<std::string>> PruneCheckpoints(size_t keep) override {
    return subjects_.deployment->PruneCheckpoints(keep);
  }
  bool Ours(const CheckpointInfo& checkpoint) const override { return subjects_.deployment->Ours(checkpoint); }
  std::string ReachOf(const CheckpointInfo& checkpoint) const override {
    return subjects_.deployment->ReachOf(checkpoint);
  }
  absl::StatusOr<RewindBegun> ResumeFrom(const RewindRequest& request) override {
    return subjects_.deployment->ResumeFrom(request);
  }

 private:
  const std::filesystem::path& data_dir() const { return subjects_.deployment->options().store.data_dir; }

  const AdminSubjects subjects_;
  const AdminInfo info_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<AdminServer>> AdminServer::Start(const AdminOptions& options,
                                                                const AdminSubjects& subjects) {
  return Start(options, std::make_unique<LiveBackend>(subjects));
}

}  // namespace everstate
