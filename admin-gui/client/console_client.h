// The console's one line to a server: proto/admin.proto over gRPC. No gRPC type leaves this folder, and nothing
// is drawn or waited for here: what happened comes out as events, what is wanted goes in as commands.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "admin-gui/client/console_events.h"

namespace everstate::console {

struct ClientOptions {
  std::string address = "127.0.0.1:8880";  // ADDR:PORT, or unix:PATH
  std::chrono::milliseconds status_interval{250};
  // No status for this long: the server counts as lost, and is connected anew.
  std::chrono::milliseconds silence_max{10000};
  std::chrono::milliseconds call_timeout{5000};  // GetInfo, and how long a connection may take
  std::chrono::milliseconds retry_first{250}, retry_max{5000};
  std::function<void()> wake;  // called from any thread when there are events; may be empty
};

// Commands as the model names them while they are under way.
inline constexpr char kCreateCheckpoint[] = "create a checkpoint";
inline constexpr char kVerifyCheckpoint[] = "verify a checkpoint";
inline constexpr char kPruneCheckpoints[] = "prune checkpoints";
inline constexpr char kRewind[] = "rewind";

inline constexpr size_t kStatusesMax = 64;
inline constexpr size_t kTailFramesMax = 5000;
inline constexpr size_t kTailWaitingBytesMax = 32u << 20;  // one chunk more may come

// ConsoleClient
//   Thread:    its methods from one thread; none waits. Inside: one thread that keeps the connection, and gRPC's.
//   Owns:      the channel, the connection, calls under way. The destructor cancels and waits for all of them.
//   Errors:    events (Lost, TailEnded, CheckpointsFailed, CommandDone with ok = false), each with the server's own
//              words.
//   Invariant: bounded: at most kStatusesMax statuses wait to be taken (older ones are dropped: counters lose nothing),
//              and the tail is not read on while more than kTailFramesMax frames or kTailWaitingBytesMax bytes wait, so
//              that the server drops and counts.
class ConsoleClient {
 public:
  explicit ConsoleClient(ClientOptions options);
  ~ConsoleClient();

  // What happened since the last call, in order.
  std::vector<Event> Take();

  // What to listen to from now on, through every reconnect. The newest request wins.
  void SetTail(const api::TailRequest& request);

  void ListCheckpoints();
  void CreateCheckpoint();
  void VerifyCheckpoint(const std::string& name);
  void PruneCheckpoints(uint32_t keep);
  void ResumeFrom(uint64_t slot, bool again, bool accept_gap);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace everstate::console
