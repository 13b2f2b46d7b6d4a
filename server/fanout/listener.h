// Listener: the port. Accepts on the first lane and hands the sockets round.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/fanout/state.h"

namespace everstate {

// Listener
//   Thread:    Open before the lanes run; Begin and Close on the first lane's thread.
//   Errors:    Open: AlreadyExists when the address is in use, InvalidArgument when it is no address.
class Listener {
 public:
  static absl::StatusOr<std::shared_ptr<Listener>> Open(FanoutState* state, const std::string& address);
  virtual ~Listener() = default;
  virtual void Begin() = 0;
  virtual void Close() = 0;
  virtual std::string address() const = 0;
};

}  // namespace everstate
