// A Yellowstone server that serves recordings: a chain that any client of the interface can follow, stop and resume.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace everstate {

// A stream asked for filters, or was refused them.
struct ReplaySubscribe {
  uint64_t stream = 0;  // counted from 1
  std::optional<uint64_t> from_slot;
  size_t accounts = 0;  // number of filters of each kind
  size_t transactions = 0;
  size_t transactions_status = 0;
  size_t slots = 0;
  size_t blocks_meta = 0;
  size_t entry = 0;
  absl::Status status;  // OK = the stream goes on with these filters
};

inline constexpr double kReplaySlotsPerSecondMax = 100000;

struct ReplayOptions {
  std::vector<std::string> files;      // served one after the other; their blocks must ascend
  std::string listen = "127.0.0.1:0";  // ADDR:PORT, IPv6 in brackets; port 0 takes a free one
  std::optional<double> slots_per_second =
      2.5;                                   // as the chain; empty = every stream as fast as its flow control allows
  bool loop = false;                         // begin again at the end, as the same chain's continuation
  uint32_t wait_subscribers = 1;             // the clock begins when so many streams have subscribed
  std::chrono::milliseconds start_delay{0};  // and this much later
  std::chrono::milliseconds ping_interval{10000};  // between two pings of a stream, as Yellowstone's
  std::optional<uint64_t> replay_slots;  // blocks that from_slot may reach back; 0 = not supported; empty = all
  std::function<void(const ReplaySubscribe&)> on_subscribe;  // called from the server's threads, one at a time
};

// Semantics of filters, from_slot, pings and errors are Yellowstone's, those of a confirmed stream. What it does not
// have (cuckoo filters, token_accounts, whole blocks, commitment finalized) is refused by name. Before the clock
// begins, a stream with from_slot sets it to that slot; unary calls answer INTERNAL "block is not available yet".
//
// Thread: any. Owns: its threads, sockets and the bytes of its files; the destructor stops it.
// Errors of Start: InvalidArgument (options, damaged recordings: file and offset), NotFound (a file), AlreadyExists
//   (the address is in use), Unavailable (it cannot listen there for another reason).
class ReplayServer {
 public:
  struct Progress {
    uint64_t slot = 0;  // of the newest block that is out, 0 = none yet
    uint64_t pass = 0;  // times that the recording was gone through
    size_t streams = 0;
    bool begun = false;
  };

  static absl::StatusOr<std::unique_ptr<ReplayServer>> Start(ReplayOptions options);
  ~ReplayServer();

  int port() const;
  uint64_t slot_first() const;  // of the recording's blocks, as recorded
  uint64_t slot_last() const;
  Progress progress() const;

  // Ends every stream with UNAVAILABLE. Returns within a second, however slow the clients are. May be called again.
  void Stop();

 private:
  class Impl;
  explicit ReplayServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace everstate
