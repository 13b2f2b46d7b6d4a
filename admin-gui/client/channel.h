// How a server is reached, and what a call that failed says to a person.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/support/status.h>

#include <memory>
#include <string>

#include "admin-gui/client/console_client.h"

namespace everstate::console {

// Does not wait: the first call connects.
std::shared_ptr<grpc::Channel> Connect(const ClientOptions& options);

// What kind of end it is, and the server's own words. A stream that ended without an error has an end too.
std::string Words(const grpc::Status& status);

}  // namespace everstate::console
