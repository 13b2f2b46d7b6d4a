// The address that the service listens on.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace everstate {

struct ListenAddress {
  std::string host;       // as it was said, brackets included
  bool loopback = false;  // reachable from this machine only
};

// gRPC does not say why it cannot listen: the system is asked the same question first, and the socket is closed again.
// Errors: InvalidArgument (no ADDR:PORT, or its host has no address), AlreadyExists (in use), Unavailable (the system's
// reason).
absl::StatusOr<ListenAddress> CheckListenAddress(const std::string& listen);

}  // namespace everstate
