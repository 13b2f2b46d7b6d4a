// ViewFeed: all subscriptions of one session to one view, and the order of what goes out for them.
//
// A client keeps one store per view, whatever its subscriptions, and applies what comes without looking at numbers. So the
// order is kept per (session, view), not per subscription:
//   1. A subscription *joins* (its live frames are matched from here on), then *looks*. Looks of one view go one after the other.
//   2. While a look is under way every live frame of the view is held.
//   3. The look at number N carries some keys: one, or all. It goes out, then the held frames. Of these, and of later ones, a
//      frame for a carried key with a number up to N is *dropped*: its change is in the rows that were sent.
//   4. But a delete that is dropped may concern a row that the client has from before. It is set aside (a *leaver*), forgotten
//      when a later dropped frame brings the key back, and sent when everything up to N has passed.
//   5. A key that is covered by a subscription is kept up to date without a break: when the one that did so ends while the other
//      still waits for its look, the key stays joined until then. No snapshot can say that a row is gone.
// Thus per key numbers only rise, each change reaches the client once, and a row goes out whole before its first patch.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/fanout/look.h"
#include "server/fanout/publication.h"

namespace everstate {

class ViewFeed;

// What a feed needs of its session and lane.
class FeedHost {
 public:
  virtual void Send(Slice slice) = 0;
  virtual bool Drained() const = 0;       // nothing waits for the socket
  virtual Number LaneNumber() const = 0;  // of the newest publication that came to the lane
  virtual void Join(ViewFeed* feed, const std::optional<std::string>& key) = 0;
  virtual void Leave(ViewFeed* feed, const std::optional<std::string>& key) = 0;
  virtual void AddHeldBytes(size_t bytes) = 0;
  virtual void SubHeldBytes(size_t bytes) = 0;
  // Lets a reader make the next chunk of `look`; it comes back through OnChunk with the same id.
  virtual void RequestChunk(ViewFeed* feed, uint64_t look_id, std::shared_ptr<Look> look) = 0;
  virtual std::shared_ptr<Look> NewLook(ViewFeed* feed, const std::optional<std::string>& key) = 0;
  virtual void Discard(std::shared_ptr<Look> look) = 0;  // to be destroyed by a reader
  virtual void LookFailed(ViewFeed* feed, const std::optional<std::string>& key, const absl::Status& status) = 0;
  virtual void CountDropped(size_t frames) = 0;
  virtual void CountSnapshot(size_t rows, bool complete) = 0;
  virtual void WatchNumbers(ViewFeed* feed) = 0;  // call Settle with every publication until it answers true

 protected:
  ~FeedHost() = default;
};

// ViewFeed
//   Thread:    its lane's.
//   Owns:      the subscriptions, held frames (by reference) and at most one look.
//   Invariant: see above. A (session, view, key, number) goes out at most once.
class ViewFeed {
 public:
  ViewFeed(FeedHost* host, uint32_t index, const ServedView* view) : host_(host), index_(index), view_(view) {}

  uint32_t index() const { return index_; }
  const ServedView& view() const { return *view_; }
  bool Has(const std::optional<std::string>& key) const;
  bool whole() const { return Joined(std::nullopt); }  // the whole view is subscribed and joined

  // Answers `subscribed`; with a snapshot, looks (again). A second one with the same key is the same subscription.
  void Subscribe(const std::optional<std::string>& key, bool with_snapshot);
  void Unsubscribe(const std::optional<std::string>& key);  // one that exists
  void UnsubscribeAll();                                    // the session ends

  // A live frame (or, with kAll, all frames of the publication) for something that joined.
  static constexpr size_t kAll = SIZE_MAX;
  void OnLive(const std::shared_ptr<const Publication>& publication, const ViewFrames& frames, size_t index);

  // Everything up to `number` has come to the lane. True when nothing is set aside any more.
  bool Settle(Number number);

  void OnChunk(uint64_t look_id, Chunk chunk, std::shared_ptr<Look> look);
  void OnDrained();  // the socket took everything: the next chunk, or the next look

  size_t topic_position = 0;  // the lane's, while whole()
  bool watched = false;       // the lane's: WatchNumbers was called

 private:
  using Key = std::optional<std::string>;
  struct Subscription {
    bool joined = false;
    bool lingers = false;  // a key's, unsubscribed, joined until the whole view is (rule 5)
  };
  struct Held {
    std::shared_ptr<const Publication> publication;
    const ViewFrames* frames;
    size_t index;  // kAll or a position in frames
    size_t bytes;
  };
  struct Leaver {
    Number until;  // once everything up to this number has passed, it is sent
    Slice frame;
  };

  bool Joined(const Key& key) const;
  bool Matches(std::string_view key) const;
  void JoinNow(const Key& key);
  void ReleaseLingering();
  bool Waits(const Key& key) const { return std::find(waiting_.begin(), waiting_.end(), key) != waiting_.end(); }
  void Start();   // the next look, when none is under way and the socket is free
  void Finish();  // of the look under way: the held frames go out
  void CarriedUpTo(const Key& key, Number number);
  Number CarriedAt(std::string_view key) const;
  void Deliver(const std::shared_ptr<const Publication>& publication, const ViewFrames& frames, size_t index);
  void DeliverOne(const std::shared_ptr<const Publication>& publication, const ViewFrames& frames, const FrameRef& frame);

  FeedHost* const host_;
  const uint32_t index_;
  const ServedView* const view_;
  std::map<Key, Subscription> subscriptions_;  // by key; none = the whole view
  std::deque<Key> waiting_;                    // looks to come

  // The look under way.
  bool looking_ = false;
  Key look_key_;
  uint64_t look_id_ = 0;
  std::shared_ptr<Look> look_;  // while no reader has it
  std::optional<Number> look_number_;
  std::string look_last_key_;   // the last one sent
  std::vector<Held> held_;

  // What looks have carried, as long as frames up to there may still come.
  Number carried_all_ = 0;
  std::map<std::string, Number, std::less<>> carried_;
  Number carried_max_ = 0;
  std::map<std::string, Leaver, std::less<>> leavers_;
};

}  // namespace everstate
