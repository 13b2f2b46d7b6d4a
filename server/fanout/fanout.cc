#include "server/fanout/fanout.h"

#include <algorithm>
#include <future>
#include <thread>

#include "server/fanout/lane.h"
#include "server/fanout/listener.h"
#include "server/fanout/publication.h"
#include "server/fanout/state.h"

namespace everstate {

struct Fanout::Impl {
  Impl(const FanoutOptions& options, HttpHandler http) : state(options, std::move(http)) {}

  // The lanes hold the store, and whoever still reads it. None of them may close it, nor may the projector: a reader does.
  void Serve(StoreRef store) {
    store = state.readers.Keep(std::move(store));
    for (const auto& lane : state.lanes) lane->Serve(store);
  }

  FanoutState state;
  std::shared_ptr<Listener> listener;
  std::string address;
  bool running = false;
};

Fanout::Fanout(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Fanout::~Fanout() { Stop(); }

absl::StatusOr<std::unique_ptr<Fanout>> Fanout::Start(const FanoutOptions& options, HttpHandler http) {
  auto impl = std::make_unique<Impl>(options, std::move(http));
  FanoutState& state = impl->state;
  // One core each for ingest, projector and store; the others are the lanes'.
  const unsigned cores = std::thread::hardware_concurrency();
  const unsigned lanes = options.lanes > 0 ? options.lanes : std::max(cores, 4u) - 3;
  for (unsigned i = 0; i < lanes; ++i) state.lanes.push_back(std::make_unique<Lane>(&state));
  absl::StatusOr<std::shared_ptr<Listener>> listener = Listener::Open(&state, options.listen);
  if (!listener.ok()) return listener.status();
  impl->listener = *std::move(listener);
  impl->address = impl->listener->address();
  for (const auto& lane : state.lanes) lane->Start();
  state.lanes[0]->Post([opened = impl->listener] { opened->Begin(); });
  impl->running = true;
  return std::unique_ptr<Fanout>(new Fanout(std::move(impl)));
}

std::string Fanout::address() const { return impl_->address; }

void Fanout::AttachStore(std::shared_ptr<const EntityStore> store) {
  FanoutState& state = impl_->state;
  state.views_owner = std::make_unique<const ViewTable>(store->schema());
  state.views.store(state.views_owner.get(), std::memory_order_release);
  impl_->Serve(std::move(store));
}

void Fanout::SwitchStore(std::shared_ptr<const EntityStore> store) {
  impl_->state.counters.switches.Add();
  impl_->Serve(std::move(store));
}

std::vector<ViewTraffic> Fanout::traffic() const {
  std::vector<ViewTraffic> traffic;
  const ViewTable* views = impl_->state.views.load(std::memory_order_acquire);
  for (uint32_t i = 0; views != nullptr && i < views->size(); ++i) {
    const ServedView& view = views->view(i);
    traffic.push_back({view.def.id, view.frames.value(), view.bytes.value(), view.listeners.load(std::memory_order_relaxed)});
  }
  return traffic;
}

absl::StatusOr<std::unique_ptr<BusTap>> Fanout::OpenTap(const std::vector<std::string>& views) {
  return impl_->state.taps.Open(impl_->state.views.load(std::memory_order_acquire), views);
}

void Fanout::Publish(const Applied& applied) {
  FanoutState& state = impl_->state;
  if (!impl_->running) return;
  const ViewTable* views = state.views.load(std::memory_order_acquire);
  if (views == nullptr) return;  // nobody can have joined
  const std::shared_ptr<const Publication> publication = EncodePublication(*views, applied, &state.counters.frames_encoded);
  state.counters.batches_published.Add();
  if (!publication->views.empty()) state.counters.batches_with_frames.Add();
  // A batch without frames goes out too: lanes settle what looks have dropped by the numbers that pass.
  for (const auto& lane : state.lanes) lane->Publish(publication);
}

void Fanout::Stop() {
  if (!impl_->running) return;
  impl_->running = false;
  FanoutState& state = impl_->state;
  // The port first, so that no socket is handed to a lane that has ended.
  std::promise<void> closed;
  state.lanes[0]->Post([&] {
    impl_->listener->Close();
    closed.set_value();
  });
  closed.get_future().wait();
  for (const auto& lane : state.lanes) {
    lane->Post([lane = lane.get()] {
      kLaneThread.Assume();
      lane->StopSoon();
    });
  }
  for (const auto& lane : state.lanes) lane->Wait();
  state.readers.Stop();
  impl_->listener.reset();
  state.lanes.clear();  // with them the store, and the looks on their way back from the readers
}

const FanoutCounters& Fanout::counters() const { return impl_->state.counters; }

}  // namespace everstate
