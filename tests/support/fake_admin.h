// An admin server that says what a test tells it to say, on a free port of the loopback interface, and remembers what
// it was asked.
#pragma once

#include <grpcpp/support/status.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "proto/admin.pb.h"

namespace grpc {
class Server;
}

namespace everstate {

// FakeAdmin
//   Thread:    any. Callbacks of `status` run on gRPC's threads, one at a time.
//   Invariant: everything that a request asked for is recorded before it is answered.
class FakeAdmin {
 public:
  FakeAdmin();
  ~FakeAdmin();

  // Listens; a second time on the same port, as a server that was started again.
  void Start();
  void Stop();  // streams end with CANCELLED, as when a process dies
  std::string address() const;

  // What it says. Change it while it runs; the next answer has it.
  void Configure(const std::function<void(FakeAdmin&)>& change);
  admin::v1::Info info;
  admin::v1::Status status;                                  // uptime_us is filled in
  std::function<void(admin::v1::Status*, uint64_t n)> tick;  // changes the n-th status; empty: none
  std::chrono::milliseconds pause_before_status{0};          // a slow server
  bool knows_info = true;
  uint64_t uptime_base_us = 1000000;
  admin::v1::Checkpoints checkpoints;
  grpc::Status verify_answer, resume_answer, create_answer;

  // Sends frames to every tail that is not paused and whose request they match.
  void SendFrames(const std::vector<admin::v1::TailFrame>& frames);

  // What it was asked.
  std::vector<admin::v1::TailRequest> tail_requests() const;
  std::vector<admin::v1::ResumeFromRequest> resume_requests() const;
  std::vector<std::string> verified() const;
  std::vector<uint32_t> pruned() const;
  int created() const;
  int watchers() const;  // WatchStatus streams open now
  int watched() const;   // ever
  uint64_t chunks_sent() const;

 private:
  class Service;  // the calls
  struct Tail;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  const std::unique_ptr<Service> service_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
  bool stopping_ = false;
  std::chrono::steady_clock::time_point started_;
  std::vector<Tail*> tails_;
  std::vector<admin::v1::TailRequest> tail_requests_;
  std::vector<admin::v1::ResumeFromRequest> resume_requests_;
  std::vector<std::string> verified_;
  std::vector<uint32_t> pruned_;
  int created_ = 0, watchers_ = 0, watched_ = 0;
  uint64_t chunks_sent_ = 0;
};

// A healthy server's answers, with two views, stages, queues, slots and an archive.
void ConfigureHealthy(FakeAdmin* server);
admin::v1::TailFrame TailFrameMessage(const std::string& view, const std::string& key, const std::string& op,
                                      uint64_t number, const std::string& text);
admin::v1::Checkpoint CheckpointMessage(uint64_t slot);

}  // namespace everstate
