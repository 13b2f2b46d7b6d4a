#include "server/fanout/subscriptions.h"

#include <algorithm>
#include <utility>

#include "server/base/log.h"

namespace everstate {
namespace {

// A state view is watched by key; without one it watches the empty key, which never has data.
std::optional<std::string> KeyOf(const ServedView& view, const ClientMessage& message) {
  if (view.def.mode == ViewMode::kState && !message.key.has_value()) return std::string();
  return message.key;
}

}  // namespace

void Subscriptions::Take(ClientMessage message) {
  if (lane_->store() != nullptr) return Handle(message);
  if (early_.size() >= options_.subscriptions_per_session_max) return Refuse(kSubscriptionLimit, message);
  early_.push_back(std::move(message));
}

void Subscriptions::OnAttach() {
  const std::vector<ClientMessage> early = std::exchange(early_, {});
  for (const ClientMessage& message : early) Handle(message);
}

void Subscriptions::OnSwitch(const StoreRef& old) {
  for (const auto& feed : feeds_) feed->OnSwitch(old);
}

void Subscriptions::OnDrained() {
  for (const auto& feed : feeds_) feed->OnDrained();
}

void Subscriptions::OnBlocked() {
  for (const auto& feed : feeds_) feed->OwnHeld();
}

void Subscriptions::End() {
  for (const auto& feed : feeds_) {
    feed->UnsubscribeAll();
    lane_->Forget(feed.get());
  }
  early_.clear();
  counters_.subscriptions.Sub(count_);
  count_ = 0;
}

bool Subscriptions::pins() const {
  return std::any_of(feeds_.begin(), feeds_.end(), [](const auto& feed) {
    kLaneThread.Assume();
    return feed->pins();
  });
}

void Subscriptions::TellOfLooks() const {
  for (const auto& feed : feeds_) {
    if (const auto since = feed->looking_since(); since.has_value()) lane_->SeeLook(*since);
  }
}

void Subscriptions::Handle(const ClientMessage& message) {
  if (message.kind == ClientMessage::Kind::kSubscribe) {
    Subscribe(message);
  } else {
    Unsubscribe(message);
  }
}

void Subscriptions::Subscribe(const ClientMessage& message) {
  counters_.subscribes.Add();
  const std::optional<uint32_t> index = Views()->Find(message.view);
  if (!index.has_value()) return Refuse({"unknown-view", "There is no view \"" + message.view + "\".", false}, message);
  const ServedView& view = Views()->view(*index);
  if (!view.def.unsupported.empty()) {
    return Refuse(
        {"unsupported-view", "The view \"" + message.view + "\" cannot be served: " + view.def.unsupported, false},
        message);
  }
  if (!message.unsupported.empty()) {
    return Refuse({"unsupported-option", "The option \"" + message.unsupported + "\" is not supported.", false},
                  message);
  }
  const std::optional<std::string> key = KeyOf(view, message);
  ViewFeed* feed = FindFeed(*index);
  if (feed == nullptr || !feed->Has(key)) {
    if (count_ >= options_.subscriptions_per_session_max) return Refuse(kSubscriptionLimit, message);
    ++count_;
    counters_.subscriptions.Add();
  }
  if (feed == nullptr) feed = feeds_.emplace_back(std::make_unique<ViewFeed>(outbox_, this, *index, &view)).get();
  feed->Subscribe(key, message.with_snapshot);
}

void Subscriptions::Unsubscribe(const ClientMessage& message) {
  const std::optional<uint32_t> index = Views()->Find(message.view);
  ViewFeed* feed = index.has_value() ? FindFeed(*index) : nullptr;
  if (feed == nullptr) return;
  const std::optional<std::string> key = KeyOf(feed->view(), message);
  if (!feed->Has(key)) return;
  feed->Unsubscribe(key);
  --count_;
  counters_.subscriptions.Sub();
}

void Subscriptions::Refuse(const Issue& issue, const ClientMessage& message) {
  counters_.subscribe_errors.Add();
  outbox_->Send(TextFrame(IssueText(issue, message.view, message.key)));
}

ViewFeed* Subscriptions::FindFeed(uint32_t view) {
  for (const auto& feed : feeds_) {
    if (feed->index() == view) return feed.get();
  }
  return nullptr;
}

void Subscriptions::RequestChunk(ViewFeed* feed, uint64_t look_id, std::shared_ptr<Look> look) {
  auto job = [weak = weak_from_this(), lane = lane_, feed, look_id, look]() mutable {
    kReaderThread.Assume();
    if (weak.expired()) return;  // the session has ended: nobody waits for it
    Chunk chunk = look->Next();
    if (chunk.complete || !chunk.status.ok()) look.reset();
    lane->Post([weak, lane, feed, look_id, look = std::move(look), chunk = std::move(chunk)]() mutable {
      kLaneThread.Assume();
      const std::shared_ptr<Subscriptions> self = weak.lock();  // and with it the feed
      if (self == nullptr) return lane->state().readers.Run([look = std::move(look)] {});
      feed->OnChunk(look_id, std::move(chunk), std::move(look));
      lane->FlushDirty();
    });
  };
  look.reset();  // the job alone holds it, so that a reader destroys it
  lane_->state().readers.Run(std::move(job));
}

std::shared_ptr<Look> Subscriptions::NewLook(ViewFeed* feed, const std::optional<std::string>& key,
                                             std::vector<StoreRef> older) {
  const LookLimits limits{options_.snapshot_rows_first, options_.snapshot_rows_next, options_.snapshot_frame_bytes_max};
  return std::make_shared<Look>(Views(), feed->index(), key, limits, LookStores{lane_->store(), std::move(older)});
}

void Subscriptions::Discard(std::shared_ptr<Look> look) {
  lane_->state().readers.Run([look = std::move(look)] {});
}

void Subscriptions::LookFailed(ViewFeed* feed, const std::optional<std::string>& key, const absl::Status& status) {
  const std::string& view = feed->view().def.id;
  LogError(Room::kFanout, "the snapshot of {} failed: {}", view, status.ToString());
  counters_.subscribe_errors.Add();
  counters_.subscriptions.Sub();
  --count_;
  const Issue issue{"internal-error", "The snapshot could not be read; the subscription has ended.", true};
  outbox_->Send(TextFrame(IssueText(issue, view, key)));
}

void Subscriptions::CountChunk(const Chunk& chunk) {
  counters_.snapshot_rows_sent.Add(chunk.rows);
  counters_.switch_deletes_sent.Add(chunk.deletes);
  if (chunk.complete) counters_.snapshots_total.Add();
}

}  // namespace everstate
