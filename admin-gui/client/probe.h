// One look at a server, without a window.
#pragma once

#include <chrono>
#include <optional>

#include "absl/status/statusor.h"
#include "admin-gui/client/console_client.h"

namespace everstate::console {

// What a look without a window sees.
struct Probe {
  std::optional<api::Info> info;  // absent: the server knows no GetInfo
  api::Status first, second;      // `over` apart
};

// GetInfo, then two statuses `over` apart. Unavailable, with the server's own words when it has some,
// within call_timeout + over.
absl::StatusOr<Probe> ProbeServer(const ClientOptions& options, std::chrono::milliseconds over);

}  // namespace everstate::console
