#include "admin-gui/client/channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include "absl/strings/str_cat.h"

namespace everstate::console {
namespace {

constexpr int kMessageBytesMax = 64 << 20;

std::string Name(grpc::StatusCode code) {
  switch (code) {
    case grpc::UNIMPLEMENTED:
      return "this server does not know that";
    case grpc::DEADLINE_EXCEEDED:
      return "no answer in time";
    case grpc::UNAVAILABLE:
      return "unreachable";
    case grpc::CANCELLED:
      return "the server ended the call";
    case grpc::DATA_LOSS:
      return "damaged";
    case grpc::FAILED_PRECONDITION:
    case grpc::INVALID_ARGUMENT:
      return "refused";
    case grpc::RESOURCE_EXHAUSTED:
      return "beyond a limit";
    default:
      return absl::StrCat("gRPC code ", static_cast<int>(code));
  }
}

}  // namespace

std::shared_ptr<grpc::Channel> Connect(const ClientOptions& options) {
  grpc::ChannelArguments arguments;
  // A server on this machine is not behind a proxy.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // The pauses between tries are ours; the channel's own must not outlast them. The minimum is how long one try may
  // take.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, static_cast<int>(options.retry_first.count()));
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, static_cast<int>(options.retry_first.count()));
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, static_cast<int>(options.call_timeout.count()));
  arguments.SetMaxReceiveMessageSize(kMessageBytesMax);
  return grpc::CreateCustomChannel(options.address, grpc::InsecureChannelCredentials(), arguments);
}

std::string Words(const grpc::Status& status) {
  if (status.ok()) return "the server ended the stream";
  return status.error_message().empty() ? Name(status.error_code())
                                        : absl::StrCat(Name(status.error_code()), ": ", status.error_message());
}

}  // namespace everstate::console
