// Lane: one thread with its connections, and who of them listens to what.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "server/base/thread_role.h"
#include "server/fanout/publication.h"
#include "server/fanout/send_queue.h"
#include "server/fanout/state.h"
#include "server/fanout/view_feed.h"

namespace boost::asio {
class io_context;
}

namespace everstate {

using SteadyTime = std::chrono::steady_clock::time_point;

// A connection of a lane, whatever stage it is in. All functions are called on the lane's thread.
class Peer : public std::enable_shared_from_this<Peer> {
 public:
  virtual ~Peer() = default;
  virtual void OnTick(SteadyTime now) = 0;  // deadlines; may remove itself
  virtual void OnStop() = 0;                // must see to it that it is removed before long
  virtual void OnAttach() {}                // the store is there
  virtual void Flush() {}                   // after MarkDirty

 private:
  friend class Lane;
  size_t position_ = 0;
  bool dirty_ = false;
};

// Lane
//   Thread:    its own, one; Post and Publish from any.
//   Owns:      its connections and the topic table.
//   Invariant: publications come in order of number; what was queued during one event goes out at its end, with one write per
//              socket.
class Lane {
 public:
  explicit Lane(FanoutState* state);
  ~Lane();

  void Start();
  void Wait();  // until the lane has ended, which StopSoon brings about
  void Post(std::function<void()> work);
  void Publish(std::shared_ptr<const Publication> publication);
  boost::asio::io_context& io();

  // The rest on the lane's thread only.
  FanoutState& state() { return *state_; }
  void Adopt(int socket);  // a fresh connection
  void Add(std::shared_ptr<Peer> peer);
  void Remove(Peer* peer);  // the caller holds a reference of its own
  void MarkDirty(Peer* peer);
  void FlushDirty();     // every handler of ours ends with it
  void ScheduleFlush();  // for what is queued inside somebody else's handler
  // Sends what is queued, then half-closes and waits for the peer's end: lingering.h.
  void Linger(int socket, SendQueue queue);
  void Attach();
  void StopSoon();
  bool stopping() const { return stopping_; }

  Number number() const { return number_; }
  void Join(ViewFeed* feed, const std::optional<std::string>& key);
  void Leave(ViewFeed* feed, const std::optional<std::string>& key);
  void Watch(ViewFeed* feed);
  void Forget(ViewFeed* feed);  // before a feed is destroyed

 private:
  struct TextHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  // Who listens to one view.
  struct Topic {
    std::vector<ViewFeed*> whole;
    std::unordered_map<std::string, std::vector<ViewFeed*>, TextHash, std::equal_to<>> by_key;
  };
  struct Impl;

  void OnPublication(const std::shared_ptr<const Publication>& publication);
  void Settle(Number number);
  void Tick();

  FanoutState* const state_;
  std::unique_ptr<Impl> impl_;
  std::thread thread_;
  std::vector<std::shared_ptr<Peer>> peers_;
  std::vector<Peer*> dirty_;
  std::unordered_map<uint32_t, Topic> topics_;
  std::vector<ViewFeed*> watched_;
  Number number_ = 0;
  bool stopping_ = false;
};

}  // namespace everstate
