// The one connection to a server: who it is, its status, and the tail of its bus, kept through every loss.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "admin-gui/client/console_client.h"
#include "proto/admin.grpc.pb.h"

namespace everstate::console {

// Connection
//   Thread:    Take and SetTail from one; Post any. Inside: one thread that keeps it, and gRPC's.
//   Owns:      the events that wait to be taken, the status stream, the tail. The destructor ends the streams and waits
//              for both.
//   Invariant: bounded as console_client.h says.
class Connection {
 public:
  // `stub` must outlive it.
  Connection(const ClientOptions& options, api::Admin::Stub* stub);
  ~Connection();

  std::vector<Event> Take();
  void SetTail(const api::TailRequest& request);
  void Post(decltype(Event::what) what);  // one more event, and wakes

 private:
  class StatusStream;
  class TailStream;

  // What waits to be taken.
  struct Inbox {
    std::deque<Event> events;
    size_t statuses = 0, frames = 0, bytes = 0;  // in `events`; bytes are those of the tail

    void Add(Event event);
    std::vector<Event> Take();
    bool full() const { return frames > kTailFramesMax || bytes > kTailWaitingBytesMax; }
  };

  void Keep();  // the keeping thread
  // From GetInfo to its end, and why it ended; absent when stopping. `answered`: a status came.
  std::optional<std::string> FollowOnce(bool* answered);
  Time KeepTailLocked();  // opens a wanted tail; when to look again
  grpc::Status GetInfo(api::Info* info);
  void PostLocked(decltype(Event::what) what);
  void Wake() const {
    if (options_.wake) options_.wake();
  }

  const ClientOptions options_;
  api::Admin::Stub* const stub_;

  std::mutex mutex_;  // guards everything below but the thread
  std::condition_variable changed_;
  bool stopping_ = false;
  Inbox inbox_;
  grpc::ClientContext* get_info_ = nullptr;  // under way

  StatusStream* status_stream_ = nullptr;
  std::optional<grpc::Status> status_end_;
  Time heard_at_{};  // the newest status

  std::optional<api::TailRequest> tail_wanted_;
  TailStream* tail_stream_ = nullptr;
  Time tail_not_before_{};
  std::chrono::milliseconds tail_pause_{0};

  std::thread keeper_;
};

}  // namespace everstate::console
