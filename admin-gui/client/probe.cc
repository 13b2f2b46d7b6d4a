#include "admin-gui/client/probe.h"

#include <grpcpp/grpcpp.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "admin-gui/client/channel.h"
#include "proto/admin.grpc.pb.h"

namespace everstate::console {

absl::StatusOr<Probe> ProbeServer(const ClientOptions& options, std::chrono::milliseconds over) {
  using std::chrono::system_clock;
  const auto stub = api::Admin::NewStub(Connect(options));
  const auto failed = [&](const grpc::Status& status) {
    return absl::UnavailableError(absl::StrCat(options.address, ": ", Words(status)));
  };
  Probe probe;
  {
    grpc::ClientContext context;
    context.set_deadline(system_clock::now() + options.call_timeout);
    api::Info info;
    const grpc::Status got = stub->GetInfo(&context, {}, &info);
    if (!got.ok() && got.error_code() != grpc::UNIMPLEMENTED) return failed(got);
    if (got.ok()) probe.info = std::move(info);
  }
  grpc::ClientContext context;
  context.set_deadline(system_clock::now() + options.call_timeout + over);
  api::WatchStatusRequest request;
  request.set_interval_ms(static_cast<uint32_t>(over.count()));
  const auto reader = stub->WatchStatus(&context, request);
  const bool both = reader->Read(&probe.first) && reader->Read(&probe.second);
  context.TryCancel();
  const grpc::Status ended = reader->Finish();
  if (!both) return failed(ended);
  return probe;
}

}  // namespace everstate::console
