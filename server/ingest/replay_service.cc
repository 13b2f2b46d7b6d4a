#include "server/ingest/replay_service.h"

#include <limits>

namespace everstate::replay {
namespace {

// Solana accepts a block hash for so many blocks.
constexpr uint64_t kBlockhashLifeBlocks = 150;

constexpr char kVersion[] = R"({"version":{"package":"everstate-replay","version":")" EVERSTATE_VERSION
                            R"(","proto":"12.6.0","solana":"recorded","git":"","rustc":""},)"
                            R"("extra":{"hostname":"replay"}})";

grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, const absl::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpc(status));
  return reactor;
}

}  // namespace

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* ReplayService::Subscribe(grpc::CallbackServerContext*) {
  return ReplayStream::Open(core_);
}

absl::StatusOr<BlockNumber> ReplayService::Tip(geyser::CommitmentLevel commitment) const {
  if (commitment != geyser::PROCESSED && commitment != geyser::CONFIRMED) {
    return absl::InvalidArgumentError("commitment: a replay serves processed and confirmed only, not finalized");
  }
  std::optional<BlockNumber> tip = core_->clock.Tip();
  if (!tip) return absl::InternalError("block is not available yet");
  return *tip;
}

grpc::ServerUnaryReactor* ReplayService::SubscribeReplayInfo(grpc::CallbackServerContext* context,
                                                             const geyser::SubscribeReplayInfoRequest*,
                                                             geyser::SubscribeReplayInfoResponse* response) {
  if (core_->clock.replay_supported()) {
    std::optional<BlockNumber> tip = core_->clock.Tip();
    response->set_first_available(tip ? core_->timeline.BlockSlot(core_->clock.Oldest(*tip))
                                      : std::numeric_limits<uint64_t>::max());
  }
  return Answer(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* ReplayService::Ping(grpc::CallbackServerContext* context, const geyser::PingRequest* request,
                                              geyser::PongResponse* response) {
  response->set_count(request->count());
  return Answer(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* ReplayService::GetLatestBlockhash(grpc::CallbackServerContext* context,
                                                            const geyser::GetLatestBlockhashRequest* request,
                                                            geyser::GetLatestBlockhashResponse* response) {
  absl::StatusOr<BlockNumber> tip = Tip(request->commitment());
  if (tip.ok()) {
    response->set_slot(core_->timeline.BlockSlot(*tip));
    response->set_blockhash(core_->timeline.BlockHash(*tip));
    response->set_last_valid_block_height(core_->timeline.BlockHeight(*tip) + kBlockhashLifeBlocks);
  }
  return Answer(context, tip.status());
}

grpc::ServerUnaryReactor* ReplayService::GetBlockHeight(grpc::CallbackServerContext* context,
                                                        const geyser::GetBlockHeightRequest* request,
                                                        geyser::GetBlockHeightResponse* response) {
  absl::StatusOr<BlockNumber> tip = Tip(request->commitment());
  if (tip.ok()) response->set_block_height(core_->timeline.BlockHeight(*tip));
  return Answer(context, tip.status());
}

grpc::ServerUnaryReactor* ReplayService::GetSlot(grpc::CallbackServerContext* context,
                                                 const geyser::GetSlotRequest* request,
                                                 geyser::GetSlotResponse* response) {
  absl::StatusOr<BlockNumber> tip = Tip(request->commitment());
  if (tip.ok()) response->set_slot(core_->timeline.BlockSlot(*tip));
  return Answer(context, tip.status());
}

grpc::ServerUnaryReactor* ReplayService::IsBlockhashValid(grpc::CallbackServerContext* context,
                                                          const geyser::IsBlockhashValidRequest* request,
                                                          geyser::IsBlockhashValidResponse* response) {
  absl::StatusOr<BlockNumber> tip = Tip(request->commitment());
  if (tip.ok()) {
    response->set_slot(core_->timeline.BlockSlot(*tip));
    for (uint64_t back = 0; back < kBlockhashLifeBlocks && back <= *tip && !response->valid(); ++back) {
      response->set_valid(core_->timeline.BlockHash(*tip - back) == request->blockhash());
    }
  }
  return Answer(context, tip.status());
}

grpc::ServerUnaryReactor* ReplayService::GetVersion(grpc::CallbackServerContext* context,
                                                    const geyser::GetVersionRequest*,
                                                    geyser::GetVersionResponse* response) {
  response->set_version(kVersion);
  return Answer(context, absl::OkStatus());
}

std::vector<std::shared_ptr<ReplayStream>> OpenStreams(ReplayCore& core) {
  std::vector<std::shared_ptr<ReplayStream>> open;
  std::lock_guard lock(core.streams_mutex);
  for (ReplayStream* stream : core.streams) {
    if (std::shared_ptr<ReplayStream> alive = stream->weak_from_this().lock()) open.push_back(std::move(alive));
  }
  return open;
}

ReplayTicker::ReplayTicker(std::shared_ptr<ReplayCore> core) : core_(std::move(core)), thread_([this] { Run(); }) {}

void ReplayTicker::Stop() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void ReplayTicker::Run() {
  while (true) {
    const SteadyTime now = std::chrono::steady_clock::now();
    SteadyTime next = core_->clock.Tick(now);
    for (const std::shared_ptr<ReplayStream>& stream : OpenStreams(*core_)) stream->Wake(now);
    if (core_->someone_hungry.exchange(false, std::memory_order_relaxed)) {
      next = std::min(next, now + std::chrono::milliseconds(1));
    }
    std::unique_lock lock(mutex_);
    if (wake_.wait_until(lock, next, [&] { return stop_; })) return;
  }
}

}  // namespace everstate::replay
