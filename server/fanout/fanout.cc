#include "server/fanout/fanout.h"

#include <algorithm>
#include <future>
#include <limits>
#include <thread>

#include "server/fanout/lane.h"
#include "server/fanout/listener.h"
#include "server/fanout/publication.h"
#include "server/fanout/state.h"

namespace everstate {
namespace {

// Sockets that are no session yet (or are ending) may exceed the sessions by this many. The health port has so many
// more to itself: however many sockets the main port has, somebody can still ask how the server is.
constexpr int64_t kExtraConnections = 1024, kHealthConnections = 64;

void StopSoon(Lane* lane) {
  lane->Post([lane] {
    kLaneThread.Assume();
    lane->StopSoon();
  });
}

}  // namespace

struct Fanout::Impl {
  Impl(const FanoutOptions& options, HttpHandler http) : state(options, std::move(http)) {}

  // The lanes hold the store, and whoever still reads it. None of them may close it, nor may the projector: a reader
  // does.
  void Serve(StoreRef store) {
    store = state.readers.Keep(std::move(store));
    for (const auto& lane : state.lanes) lane->Serve(store);
  }

  absl::Status Listen();
  void StopListening();

  struct Port {
    std::shared_ptr<Listener> listener;
    Lane* lane = nullptr;  // its first one
  };

  FanoutState state;
  std::vector<Port> ports;  // the main one, then that of health_listen
  std::string address, health_address;
  bool running = false;
};

absl::Status Fanout::Impl::Listen() {
  const auto open = [this](ListenerOptions port, std::string* bound) -> absl::Status {
    absl::StatusOr<std::shared_ptr<Listener>> listener = Listener::Open(&state, port);
    if (!listener.ok()) return listener.status();
    *bound = (*listener)->address();
    ports.push_back({*std::move(listener), port.lanes[0]});
    return absl::OkStatus();
  };
  // Half of what the type holds is as good as no limit, and leaves room for what is added.
  constexpr size_t kUnlimited = std::numeric_limits<int64_t>::max() / 2;
  const int64_t connections_max =
      static_cast<int64_t>(std::min(state.options.sessions_max, kUnlimited)) + kExtraConnections;
  std::vector<Lane*> lanes;
  lanes.reserve(state.lanes.size());
  for (const auto& lane : state.lanes) lanes.push_back(lane.get());
  absl::Status status = open({"listen address", state.options.listen, std::move(lanes), connections_max}, &address);
  if (!status.ok() || state.options.health_listen.empty()) return status;
  return open({"health-listen address",
               state.options.health_listen,
               {state.health_lane.get()},
               connections_max + kHealthConnections},
              &health_address);
}

// So that no socket is handed to a lane that has ended.
void Fanout::Impl::StopListening() {
  for (const Port& port : ports) {
    std::promise<void> closed;
    port.lane->Post([&] {
      port.listener->Close();
      closed.set_value();
    });
    closed.get_future().wait();
  }
}

Fanout::Fanout(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Fanout::~Fanout() { Stop(); }

absl::StatusOr<std::unique_ptr<Fanout>> Fanout::Start(const FanoutOptions& options, HttpHandler http) {
  auto impl = std::make_unique<Impl>(options, std::move(http));
  FanoutState& state = impl->state;
  // One core each for ingest, projector and store; the others are the lanes'.
  const unsigned cores = std::thread::hardware_concurrency();
  const unsigned lanes = options.lanes > 0 ? options.lanes : std::max(cores, 4u) - 3;
  for (unsigned i = 0; i < lanes; ++i) state.lanes.push_back(std::make_unique<Lane>(&state));
  if (!options.health_listen.empty()) state.health_lane = std::make_unique<Lane>(&state);
  if (absl::Status status = impl->Listen(); !status.ok()) return status;
  for (const auto& lane : state.lanes) lane->Start();
  if (state.health_lane != nullptr) state.health_lane->Start();
  for (const Impl::Port& port : impl->ports) port.lane->Post([listener = port.listener] { listener->Begin(); });
  impl->running = true;
  return std::unique_ptr<Fanout>(new Fanout(std::move(impl)));
}

std::string Fanout::address() const { return impl_->address; }
std::string Fanout::health_address() const { return impl_->health_address; }

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
    if (!view.def.unsupported.empty()) continue;
    traffic.push_back(
        {view.def.id, view.frames.value(), view.bytes.value(), view.listeners.load(std::memory_order_relaxed)});
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
  const std::shared_ptr<const Publication> publication =
      EncodePublication(*views, applied, &state.counters.frames_encoded);
  state.counters.batches_published.Add();
  if (!publication->views.empty()) state.counters.batches_with_frames.Add();
  // A batch without frames goes out too: lanes settle what looks have dropped by the numbers that pass.
  for (const auto& lane : state.lanes) lane->Publish(publication);
}

void Fanout::Stop() {
  if (!impl_->running) return;
  impl_->running = false;
  FanoutState& state = impl_->state;
  impl_->StopListening();
  for (const auto& lane : state.lanes) StopSoon(lane.get());
  if (state.health_lane != nullptr) StopSoon(state.health_lane.get());
  for (const auto& lane : state.lanes) lane->Wait();
  if (state.health_lane != nullptr) state.health_lane->Wait();
  state.readers.Stop();
  impl_->ports.clear();
  state.health_lane.reset();
  state.lanes.clear();  // with them the store, and the looks on their way back from the readers
}

const FanoutCounters& Fanout::counters() const { return impl_->state.counters; }

}  // namespace everstate
