// ViewFeed: all subscriptions of one session to one view, and the order of what goes out for them.
//
// A client keeps one store per view, whatever its subscriptions, and applies what comes without looking at numbers. So
// the order is kept per (session, view), not per subscription:
//   1. A subscription *joins* (its live frames are matched from here on), then *looks*. Looks of one view go one after
//      the other.
//   2. While a look is under way every live frame of the view is held.
//   3. The look at number N carries some keys: one, or all. It goes out, then the held frames. Of these, and of later
//      ones, a frame for a carried key with a number up to N is *dropped*: its change is in the rows that were sent.
//   4. But a delete that is dropped may concern a row that the client has from before. It is set aside (a *leaver*),
//      forgotten when a later dropped frame brings the key back, and sent when everything up to N has passed.
//   5. A key that is covered by a subscription is kept up to date without a break: when the one that did so ends while
//      the other still waits for its look, the key stays joined until then. No snapshot can say that a row is gone.
//   6. When another generation is served from here on, what the client holds is *stale*: for every subscription that
//      had joined there is a *switch look*, which begins with a `delete` for each row of the older generations that the
//      new one lacks. Until it is under way, live frames for stale keys are dropped, because it will contain them.
// Thus per key numbers only rise within a generation, each change reaches the client once, and a row goes out whole
// before its first patch.
#pragma once

#include <algorithm>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/fanout/look.h"
#include "server/fanout/publication.h"
#include "server/fanout/threads.h"

namespace everstate {

class ViewFeed;

// A session's way to its socket.
class Outbox {
 public:
  virtual void Send(Slice slice) EVERSTATE_ON_LANE = 0;
  virtual bool Drained() const EVERSTATE_ON_LANE = 0;  // nothing waits for the socket
  // What waits elsewhere until it may be sent counts as the session's, too.
  virtual void AddHeldBytes(size_t bytes) EVERSTATE_ON_LANE = 0;
  virtual void SubHeldBytes(size_t bytes) EVERSTATE_ON_LANE = 0;

 protected:
  ~Outbox() = default;
};

// What a feed needs of its lane and of the readers.
class FeedHost {
 public:
  virtual Number LaneNumber() const EVERSTATE_ON_LANE = 0;  // of the newest publication that came to the lane
  virtual void Join(ViewFeed* feed, const std::optional<std::string>& key) EVERSTATE_ON_LANE = 0;
  virtual void Leave(ViewFeed* feed, const std::optional<std::string>& key) EVERSTATE_ON_LANE = 0;
  // Lets a reader make the next chunk of `look`; it comes back through OnChunk with the same id.
  virtual void RequestChunk(ViewFeed* feed, uint64_t look_id, std::shared_ptr<Look> look) EVERSTATE_ON_LANE = 0;
  // At the store that is served; a switch look when there are older ones.
  virtual std::shared_ptr<Look> NewLook(ViewFeed* feed, const std::optional<std::string>& key,
                                        std::vector<StoreRef> older) EVERSTATE_ON_LANE = 0;
  virtual void Discard(std::shared_ptr<Look> look) EVERSTATE_ON_LANE = 0;  // to be destroyed by a reader
  virtual void LookFailed(ViewFeed* feed, const std::optional<std::string>& key,
                          const absl::Status& status) EVERSTATE_ON_LANE = 0;
  virtual void CountDropped(size_t frames) EVERSTATE_ON_LANE = 0;
  virtual void CountChunk(const Chunk& chunk) EVERSTATE_ON_LANE = 0;
  // Calls Settle with every publication until it answers true.
  virtual void WatchNumbers(ViewFeed* feed) EVERSTATE_ON_LANE = 0;

 protected:
  ~FeedHost() = default;
};

// ViewFeed
//   Thread:    its lane's.
//   Owns:      the subscriptions, held frames (by reference) and at most one look.
//   Invariant: see above. A (session, view, key, number) goes out at most once.
class ViewFeed {
 public:
  ViewFeed(Outbox* outbox, FeedHost* host, uint32_t index, const ServedView* view)
      : outbox_(outbox), host_(host), index_(index), view_(view) {}

  uint32_t index() const { return index_; }
  const ServedView& view() const { return *view_; }
  bool Has(const std::optional<std::string>& key) const EVERSTATE_ON_LANE;
  bool whole() const EVERSTATE_ON_LANE { return Joined(std::nullopt); }  // the whole view is subscribed and joined

  // Answers `subscribed`; with a snapshot, looks (again). A second one with the same key is the same subscription.
  void Subscribe(const std::optional<std::string>& key, bool with_snapshot) EVERSTATE_ON_LANE;
  void Unsubscribe(const std::optional<std::string>& key) EVERSTATE_ON_LANE;  // one that exists
  void UnsubscribeAll() EVERSTATE_ON_LANE;                                    // the session ends

  // A live frame (or, with kAll, all frames of the publication) for something that joined.
  static constexpr size_t kAll = SIZE_MAX;
  void OnLive(const std::shared_ptr<const Publication>& publication, const ViewFrames& frames,
              size_t index) EVERSTATE_ON_LANE;

  // From here on another generation is served; all publications of `old` have come. Numbers begin anew.
  void OnSwitch(const StoreRef& old) EVERSTATE_ON_LANE;

  // Everything up to `number` has come to the lane. True when nothing is set aside any more.
  bool Settle(Number number) EVERSTATE_ON_LANE;

  void OnChunk(uint64_t look_id, Chunk chunk, std::shared_ptr<Look> look) EVERSTATE_ON_LANE;
  void OnDrained() EVERSTATE_ON_LANE;  // the socket took everything: the next chunk, or the next look
  // The socket takes nothing more for now: what is held may stay long, so it must keep nothing else alive.
  void OwnHeld() EVERSTATE_ON_LANE;

  // Since when the look under way has kept its moment of the store readable; empty when there is none.
  std::optional<std::chrono::steady_clock::time_point> looking_since() const EVERSTATE_ON_LANE {
    return looking_ ? std::optional(looking_since_) : std::nullopt;
  }
  // A store is kept open, or a moment of it readable, until the client has taken what is queued.
  bool pins() const EVERSTATE_ON_LANE { return looking_ || !older_.empty(); }

  size_t topic_position EVERSTATE_OF_LANE = 0;  // the lane's, while whole()
  bool watched EVERSTATE_OF_LANE = false;       // the lane's: WatchNumbers was called

 private:
  using Key = std::optional<std::string>;
  using KeyView = std::optional<std::string_view>;
  struct Subscription {
    bool joined = false;
    bool lingers = false;  // a key's, unsubscribed, joined until the whole view is (rule 5)
    bool stale = false;    // its rows at the client are of an older generation (rule 6)
  };
  struct Held {
    std::shared_ptr<const Publication> publication;
    const ViewFrames* frames;
    size_t index;  // kAll or a position in frames
    size_t bytes;
    bool shared = true;  // publication holds more than these frames, for others
    void Own();
  };
  struct Leaver {
    Number until;  // once everything up to this number has passed, it is sent
    Slice frame;
  };

  bool Joined(const KeyView& key) const EVERSTATE_ON_LANE;
  bool Matches(std::string_view key) const EVERSTATE_ON_LANE { return whole() || Joined(key); }
  bool Stale(const KeyView& key) const EVERSTATE_ON_LANE;
  bool StaleFrame(std::string_view key) const EVERSTATE_ON_LANE;
  void JoinNow(const Key& key) EVERSTATE_ON_LANE;
  void ReleaseLingering() EVERSTATE_ON_LANE;
  void QueueSwitchLooks() EVERSTATE_ON_LANE;         // in front of all others
  void Refreshed(const Key& key) EVERSTATE_ON_LANE;  // its switch look has carried it
  void SendHeldDeletes() EVERSTATE_ON_LANE;
  bool Waits(const Key& key) const EVERSTATE_ON_LANE {
    return std::find(waiting_.begin(), waiting_.end(), key) != waiting_.end();
  }
  void Start() EVERSTATE_ON_LANE;  // the next look, when none is under way, no reader is busy and the socket is free
  void Request(std::shared_ptr<Look> look) EVERSTATE_ON_LANE;
  void Finish() EVERSTATE_ON_LANE;  // of the look under way: the held frames go out
  void CarriedUpTo(const Key& key, Number number) EVERSTATE_ON_LANE;
  Number CarriedAt(std::string_view key) const EVERSTATE_ON_LANE;
  void Deliver(const std::shared_ptr<const Publication>& publication, const ViewFrames& frames,
               size_t index) EVERSTATE_ON_LANE;
  void DeliverOne(const std::shared_ptr<const Publication>& publication, const ViewFrames& frames,
                  const FrameRef& frame) EVERSTATE_ON_LANE;

  Outbox* const outbox_;
  FeedHost* const host_;
  const uint32_t index_;
  const ServedView* const view_;
  std::map<Key, Subscription, std::less<>> subscriptions_ EVERSTATE_OF_LANE;  // by key; none = the whole view
  std::deque<Key> waiting_ EVERSTATE_OF_LANE;                                 // looks to come
  // Generations that the client may hold rows of; none when nothing is stale.
  std::vector<StoreRef> older_ EVERSTATE_OF_LANE;

  // A reader has a chunk to make for this feed, perhaps of a look that has ended: no other is asked for before it is
  // back.
  bool requested_ EVERSTATE_OF_LANE = false;

  // The look under way.
  bool looking_ EVERSTATE_OF_LANE = false;
  std::chrono::steady_clock::time_point looking_since_ EVERSTATE_OF_LANE;
  Key look_key_ EVERSTATE_OF_LANE;
  uint64_t look_id_ EVERSTATE_OF_LANE = 0;
  std::shared_ptr<Look> look_ EVERSTATE_OF_LANE;  // while no reader has it
  std::optional<Number> look_number_ EVERSTATE_OF_LANE;
  std::string look_last_key_ EVERSTATE_OF_LANE;  // the last one sent
  std::vector<Held> held_ EVERSTATE_OF_LANE;

  // What looks have carried, as long as frames up to there may still come.
  Number carried_all_ EVERSTATE_OF_LANE = 0;
  std::map<std::string, Number, std::less<>> carried_ EVERSTATE_OF_LANE;
  Number carried_max_ EVERSTATE_OF_LANE = 0;
  std::map<std::string, Leaver, std::less<>> leavers_ EVERSTATE_OF_LANE;
};

}  // namespace everstate
