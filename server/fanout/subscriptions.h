// Subscriptions: what one session is subscribed to, and what becomes of the messages that say so.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/fanout/client_message.h"
#include "server/fanout/fanout.h"
#include "server/fanout/issue.h"
#include "server/fanout/lane.h"
#include "server/fanout/threads.h"
#include "server/fanout/view_feed.h"

namespace everstate {

// Subscriptions
//   Thread:    its lane's; a reader holds a weak reference while it makes a chunk.
//   Owns:      a feed per view that was ever subscribed; the messages that came before there was a store.
//   Invariant: after End nothing is joined, held or kept readable.
class Subscriptions final : public FeedHost, public std::enable_shared_from_this<Subscriptions> {
 public:
  Subscriptions(Lane* lane, Outbox* outbox)
      : lane_(lane), outbox_(outbox), options_(lane->state().options), counters_(lane->state().counters) {}

  void Take(ClientMessage message) EVERSTATE_ON_LANE;  // a subscribe or an unsubscribe
  void OnAttach() EVERSTATE_ON_LANE;
  void OnSwitch(const StoreRef& old) EVERSTATE_ON_LANE;
  void OnDrained() EVERSTATE_ON_LANE;  // the socket took everything
  void OnBlocked() EVERSTATE_ON_LANE;  // the socket takes nothing more for now
  void End() EVERSTATE_ON_LANE;

  bool pins() const EVERSTATE_ON_LANE;         // a feed does: view_feed.h
  void TellOfLooks() const EVERSTATE_ON_LANE;  // under way, to the lane; during a tick

  // FeedHost
  Number LaneNumber() const override EVERSTATE_ON_LANE { return lane_->number(); }
  void Join(ViewFeed* feed, const std::optional<std::string>& key) override EVERSTATE_ON_LANE {
    lane_->Join(feed, key);
  }
  void Leave(ViewFeed* feed, const std::optional<std::string>& key) override EVERSTATE_ON_LANE {
    lane_->Leave(feed, key);
  }
  void RequestChunk(ViewFeed* feed, uint64_t look_id, std::shared_ptr<Look> look) override EVERSTATE_ON_LANE;
  std::shared_ptr<Look> NewLook(ViewFeed* feed, const std::optional<std::string>& key,
                                std::vector<StoreRef> older) override EVERSTATE_ON_LANE;
  void Discard(std::shared_ptr<Look> look) override EVERSTATE_ON_LANE;
  void LookFailed(ViewFeed* feed, const std::optional<std::string>& key,
                  const absl::Status& status) override EVERSTATE_ON_LANE;
  void CountDropped(size_t frames) override EVERSTATE_ON_LANE { counters_.frames_dropped_by_look.Add(frames); }
  void CountChunk(const Chunk& chunk) override EVERSTATE_ON_LANE;
  void WatchNumbers(ViewFeed* feed) override EVERSTATE_ON_LANE { lane_->Watch(feed); }

 private:
  void Handle(const ClientMessage& message) EVERSTATE_ON_LANE;
  void Subscribe(const ClientMessage& message) EVERSTATE_ON_LANE;
  void Unsubscribe(const ClientMessage& message) EVERSTATE_ON_LANE;
  void Refuse(const Issue& issue, const ClientMessage& message) EVERSTATE_ON_LANE;
  ViewFeed* FindFeed(uint32_t view) EVERSTATE_ON_LANE;
  const ViewTable* Views() const { return lane_->state().views.load(std::memory_order_acquire); }

  Lane* const lane_;
  Outbox* const outbox_;
  const FanoutOptions& options_;
  FanoutCounters& counters_;
  std::vector<std::unique_ptr<ViewFeed>> feeds_ EVERSTATE_OF_LANE;
  std::vector<ClientMessage> early_ EVERSTATE_OF_LANE;  // came before the store
  size_t count_ EVERSTATE_OF_LANE = 0;
};

}  // namespace everstate
