#include "server/fanout/view_feed.h"

namespace everstate {
namespace {

Slice SliceOf(const std::shared_ptr<const Publication>& publication, const ViewFrames& frames, const FrameRef& frame) {
  return {publication, frames.bytes.data() + frame.offset, frame.size, 1};
}

}  // namespace

bool ViewFeed::Has(const Key& key) const {
  auto it = subscriptions_.find(key);
  return it != subscriptions_.end() && !it->second.lingers;
}

bool ViewFeed::Joined(const Key& key) const {
  auto it = subscriptions_.find(key);
  return it != subscriptions_.end() && it->second.joined;
}

bool ViewFeed::Matches(std::string_view key) const { return whole() || Joined(Key(key)); }

void ViewFeed::JoinNow(const Key& key) {
  bool& joined = subscriptions_[key].joined;
  if (joined) return;
  joined = true;
  host_->Join(this, key);
  if (!key.has_value()) ReleaseLingering();
}

void ViewFeed::ReleaseLingering() {
  std::erase_if(subscriptions_, [this](const auto& entry) {
    if (entry.second.lingers) host_->Leave(this, entry.first);
    return entry.second.lingers;
  });
}

void ViewFeed::Subscribe(const Key& key, bool with_snapshot) {
  subscriptions_[key].lingers = false;
  host_->Send(TextFrame(view_->subscribed));
  if (with_snapshot) {
    if (!Waits(key)) waiting_.push_back(key);
    Start();
  } else if (!Waits(key)) {
    JoinNow(key);
  }
}

void ViewFeed::Unsubscribe(const Key& key) {
  std::erase(waiting_, key);
  if (key.has_value() && Joined(key) && !whole() && Waits(std::nullopt)) {
    subscriptions_[key].lingers = true;
  } else {
    if (Joined(key)) host_->Leave(this, key);
    subscriptions_.erase(key);
  }
  if (!key.has_value()) {
    ReleaseLingering();
    const std::deque<Key> waiting = waiting_;
    for (const Key& other : waiting) JoinNow(other);  // the whole view kept them up to date (rule 5)
  }
  if (!looking_ || look_key_ != key) return;
  // The walk ends early. What it has sent is carried for the subscriptions that remain; the rest it never was.
  if (!key.has_value() && look_number_.has_value()) {
    for (const auto& [other, subscription] : subscriptions_) {
      if (subscription.joined && *other <= look_last_key_) CarriedUpTo(other, *look_number_);
    }
  }
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
  for (const Held& held : held_) host_->SubHeldBytes(held.bytes);
  held_.clear();
  leavers_.clear();
  looking_ = false;
}

void ViewFeed::Start() {
  if (looking_ || waiting_.empty() || !host_->Drained()) return;
  look_key_ = std::move(waiting_.front());
  waiting_.pop_front();
  looking_ = true;
  look_number_.reset();
  look_last_key_.clear();
  ++look_id_;
  JoinNow(look_key_);  // before the look is asked for: see the README, "Join, look, drop"
  host_->RequestChunk(this, look_id_, host_->NewLook(this, look_key_));
}

void ViewFeed::OnChunk(uint64_t look_id, Chunk chunk, std::shared_ptr<Look> look) {
  if (!looking_ || look_id != look_id_) {  // its subscription has gone
    if (look != nullptr) host_->Discard(std::move(look));
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
  host_->CountSnapshot(chunk.rows, chunk.complete);
  host_->Send(std::move(chunk.frame));
  look_ = std::move(look);
  if (chunk.complete) Finish();
}

void ViewFeed::OnDrained() {
  if (look_ != nullptr) {
    host_->RequestChunk(this, look_id_, std::move(look_));
  } else {
    Start();
  }
}

void ViewFeed::Finish() {
  if (look_ != nullptr) host_->Discard(std::move(look_));
  if (look_number_.has_value()) CarriedUpTo(look_key_, *look_number_);
  looking_ = false;
  std::vector<Held> held = std::move(held_);
  held_.clear();
  for (const Held& one : held) {
    host_->SubHeldBytes(one.bytes);
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
    if (Matches(it->first)) host_->Send(std::move(it->second.frame));
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
  host_->AddHeldBytes(bytes);
}

void ViewFeed::Deliver(const std::shared_ptr<const Publication>& publication, const ViewFrames& frames, size_t index) {
  if (index != kAll) {
    DeliverOne(publication, frames, frames.frames[index]);
    return;
  }
  if (publication->number > carried_max_ && whole()) {
    host_->Send({publication, frames.bytes.data(), frames.bytes.size(), static_cast<uint32_t>(frames.frames.size())});
    return;
  }
  for (const FrameRef& frame : frames.frames) DeliverOne(publication, frames, frame);
}

void ViewFeed::DeliverOne(const std::shared_ptr<const Publication>& publication, const ViewFrames& frames, const FrameRef& frame) {
  const std::string_view key = publication->key(frame);
  if (!Matches(key)) return;  // unsubscribed while it was held
  const Number carried = CarriedAt(key);
  if (publication->number > carried) {
    host_->Send(SliceOf(publication, frames, frame));
    return;
  }
  host_->CountDropped(1);
  if (frame.deletes) {
    leavers_.insert_or_assign(std::string(key), Leaver{carried, SliceOf(publication, frames, frame)});
  } else if (auto it = leavers_.find(key); it != leavers_.end()) {
    leavers_.erase(it);
  }
}

}  // namespace everstate
