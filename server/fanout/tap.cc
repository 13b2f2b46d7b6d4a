#include "server/fanout/tap.h"

#include <algorithm>
#include <condition_variable>
#include <deque>

#include "absl/strings/str_cat.h"
#include "server/fanout/send_queue.h"

namespace everstate {

using PublicationRef = std::shared_ptr<const Publication>;

// TapQueue: what waits for one tap, bounded.
//   Thread:    Offer on a lane, Take on the tap's.
//   Invariant: a batch counts with all its bytes, whoever they are for, because it is kept whole. One that is larger
//              than the bound passes alone.
class TapQueue {
 public:
  TapQueue(std::vector<bool> views, size_t batches_max, size_t bytes_max)
      : views_(std::move(views)), batches_max_(batches_max), bytes_max_(bytes_max) {}

  bool Wants(uint32_t view) const { return views_[view]; }

  // False: there was no room, the batch is dropped.
  bool Offer(const PublicationRef& publication) {
    const auto wanted = [this](const ViewFrames& frames) { return Wants(frames.view); };
    if (std::none_of(publication->views.begin(), publication->views.end(), wanted)) return true;
    {
      std::lock_guard lock(mutex_);
      if (waiting_.size() >= batches_max_ || bytes_ >= bytes_max_) {
        ++missed_;
        return false;
      }
      waiting_.push_back(publication);
      bytes_ += BytesOf(*publication);
    }
    wake_.notify_one();
    return true;
  }

  PublicationRef Take(std::chrono::steady_clock::time_point deadline, uint64_t* missed) {
    std::unique_lock lock(mutex_);
    wake_.wait_until(lock, deadline, [this] { return !waiting_.empty(); });
    *missed = missed_;
    if (waiting_.empty()) return nullptr;
    PublicationRef publication = std::move(waiting_.front());
    waiting_.pop_front();
    bytes_ -= BytesOf(*publication);
    return publication;
  }

 private:
  static size_t BytesOf(const Publication& publication) {
    size_t bytes = publication.keys.size();
    for (const ViewFrames& frames : publication.views) bytes += frames.bytes.size();
    return bytes;
  }

  const std::vector<bool> views_;
  const size_t batches_max_, bytes_max_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<PublicationRef> waiting_;
  size_t bytes_ = 0;
  uint64_t missed_ = 0;
};

namespace {

// Counts as a listener of its views, so that they are encoded.
class Tap final : public BusTap {
 public:
  Tap(const ViewTable* views, std::shared_ptr<TapQueue> queue) : views_(views), queue_(std::move(queue)) {
    ForEachView([](const ServedView& view) { view.listeners.fetch_add(1, std::memory_order_acq_rel); });
  }
  ~Tap() override {
    ForEachView([](const ServedView& view) { view.listeners.fetch_sub(1, std::memory_order_acq_rel); });
  }

  bool Next(std::chrono::steady_clock::time_point deadline, std::vector<TappedFrame>* frames,
            uint64_t* missed) override {
    frames->clear();
    current_ = queue_->Take(deadline, missed);
    if (current_ == nullptr) return false;
    for (const ViewFrames& view : current_->views) {
      if (!queue_->Wants(view.view)) continue;
      const std::string_view bytes = view.bytes;
      for (const FrameRef& frame : view.frames) {
        frames->push_back({views_->view(view.view).def.id, current_->key(frame), FrameOpName(frame.op),
                           FramePayload(bytes.substr(frame.offset, frame.size)), current_->number});
      }
    }
    return true;
  }

 private:
  template <class Do>
  void ForEachView(Do&& act) const {
    for (uint32_t i = 0; i < views_->size(); ++i) {
      if (queue_->Wants(i)) act(views_->view(i));
    }
  }

  const ViewTable* const views_;
  const std::shared_ptr<TapQueue> queue_;
  PublicationRef current_;  // what the frames' texts lie in
};

}  // namespace

absl::StatusOr<std::unique_ptr<BusTap>> Taps::Open(const ViewTable* views, const std::vector<std::string>& ids) {
  if (views == nullptr)
    return absl::FailedPreconditionError("the store is not open yet: there are no views to listen to");
  std::vector<bool> wanted(views->size(), false);
  for (const std::string& id : ids) {
    const std::optional<uint32_t> index = views->Find(id);
    if (!index.has_value()) return absl::InvalidArgumentError(absl::StrCat("there is no view \"", id, "\""));
    const std::string& unsupported = views->view(*index).def.unsupported;
    if (!unsupported.empty())
      return absl::InvalidArgumentError(absl::StrCat("the view \"", id, "\" cannot be served: ", unsupported));
    wanted[*index] = true;
  }
  if (ids.empty()) {
    for (uint32_t i = 0; i < views->size(); ++i) wanted[i] = views->view(i).def.unsupported.empty();
  }
  auto queue = std::make_shared<TapQueue>(std::move(wanted), batches_max_, bytes_max_);
  {
    std::lock_guard lock(mutex_);
    queues_.push_back(queue);
    count_.store(queues_.size(), std::memory_order_relaxed);
  }
  return std::make_unique<Tap>(views, std::move(queue));
}

void Taps::Offer(const std::shared_ptr<const Publication>& publication) {
  if (count_.load(std::memory_order_relaxed) == 0) return;
  std::lock_guard lock(mutex_);
  std::erase_if(queues_, [&](const std::weak_ptr<TapQueue>& weak) {
    const std::shared_ptr<TapQueue> queue = weak.lock();
    if (queue != nullptr && !queue->Offer(publication)) dropped_->Add();
    return queue == nullptr;
  });
  count_.store(queues_.size(), std::memory_order_relaxed);
}

}  // namespace everstate
