#include "server/deployment/deployment_impl.h"

#include <algorithm>
#include <future>

#include "absl/strings/str_cat.h"
#include "server/base/log.h"

namespace everstate {
namespace {

constexpr char kStops[] = "the server stops";

}  // namespace

// ---- planning ----

// Null: the serving generation was made by the same request.
absl::StatusOr<std::shared_ptr<RewindPlan>> Deployment::Impl::Plan(const RewindRequest& request) {
  const std::shared_ptr<EntityStore> store = Serving();
  if (store->resumed_from() == request.slot && !request.again) return nullptr;
  const auto lock = checkpoints.Hold();
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

// Where the blocks behind the checkpoint come from: the archive when it has all of them, else the provider. Where a gap
// is accepted and the provider is not known to reach back, what the archive has of them is better than nothing.
absl::StatusOr<bool> Deployment::Impl::TakesArchive(const RewindRequest& request, const BlockId& checkpoint) {
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
  const absl::StatusOr<Slot> first = reach.First();
  if (first.ok() && *first <= checkpoint.slot) return false;
  if (request.accept_gap) return has_some;
  const bool nothing = absl::IsNotFound(first.status());
  if (!first.ok() && !nothing) return false;  // it does not tell: it is tried
  const Slot to = std::max(nothing ? Serving()->watermark().block.slot + 1 : *first, checkpoint.slot + 2);
  return Hole({checkpoint.slot, to,
               absl::StrCat("the archive does not have them, and ",
                            nothing ? std::string(first.status().message()) : "the provider cannot replay them")});
}

absl::StatusOr<RewindBegun> Deployment::ResumeFrom(const RewindRequest& request) {
  Impl& impl = *impl_;
  if (impl.Serving()->watermark().number == 0) {
    // When it failed there would be no state to go on with.
    return absl::FailedPreconditionError(
        "the store is empty: to begin it from a checkpoint, start the server with --resume-from SLOT");
  }
  if (impl.rewinding.exchange(true))
    return absl::FailedPreconditionError("a rewind is under way; wait until it is done");
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
    taken =
        !impl.projector_ended || applies_nothing_more.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }
  if (taken) return begun;
  impl.ShowRewindFailed(kStops);
  impl.rewinding = false;
  return absl::UnavailableError(kStops);
}

// ---- on the projector's thread ----

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
    earlier.Add(left);
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

// The present generation goes on from where it stood: with the blocks that were archived meanwhile, else with those
// that the provider still has. Errors: it cannot.
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
           absl::Status(why.code(),
                        absl::StrCat("the rewind to slot ", requested, " is refused: ", std::string(why.message()))));
    return absl::CancelledError("the rewind was refused");
  }
  LogError(Room::kDeployment, "the rewind to slot {} failed, generation {} goes on: {}", requested,
           line->store->generation(), std::string(why.message()));
  if (hand_over.archive() != nullptr &&
      MissingFrom(hand_over.archive()->listing(), line->store->watermark().block, 0).empty()) {
    absl::Status status = filler.FromArchive(line.get(), false, [] {});
    if (status.ok() || absl::IsCancelled(status)) return status;
    LogWarn(Room::kDeployment, "generation {} cannot go on from the archive: {}", line->store->generation(),
            std::string(status.message()));
  }
  hand_over.Release([] { return true; });
  RestartAt(line->store->watermark().block);
  return absl::OkStatus();
}

}  // namespace everstate
