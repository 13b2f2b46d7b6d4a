// ADDR:PORT, the form of every address that something here listens on.
#pragma once

#include <sys/socket.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace everstate {

struct ListenAddress {
  std::string text;       // as it was said: "127.0.0.1:8877", "[::]:8877"
  std::string host;       // what stands before the port, an IPv6 address in its brackets
  bool loopback = false;  // reachable from this machine only
  // The same for the system.
  sockaddr_storage address = {};
  socklen_t size = 0;
};

// An IPv4 address, or an IPv6 address in brackets (RFC 3986 §3.2.2), a colon, and a port from 0 to 65535; 0 takes a
// free one. Names of hosts are none: nothing is asked of anybody to judge an address. InvalidArgument: the text, what
// is wrong with it and how an address is written; whoever asks knows the name of the setting.
absl::StatusOr<ListenAddress> ParseListenAddress(const std::string& text);

// Whether the system lets anybody listen there now: it is tried, and the socket is closed again. For gRPC, which does
// not say why it cannot. Errors: AlreadyExists (in use), Unavailable (the system's reason), both naming the address.
absl::Status TryToListen(const ListenAddress& listen);

}  // namespace everstate
