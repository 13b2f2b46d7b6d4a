#include "server/admin/admin_server.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/admin/backend.h"
#include "server/admin/service.h"
#include "server/base/listen_address.h"
#include "server/base/log.h"

namespace everstate {
namespace {

constexpr int kRequestBytesMax = 64 << 10;
constexpr std::chrono::milliseconds kStopGrace{200};  // for ends that clients read; then calls are cancelled
// A console whose machine went to sleep leaves its connection half-open; its thread is given back after these.
constexpr int kKeepaliveMs = 20000, kKeepaliveTimeoutMs = 10000;
constexpr int kClientPingIntervalMsMin = 5000;

absl::StatusOr<ListenAddress> CheckedAddress(const std::string& listen) {
  const auto address = ParseListenAddress(listen);
  const absl::Status status = address.ok() ? TryToListen(*address) : address.status();
  if (status.ok()) return *address;
  return absl::Status(status.code(), absl::StrCat("the admin service ", std::string(status.message())));
}

}  // namespace

struct AdminServer::Impl {
  explicit Impl(std::unique_ptr<AdminBackend> b) : backend(std::move(b)), service(backend.get()) {}

  absl::Status Listen(const AdminOptions& options) {
    const auto checked = CheckedAddress(options.listen);
    if (!checked.ok()) return checked.status();
    grpc::ResourceQuota quota("admin");
    quota.SetMaxThreads(options.threads_max);
    int port = 0;
    grpc::ServerBuilder builder;
    builder.SetResourceQuota(quota);
    builder.SetMaxReceiveMessageSize(kRequestBytesMax);
    builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
    builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 2);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kClientPingIntervalMsMin);
    builder.AddListeningPort(options.listen, grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&service);
    server = builder.BuildAndStart();
    if (server == nullptr || port == 0)
      return absl::UnavailableError(absl::StrCat("the admin service cannot listen on ", options.listen));
    address = absl::StrCat(checked->host, ":", port);
    if (!checked->loopback) {
      LogWarn(
          Room::kAdmin,
          "the admin service listens on {}, and nothing asks who calls: everybody who reaches it can watch, rewind and "
          "delete checkpoints",
          address);
    }
    return absl::OkStatus();
  }

  void Stop() {
    if (server == nullptr) return;
    service.EndStreams();
    server->Shutdown(std::chrono::system_clock::now() + kStopGrace);
    server.reset();
  }

  const std::unique_ptr<AdminBackend> backend;
  AdminService service;
  std::unique_ptr<grpc::Server> server;
  std::string address;
};

AdminServer::AdminServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
AdminServer::~AdminServer() { Stop(); }

absl::Status AdminServer::CheckAddress(const std::string& listen) { return CheckedAddress(listen).status(); }

absl::StatusOr<std::unique_ptr<AdminServer>> AdminServer::Start(const AdminOptions& options,
                                                                std::unique_ptr<AdminBackend> backend) {
  auto impl = std::make_unique<Impl>(std::move(backend));
  if (absl::Status status = impl->Listen(options); !status.ok()) return status;
  return std::unique_ptr<AdminServer>(new AdminServer(std::move(impl)));
}

std::string AdminServer::address() const { return impl_->address; }
void AdminServer::Stop() { impl_->Stop(); }

}  // namespace everstate
