// Listener: a port. Accepts on the first of its lanes and hands the sockets round among them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/fanout/state.h"

namespace everstate {

struct ListenerOptions {
  std::string name;          // for people, e.g. "listen address"
  std::string address;       // ADDR:PORT
  std::vector<Lane*> lanes;  // they outlive the listener
  int64_t connections_max;   // beyond so many of all ports a socket is closed at once, and counted
};

// Listener
//   Thread:    Open before the lanes run; Begin and Close on the first lane's thread.
//   Errors:    Open: AlreadyExists when the address is in use, InvalidArgument when it is no address.
class Listener {
 public:
  static absl::StatusOr<std::shared_ptr<Listener>> Open(FanoutState* state, const ListenerOptions& options);
  virtual ~Listener() = default;
  virtual void Begin() = 0;
  virtual void Close() = 0;
  virtual std::string address() const = 0;
};

}  // namespace everstate
