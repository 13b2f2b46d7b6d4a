#include "server/fanout/lane.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <utility>

#include "server/fanout/connection.h"
#include "server/fanout/lingering.h"

namespace everstate {
namespace net = boost::asio;

struct Lane::Impl {
  net::io_context io{1};  // one thread runs it
  net::steady_timer timer{io};
  net::executor_work_guard<net::io_context::executor_type> work{io.get_executor()};
};

Lane::Lane(FanoutState* state) : state_(state), impl_(std::make_unique<Impl>()) {}
Lane::~Lane() = default;

boost::asio::io_context& Lane::io() { return impl_->io; }

void Lane::Start() {
  thread_ = std::thread([this] {
    kLaneThread.Assume();
    ScheduleTick();
    impl_->io.run();
  });
}

void Lane::Wait() {
  if (thread_.joinable()) thread_.join();
}

void Lane::Post(std::function<void()> work) { net::post(impl_->io, std::move(work)); }

void Lane::Publish(std::shared_ptr<const Publication> publication) {
  for (size_t waiting; (waiting = bytes_waiting_.load()) >= state_->options.lane_bytes_max;)
    bytes_waiting_.wait(waiting);
  const size_t bytes = publication->bytes();
  bytes_waiting_ += bytes;
  state_->counters.lane_bytes_waiting.Add(bytes);
  net::post(impl_->io, [this, bytes, publication = std::move(publication)] {
    kLaneThread.Assume();
    bytes_waiting_ -= bytes;
    bytes_waiting_.notify_one();
    state_->counters.lane_bytes_waiting.Sub(bytes);
    OnPublication(publication);
  });
}

void Lane::Serve(StoreRef store) {
  net::post(impl_->io, [this, store = std::move(store)]() mutable {
    kLaneThread.Assume();
    OnStore(std::move(store));
  });
}

// Often enough for the shortest of the configured times.
void Lane::ScheduleTick() {
  const FanoutOptions& options = state_->options;
  const uint32_t shortest = std::min({options.ping_interval_ms, options.idle_timeout_ms, options.handshake_timeout_ms,
                                      options.close_timeout_ms, options.look_timeout_ms});
  impl_->timer.expires_after(std::chrono::milliseconds(std::clamp(shortest / 4, 5u, 1000u)));
  impl_->timer.async_wait([this](boost::system::error_code error) {
    kLaneThread.Assume();
    if (error) return;
    Tick();
    ScheduleTick();
  });
}

void Lane::Tick() {
  const SteadyTime now = std::chrono::steady_clock::now();
  oldest_look_ = now;
  // Backwards, because a peer that removes itself is replaced by the last one.
  for (size_t i = peers_.size(); i-- > 0;) {
    if (i < peers_.size()) std::shared_ptr<Peer>(peers_[i])->OnTick(now);
  }
  FlushDirty();
  oldest_look_ms_.Set(static_cast<uint64_t>(std::chrono::ceil<std::chrono::milliseconds>(now - oldest_look_).count()));
  if (state_->lanes[0].get() != this) return;
  uint64_t oldest = 0;
  for (const auto& lane : state_->lanes) oldest = std::max(oldest, lane->oldest_look_ms_.value());
  state_->counters.oldest_look_ms.Set(oldest);
}

void Lane::Adopt(int socket) {
  if (stopping_) {
    CloseAccepted(socket, state_);
    return;
  }
  StartConnection(this, socket);
}

void Lane::Add(std::shared_ptr<Peer> peer) {
  peer->position_ = peers_.size();
  peers_.push_back(std::move(peer));
}

void Lane::Remove(Peer* peer) {
  if (peer->dirty_) std::erase(dirty_, peer);
  peer->dirty_ = false;
  const size_t position = peer->position_;
  peers_[position] = std::move(peers_.back());
  peers_[position]->position_ = position;
  peers_.pop_back();
  if (stopping_ && peers_.empty()) impl_->io.stop();
}

void Lane::MarkDirty(Peer* peer) {
  if (peer->dirty_) return;
  peer->dirty_ = true;
  dirty_.push_back(peer);
}

void Lane::FlushDirty() {
  // Flushing may end a session, which takes it (only) out of the list, or make a peer dirty again.
  while (!dirty_.empty()) {
    Peer* peer = dirty_.back();
    dirty_.pop_back();
    peer->dirty_ = false;
    peer->Flush();
  }
}

void Lane::ScheduleFlush() {
  net::post(impl_->io, [this] {
    kLaneThread.Assume();
    FlushDirty();
  });
}

void Lane::Linger(int socket, SendQueue queue, bool slow) { StartLingering(this, socket, std::move(queue), slow); }

void Lane::OnStore(StoreRef store) {
  const StoreRef old = std::exchange(store_, std::move(store));
  number_ = 0;
  for (size_t i = peers_.size(); i-- > 0;) {
    if (i >= peers_.size()) continue;
    const std::shared_ptr<Peer> peer = peers_[i];
    if (old == nullptr) {
      peer->OnAttach();
    } else {
      peer->OnSwitch(old);
    }
  }
  FlushDirty();
}

void Lane::StopSoon() {
  stopping_ = true;
  const std::vector<std::shared_ptr<Peer>> peers = peers_;
  for (const std::shared_ptr<Peer>& peer : peers) peer->OnStop();
  FlushDirty();
  if (peers_.empty()) impl_->io.stop();
}

void Lane::Join(ViewFeed* feed, const std::optional<std::string>& key) {
  Topic& topic = topics_[feed->index()];
  if (key.has_value()) {
    topic.by_key[*key].push_back(feed);
  } else {
    feed->topic_position = topic.whole.size();
    topic.whole.push_back(feed);
  }
  feed->view().listeners.fetch_add(1, std::memory_order_acq_rel);
}

void Lane::Leave(ViewFeed* feed, const std::optional<std::string>& key) {
  Topic& topic = topics_[feed->index()];
  if (key.has_value()) {
    auto at = topic.by_key.find(*key);
    std::erase(at->second, feed);
    if (at->second.empty()) topic.by_key.erase(at);
  } else {
    topic.whole[feed->topic_position] = topic.whole.back();
    topic.whole[feed->topic_position]->topic_position = feed->topic_position;
    topic.whole.pop_back();
  }
  feed->view().listeners.fetch_sub(1, std::memory_order_acq_rel);
}

void Lane::Watch(ViewFeed* feed) {
  if (feed->watched) return;
  feed->watched = true;
  watched_.push_back(feed);
}

void Lane::Forget(ViewFeed* feed) {
  if (feed->watched) std::erase(watched_, feed);
}

void Lane::Settle(Number number) {
  std::erase_if(watched_, [number](ViewFeed* feed) {
    kLaneThread.Assume();
    if (!feed->Settle(number)) return false;
    feed->watched = false;
    return true;
  });
}

void Lane::OnPublication(const std::shared_ptr<const Publication>& publication) {
  Settle(publication->number - 1);
  for (const ViewFrames& frames : publication->views) {
    auto at = topics_.find(frames.view);
    if (at == topics_.end()) continue;
    Topic& topic = at->second;
    for (ViewFeed* feed : topic.whole) feed->OnLive(publication, frames, ViewFeed::kAll);
    if (topic.by_key.empty()) continue;
    for (size_t i = 0; i < frames.frames.size(); ++i) {
      auto listeners = topic.by_key.find(publication->key(frames.frames[i]));
      if (listeners == topic.by_key.end()) continue;
      for (ViewFeed* feed : listeners->second) {
        if (!feed->whole()) feed->OnLive(publication, frames, i);
      }
    }
  }
  number_ = publication->number;
  Settle(number_);
  FlushDirty();
  if (state_->lanes[0].get() == this) state_->taps.Offer(publication);
}

}  // namespace everstate
