// The gRPC service of a replay: Subscribe as raw streams, the unary calls, and the thread that moves the clock.
#pragma once

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

// The generated service classes hide the synchronous methods of their base on purpose.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverloaded-virtual"
#include "proto/geyser.grpc.pb.h"
#pragma GCC diagnostic pop
#include "server/ingest/replay_stream.h"

namespace everstate::replay {

// SubscribeDeshred stays UNIMPLEMENTED: a recording has no shreds.
using ReplayServiceBase = geyser::Geyser::WithRawCallbackMethod_Subscribe<
    geyser::Geyser::WithCallbackMethod_SubscribeReplayInfo<geyser::Geyser::WithCallbackMethod_Ping<
        geyser::Geyser::WithCallbackMethod_GetLatestBlockhash<geyser::Geyser::WithCallbackMethod_GetBlockHeight<
            geyser::Geyser::WithCallbackMethod_GetSlot<geyser::Geyser::WithCallbackMethod_IsBlockhashValid<
                geyser::Geyser::WithCallbackMethod_GetVersion<geyser::Geyser::Service>>>>>>>>;

// Thread: gRPC's. The unary calls speak of the newest block that is out, at processed and confirmed alike.
class ReplayService final : public ReplayServiceBase {
 public:
  explicit ReplayService(std::shared_ptr<ReplayCore> core) : core_(std::move(core)) {}

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Subscribe(grpc::CallbackServerContext*) override;
  grpc::ServerUnaryReactor* SubscribeReplayInfo(grpc::CallbackServerContext* context,
                                                const geyser::SubscribeReplayInfoRequest* request,
                                                geyser::SubscribeReplayInfoResponse* response) override;
  grpc::ServerUnaryReactor* Ping(grpc::CallbackServerContext* context, const geyser::PingRequest* request,
                                 geyser::PongResponse* response) override;
  grpc::ServerUnaryReactor* GetLatestBlockhash(grpc::CallbackServerContext* context,
                                               const geyser::GetLatestBlockhashRequest* request,
                                               geyser::GetLatestBlockhashResponse* response) override;
  grpc::ServerUnaryReactor* GetBlockHeight(grpc::CallbackServerContext* context,
                                           const geyser::GetBlockHeightRequest* request,
                                           geyser::GetBlockHeightResponse* response) override;
  grpc::ServerUnaryReactor* GetSlot(grpc::CallbackServerContext* context, const geyser::GetSlotRequest* request,
                                    geyser::GetSlotResponse* response) override;
  grpc::ServerUnaryReactor* IsBlockhashValid(grpc::CallbackServerContext* context,
                                             const geyser::IsBlockhashValidRequest* request,
                                             geyser::IsBlockhashValidResponse* response) override;
  grpc::ServerUnaryReactor* GetVersion(grpc::CallbackServerContext* context, const geyser::GetVersionRequest* request,
                                       geyser::GetVersionResponse* response) override;

 private:
  absl::StatusOr<BlockNumber> Tip(geyser::CommitmentLevel commitment) const;

  const std::shared_ptr<ReplayCore> core_;
};

// Moves the clock and wakes the streams until it is stopped. Owns: its thread.
class ReplayTicker {
 public:
  explicit ReplayTicker(std::shared_ptr<ReplayCore> core);
  ~ReplayTicker() { Stop(); }

  void Stop();

 private:
  void Run();

  const std::shared_ptr<ReplayCore> core_;
  std::mutex mutex_;  // guards stop_
  std::condition_variable wake_;
  bool stop_ = false;
  std::thread thread_;
};

// Every open stream, kept alive while the caller looks at it.
std::vector<std::shared_ptr<ReplayStream>> OpenStreams(ReplayCore& core);

}  // namespace everstate::replay
