#include "server/ingest/endpoint.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace everstate::ingest {

absl::StatusOr<Endpoint> ParseEndpoint(const std::string& url) {
  Endpoint endpoint;
  endpoint.tls = absl::StartsWith(url, "https://");
  const size_t scheme_end = url.find("://");
  std::string rest = scheme_end == std::string::npos ? url : url.substr(scheme_end + 3);
  if (!rest.empty() && rest.back() == '/') rest.pop_back();
  const bool more = rest.find_first_of("/?#@ ") != std::string::npos;
  const auto bad = [&](const char* rule) {
    return absl::InvalidArgumentError(more ? rule : absl::StrCat("\"", url, "\" ", rule));
  };
  if (!endpoint.tls && !absl::StartsWith(url, "http://")) return bad("must begin with http:// or https://");
  if (more) return bad("may hold only a host and a port after http:// or https://: a token is said by itself");
  // host, host:port, [v6] or [v6]:port.
  const bool brackets = rest.starts_with('[');
  const size_t host_end = brackets ? rest.find(']') : std::min(rest.find(':'), rest.size()) - 1;
  if (rest.empty() || rest.front() == ':' || host_end == std::string::npos) return bad("names no host");
  endpoint.host_in_url = rest.substr(0, host_end + 1);
  endpoint.host = brackets ? rest.substr(1, host_end - 1) : endpoint.host_in_url;
  endpoint.port = rest.substr(host_end + 1);
  if (endpoint.port.empty()) {
    endpoint.port = endpoint.tls ? "443" : "80";
    return endpoint;
  }
  uint32_t number = 0;
  if (endpoint.port.front() != ':' || !absl::SimpleAtoi(endpoint.port.substr(1), &number) || number == 0 ||
      number > 65535) {
    return bad("must have a port from 1 to 65535");
  }
  endpoint.port = std::to_string(number);
  return endpoint;
}

}  // namespace everstate::ingest
