#include "server/fanout/view_feed.h"

#include <set>

namespace everstate {
namespace {

Slice SliceOf(const std::shared_ptr<const Publication>& publication, const ViewFrames& frames, const FrameRef& frame) {
  return {publication, frames.bytes.data() + frame.offset, frame.size, 1, /*shared=*/true};
}

// A publication of nothing but this frame, or of all frames of this view: what a slow session may keep.
std::shared_ptr<const Publication> Extract(const Publication& publication, const ViewFrames& frames, size_t index) {
  auto own = std::make_shared<Publication>();
  own->number = publication.number;
  ViewFrames& kept = own->views.emplace_back();
  kept.view = frames.view;
  const bool all = index == ViewFeed::kAll;
  for (size_t i = all ? 0 : index; i < (all ? frames.frames.size() : index + 1); ++i) {
    FrameRef frame = frames.frames[i];
    const std::string_view key = publication.key(frame);
    kept.bytes.append(frames.bytes, frame.offset, frame.size);
    frame.key_offset = own->keys.size();
    frame.offset = kept.bytes.size() - frame.size;
    own->keys.append(key);
    kept.frames.push_back(frame);
  }
  return own;
}

}  // namespace

void ViewFeed::Held::Own() {
  if (!shared) return;
  const auto own = Extract(*publication, *frames, index);
  *this = {own, &own->views.front(), index == kAll ? kAll : 0, bytes, /*shared=*/false};
}

bool ViewFeed::Has(const Key& key) const {
  auto it = subscriptions_.find(key);
  return it != subscriptions_.end() && !it->second.lingers;
}

bool ViewFeed::Joined(const KeyView& key) const {
  auto it = subscriptions_.find(key);
  return it != subscriptions_.end() && it->second.joined;
}

bool ViewFeed::Stale(const KeyView& key) const {
  auto it = subscriptions_.find(key);
  return it != subscriptions_.end() && it->second.stale;
}

bool ViewFeed::StaleFrame(std::string_view key) const { return !older_.empty() && (Stale(std::nullopt) || Stale(key)); }

void ViewFeed::JoinNow(const Key& key) {
  bool& joined = subscriptions_[key].joined;
  if (joined) return;
  joined = true;
  host_->Join(this, key);
  if (!key.has_value()) ReleaseLingering();
}

void ViewFeed::ReleaseLingering() {
  std::erase_if(subscriptions_, [this](const auto& entry) {
    kLaneThread.Assume();
    if (entry.second.lingers) host_->Leave(this, entry.first);
    return entry.second.lingers;
  });
}

void ViewFeed::Subscribe(const Key& key, bool with_snapshot) {
  subscriptions_[key].lingers = false;
  outbox_->Send(TextFrame(view_->subscribed));
  if (with_snapshot) {
    if (!Waits(key)) waiting_.push_back(key);
    Start();
  } else if (!Waits(key)) {
    JoinNow(key);
  }
}

void ViewFeed::Unsubscribe(const Key& key) {
  const bool stale = Stale(key);
  std::erase(waiting_, key);
  if (key.has_value() && Joined(key) && !whole() && Waits(std::nullopt)) {
    subscriptions_[key].lingers = true;
  } else {
    if (Joined(key)) host_->Leave(this, key);
    subscriptions_.erase(key);
    // The client still has the older row, and the whole view goes on covering it: it inherits what was to be brought
    // over.
    if (auto all = subscriptions_.find(std::nullopt); stale && all != subscriptions_.end()) all->second.stale = true;
  }
  if (!key.has_value()) {
    ReleaseLingering();
    // The whole view kept its keys up to date (rule 5), or was going to (6): now each has to go on by itself.
    for (const Key& other : std::deque<Key>(waiting_)) JoinNow(other);
    for (auto& [other, subscription] : subscriptions_) subscription.stale = subscription.stale || stale;
  }
  const bool looked = looking_ && look_key_ == key;
  // The walk ends early. What it has sent is carried for the subscriptions that remain; the rest it never was.
  if (looked && !key.has_value() && look_number_.has_value()) {
    for (auto& [other, subscription] : subscriptions_) {
      if (!subscription.joined || *other > look_last_key_) continue;
      CarriedUpTo(other, *look_number_);
      subscription.stale = false;
    }
  }
  QueueSwitchLooks();
  if (!looked) return Start();
  look_number_.reset();
  Finish();
}

void ViewFeed::UnsubscribeAll() {
  for (const auto& [key, subscription] : subscriptions_) {
    if (subscription.joined) host_->Leave(this, key);
  }
  subscriptions_.clear();
  waiting_.clear();
  if (look_ != nullptr) host_->Discard(std::move(look_));
  for (const Held& held : held_) outbox_->SubHeldBytes(held.bytes);
  held_.clear();
  leavers_.clear();
  older_.clear();
  looking_ = false;
}

void ViewFeed::QueueSwitchLooks() {
  const auto under_way = [this](const Key& key) EVERSTATE_ON_LANE { return looking_ && look_key_ == key; };
  // The look at the whole view is that of all its keys, also when the view itself had not joined yet.
  const bool whole_view = subscriptions_.contains(std::nullopt);
  std::deque<Key> looks;
  bool any = false;
  for (const auto& [key, subscription] : subscriptions_) {
    if (!subscription.stale) continue;
    any = true;
    if (!whole_view && !under_way(key)) looks.push_back(key);
  }
  if (!any) {
    older_.clear();
    return;
  }
  if (whole_view && !under_way(std::nullopt)) looks.push_back(std::nullopt);
  for (Key& key : waiting_) {
    const bool queued = !under_way(key) && (whole_view ? !key.has_value() : Stale(key));
    if (!queued) looks.push_back(std::move(key));
  }
  waiting_ = std::move(looks);
}

void ViewFeed::Refreshed(const Key& key) {
  if (older_.empty()) return;
  for (auto& [other, subscription] : subscriptions_) {
    if (!key.has_value() || key == other) subscription.stale = false;
  }
  const bool any =
      std::any_of(subscriptions_.begin(), subscriptions_.end(), [](const auto& entry) { return entry.second.stale; });
  if (!any) older_.clear();
}

// The old store no longer has a row that was deleted, so no switch look can find it. Everything else that is held or
// set aside is in the switch looks, or of a row that they take away. The deletes go out as those of the switch: the
// client may still be at the cursors of a generation before the old one.
void ViewFeed::SendHeldDeletes() {
  std::set<std::string_view> gone;
  for (const auto& [key, leaver] : leavers_) gone.insert(key);
  for (const Held& held : held_) {
    outbox_->SubHeldBytes(held.bytes);
    const size_t begin = held.index == kAll ? 0 : held.index;
    const size_t end = held.index == kAll ? held.frames->frames.size() : held.index + 1;
    for (size_t i = begin; i < end; ++i) {
      const FrameRef& frame = held.frames->frames[i];
      if (frame.op == FrameOp::kDelete) gone.insert(held.publication->key(frame));
    }
    host_->CountDropped(end - begin);
  }
  Chunk chunk;
  std::string frames;
  for (std::string_view key : gone) {
    if (!Matches(key)) continue;
    view_->AppendDelete(key, &frames);
    ++chunk.deletes;
  }
  host_->CountChunk(chunk);
  if (chunk.deletes > 0) outbox_->Send(Slice::Of(std::move(frames), static_cast<uint32_t>(chunk.deletes)));
  leavers_.clear();
  held_.clear();
}

void ViewFeed::OnSwitch(const StoreRef& old) {
  if (look_ != nullptr) host_->Discard(std::move(look_));
  look_number_.reset();
  looking_ = false;
  SendHeldDeletes();
  carried_all_ = carried_max_ = 0;
  carried_.clear();
  older_.push_back(old);
  for (auto& [key, subscription] : subscriptions_) subscription.stale = subscription.joined;
  QueueSwitchLooks();
  Start();
}

void ViewFeed::Start() {
  if (looking_ || requested_ || waiting_.empty() || !outbox_->Drained()) return;
  look_key_ = std::move(waiting_.front());
  waiting_.pop_front();
  looking_ = true;
  looking_since_ = std::chrono::steady_clock::now();
  look_number_.reset();
  look_last_key_.clear();
  ++look_id_;
  const bool switches = look_key_.has_value() ? Stale(look_key_) : !older_.empty();
  JoinNow(look_key_);  // before the look is asked for: see the README, "Join, look, drop"
  if (switches) subscriptions_[look_key_].stale = true;  // the whole view's: it takes over from keys that were
  Request(host_->NewLook(this, look_key_, switches ? older_ : std::vector<StoreRef>()));
}

void ViewFeed::Request(std::shared_ptr<Look> look) {
  requested_ = true;
  host_->RequestChunk(this, look_id_, std::move(look));
}

void ViewFeed::OnChunk(uint64_t look_id, Chunk chunk, std::shared_ptr<Look> look) {
  requested_ = false;
  if (!looking_ || look_id != look_id_) {  // its subscription has gone
    if (look != nullptr) host_->Discard(std::move(look));
    Start();
    return;
  }
  if (!chunk.status.ok()) {
    if (look != nullptr) host_->Discard(std::move(look));
    const Key key = look_key_;
    Unsubscribe(key);
    host_->LookFailed(this, key, chunk.status);
    return;
  }
  look_number_ = chunk.number;
  if (!chunk.last_key.empty()) look_last_key_ = std::move(chunk.last_key);
  host_->CountChunk(chunk);
  look_ = std::move(look);
  const bool silent = chunk.frame.size == 0;
  if (!silent) outbox_->Send(std::move(chunk.frame));
  if (chunk.complete) {
    Finish();
  } else if (silent && outbox_->Drained()) {
    OnDrained();
  }
}

void ViewFeed::OnDrained() {
  if (look_ != nullptr) {
    Request(std::move(look_));
  } else {
    Start();
  }
}

void ViewFeed::Finish() {
  if (look_ != nullptr) host_->Discard(std::move(look_));
  if (look_number_.has_value()) {
    CarriedUpTo(look_key_, *look_number_);
    Refreshed(look_key_);
  }
  looking_ = false;
  std::vector<Held> held = std::move(held_);
  held_.clear();
  for (const Held& one : held) {
    outbox_->SubHeldBytes(one.bytes);
    Settle(one.publication->number - 1);
    Deliver(one.publication, *one.frames, one.index);
  }
  if (!Settle(host_->LaneNumber())) host_->WatchNumbers(this);
  Start();
}

void ViewFeed::CarriedUpTo(const Key& key, Number number) {
  carried_max_ = std::max(carried_max_, number);
  if (!key.has_value()) {
    carried_all_ = std::max(carried_all_, number);
    for (auto& [leaving, leaver] : leavers_) leaver.until = std::max(leaver.until, number);
    return;
  }
  Number& carried = carried_[*key];
  carried = std::max(carried, number);
  if (auto it = leavers_.find(*key); it != leavers_.end()) it->second.until = std::max(it->second.until, number);
}

Number ViewFeed::CarriedAt(std::string_view key) const {
  auto it = carried_.find(key);
  return it == carried_.end() ? carried_all_ : std::max(carried_all_, it->second);
}

bool ViewFeed::Settle(Number number) {
  if (looking_) return false;  // a leaver must not overtake the rows on their way
  for (auto it = leavers_.begin(); it != leavers_.end();) {
    if (it->second.until > number) {
      ++it;
      continue;
    }
    if (Matches(it->first)) outbox_->Send(std::move(it->second.frame));
    it = leavers_.erase(it);
  }
  if (number < carried_max_) return false;
  carried_all_ = carried_max_ = 0;
  carried_.clear();
  return true;
}

void ViewFeed::OnLive(const std::shared_ptr<const Publication>& publication, const ViewFrames& frames, size_t index) {
  if (!looking_) {
    Deliver(publication, frames, index);
    return;
  }
  const size_t bytes = index == kAll ? frames.bytes.size() : frames.frames[index].size;
  held_.push_back({publication, &frames, index, bytes});
  if (!outbox_->Drained()) held_.back().Own();
  outbox_->AddHeldBytes(bytes);
}

void ViewFeed::OwnHeld() {
  for (Held& held : held_) held.Own();
}

void ViewFeed::Deliver(const std::shared_ptr<const Publication>& publication, const ViewFrames& frames, size_t index) {
  if (index != kAll) {
    DeliverOne(publication, frames, frames.frames[index]);
    return;
  }
  if (publication->number > carried_max_ && whole() && older_.empty()) {
    outbox_->Send({publication, frames.bytes.data(), frames.bytes.size(), static_cast<uint32_t>(frames.frames.size()),
                   /*shared=*/true});
    return;
  }
  for (const FrameRef& frame : frames.frames) DeliverOne(publication, frames, frame);
}

void ViewFeed::DeliverOne(const std::shared_ptr<const Publication>& publication, const ViewFrames& frames,
                          const FrameRef& frame) {
  const std::string_view key = publication->key(frame);
  if (!Matches(key)) return;  // unsubscribed while it was held
  if (StaleFrame(key)) return host_->CountDropped(1);
  const Number carried = CarriedAt(key);
  if (publication->number > carried) {
    outbox_->Send(SliceOf(publication, frames, frame));
    return;
  }
  host_->CountDropped(1);
  if (frame.op == FrameOp::kDelete) {
    leavers_.insert_or_assign(std::string(key), Leaver{carried, SliceOf(publication, frames, frame)});
  } else if (auto it = leavers_.find(key); it != leavers_.end()) {
    leavers_.erase(it);
  }
}

}  // namespace everstate
