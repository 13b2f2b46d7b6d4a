#include "server/admin/service.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "server/admin/status_proto.h"
#include "server/admin/tail.h"
#include "server/admin/text.h"

namespace everstate {
namespace {

namespace pb = admin::v1;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr uint32_t kIntervalMs = 250, kIntervalMsMin = 50, kIntervalMsMax = 60000;
constexpr milliseconds kLook{100};     // how long a client that went may go unnoticed
constexpr size_t kNameBytesMax = 255;  // of a file (NAME_MAX)

absl::Status CheckName(const std::string& name) {
  if (name.empty()) return absl::InvalidArgumentError("name: it must be set");
  if (name.size() > kNameBytesMax)
    return absl::InvalidArgumentError(absl::StrCat("name: ", name.size(), " bytes are more than ", kNameBytesMax));
  if (name == "." || name == ".." || name.find_first_of(std::string_view("/\0", 2)) != std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("name: \"", ProtoText(name, 100), "\" is no name of a checkpoint, as the list tells them"));
  }
  return absl::OkStatus();
}

}  // namespace

void AdminService::EndStreams() {
  std::lock_guard lock(mutex_);
  stopping_ = true;
  stopped_.notify_all();
}

grpc::Status AdminService::GetInfo(grpc::ServerContext*, const pb::GetInfoRequest*, pb::Info* reply) {
  FillInfo(backend_->info(), reply);
  return grpc::Status::OK;
}

grpc::Status AdminService::WatchStatus(grpc::ServerContext* context, const pb::WatchStatusRequest* request,
                                       grpc::ServerWriter<pb::Status>* writer) {
  const uint32_t interval_ms = request->interval_ms() == 0 ? kIntervalMs : request->interval_ms();
  if (interval_ms < kIntervalMsMin || interval_ms > kIntervalMsMax) {
    return ToGrpc(absl::InvalidArgumentError(
        absl::StrCat("interval_ms: ", interval_ms, " is not from ", kIntervalMsMin, " to ", kIntervalMsMax)));
  }
  auto due = steady_clock::now();
  while (!stopping_.load() && !context->IsCancelled()) {
    if (const auto now = steady_clock::now(); now >= due) {
      pb::Status status;
      FillStatus(backend_->status(), &status);
      if (!writer->Write(status)) return grpc::Status::OK;
      due = now + milliseconds(interval_ms);  // what a slow client let pass is not made up for
    }
    std::unique_lock lock(mutex_);
    stopped_.wait_until(lock, std::min(due, steady_clock::now() + kLook), [this] { return stopping_.load(); });
  }
  return stopping_.load() ? ToGrpc(absl::UnavailableError("the server is shutting down")) : grpc::Status::OK;
}

grpc::Status AdminService::TailBus(grpc::ServerContext* context,
                                   grpc::ServerReaderWriter<pb::TailChunk, pb::TailRequest>* stream) {
  return Tail(backend_, &stopping_, context, stream).Run();
}

void AdminService::FillWhole(const CheckpointInfo& info, pb::Checkpoint* message) const {
  FillCheckpoint(info, message);
  message->set_ours(backend_->Ours(info));
  message->set_reach(ProtoText(backend_->ReachOf(info)));
}

grpc::Status AdminService::CreateCheckpoint(grpc::ServerContext*, const pb::CreateCheckpointRequest*,
                                            pb::Checkpoint* reply) {
  const auto info = backend_->CreateCheckpoint();
  if (info.ok()) FillWhole(*info, reply);
  return ToGrpc(info.status());
}

grpc::Status AdminService::ListCheckpoints(grpc::ServerContext*, const pb::ListCheckpointsRequest*,
                                           pb::Checkpoints* reply) {
  const auto entries = backend_->ListCheckpoints();
  if (!entries.ok()) return ToGrpc(entries.status());
  for (const CheckpointEntry& entry : *entries) {
    pb::Checkpoint* message = reply->add_checkpoints();
    if (entry.status.ok()) {
      FillWhole(entry.info, message);
    } else {
      FillCheckpoint(entry.info, message);
      message->set_damage(ProtoText({entry.status.message().data(), entry.status.message().size()}));
    }
  }
  return grpc::Status::OK;
}

grpc::Status AdminService::VerifyCheckpoint(grpc::ServerContext*, const pb::VerifyCheckpointRequest* request,
                                            pb::Checkpoint* reply) {
  if (absl::Status status = CheckName(request->name()); !status.ok()) return ToGrpc(status);
  const auto info = backend_->VerifyCheckpoint(request->name());
  if (info.ok()) FillWhole(*info, reply);
  return ToGrpc(info.status());
}

grpc::Status AdminService::PruneCheckpoints(grpc::ServerContext*, const pb::PruneCheckpointsRequest* request,
                                            pb::PrunedCheckpoints* reply) {
  if (request->keep() == 0) return ToGrpc(absl::InvalidArgumentError("keep: at least 1 checkpoint must be kept"));
  const auto names = backend_->PruneCheckpoints(request->keep());
  if (names.ok()) {
    for (const std::string& name : *names) reply->add_names(ProtoText(name));
  }
  return ToGrpc(names.status());
}

grpc::Status AdminService::ResumeFrom(grpc::ServerContext*, const pb::ResumeFromRequest* request,
                                      pb::ResumeFromReply* reply) {
  if (request->slot() == 0) return ToGrpc(absl::InvalidArgumentError("slot: it must be set"));
  const auto begun =
      backend_->ResumeFrom({.slot = request->slot(), .again = request->again(), .accept_gap = request->accept_gap()});
  if (begun.ok()) {
    reply->set_checkpoint(ProtoText(begun->checkpoint));
    reply->set_generation(begun->generation);
    reply->set_nothing_to_do(begun->nothing_to_do);
  }
  return ToGrpc(begun.status());
}

}  // namespace everstate
