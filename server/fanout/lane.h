// Lane: one thread with its connections, and who of them listens to what.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "server/fanout/publication.h"
#include "server/fanout/send_queue.h"
#include "server/fanout/state.h"
#include "server/fanout/threads.h"
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
  virtual void OnTick(SteadyTime now) EVERSTATE_ON_LANE = 0;  // deadlines; may remove itself
  virtual void OnStop() EVERSTATE_ON_LANE = 0;                // must see to it that it is removed before long
  virtual void OnAttach() EVERSTATE_ON_LANE {}                // the store is there
  virtual void OnSwitch(const StoreRef& old) EVERSTATE_ON_LANE { static_cast<void>(old); }  // another one is there
  virtual void Flush() EVERSTATE_ON_LANE {}                                                 // after MarkDirty

 private:
  friend class Lane;
  size_t position_ = 0;
  bool dirty_ = false;
};

// Lane
//   Thread:    its own, one; Post, Publish and Serve from any.
//   Owns:      its connections and the topic table; a share of the store.
//   Invariant: publications come in order of number, between two stores all of the first one's; what was queued during
//              one event goes out at its end, with one write per socket.
class Lane {
 public:
  explicit Lane(FanoutState* state);
  ~Lane();

  void Start();
  void Wait();  // until the lane has ended, which StopSoon brings about
  void Post(std::function<void()> work);
  void Publish(std::shared_ptr<const Publication> publication);  // waits while lane_bytes_max or more wait for the lane
  void Serve(StoreRef store);                                    // from here on, in the order of the publications
  boost::asio::io_context& io();

  // The rest on the lane's thread only.
  FanoutState& state() { return *state_; }
  void Adopt(int socket) EVERSTATE_ON_LANE;  // a fresh connection
  void Add(std::shared_ptr<Peer> peer) EVERSTATE_ON_LANE;
  void Remove(Peer* peer) EVERSTATE_ON_LANE;  // the caller holds a reference of its own
  void MarkDirty(Peer* peer) EVERSTATE_ON_LANE;
  void FlushDirty() EVERSTATE_ON_LANE;     // every handler of ours ends with it
  void ScheduleFlush() EVERSTATE_ON_LANE;  // for what is queued inside somebody else's handler
  // Sends what is queued, then half-closes and waits for the peer's end: lingering.h.
  void Linger(int socket, SendQueue queue, bool slow) EVERSTATE_ON_LANE;
  void StopSoon() EVERSTATE_ON_LANE;
  bool stopping() const EVERSTATE_ON_LANE { return stopping_; }

  const StoreRef& store() const EVERSTATE_ON_LANE { return store_; }  // null until one is served
  // Of the newest publication of it; 0 before the first
  Number number() const EVERSTATE_ON_LANE { return number_; }
  void Join(ViewFeed* feed, const std::optional<std::string>& key) EVERSTATE_ON_LANE;
  void Leave(ViewFeed* feed, const std::optional<std::string>& key) EVERSTATE_ON_LANE;
  void Watch(ViewFeed* feed) EVERSTATE_ON_LANE;
  void Forget(ViewFeed* feed) EVERSTATE_ON_LANE;  // before a feed is destroyed
  void SeeLook(SteadyTime since) EVERSTATE_ON_LANE { oldest_look_ = std::min(oldest_look_, since); }  // during a tick

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

  void OnPublication(const std::shared_ptr<const Publication>& publication) EVERSTATE_ON_LANE;
  void OnStore(StoreRef store) EVERSTATE_ON_LANE;
  void Settle(Number number) EVERSTATE_ON_LANE;
  void ScheduleTick() EVERSTATE_ON_LANE;
  void Tick() EVERSTATE_ON_LANE;

  FanoutState* const state_;
  std::unique_ptr<Impl> impl_;
  std::thread thread_;
  std::atomic<size_t> bytes_waiting_{0};  // of publications that were posted and not taken
  std::vector<std::shared_ptr<Peer>> peers_ EVERSTATE_OF_LANE;
  std::vector<Peer*> dirty_ EVERSTATE_OF_LANE;
  std::unordered_map<uint32_t, Topic> topics_ EVERSTATE_OF_LANE;
  std::vector<ViewFeed*> watched_ EVERSTATE_OF_LANE;
  StoreRef store_ EVERSTATE_OF_LANE;
  Number number_ EVERSTATE_OF_LANE = 0;
  SteadyTime oldest_look_ EVERSTATE_OF_LANE;  // of those seen during this tick
  Gauge oldest_look_ms_;                      // as of the last tick; the first lane reads all of them
  bool stopping_ EVERSTATE_OF_LANE = false;
};

}  // namespace everstate
