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

constexpr milliseconds kTick{100};       // how often waiting blocks are looked at when nothing comes
constexpr int kReplayResponseTries = 5;  // "failed to get replay response" although the provider's tip is not behind us

// Why a connection ended.
struct End {
  enum class By { kProvider, kLedger, kReceiver, kInterrupted };
  By by = By::kProvider;
  absl::Status status;
};

// What the end of a connection asks for.
enum class Next { kRetry, kRetrySlowly, kGoLive, kWaitForProvider, kGiveUp };

// from_slot is too old, or the provider keeps no blocks to replay. Both texts are Yellowstone's.
bool CannotReplay(const absl::Status& status) {
  return status.code() == absl::StatusCode::kOutOfRange ||
         (status.code() == absl::StatusCode::kInternal &&
          absl::StrContains(status.message(), "from_slot is not supported"));
}

// Nothing to replay, which may mean that the provider is behind us, or a fault of its own.
bool HasNothingToReplay(const absl::Status& status) {
  return status.code() == absl::StatusCode::kInternal &&
         absl::StrContains(status.message(), "failed to get replay response");
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
      return "provider behind";
    case StreamState::kStopped:
      return "stopped";
  }
  return "unknown";
}

struct Ingest::Impl {
  Impl(IngestOptions o, std::unique_ptr<Source> s, Sink k)
      : options(std::move(o)), source(std::move(s)), sink(std::move(k)) {
    ledger.emplace(options.ledger, &counters);
  }

  End RunConnection(std::optional<Slot> from_slot) EVERSTATE_ON_INGEST;
  End Follow(Connection* connection) EVERSTATE_ON_INGEST;
  bool HandOver(std::vector<LedgerEvent>* events) EVERSTATE_ON_INGEST;
  bool BeginAnew() EVERSTATE_ON_INGEST;  // false: the receiver closed
  std::optional<Slot> FromSlot() const EVERSTATE_ON_INGEST;
  Next Judge(const End& end) EVERSTATE_ON_INGEST;
  Next JudgeReplay(const absl::Status& status) EVERSTATE_ON_INGEST;
  bool Pause(Next next, const absl::Status& why) EVERSTATE_ON_INGEST;  // false: stopped
  milliseconds Backoff() EVERSTATE_ON_INGEST;
  void ShowHeard(Clock::time_point now) EVERSTATE_ON_INGEST;

  template <typename F>
  void Show(F change) {
    std::lock_guard lock(mutex);
    change(shown);
  }

  const IngestOptions options;
  const std::unique_ptr<Source> source;
  const Sink sink;
  LedgerCounters counters;
  std::optional<Ledger> ledger EVERSTATE_OF_INGEST;  // another one after each restart

  std::mt19937_64 random EVERSTATE_OF_INGEST{std::random_device{}()};
  milliseconds backoff EVERSTATE_OF_INGEST{0};
  // The next connection asks for no replay, because the provider said that it cannot.
  bool live_only EVERSTATE_OF_INGEST = false;
  int replay_response_tries EVERSTATE_OF_INGEST = 0;
  uint64_t settled_before EVERSTATE_OF_INGEST = 0;  // blocks when the present connection began
  uint64_t statuses_shown EVERSTATE_OF_INGEST = 0;

  std::atomic<bool> stopped{false};
  std::atomic<bool> restarting{false};  // `restart` has a value
  bool Interrupted() const { return stopped || restarting; }

  mutable std::mutex mutex;  // guards the rest
  std::condition_variable wake;
  std::optional<LedgerOptions> restart;  // what the next ledger is to begin with
  Connection* current = nullptr;
  StreamStatus shown;
};

std::optional<Slot> Ingest::Impl::FromSlot() const {
  if (!ledger->position().has_value()) return options.ledger.from_slot;
  if (live_only) return std::nullopt;
  return ledger->position()->slot;  // inclusive: one slot of overlap, which proves the link
}

bool Ingest::Impl::HandOver(std::vector<LedgerEvent>* events) {
  for (LedgerEvent& event : *events) {
    if (restarting) break;  // what is left belongs to a position that is given up
    if (!sink(std::move(event))) return false;
  }
  events->clear();
  return true;
}

// A status or a block was heard: the stream lives, and what went wrong before is over.
void Ingest::Impl::ShowHeard(Clock::time_point now) {
  const uint64_t statuses = counters.slots.value() + counters.block_metas.value();
  if (statuses == statuses_shown) return;
  statuses_shown = statuses;
  std::lock_guard lock(mutex);
  shown.last_slot_heard = now;
  shown.proven = ledger->proven();
  shown.state = StreamState::kLive;
  shown.error.clear();
}

End Ingest::Impl::Follow(Connection* connection) {
  std::vector<LedgerEvent> events;
  Clock::time_point now = Clock::now();
  Clock::time_point heard = now;
  while (!Interrupted()) {
    absl::StatusOr<std::optional<std::string>> message = connection->Next(now + kTick);
    if (!message.ok()) return {End::By::kProvider, message.status()};
    now = Clock::now();
    absl::Status status;
    if (message->has_value()) {
      heard = now;
      status = ledger->Add(**std::move(message), now, &events);
      ShowHeard(now);
    } else {
      status = ledger->Tick(now, &events);
    }
    // Blocks that came out before an error are whole: they go on.
    if (!events.empty()) {
      if (!HandOver(&events)) return {End::By::kReceiver, absl::OkStatus()};
      // The receiver may have held us up: that was no silence of the provider, and no parent failed to come.
      heard = Clock::now();
      ledger->HeldUp(heard - now);
      now = heard;
    }
    if (!status.ok()) return {End::By::kLedger, status};
    if (now - heard > options.silence_max) {
      return {End::By::kProvider,
              absl::DeadlineExceededError(absl::StrCat("nothing was heard for ", options.silence_max.count(), " ms"))};
    }
  }
  return {End::By::kInterrupted, absl::OkStatus()};
}

End Ingest::Impl::RunConnection(std::optional<Slot> from_slot) {
  Show([&](StreamStatus& s) {
    if (s.state != StreamState::kProviderBehind) s.state = StreamState::kConnecting;
    s.from_slot = from_slot;
    s.reconnects = s.connects;
    ++s.connects;
  });
  settled_before = counters.blocks_settled.value();
  ledger->BeginConnection(!from_slot.has_value());
  absl::StatusOr<std::unique_ptr<Connection>> connection = source->Connect(options.subscription, from_slot);
  if (!connection.ok()) return {End::By::kProvider, connection.status()};
  {
    std::lock_guard lock(mutex);
    current = connection->get();
    if (Interrupted()) current->Cancel();
  }
  End end = Follow(connection->get());
  std::lock_guard lock(mutex);
  current = nullptr;
  return end;
}

Next Ingest::Impl::JudgeReplay(const absl::Status& status) {
  // A rewind to nowhere: an empty store that was told where to begin has no other place to go.
  const bool may_go_live = ledger->position().has_value();
  if (CannotReplay(status)) return may_go_live ? Next::kGoLive : Next::kGiveUp;
  const absl::StatusOr<Slot> tip = source->Tip(options.subscription.commitment);
  if (tip.ok() && *tip < *FromSlot()) return Next::kWaitForProvider;
  if (++replay_response_tries < kReplayResponseTries) return Next::kRetry;
  replay_response_tries = 0;
  return may_go_live ? Next::kGoLive : Next::kRetry;
}

Next Ingest::Impl::Judge(const End& end) {
  if (counters.blocks_settled.value() > settled_before) {  // a good connection: troubles begin anew
    backoff = milliseconds(0);
    replay_response_tries = 0;
  }
  if (end.by == End::By::kLedger) {
    const bool final =
        end.status.code() == absl::StatusCode::kAborted || end.status.code() == absl::StatusCode::kFailedPrecondition;
    return final ? Next::kGiveUp : Next::kRetry;
  }
  if (FromSlot().has_value() && (CannotReplay(end.status) || HasNothingToReplay(end.status)))
    return JudgeReplay(end.status);
  switch (end.status.code()) {
    case absl::StatusCode::kInvalidArgument:  // "failed to create filter": our own request is wrong
      return Next::kGiveUp;
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kResourceExhausted:
      return Next::kRetrySlowly;
    default:
      return Next::kRetry;
  }
}

// Doubled each time, with full jitter, so that many servers do not come back in the same moment.
milliseconds Ingest::Impl::Backoff() {
  backoff = std::clamp(backoff * 2, options.backoff_first, options.backoff_max);
  return milliseconds(std::uniform_int_distribution<int64_t>(1, std::max<int64_t>(backoff.count(), 1))(random));
}

bool Ingest::Impl::Pause(Next next, const absl::Status& why) {
  const milliseconds pause = next == Next::kRetrySlowly ? options.backoff_max : Backoff();
  const std::string text = why.ToString();
  Show([&](StreamStatus& s) {
    s.state = next == Next::kWaitForProvider ? StreamState::kProviderBehind : StreamState::kWaitingToReconnect;
    s.proven = false;
    s.error = text;
  });
  if (next == Next::kGoLive) {
    LogWarn(Room::kIngest, "the provider cannot replay from slot {} ({}): going on live; what is missing becomes a gap",
            ledger->position()->slot, text);
  } else if (next == Next::kWaitForProvider) {
    LogWarn(Room::kIngest, "the provider is behind slot {}: waiting for it, again in {} ms", FromSlot().value_or(0),
            pause.count());
  } else {
    LogWarn(Room::kIngest, "the stream ended: {}; again in {} ms", text, pause.count());
  }
  std::unique_lock lock(mutex);
  wake.wait_for(lock, pause, [&] { return Interrupted(); });
  return !stopped;
}

// What RestartAt asked for: another ledger, and nothing of what was learned at the old position.
bool Ingest::Impl::BeginAnew() {
  LedgerOptions next;
  {
    std::lock_guard lock(mutex);
    next = *std::exchange(restart, std::nullopt);
    restarting = false;
    shown.state = StreamState::kConnecting;
    shown.proven = false;
    shown.error.clear();
  }
  const BlockId at = *next.position;
  ledger.emplace(std::move(next), &counters);
  live_only = false;
  replay_response_tries = 0;
  backoff = milliseconds(0);
  LogInfo(Room::kIngest, "the stream begins anew at slot {}", at.slot);
  return sink(Restarted{at});
}

Ingest::Ingest(IngestOptions options, std::unique_ptr<Source> source, Sink sink)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(source), std::move(sink))) {}
Ingest::~Ingest() = default;

absl::Status Ingest::Run() {
  Impl& impl = *impl_;
  absl::Status result;
  while (!impl.stopped) {
    if (impl.restarting && !impl.BeginAnew()) break;
    const End end = impl.RunConnection(impl.FromSlot());
    if (impl.stopped || end.by == End::By::kReceiver) break;
    if (impl.restarting) continue;
    const Next next = impl.Judge(end);
    impl.live_only = next == Next::kGoLive;
    if (next == Next::kGiveUp) {
      result = end.status;
      if (end.by == End::By::kLedger && !absl::IsAborted(result)) result = absl::InvalidArgumentError(result.message());
      if (absl::IsOutOfRange(result) || absl::IsInternal(result)) {
        result = absl::InvalidArgumentError(
            absl::StrCat("the provider cannot begin at slot ", impl.FromSlot().value_or(0), ": ", result.message()));
      }
      break;
    }
    if (!impl.Pause(next, end.status)) break;
  }
  impl.Show([&](StreamStatus& s) {
    s.state = StreamState::kStopped;
    s.proven = false;
    if (!result.ok()) s.error = result.ToString();
  });
  return result;
}

void Ingest::Stop() {
  std::lock_guard lock(impl_->mutex);
  impl_->stopped = true;
  impl_->source->Cancel();
  if (impl_->current != nullptr) impl_->current->Cancel();
  impl_->wake.notify_all();
}

void Ingest::RestartAt(const BlockId& position, std::function<std::optional<Hash32>(Slot)> applied_blockhash) {
  LedgerOptions next = impl_->options.ledger;
  next.position = position;
  next.applied_blockhash = std::move(applied_blockhash);
  std::lock_guard lock(impl_->mutex);
  impl_->restart = std::move(next);
  impl_->restarting = true;
  if (impl_->current != nullptr) impl_->current->Cancel();
  impl_->wake.notify_all();
}

StreamStatus Ingest::status() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->shown;
}

const LedgerCounters& Ingest::counters() const { return impl_->counters; }
absl::StatusOr<Slot> Ingest::FirstReplayable() const { return impl_->source->FirstReplayable(); }

}  // namespace everstate::ingest
