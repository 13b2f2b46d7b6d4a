#include "server/ingest/ingest.h"

#include <algorithm>
#include <condition_variable>
#include <random>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/log.h"

namespace everstate::ingest {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kTick{200};         // how often waiting blocks are looked at when nothing comes
constexpr int kReplayResponseTries = 5;    // "failed to get replay response" although the provider's tip is ahead of us

// What the end of a connection asks for.
enum class Next { kRetry, kRetryWithoutReplay, kWaitForProvider, kRetrySlowly, kGiveUp };

bool NoReplay(const absl::Status& status) {
  return status.code() == absl::StatusCode::kOutOfRange ||
         (status.code() == absl::StatusCode::kInternal && absl::StrContains(status.message(), "from_slot is not supported"));
}

}  // namespace

std::string_view Name(StreamState state) {
  switch (state) {
    case StreamState::kConnecting:
      return "connecting";
    case StreamState::kLive:
      return "live";
    case StreamState::kWaitingToReconnect:
      return "waiting to reconnect";
    case StreamState::kProviderBehind:
      return "waiting for a provider that is behind";
    case StreamState::kStopped:
      return "stopped";
  }
  return "unknown";
}

struct Ingest::Impl {
  Impl(IngestOptions o, std::unique_ptr<Source> s, Sink k) : options(std::move(o)), source(std::move(s)), sink(std::move(k)), ledger(options.ledger, &counters) {}

  absl::Status RunConnection(Connection* connection);
  absl::Status HandOver(std::vector<LedgerEvent>* events);
  Next Judge(const absl::Status& status);
  bool Sleep(milliseconds duration);  // false: stopped
  milliseconds Backoff();
  std::unique_ptr<Connection> Connect(std::optional<Slot> from_slot, absl::Status* status);

  template <typename F>
  void Show(F change) {
    std::lock_guard lock(mutex);
    change(shown);
  }

  const IngestOptions options;
  const std::unique_ptr<Source> source;
  const Sink sink;
  LedgerCounters counters;
  Ledger ledger;
  std::mt19937_64 random{std::random_device{}()};
  milliseconds backoff{0};
  bool replay = true;         // ask for from_slot; false once the provider said that it cannot
  int replay_response_tries = 0;
  uint64_t settled_at_connect = 0;

  mutable std::mutex mutex;
  std::condition_variable wake;
  bool stopped = false;
  Connection* current = nullptr;  // so that Stop can cancel it
  StreamStatus shown;
};

bool Ingest::Impl::Sleep(milliseconds duration) {
  std::unique_lock lock(mutex);
  wake.wait_for(lock, duration, [&] { return stopped; });
  return !stopped;
}

// Exponential with full jitter, so that many servers do not come back in the same moment; begins anew after a good connection.
milliseconds Ingest::Impl::Backoff() {
  if (counters.blocks_settled.value() > settled_at_connect) backoff = milliseconds(0);
  backoff = backoff.count() == 0 ? options.backoff_first : std::min(backoff * 2, options.backoff_max);
  return milliseconds(std::uniform_int_distribution<int64_t>(backoff.count() / 4, backoff.count())(random));
}

absl::Status Ingest::Impl::HandOver(std::vector<LedgerEvent>* events) {
  for (LedgerEvent& event : *events) {
    if (!sink(std::move(event))) return absl::CancelledError("the receiver of blocks is closed");
  }
  events->clear();
  return absl::OkStatus();
}

absl::Status Ingest::Impl::RunConnection(Connection* connection) {
  std::vector<LedgerEvent> events;
  Clock::time_point heard = Clock::now();
  Slot newest = 0;
  bool proven = false;
  while (true) {
    {
      std::lock_guard lock(mutex);
      if (stopped) return absl::CancelledError("stopped");
    }
    absl::StatusOr<std::optional<std::string>> message = connection->Next(Clock::now() + kTick);
    if (!message.ok()) return message.status();
    const Clock::time_point now = Clock::now();
    absl::Status status;
    if (message->has_value()) {
      heard = now;
      status = ledger.Add(**std::move(message), now, &events);
    } else {
      status = ledger.Tick(now, &events);
    }
    // Blocks that came out before an error are whole: they go on.
    if (absl::Status handed = HandOver(&events); !handed.ok()) return handed;
    if (!status.ok()) return status;
    const Slot newest_now = counters.newest_slot.value();
    if (newest_now != newest || ledger.proven() != proven) {
      newest = newest_now;
      proven = ledger.proven();
      Show([&](StreamStatus& s) {
        s.last_slot_heard = now;
        s.proven = proven;
        s.state = StreamState::kLive;
        s.error.clear();
      });
    }
    if (now - heard > options.silence_max) {
      return absl::DeadlineExceededError(absl::StrCat("nothing was heard for ", options.silence_max.count() / 1000, " s"));
    }
  }
}

Next Ingest::Impl::Judge(const absl::Status& status) {
  if (NoReplay(status)) {
    if (!replay || !ledger.position().has_value()) return options.ledger.from_slot.has_value() && !ledger.position().has_value() ? Next::kGiveUp : Next::kRetry;
    return Next::kRetryWithoutReplay;
  }
  if (status.code() == absl::StatusCode::kInternal && absl::StrContains(status.message(), "failed to get replay response")) {
    const absl::StatusOr<Slot> tip = source->Tip(options.subscription.commitment);
    const std::optional<Slot> want = ledger.position().has_value() ? std::optional(ledger.position()->slot) : options.ledger.from_slot;
    if (tip.ok() && want.has_value() && *tip < *want) return Next::kWaitForProvider;
    return ++replay_response_tries < kReplayResponseTries || !ledger.position().has_value() ? Next::kRetry : Next::kRetryWithoutReplay;
  }
  switch (status.code()) {
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnimplemented:
      return Next::kRetrySlowly;
    default:
      return Next::kRetry;
  }
}

std::unique_ptr<Connection> Ingest::Impl::Connect(std::optional<Slot> from_slot, absl::Status* status) {
  Show([&](StreamStatus& s) {
    s.state = StreamState::kConnecting;
    s.proven = false;
    s.from_slot = from_slot;
    if (s.connects > 0) ++s.reconnects;
    ++s.connects;
  });
  settled_at_connect = counters.blocks_settled.value();
  ledger.BeginConnection();
  auto connection = source->Connect(options.subscription, from_slot);
  if (!connection.ok()) {
    *status = connection.status();
    return nullptr;
  }
  return *std::move(connection);
}

Ingest::Ingest(IngestOptions options, std::unique_ptr<Source> source, Sink sink)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(source), std::move(sink))) {}
Ingest::~Ingest() = default;

absl::Status Ingest::Run() {
  Impl& impl = *impl_;
  absl::Status final;
  while (true) {
    std::optional<Slot> from_slot;
    if (impl.replay && impl.ledger.position().has_value()) from_slot = impl.ledger.position()->slot;
    if (!impl.ledger.position().has_value()) from_slot = impl.options.ledger.from_slot;
    absl::Status status;
    std::unique_ptr<Connection> connection = impl.Connect(from_slot, &status);
    if (connection != nullptr) {
      {
        std::lock_guard lock(impl.mutex);
        impl.current = connection.get();
        if (impl.stopped) connection->Cancel();
      }
      status = impl.RunConnection(connection.get());
      {
        std::lock_guard lock(impl.mutex);
        impl.current = nullptr;
      }
      connection->Cancel();
      connection.reset();
    }
    {
      std::lock_guard lock(impl.mutex);
      if (impl.stopped) break;
    }
    if (status.code() == absl::StatusCode::kCancelled && absl::StrContains(status.message(), "receiver")) break;
    const bool filters_refused = status.code() == absl::StatusCode::kInvalidArgument && absl::StrContains(status.message(), "filter");
    if (status.code() == absl::StatusCode::kAborted || filters_refused) {
      final = status;
      break;
    }
    const Next next = impl.Judge(status);
    if (next == Next::kGiveUp) {
      final = absl::InvalidArgumentError(absl::StrCat("--from-slot: the provider cannot begin there: ", status.message()));
      break;
    }
    if (next == Next::kRetryWithoutReplay) {
      spdlog::warn("the provider cannot replay from slot {} ({}); going on live, what is missing will be recorded as a gap", from_slot.value_or(0),
                   std::string(status.message()));
      impl.replay = false;
    } else {
      // A later connection asks again: the next node, or the same one later, may be able to.
      impl.replay = true;
    }
    const milliseconds pause = next == Next::kRetrySlowly ? impl.options.backoff_max : impl.Backoff();
    impl.Show([&](StreamStatus& s) {
      s.state = next == Next::kWaitForProvider ? StreamState::kProviderBehind : StreamState::kWaitingToReconnect;
      s.proven = false;
      s.error = std::string(status.message());
    });
    spdlog::warn("stream ended: {}; reconnecting in {} ms", std::string(status.message()), pause.count());
    if (!impl.Sleep(pause)) break;
  }
  impl.Show([](StreamStatus& s) {
    s.state = StreamState::kStopped;
    s.proven = false;
  });
  return final;
}

void Ingest::Stop() {
  std::lock_guard lock(impl_->mutex);
  impl_->stopped = true;
  if (impl_->current != nullptr) impl_->current->Cancel();
  impl_->wake.notify_all();
}

StreamStatus Ingest::status() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->shown;
}

const LedgerCounters& Ingest::counters() const { return impl_->counters; }

}  // namespace everstate::ingest
