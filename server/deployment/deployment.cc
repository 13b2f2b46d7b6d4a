#include "server/deployment/deployment.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <future>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/log.h"
#include "server/deployment/checkpointer.h"
#include "server/deployment/hand_over.h"
#include "server/deployment/line.h"
#include "server/deployment/rewind.h"

namespace everstate {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr size_t kSlotsSeenMax = 64;
constexpr char kStops[] = "the server stops";

ingest::Subscription SubscriptionOf(const DeploymentOptions& options, const vm::Projection& projection) {
  return {projection.transaction_programs(), projection.account_owners(), options.commitment};
}

// What the projectors of earlier generations counted goes on counting: the counters of a process only rise.
struct Counted {
  ProjectorStats stats;
  std::vector<vm::Fault> faults;
};

template <typename S, size_t N>
void AddCounters(const std::array<Described<S>, N>& list, const S& more, S* to) {
  for (const Described<S>& counter : list) counter.Add(more, to);
}

void Add(const Counted& more, Counted* to) {
  AddCounters(kProjectorStats, more.stats, &to->stats);
  AddCounters(vm::kMachineCounters, more.stats.machine, &to->stats.machine);
  AddCounters(kStateCacheStats, more.stats.cache, &to->stats.cache);
  for (const vm::Fault& fault : more.faults) {
    const auto same = std::ranges::find_if(to->faults, [&](const vm::Fault& f) {
      return f.entity == fault.entity && f.handler == fault.handler && f.reason == fault.reason;
    });
    if (same == to->faults.end()) {
      to->faults.push_back(fault);
    } else {
      same->count += fault.count;
    }
  }
}

template <typename Duration>
Duration Between(SteadyClock::time_point begin, SteadyClock::time_point end) {
  return std::chrono::duration_cast<Duration>(std::max(end - begin, SteadyClock::duration{0}));
}

}  // namespace

std::string_view Name(RewindState state) {
  switch (state) {
    case RewindState::kFilling:
      return "filling";
    case RewindState::kDone:
      return "done";
    case RewindState::kFailed:
      return "failed";
  }
  return "unknown";
}

struct Deployment::Impl {
  Impl(DeploymentOptions o, std::shared_ptr<const vm::Projection> p, std::shared_ptr<EntityStore> s, std::unique_ptr<ingest::ArchiveWriter> archive)
      : options(std::move(o)),
        projection(std::move(p)),
        archive_dir(options.store.data_dir / "archive"),
        hand_over(std::move(archive), options.inbox_blocks_max, options.inbox_bytes_max),
        filler(&hand_over, archive_dir, SubscriptionOf(options, *projection), &stopping),
        serving(std::move(s)) {}

  absl::StatusOr<std::shared_ptr<RewindPlan>> Plan(const RewindRequest& request);
  absl::StatusOr<bool> TakesArchive(const RewindRequest& request, const BlockId& checkpoint) const;
  Checkpointer::Made NewestCheckpoint() const;
  ingest::IngestOptions MakeIngestOptions() const;
  std::unique_ptr<Line> MakeLine(std::shared_ptr<EntityStore> store);

  // Of the projector's thread.
  void RunProjector() EVERSTATE_ON_PROJECTOR;
  absl::Status Follow() EVERSTATE_ON_PROJECTOR;
  absl::Status Handle(const HandOver::Item& item) EVERSTATE_ON_PROJECTOR;
  absl::Status ProjectBlock(const Block& block) EVERSTATE_ON_PROJECTOR;
  absl::Status Rewind(RewindPlan* plan, bool at_start) EVERSTATE_ON_PROJECTOR;
  absl::Status Fill(RewindPlan* plan, Line* next, bool at_start) EVERSTATE_ON_PROJECTOR;
  absl::Status Switch(RewindPlan* plan, std::unique_ptr<Line>* next) EVERSTATE_ON_PROJECTOR;
  absl::Status Abandon(const RewindPlan& plan, const absl::Status& why, bool at_start) EVERSTATE_ON_PROJECTOR;
  void RestartAt(const BlockId& position);
  void ShowRewind(const Line& next);
  void ShowRewindFailed(std::string why);

  void MakeScheduledCheckpoint();
  void Report(Failure::Where where, const absl::Status& status);
  std::shared_ptr<EntityStore> Serving() const {
    std::lock_guard lock(mutex);
    return serving;
  }
  std::function<std::optional<Hash32>(Slot)> AppliedBlockhash() const;

  const DeploymentOptions options;
  const std::shared_ptr<const vm::Projection> projection;
  const std::filesystem::path archive_dir;
  std::atomic<bool> stopping{false};
  HandOver hand_over;
  Filler filler;
  DeploymentSinks sinks;
  std::shared_ptr<RewindPlan> rewind_at_start;
  std::unique_ptr<ingest::Ingest> feed;
  std::unique_ptr<Checkpointer> checkpointer;
  std::thread ingest_thread, projector_thread;

  std::unique_ptr<Line> line EVERSTATE_OF_PROJECTOR;

  std::mutex checkpoint_mutex;  // one hand on <data>/checkpoints: creating, pruning, beginning from one
  std::atomic<bool> rewinding{false};
  std::atomic<bool> projector_ended{false};  // orders are carried out no more

  mutable std::mutex mutex;  // guards the rest
  std::shared_ptr<EntityStore> serving;
  std::shared_ptr<EntityStore> filling;  // by a rewind
  const Projector* projector = nullptr;  // the serving line's
  Counted earlier;                       // by the lines before it
  std::deque<SlotSeen> slots;
  std::optional<RewindStatus> rewind;
  DeploymentCounters counters;
  std::string checkpoint_error;
  std::optional<Failure> failure;
  std::atomic<bool> failed{false};
};

// Whose chain the stream has to go on: that of the generation its blocks are for.
std::function<std::optional<Hash32>(Slot)> Deployment::Impl::AppliedBlockhash() const {
  return [this](Slot slot) {
    std::shared_ptr<EntityStore> store;
    {
      std::lock_guard lock(mutex);
      store = filling != nullptr ? filling : serving;
    }
    return store->BlockhashOf(slot);
  };
}

// --- planning ---------------------------------------------------------------------------------------------------------

// Null: the serving generation was made by the same request.
absl::StatusOr<std::shared_ptr<RewindPlan>> Deployment::Impl::Plan(const RewindRequest& request) {
  const std::shared_ptr<EntityStore> store = Serving();
  if (store->resumed_from() == request.slot && !request.again) return nullptr;
  std::lock_guard lock(checkpoint_mutex);
  const auto entries = ListCheckpoints(options.store.data_dir);
  if (!entries.ok()) return entries.status();
  auto checkpoint = ChooseCheckpoint(*store, *entries, request.slot);
  if (!checkpoint.ok()) return checkpoint.status();

  const absl::StatusOr<bool> from_archive = TakesArchive(request, checkpoint->watermark.block);
  if (!from_archive.ok()) return from_archive.status();

  auto plan = std::make_shared<RewindPlan>();
  plan->request = request;
  plan->checkpoint = *std::move(checkpoint);
  plan->from_archive = *from_archive;
  auto next = store->BeginGeneration(plan->checkpoint);
  if (!next.ok()) return next.status();
  plan->store = *std::move(next);
  LogInfo(Room::kDeployment, "rewinding to slot {} from checkpoint {}: generation {} is filled from the {}",
          request.slot, plan->checkpoint.name, plan->store->generation(), plan->from_archive ? "archive" : "stream");
  std::lock_guard show(mutex);
  rewind = RewindStatus{request,
                        plan->checkpoint.name,
                        plan->store->generation(),
                        plan->checkpoint.watermark.block.slot,
                        plan->checkpoint.watermark.block.slot,
                        store->watermark().block.slot,
                        RewindState::kFilling,
                        ""};
  return plan;
}

// Where the blocks behind the checkpoint come from: the archive when it has all of them, else the provider. Where a gap is accepted
// and the provider is not known to reach back, what the archive has of them is better than nothing.
absl::StatusOr<bool> Deployment::Impl::TakesArchive(const RewindRequest& request, const BlockId& checkpoint) const {
  bool has_some = false;
  if (hand_over.archive() != nullptr) {
    // While the server runs nothing else brings what the archive lacks at its end.
    const Slot up_to = feed == nullptr ? 0 : Serving()->watermark().block.slot;
    // The files themselves: the writer does not know what was cut or deleted since.
    const auto listing = ingest::ListArchive(archive_dir);
    if (!listing.ok()) return listing.status();
    const std::string missing = MissingFrom(*listing, checkpoint, up_to);
    if (missing.empty()) return true;
    LogInfo(Room::kDeployment, "{}: the provider is asked for them", missing);
    has_some = listing->faults.empty() && !listing->runs.empty() && listing->runs.back().last.slot > checkpoint.slot;
  }
  // Before the first connection it cannot be asked.
  const absl::StatusOr<Slot> first = feed == nullptr ? absl::UnavailableError("not connected") : feed->FirstReplayable();
  if (first.ok() && *first <= checkpoint.slot) return false;
  if (request.accept_gap) return has_some;
  if (!first.ok()) return false;  // it does not tell: it is tried
  const Slot to = std::max(*first, checkpoint.slot + 2);
  return Hole({checkpoint.slot, to, "the archive does not have them, and the provider cannot replay them"});
}

ingest::IngestOptions Deployment::Impl::MakeIngestOptions() const {
  ingest::IngestOptions ingest_options = options.stream;
  ingest_options.subscription = SubscriptionOf(options, *projection);
  ingest_options.ledger.commitment = options.commitment;
  ingest_options.ledger.from_slot = options.from_slot;
  if (const Watermark watermark = serving->watermark(); watermark.number != 0) ingest_options.ledger.position = watermark.block;
  if (rewind_at_start != nullptr) {
    // What the archive has need not come again; without it the stream begins where the checkpoint ends.
    ingest_options.ledger.position = rewind_at_start->checkpoint.watermark.block;
    if (rewind_at_start->from_archive) ingest_options.ledger.position = hand_over.archive()->last();
  }
  ingest_options.ledger.applied_blockhash = AppliedBlockhash();
  return ingest_options;
}

std::unique_ptr<Line> Deployment::Impl::MakeLine(std::shared_ptr<EntityStore> store) {
  return std::make_unique<Line>(options.projector, projection, std::move(store), [this](const Applied& applied) {
    sinks.publish(applied);
    if (applied.batch->kind == BatchKind::kSlot) checkpointer->Applied(applied.batch->block.slot);
  });
}

// --- the projector's thread -------------------------------------------------------------------------------------------

absl::Status Deployment::Impl::ProjectBlock(const Block& block) {
  const Watermark before = line->store->watermark();
  // The overlap of a resumed stream, or of a rewind with the queue behind it.
  if (before.number != 0 && block.id.slot <= before.block.slot) return absl::OkStatus();
  if (!line->Follows(block.id)) {
    // What a rewind that was given up had taken from the queue is missing here.
    LogWarn(Room::kDeployment,
            "block {} does not follow the state at slot {}: the stream is asked for what lies between", block.id.slot,
            before.block.slot);
    RestartAt(before.block);
    return absl::OkStatus();
  }
  const uint64_t mutations = line->projector.stats().machine.mutations;
  if (absl::Status status = line->Project(block); !status.ok()) return status;
  SlotSeen seen{block.id.slot, block.transactions.size() + block.accounts.size(),
                line->projector.stats().machine.mutations - mutations,
                Between<std::chrono::milliseconds>(block.first_heard, block.settled),
                Between<std::chrono::microseconds>(block.settled, SteadyClock::now())};
  std::lock_guard lock(mutex);
  slots.push_back(seen);
  if (slots.size() > kSlotsSeenMax) slots.pop_front();
  return absl::OkStatus();
}

absl::Status Deployment::Impl::Handle(const HandOver::Item& item) {
  if (const auto* order = std::get_if<HandOver::Order>(&item)) {
    return Rewind(order->get(), false);
  }
  if (const BlockRef* block = std::get_if<BlockRef>(&item)) return ProjectBlock(**block);
  const Gap* gap = std::get_if<Gap>(&item);
  if (gap == nullptr || gap->from != line->store->watermark().block.slot) return absl::OkStatus();
  LogWarn(Room::kDeployment, "gap: blocks between slots {} and {} are missing: {}", gap->from, gap->to, gap->cause);
  return line->RecordGap(*gap);
}

absl::Status Deployment::Impl::Follow() {
  while (std::optional<HandOver::Item> item = hand_over.Pop()) {
    if (absl::Status status = Handle(*item); !status.ok()) return status;
  }
  return absl::OkStatus();
}

void Deployment::Impl::RunProjector() {
  absl::Status status;
  if (rewind_at_start != nullptr) status = Rewind(rewind_at_start.get(), true);
  rewind_at_start.reset();
  if (status.ok()) status = Follow();
  // Cancelled: a rewind was cut short because the server stops, and nothing that is queued is for this generation.
  if (!status.ok() && !absl::IsCancelled(status)) Report(Failure::Where::kStore, status);
  projector_ended = true;
}

void Deployment::Impl::ShowRewindFailed(std::string why) {
  std::lock_guard lock(mutex);
  rewind->state = RewindState::kFailed;
  rewind->error = std::move(why);
}

void Deployment::Impl::ShowRewind(const Line& next) {
  const std::optional<BlockId> archived = hand_over.archive() == nullptr ? std::nullopt : hand_over.archive()->last();
  const Slot slot = next.store->watermark().block.slot;
  std::lock_guard lock(mutex);
  rewind->slot = slot;
  if (archived.has_value()) rewind->target_slot = std::max(rewind->target_slot, archived->slot);
}

absl::Status Deployment::Impl::Fill(RewindPlan* plan, Line* next, bool at_start) {
  const auto progress = [&] { ShowRewind(*next); };
  const bool accept_gap = plan->request.accept_gap;
  // The new generation must not be behind what clients have seen; on an empty store it has to be proven by one block.
  const Slot present = line->store->watermark().block.slot;
  Slot target = present;
  if (plan->from_archive) {
    if (absl::Status status = filler.FromArchive(next, accept_gap, progress); !status.ok()) return status;
  } else {
    target = std::max(present, plan->checkpoint.watermark.block.slot + 1);
    if (!at_start) RestartAt(next->store->watermark().block);
  }
  return filler.FromQueue(next, accept_gap, target, progress);
}

// Errors: the line cannot go on.
absl::Status Deployment::Impl::Rewind(RewindPlan* plan, bool at_start) {
  plan->begun.set_value();
  auto next = MakeLine(std::move(plan->store));
  const auto show_filling = [this](std::shared_ptr<EntityStore> store) {
    std::lock_guard lock(mutex);
    filling = std::move(store);
  };
  show_filling(next->store);
  absl::Status status = Fill(plan, next.get(), at_start);
  if (status.ok()) status = Switch(plan, &next);
  show_filling(nullptr);
  next.reset();  // a generation that was given up goes before the present one goes on
  if (!status.ok()) status = Abandon(*plan, status, at_start);
  rewinding = false;
  return status;
}

absl::Status Deployment::Impl::Switch(RewindPlan* plan, std::unique_ptr<Line>* next) {
  // What it was filled with came faster than a provider could bring it again after a power loss.
  if (absl::Status status = (*next)->projector.SyncWal(); !status.ok()) return status;
  if (absl::Status status = (*next)->store->MakeCurrent(plan->request.slot); !status.ok()) return status;
  const Counted left{line->projector.stats(), line->projector.faults()};
  const std::unique_ptr<Line> old = std::exchange(line, std::move(*next));
  {
    std::lock_guard lock(mutex);
    Add(left, &earlier);
    serving = line->store;
    projector = &line->projector;
    rewind->state = RewindState::kDone;
    rewind->slot = line->store->watermark().block.slot;
  }
  sinks.switch_store(line->store);
  line->serving = true;
  LogInfo(Room::kDeployment, "rewound: generation {} serves from slot {}; generation {} is kept",
          line->store->generation(), line->store->watermark().block.slot, old->store->generation());
  return absl::OkStatus();
}

// The present generation goes on from where it stood: with the blocks that were archived meanwhile, else with those that the
// provider still has. Errors: it cannot.
absl::Status Deployment::Impl::Abandon(const RewindPlan& plan, const absl::Status& why, bool at_start) {
  ShowRewindFailed(std::string(why.message()));
  const Slot requested = plan.request.slot;
  if (absl::IsCancelled(why)) {
    LogInfo(Room::kDeployment, "the rewind to slot {} was not finished; it begins anew when it is asked for again",
            requested);
    return why;
  }
  if (at_start) {
    // Who starts a server with a rewind wants that state and no other.
    Report(absl::IsFailedPrecondition(why) ? Failure::Where::kRewind : Failure::Where::kStore,
           absl::Status(why.code(), absl::StrCat("the rewind to slot ", requested, " is refused: ", std::string(why.message()))));
    return absl::CancelledError("the rewind was refused");
  }
  LogError(Room::kDeployment, "the rewind to slot {} failed, generation {} goes on: {}", requested,
           line->store->generation(), std::string(why.message()));
  if (hand_over.archive() != nullptr && MissingFrom(hand_over.archive()->listing(), line->store->watermark().block, 0).empty()) {
    const absl::Status status = filler.FromArchive(line.get(), false, [] {});
    if (status.ok() || absl::IsCancelled(status)) return status;
    LogWarn(Room::kDeployment, "generation {} cannot go on from the archive: {}", line->store->generation(),
            std::string(status.message()));
  }
  hand_over.Release([] { return true; });
  RestartAt(line->store->watermark().block);
  return absl::OkStatus();
}

void Deployment::Impl::RestartAt(const BlockId& position) {
  hand_over.ForgetUntil(position);
  feed->RestartAt(position, AppliedBlockhash());
}

// --- the rest ---------------------------------------------------------------------------------------------------------

// Which the schedule goes on from, whichever process made it. A store without one is due; an empty one has nothing to keep yet.
Checkpointer::Made Deployment::Impl::NewestCheckpoint() const {
  using std::chrono::system_clock;
  const Watermark watermark = serving->watermark();
  Checkpointer::Made newest{0, watermark.number == 0 ? SteadyClock::now() : SteadyClock::time_point::min()};
  if (watermark.number == 0) return newest;
  const auto entries = ListCheckpoints(options.store.data_dir);
  if (!entries.ok()) LogWarn(Room::kDeployment, "checkpoints: {}", std::string(entries.status().message()));
  for (const CheckpointEntry& entry : entries.ok() ? *entries : std::vector<CheckpointEntry>()) {
    if (!entry.status.ok() || !LedHere(*serving, entry.info) || entry.info.watermark.block.slot > watermark.block.slot) continue;
    const auto age = system_clock::now() - system_clock::from_time_t(entry.info.created_at);
    newest = {entry.info.watermark.block.slot, SteadyClock::now() - std::max(age, system_clock::duration{0})};
  }
  return newest;
}

void Deployment::Impl::MakeScheduledCheckpoint() {
  const std::shared_ptr<EntityStore> store = Serving();
  std::lock_guard lock(checkpoint_mutex);
  auto made = store->CreateCheckpoint();
  absl::Status status = made.status();
  if (made.ok()) {
    LogInfo(Room::kDeployment, "checkpoint {}: {} entities, {} bytes", made->name, made->entities, made->bytes);
    status = everstate::PruneCheckpoints(options.store.data_dir, options.checkpoints.keep).status();
  }
  if (!status.ok()) LogWarn(Room::kDeployment, "checkpoint: {}", std::string(status.message()));
  std::lock_guard show(mutex);
  ++(made.ok() ? counters.checkpoints_made : counters.checkpoints_failed);
  checkpoint_error = status.ok() ? "" : std::string(status.message());
}

void Deployment::Impl::Report(Failure::Where where, const absl::Status& status) {
  {
    std::lock_guard lock(mutex);
    if (!failure.has_value()) failure = Failure{where, status};
  }
  failed = true;
  hand_over.Close();
}

Deployment::Deployment(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Deployment::~Deployment() { Stop(); }

absl::StatusOr<std::unique_ptr<Deployment>> Deployment::Open(DeploymentOptions options, std::shared_ptr<const vm::Projection> projection,
                                                             std::unique_ptr<ingest::Source> source) {
  const stack::Stack& stack = projection->stack();
  auto opened = EntityStore::Open(options.store, StoreIdentity{stack.name, stack.hash, stack.text, projection->settings().Canonical(), projection->schema()});
  if (!opened.ok()) return opened.status();
  std::shared_ptr<EntityStore> store = *std::move(opened);

  std::unique_ptr<ingest::ArchiveWriter> archive;
  if (options.archive_keep_bytes > 0) {
    auto writer = ingest::ArchiveWriter::Open({.dir = options.store.data_dir / "archive", .keep_bytes = options.archive_keep_bytes},
                                              SubscriptionOf(options, *projection));
    if (!writer.ok()) return writer.status();
    archive = *std::move(writer);
  }

  auto impl = std::make_unique<Impl>(std::move(options), std::move(projection), std::move(store), std::move(archive));
  if (impl->options.rewind.has_value()) {
    auto plan = impl->Plan(*impl->options.rewind);
    if (!plan.ok()) return plan.status();
    if (*plan == nullptr)
      LogInfo(Room::kDeployment,
              "generation {} was made by a rewind to slot {} already: starting normally; --again repeats it",
              impl->serving->generation(), impl->options.rewind->slot);
    impl->rewinding = *plan != nullptr;
    impl->rewind_at_start = *std::move(plan);
  }
  Impl* raw = impl.get();
  impl->feed = std::make_unique<ingest::Ingest>(impl->MakeIngestOptions(), std::move(source),
                                                [raw](ingest::LedgerEvent event) {
                                                  kIngestThread.Assume();
                                                  return raw->hand_over.Take(std::move(event));
                                                });
  return std::unique_ptr<Deployment>(new Deployment(std::move(impl)));
}

void Deployment::Start(DeploymentSinks sinks) {
  Impl* impl = impl_.get();
  impl->sinks = std::move(sinks);
  impl->checkpointer =
      std::make_unique<Checkpointer>(impl->options.checkpoints, impl->NewestCheckpoint(), [impl] { impl->MakeScheduledCheckpoint(); });
  kProjectorThread.Assume();  // until it runs
  impl->line = impl->MakeLine(impl->serving);
  impl->line->serving = true;
  {
    std::lock_guard lock(impl->mutex);
    impl->projector = &impl->line->projector;
  }
  impl->projector_thread = std::thread([impl] {
    kProjectorThread.Assume();
    impl->RunProjector();
  });
  impl->ingest_thread = std::thread([impl] {
    kIngestThread.Assume();
    if (absl::Status status = impl->feed->Run(); !status.ok()) impl->Report(Failure::Where::kStream, status);
  });
}

void Deployment::Stop() {
  Impl& impl = *impl_;
  if (impl.stopping.exchange(true)) return;
  impl.feed->Stop();
  if (impl.ingest_thread.joinable()) impl.ingest_thread.join();
  impl.hand_over.Close();
  if (impl.projector_thread.joinable()) impl.projector_thread.join();
  impl.checkpointer.reset();
  {
    std::lock_guard lock(impl.mutex);
    if (impl.projector != nullptr) Add({impl.projector->stats(), impl.projector->faults()}, &impl.earlier);
    impl.projector = nullptr;
  }
  kProjectorThread.Assume();  // it has ended
  impl.line.reset();
}

bool Deployment::failed() const { return impl_->failed.load(); }

Deployment::Failure Deployment::failure() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->failure.value_or(Failure{});
}

std::shared_ptr<const EntityStore> Deployment::store() const { return impl_->Serving(); }
const vm::Projection& Deployment::projection() const { return *impl_->projection; }
const ingest::LedgerCounters& Deployment::ingest_counters() const { return impl_->feed->counters(); }
const DeploymentOptions& Deployment::options() const { return impl_->options; }

ingest::StreamStatus Deployment::stream_status() const { return impl_->feed->status(); }

DeploymentStatus Deployment::status() const {
  const Impl& impl = *impl_;
  DeploymentStatus status;
  status.stream = stream_status();
  status.inbox = impl.hand_over.stats();
  if (const ingest::ArchiveWriter* archive = impl.hand_over.archive()) {
    status.archive = archive->listing();
    status.archive_keep_bytes = impl.options.archive_keep_bytes;
    status.archive_counters.emplace(archive->counters());
  }
  std::lock_guard lock(impl.mutex);
  Counted counted;
  if (impl.projector != nullptr) counted = {impl.projector->stats(), impl.projector->faults()};
  Add(impl.earlier, &counted);
  status.projector = counted.stats;
  status.faults = std::move(counted.faults);
  status.slots.assign(impl.slots.begin(), impl.slots.end());
  status.rewind = impl.rewind;
  status.counters = impl.counters;
  status.checkpoint_error = impl.checkpoint_error;
  return status;
}

absl::StatusOr<CheckpointInfo> Deployment::CreateCheckpoint() {
  const std::shared_ptr<EntityStore> store = impl_->Serving();
  std::lock_guard lock(impl_->checkpoint_mutex);
  auto made = store->CreateCheckpoint();
  std::lock_guard show(impl_->mutex);
  ++(made.ok() ? impl_->counters.checkpoints_made : impl_->counters.checkpoints_failed);
  impl_->checkpoint_error = made.ok() ? "" : std::string(made.status().message());
  return made;
}

absl::StatusOr<std::vector<std::string>> Deployment::PruneCheckpoints(size_t keep) {
  std::lock_guard lock(impl_->checkpoint_mutex);
  return everstate::PruneCheckpoints(impl_->options.store.data_dir, keep);
}

std::string Deployment::ReachOf(const CheckpointInfo& checkpoint) const {
  const ingest::ArchiveWriter* archive = impl_->hand_over.archive();
  const Slot slot = checkpoint.watermark.block.slot;
  const Slot head = impl_->Serving()->watermark().block.slot;  // before the listing: what was applied is in it
  const std::string missing =
      archive == nullptr ? "there is no archive" : MissingFrom(archive->listing(), checkpoint.watermark.block, head);
  if (missing.empty()) return "";
  const absl::StatusOr<Slot> first = impl_->feed->FirstReplayable();
  if (!first.ok()) return absl::StrCat(missing, "; how far the provider reaches back is not known");
  return *first <= slot ? "" : absl::StrCat(missing, "; the provider replays from slot ", *first, " on");
}

bool Deployment::Ours(const CheckpointInfo& checkpoint) const { return LedHere(*impl_->Serving(), checkpoint); }

absl::StatusOr<RewindBegun> Deployment::ResumeFrom(const RewindRequest& request) {
  Impl& impl = *impl_;
  if (impl.Serving()->watermark().number == 0) {
    // When it failed there would be no state to go on with.
    return absl::FailedPreconditionError("the store is empty: to begin it from a checkpoint, start the server with --resume-from SLOT");
  }
  if (impl.rewinding.exchange(true)) return absl::FailedPreconditionError("a rewind is under way; wait until it is done");
  auto plan = impl.Plan(request);
  if (!plan.ok() || *plan == nullptr) {
    impl.rewinding = false;
    if (!plan.ok()) return plan.status();
    return RewindBegun{true, "", impl.Serving()->generation()};
  }
  RewindBegun begun{false, (*plan)->checkpoint.name, (*plan)->store->generation()};
  std::future<void> applies_nothing_more = (*plan)->begun.get_future();
  bool taken = impl.hand_over.Post(*std::move(plan));
  while (taken && applies_nothing_more.wait_for(std::chrono::milliseconds(100)) != std::future_status::ready) {
    taken = !impl.projector_ended || applies_nothing_more.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }
  if (taken) return begun;
  impl.ShowRewindFailed(kStops);
  impl.rewinding = false;
  return absl::UnavailableError(kStops);
}

}  // namespace everstate
