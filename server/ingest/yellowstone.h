// A Yellowstone gRPC endpoint as a Source.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/ingest/source.h"

namespace everstate::ingest {

struct YellowstoneOptions {
  std::string endpoint;  // http://host:port or https://host[:port] (TLS with the system's roots)
  std::string x_token;   // metadata "x-token"; empty = none. Never written to a log or an error
  uint32_t connect_timeout_ms = 10000;
  uint32_t replay_info_timeout_ms = 2000;  // a provider that has not said by then how far it reaches back does not tell
  uint32_t ping_interval_ms = 15000;       // application-level pings, so that proxies see a client that speaks
  size_t receive_bytes_max = 64u << 20;    // above the largest account (10 MiB) with all its overhead
};

// InvalidArgument when it is no such URL. What follows the host may be a credential: the message does not repeat it.
absl::Status CheckEndpoint(const std::string& endpoint);

// InvalidArgument when it cannot be sent; the message does not repeat it.
absl::Status CheckToken(const std::string& x_token);

// The SubscribeRequest that a subscription becomes, as JSON with the names of geyser.proto.
std::string SubscribeRequestJson(const Subscription& subscription);

// Errors: those of CheckEndpoint and CheckToken, naming which of the two; what stands against TLS.
absl::StatusOr<std::unique_ptr<Source>> OpenYellowstone(const YellowstoneOptions& options);

}  // namespace everstate::ingest
