#include "server/ingest/endpoint.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace everstate::ingest {

absl::StatusOr<Endpoint> ParseEndpoint(const std::string& url) {
  const auto bad = [&](const char* rule) {
    return absl::InvalidArgumentError(absl::StrCat("endpoint \"", url, "\": ", rule));
  };
  Endpoint endpoint;
  endpoint.tls = absl::StartsWith(url, "https://");
  if (!endpoint.tls && !absl::StartsWith(url, "http://")) return bad("it must begin with http:// or https://");
  std::string rest = url.substr(endpoint.tls ? 8 : 7);
  if (!rest.empty() && rest.back() == '/') rest.pop_back();
  if (rest.find_first_of("/?#@ ") != std::string::npos) return bad("only a host and a port may follow");
  // host, host:port, [v6] or [v6]:port.
  const bool brackets = rest.starts_with('[');
  const size_t host_end = brackets ? rest.find(']') : std::min(rest.find(':'), rest.size()) - 1;
  if (rest.empty() || rest.front() == ':' || host_end == std::string::npos) return bad("it names no host");
  endpoint.host_in_url = rest.substr(0, host_end + 1);
  endpoint.host = brackets ? rest.substr(1, host_end - 1) : endpoint.host_in_url;
  endpoint.port = rest.substr(host_end + 1);
  if (endpoint.port.empty()) {
    endpoint.port = endpoint.tls ? "443" : "80";
    return endpoint;
  }
  uint32_t number = 0;
  if (endpoint.port.front() != ':' || !absl::SimpleAtoi(endpoint.port.substr(1), &number) || number == 0 || number > 65535) {
    return bad("its port must be a number from 1 to 65535");
  }
  endpoint.port = std::to_string(number);
  return endpoint;
}

}  // namespace everstate::ingest
