// A Yellowstone server on a free port of 127.0.0.1 whose every Subscribe call does what the test says, by the stock
// generated service.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "proto/geyser.grpc.pb.h"

namespace everstate::testing {

// One Subscribe call, seen from the server.   Thread: the call's.
class ScriptedCall {
 public:
  using Stream = grpc::ServerReaderWriter<geyser::SubscribeUpdate, geyser::SubscribeRequest>;
  ScriptedCall(grpc::ServerContext* context, Stream* stream, geyser::SubscribeRequest request)
      : context_(context), stream_(stream), request_(std::move(request)) {}

  const geyser::SubscribeRequest& request() const { return request_; }
  std::optional<uint64_t> from_slot() const {
    return request_.has_from_slot() ? std::optional(request_.from_slot()) : std::nullopt;
  }
  bool Send(const geyser::SubscribeUpdate& update) { return stream_->Write(update); }
  bool Send(const std::vector<std::string>& messages);
  bool Send(const std::string& message) { return Send(std::vector<std::string>{message}); }
  // Says nothing until the client goes away.
  grpc::Status Hang();
  // Answers pings with pongs until the client goes away; the ids are appended to *ids.
  grpc::Status ServePings(std::mutex* mutex, std::vector<int32_t>* ids);

 private:
  grpc::ServerContext* const context_;
  Stream* const stream_;
  const geyser::SubscribeRequest request_;
};

// ScriptedGeyser
//   Thread:    any; scripts run in gRPC's threads.
//   Invariant: the n-th Subscribe call runs the n-th script, later ones the last.
class ScriptedGeyser {
 public:
  using Script = std::function<grpc::Status(ScriptedCall&)>;
  explicit ScriptedGeyser(std::vector<Script> scripts);
  ~ScriptedGeyser();

  std::string endpoint() const { return "http://127.0.0.1:" + std::to_string(port_); }
  void set_tip(uint64_t slot) { tip_ = slot; }                          // 0: GetSlot is UNIMPLEMENTED
  void set_first_available(uint64_t slot) { first_available_ = slot; }  // 0: it replays nothing, and says so
  int calls() const { return calls_; }
  // Of all Subscribe calls so far.
  std::vector<geyser::SubscribeRequest> requests() const;
  std::vector<std::string> tokens() const;

 private:
  class Service;
  const std::vector<Script> scripts_;
  std::atomic<uint64_t> tip_{0}, first_available_{0};
  std::atomic<int> calls_{0};
  mutable std::mutex mutex_;
  std::vector<geyser::SubscribeRequest> requests_;
  std::vector<std::string> tokens_;
  std::unique_ptr<Service> service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace everstate::testing
