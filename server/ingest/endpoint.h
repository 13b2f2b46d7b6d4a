// The URL of a Yellowstone endpoint, taken apart.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace everstate::ingest {

struct Endpoint {
  std::string host_in_url;  // an IPv6 address in its brackets
  std::string host;         // without them
  std::string port;         // 443 or 80 when the URL names none
  bool tls = false;
};

// http(s)://host[:port][/]. InvalidArgument naming the text and the rule that it breaks; what follows the host may be a
// credential, and then the text is not repeated.
absl::StatusOr<Endpoint> ParseEndpoint(const std::string& url);

}  // namespace everstate::ingest
