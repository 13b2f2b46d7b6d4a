#include "tests/support/scripted_geyser.h"

#include <algorithm>
#include <chrono>
#include <thread>

namespace everstate::testing {

bool ScriptedCall::Send(const std::vector<std::string>& messages) {
  for (const std::string& message : messages) {
    geyser::SubscribeUpdate update;
    if (!update.ParseFromString(message) || !stream_->Write(update)) return false;
  }
  return true;
}

grpc::Status ScriptedCall::Hang() {
  while (!context_->IsCancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  return grpc::Status::OK;
}

grpc::Status ScriptedCall::ServePings(std::mutex* mutex, std::vector<int32_t>* ids) {
  geyser::SubscribeRequest request;
  while (stream_->Read(&request)) {
    {
      std::lock_guard lock(*mutex);
      ids->push_back(request.has_ping() &&
                             request.accounts_size() + request.transactions_size() + request.slots_size() == 0
                         ? request.ping().id()
                         : -1);
    }
    geyser::SubscribeUpdate pong;
    pong.mutable_pong()->set_id(request.ping().id());
    stream_->Write(pong);
  }
  return grpc::Status::OK;
}

class ScriptedGeyser::Service : public geyser::Geyser::Service {
 public:
  explicit Service(ScriptedGeyser* owner) : owner_(owner) {}

  grpc::Status Subscribe(grpc::ServerContext* context, ScriptedCall::Stream* stream) override {
    geyser::SubscribeRequest request;
    if (!stream->Read(&request)) return grpc::Status::OK;
    size_t number = 0;
    {
      std::lock_guard lock(owner_->mutex_);
      number = owner_->requests_.size();
      owner_->requests_.push_back(request);
      owner_->tokens_.push_back(TokenOf(*context));
    }
    ++owner_->calls_;
    ScriptedCall call(context, stream, std::move(request));
    return owner_->scripts_[std::min(number, owner_->scripts_.size() - 1)](call);
  }

  grpc::Status GetSlot(grpc::ServerContext*, const geyser::GetSlotRequest*,
                       geyser::GetSlotResponse* response) override {
    if (owner_->tip_ == 0) return {grpc::StatusCode::UNIMPLEMENTED, "method disabled"};
    response->set_slot(owner_->tip_);
    return grpc::Status::OK;
  }

  grpc::Status SubscribeReplayInfo(grpc::ServerContext*, const geyser::SubscribeReplayInfoRequest*,
                                   geyser::SubscribeReplayInfoResponse* response) override {
    if (owner_->first_available_ != 0) response->set_first_available(owner_->first_available_);
    return grpc::Status::OK;
  }

  grpc::Status GetVersion(grpc::ServerContext*, const geyser::GetVersionRequest*,
                          geyser::GetVersionResponse* response) override {
    response->set_version("scripted");
    return grpc::Status::OK;
  }

 private:
  static std::string TokenOf(const grpc::ServerContext& context) {
    const auto it = context.client_metadata().find("x-token");
    return it == context.client_metadata().end() ? "" : std::string(it->second.data(), it->second.size());
  }

  ScriptedGeyser* const owner_;
};

ScriptedGeyser::ScriptedGeyser(std::vector<Script> scripts)
    : scripts_(std::move(scripts)), service_(std::make_unique<Service>(this)) {
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
  builder.SetMaxReceiveMessageSize(-1);
  builder.SetMaxSendMessageSize(-1);
  builder.RegisterService(service_.get());
  server_ = builder.BuildAndStart();
}

ScriptedGeyser::~ScriptedGeyser() { server_->Shutdown(std::chrono::system_clock::now()); }

std::vector<geyser::SubscribeRequest> ScriptedGeyser::requests() const {
  std::lock_guard lock(mutex_);
  return requests_;
}

std::vector<std::string> ScriptedGeyser::tokens() const {
  std::lock_guard lock(mutex_);
  return tokens_;
}

}  // namespace everstate::testing
