#include "server/admin/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/admin/text.h"

namespace everstate {
namespace {

// 127.0.0.0/8 (RFC 1122 §3.2.1.3) and ::1 (RFC 4291 §2.5.3).
bool IsLoopback(const sockaddr* address) {
  if (address->sa_family == AF_INET)
    return ntohl(reinterpret_cast<const sockaddr_in*>(address)->sin_addr.s_addr) >> 24 == 127;
  return address->sa_family == AF_INET6 &&
         IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr);
}

absl::Status TryToListen(const addrinfo& address, const std::string& listen) {
  const int fd = socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  absl::Status status;
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      bind(fd, address.ai_addr, address.ai_addrlen) != 0 || ::listen(fd, 1) != 0) {
    const std::string text = absl::StrCat("the admin service cannot listen on ", listen, ": ", std::strerror(errno));
    status = errno == EADDRINUSE ? absl::AlreadyExistsError(text) : absl::UnavailableError(text);
  }
  if (fd >= 0) close(fd);
  return status;
}

}  // namespace

absl::StatusOr<ListenAddress> CheckListenAddress(const std::string& listen) {
  const std::string shown = ProtoText(listen, 200);
  const size_t colon = listen.rfind(':');
  uint32_t port = 0;
  if (colon == std::string::npos || colon == 0 || !absl::SimpleAtoi(listen.substr(colon + 1), &port) || port > 65535) {
    return absl::InvalidArgumentError(absl::StrCat("--admin \"", shown, "\" is neither ADDR:PORT nor off"));
  }
  ListenAddress result{listen.substr(0, colon), true};
  std::string host = result.host;
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string::npos) {  // gRPC would take the port for a part of the address
    return absl::InvalidArgumentError(absl::StrCat("--admin \"", shown, "\": an IPv6 address is written in brackets"));
  }
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found); error != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("--admin \"", shown, "\": cannot resolve its host: ", gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, freeaddrinfo);
  for (const addrinfo* a = found; a != nullptr; a = a->ai_next) result.loopback &= IsLoopback(a->ai_addr);
  if (absl::Status status = TryToListen(*found, shown); !status.ok()) return status;
  return result;
}

}  // namespace everstate
