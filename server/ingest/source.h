// Source: the seam between a feed and everything behind it. Raw messages in owned buffers; no gRPC type crosses it.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/model.h"

namespace everstate::ingest {

// What the stream has to carry; it becomes the filters of one Yellowstone SubscribeRequest.
struct Subscription {
  // Transactions {vote: false, failed: false, account_include}
  std::vector<std::array<uint8_t, 32>> transaction_programs;
  std::vector<std::array<uint8_t, 32>> account_owners;  // accounts {owner}
  Commitment commitment = Commitment::kConfirmed;
  bool everything = false;  // all accounts and all transactions, votes and failed ones too; the lists are empty then
};

// One connection's feed.
//   Thread:    Next from one thread; Cancel from any.
//   Errors:    a status that is not OK ends the connection: the code and text are the server's (OutOfRange: from_slot
//              is too old; Internal: see the text; Unauthenticated …) or DeadlineExceeded when nothing was heard in
//              time (half-open).
class Connection {
 public:
  virtual ~Connection() = default;
  // The next SubscribeUpdate message as it came (protobuf bytes). Empty when `deadline` passed without one.
  virtual absl::StatusOr<std::optional<std::string>> Next(std::chrono::steady_clock::time_point deadline) = 0;
  virtual void Cancel() = 0;
};

// Where connections come from.
//   Thread:    Connect and Tip from one thread; the rest from any.
class Source {
 public:
  virtual ~Source() = default;
  virtual absl::StatusOr<std::unique_ptr<Connection>> Connect(const Subscription& subscription,
                                                              std::optional<Slot> from_slot) = 0;
  // The provider's newest slot at the subscription's commitment. Unimplemented when it does not tell.
  virtual absl::StatusOr<Slot> Tip(Commitment commitment) = 0;
  // The first slot that the provider could replay from now; moves on with its tip. NotFound when it says that it
  // replays nothing, FailedPrecondition before the first Connect; Unimplemented and others when it does not tell.
  virtual absl::StatusOr<Slot> FirstReplayable() { return absl::UnimplementedError("the source does not tell"); }
  // Ends a Connect or Tip that is waiting, and every later one, with Cancelled. Connections are cancelled by
  // themselves.
  virtual void Cancel() {}
};

}  // namespace everstate::ingest
