#include "server/base/listen_address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace everstate {
namespace {

// 127.0.0.0/8 (RFC 1122 §3.2.1.3).
bool ReadIpv4(const std::string& host, ListenAddress* result) {
  auto* address = reinterpret_cast<sockaddr_in*>(&result->address);
  if (inet_pton(AF_INET, host.c_str(), &address->sin_addr) != 1) return false;
  address->sin_family = AF_INET;
  result->size = sizeof *address;
  result->loopback = ntohl(address->sin_addr.s_addr) >> 24 == 127;
  return true;
}

// With the zone of a link-local address, if it has one (RFC 4007 §11). ::1 is RFC 4291 §2.5.3.
bool ReadIpv6(const std::string& host, ListenAddress* result) {
  addrinfo hints = {};
  hints.ai_family = AF_INET6;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) return false;
  std::memcpy(&result->address, found->ai_addr, found->ai_addrlen);
  result->size = found->ai_addrlen;
  freeaddrinfo(found);
  result->loopback = IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6*>(&result->address)->sin6_addr);
  return true;
}

void PutPort(uint16_t port, ListenAddress* result) {
  if (result->address.ss_family == AF_INET) {
    reinterpret_cast<sockaddr_in*>(&result->address)->sin_port = htons(port);
  } else {
    reinterpret_cast<sockaddr_in6*>(&result->address)->sin6_port = htons(port);
  }
}

}  // namespace

absl::StatusOr<ListenAddress> ParseListenAddress(const std::string& text) {
  const auto bad = [&text](const char* why) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" ", why, ": an address is written 127.0.0.1:8877 or [::]:8877"));
  };
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos || text.back() == ']') return bad("is no address and port");
  ListenAddress result{.text = text, .host = text.substr(0, colon)};
  uint16_t port = 0;
  const char* end = text.data() + text.size();
  const auto [at, fault] = std::from_chars(text.data() + colon + 1, end, port);
  if (fault != std::errc() || at != end) return bad("has no port from 0 to 65535");

  const bool brackets = result.host.size() > 2 && result.host.front() == '[' && result.host.back() == ']';
  const std::string host = brackets ? result.host.substr(1, result.host.size() - 2) : result.host;
  if (!brackets && host.find(':') != std::string::npos) return bad("has an IPv6 address without brackets");
  const bool whole = host.find('\0') == std::string::npos;  // for those that read up to the first one
  if (!whole || !(brackets ? ReadIpv6(host, &result) : ReadIpv4(host, &result))) return bad("has no IP address");
  PutPort(port, &result);
  return result;
}

absl::Status TryToListen(const ListenAddress& listen) {
  const int fd = socket(listen.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  absl::Status status;
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      bind(fd, reinterpret_cast<const sockaddr*>(&listen.address), listen.size) != 0 || ::listen(fd, 1) != 0) {
    const int error = errno;
    const std::string why =
        absl::StrCat("cannot listen on ", listen.text, ": ", std::generic_category().message(error));
    status = error == EADDRINUSE ? absl::AlreadyExistsError(why) : absl::UnavailableError(why);
  }
  if (fd >= 0) close(fd);
  return status;
}

}  // namespace everstate
