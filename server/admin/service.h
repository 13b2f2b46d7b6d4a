// AdminService: the calls of proto/admin.proto over a backend. It checks what a client says, calls, and answers.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "proto/admin.grpc.pb.h"
#include "server/admin/backend.h"

namespace everstate {

// AdminService
//   Thread:    gRPC's, several at a time; EndStreams any.
//   Errors:    INVALID_ARGUMENT names the field and the rule; what the backend answers keeps its code and message.
class AdminService final : public admin::v1::Admin::Service {
 public:
  explicit AdminService(AdminBackend* backend) : backend_(backend) {}

  // Streams that are open, and those that come later, end with UNAVAILABLE or are cancelled.
  void EndStreams();

  grpc::Status GetInfo(grpc::ServerContext*, const admin::v1::GetInfoRequest*, admin::v1::Info* reply) override;
  grpc::Status WatchStatus(grpc::ServerContext* context, const admin::v1::WatchStatusRequest* request,
                           grpc::ServerWriter<admin::v1::Status>* writer) override;
  grpc::Status TailBus(grpc::ServerContext* context,
                       grpc::ServerReaderWriter<admin::v1::TailChunk, admin::v1::TailRequest>* stream) override;
  grpc::Status CreateCheckpoint(grpc::ServerContext*, const admin::v1::CreateCheckpointRequest*,
                                admin::v1::Checkpoint* reply) override;
  grpc::Status ListCheckpoints(grpc::ServerContext*, const admin::v1::ListCheckpointsRequest*,
                               admin::v1::Checkpoints* reply) override;
  grpc::Status VerifyCheckpoint(grpc::ServerContext*, const admin::v1::VerifyCheckpointRequest* request,
                                admin::v1::Checkpoint* reply) override;
  grpc::Status PruneCheckpoints(grpc::ServerContext*, const admin::v1::PruneCheckpointsRequest* request,
                                admin::v1::PrunedCheckpoints* reply) override;
  grpc::Status ResumeFrom(grpc::ServerContext*, const admin::v1::ResumeFromRequest* request,
                          admin::v1::ResumeFromReply* reply) override;

 private:
  void FillWhole(const CheckpointInfo& info, admin::v1::Checkpoint* message) const;

  AdminBackend* const backend_;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::condition_variable stopped_;  // guarded by mutex_: stopping_ became true
};

}  // namespace everstate
