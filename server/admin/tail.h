// Tail: one TailBus call. The thread of the call reads the client's requests; a thread of its own listens to the bus
// and writes. Both end with the call.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "proto/admin.grpc.pb.h"
#include "server/admin/backend.h"
#include "server/admin/tail_filter.h"

namespace everstate {

// Tail
//   Thread:    Run in the call's.
//   Owns:      its tap, its writing thread.
//   Invariant: it holds one batch's texts (in the tap) and one chunk, however slow its client is; while it is paused
//              there is no tap.
class Tail {
 public:
  using Stream = grpc::ServerReaderWriter<admin::v1::TailChunk, admin::v1::TailRequest>;

  Tail(AdminBackend* backend, const std::atomic<bool>* stopping, grpc::ServerContext* context, Stream* stream)
      : backend_(backend), stopping_(stopping), context_(context), stream_(stream) {}
  grpc::Status Run();

 private:
  // The writing thread's.
  void Write();
  void Listen();
  bool Adopt(TailFilter filter);
  bool Forward(const std::vector<TappedFrame>& frames);
  bool Send(admin::v1::TailChunk* chunk);
  bool CountersAreNews(std::chrono::steady_clock::time_point now) const;
  std::optional<TailFilter> NextRequest();
  void WaitForRequest();
  bool Ended() const;
  void End(absl::Status status);

  AdminBackend* const backend_;
  const std::atomic<bool>* const stopping_;
  grpc::ServerContext* const context_;
  Stream* const stream_;
  std::atomic<bool> ended_{false};

  std::mutex mutex_;  // guards the next two
  std::optional<TailFilter> requested_;
  absl::Status failure_;  // why the writing thread gave up
  std::condition_variable changed_;

  // The writing thread's own.
  std::optional<TailFilter> filter_;
  std::optional<Sampler> sampler_;
  std::unique_ptr<BusTap> tap_;
  uint64_t skipped_ = 0;
  uint64_t missed_before_ = 0, missed_ = 0;  // of the taps before this one; of this one
  uint64_t skipped_said_ = 0, missed_said_ = 0;
  std::chrono::steady_clock::time_point said_at_{};
};

}  // namespace everstate
