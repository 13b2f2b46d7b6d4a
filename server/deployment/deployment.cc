#include "server/deployment/deployment_impl.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/base/log.h"

namespace everstate {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr size_t kSlotsSeenMax = 64;

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

ingest::IngestOptions Deployment::Impl::MakeIngestOptions() const {
  ingest::IngestOptions ingest_options = options.stream;
  ingest_options.subscription = SubscriptionOf(options, *projection);
  ingest_options.ledger.commitment = options.commitment;
  ingest_options.ledger.from_slot = options.from_slot;
  if (const Watermark watermark = serving->watermark(); watermark.number != 0)
    ingest_options.ledger.position = watermark.block;
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

// ---- the projector's thread ----

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
  hand_over.Close();  // whoever waits for room in it would wait for ever
}

void Deployment::Impl::RestartAt(const BlockId& position) {
  hand_over.ForgetUntil(position);
  feed->RestartAt(position, AppliedBlockhash());
}

void Deployment::Impl::Report(Failure::Where where, const absl::Status& status) {
  {
    std::lock_guard lock(mutex);
    if (!failure.has_value()) failure = Failure{where, status};
  }
  failed = true;
  hand_over.Close();
}

// ---- the door ----

Deployment::Deployment(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Deployment::~Deployment() { Stop(); }

absl::StatusOr<std::unique_ptr<Deployment>> Deployment::Open(DeploymentOptions options,
                                                             std::shared_ptr<const vm::Projection> projection,
                                                             std::unique_ptr<ingest::Source> source) {
  const stack::Stack& stack = projection->stack();
  auto opened = EntityStore::Open(
      options.store,
      StoreIdentity{stack.name, stack.hash, stack.text, projection->settings().Canonical(), projection->schema()});
  if (!opened.ok()) return opened.status();
  std::shared_ptr<EntityStore> store = *std::move(opened);

  std::unique_ptr<ingest::ArchiveWriter> archive;
  if (options.archive_keep_bytes > 0) {
    auto writer = ingest::ArchiveWriter::Open(
        {.dir = options.store.data_dir / "archive", .keep_bytes = options.archive_keep_bytes},
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
  impl->feed =
      std::make_unique<ingest::Ingest>(impl->MakeIngestOptions(), std::move(source), [raw](ingest::LedgerEvent event) {
        kIngestThread.Assume();
        return raw->hand_over.Take(std::move(event));
      });
  return std::unique_ptr<Deployment>(new Deployment(std::move(impl)));
}

void Deployment::Start(DeploymentSinks sinks) {
  Impl* impl = impl_.get();
  impl->sinks = std::move(sinks);
  impl->checkpointer =
      std::make_unique<Checkpointer>(impl->options.checkpoints, impl->checkpoints.Newest(*impl->serving),
                                     [impl] { impl->checkpoints.CreateAndPrune(*impl->Serving()); });
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
    if (impl.projector != nullptr) impl.earlier.Add({impl.projector->stats(), impl.projector->faults()});
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
  counted.Add(impl.earlier);
  status.projector = counted.stats;
  status.faults = std::move(counted.faults);
  status.slots.assign(impl.slots.begin(), impl.slots.end());
  status.rewind = impl.rewind;
  status.counters = impl.checkpoints.counters();
  status.checkpoint_error = impl.checkpoints.error();
  return status;
}

absl::StatusOr<CheckpointInfo> Deployment::CreateCheckpoint() { return impl_->checkpoints.Create(*impl_->Serving()); }

absl::StatusOr<std::vector<std::string>> Deployment::PruneCheckpoints(size_t keep) {
  return impl_->checkpoints.Prune(*impl_->Serving(), keep);
}

std::string Deployment::ReachOf(const CheckpointInfo& checkpoint) const {
  const ingest::ArchiveWriter* archive = impl_->hand_over.archive();
  const Slot slot = checkpoint.watermark.block.slot;
  const Slot head = impl_->Serving()->watermark().block.slot;  // before the listing: what was applied is in it
  const std::string missing =
      archive == nullptr ? "there is no archive" : MissingFrom(archive->listing(), checkpoint.watermark.block, head);
  if (missing.empty()) return "";
  const absl::StatusOr<Slot> first = impl_->reach.RecentFirst();
  if (absl::IsNotFound(first.status())) return absl::StrCat(missing, "; ", std::string(first.status().message()));
  if (!first.ok()) return absl::StrCat(missing, "; how far the provider reaches back is not known");
  return *first <= slot ? "" : absl::StrCat(missing, "; the provider replays from slot ", *first, " on");
}

bool Deployment::Ours(const CheckpointInfo& checkpoint) const { return LedHere(*impl_->Serving(), checkpoint); }

}  // namespace everstate
