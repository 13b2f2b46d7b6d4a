#include "server/deployment/rewind.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/log.h"
#include "server/deployment/checkpoint_keeper.h"

namespace everstate {
namespace {

// The block goes on from where the line stands, or there is a hole.
absl::Status Link(Line* line, const Block& block, bool accept_gap) EVERSTATE_ON_PROJECTOR {
  const BlockId at = line->store->watermark().block;
  if (line->Follows(block.id)) return absl::OkStatus();
  if (block.id.parent_slot <= at.slot) {
    return absl::FailedPreconditionError(
        absl::StrCat("the archive is of another chain: the parent of its block of slot ", block.id.slot,
                     " is not the state's block of slot ", at.slot));
  }
  const Gap gap{at.slot, block.id.slot, "the archive does not have them"};
  return accept_gap ? line->RecordGap(gap) : Hole(gap);
}

absl::Status AboutArchive(const absl::Status& status) {
  if (!absl::IsDataLoss(status)) return status;
  return absl::DataLossError(
      absl::StrCat(status.message(), ": delete this file, then what it held is asked of the provider"));
}

bool Seen(const Line& line, Slot slot) {
  const Watermark watermark = line.store->watermark();
  return watermark.number != 0 && slot <= watermark.block.slot;
}

}  // namespace

absl::Status Hole(const Gap& gap) {
  return absl::FailedPreconditionError(absl::StrCat("the blocks of slots ", gap.from + 1, " to ", gap.to - 1,
                                                    " are missing: ", gap.cause,
                                                    "; --accept-gap rewinds nevertheless and records the gap"));
}

std::string MissingFrom(const ingest::ArchiveListing& listing, const BlockId& block, Slot up_to) {
  if (listing.runs.empty()) return "the archive is empty";
  const ingest::ArchiveReach& head = listing.runs.back();
  if (std::max(block.slot, up_to) > head.last.slot) return absl::StrCat("the archive ends at slot ", head.last.slot);
  if (block.slot >= head.before.slot) return "";
  const auto run = std::ranges::find_if(
      listing.runs, [&](const auto& r) { return r.before.slot <= block.slot && block.slot <= r.last.slot; });
  if (run == listing.runs.end()) {
    const auto next = std::ranges::find_if(listing.runs, [&](const auto& r) { return r.before.slot > block.slot; });
    return absl::StrCat("slots ", block.slot + 1, " to ", next->before.slot, " are not in the archive");
  }
  return absl::StrCat("slots ", run->last.slot + 1, " to ", std::next(run)->before.slot, " are not in the archive");
}

absl::StatusOr<CheckpointInfo> ChooseCheckpoint(const EntityStore& store, const std::vector<CheckpointEntry>& entries,
                                                Slot slot) {
  const Watermark watermark = store.watermark();
  if (watermark.number != 0 && slot > watermark.block.slot) {
    return absl::FailedPreconditionError(
        absl::StrCat("slot ", slot, " lies beyond the state, which is at slot ", watermark.block.slot));
  }
  const CheckpointEntry* best = nullptr;
  const CheckpointEntry* oldest = nullptr;
  std::string unusable;
  for (const CheckpointEntry& entry : entries) {
    if (!entry.status.ok()) {
      absl::StrAppend(&unusable, "; ", entry.info.name, " is damaged: ", std::string(entry.status.message()));
    } else if (!LedHere(store, entry.info)) {
      absl::StrAppend(&unusable, "; ", entry.info.name, " is of another lineage");
    } else {
      if (oldest == nullptr) oldest = &entry;
      if (entry.info.watermark.block.slot <= slot) best = &entry;
    }
  }
  if (best != nullptr) {
    // One of these may have been the nearer one.
    for (const CheckpointEntry& entry : entries) {
      if (!entry.status.ok())
        LogWarn(Room::kDeployment, "checkpoint {} is damaged and passed over: {}", entry.info.name,
                std::string(entry.status.message()));
    }
    return best->info;
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "there is no checkpoint at or before slot ", slot,
      oldest == nullptr ? "" : absl::StrCat("; the oldest is at slot ", oldest->info.watermark.block.slot), unusable));
}

absl::Status Filler::FromArchive(Line* line, bool accept_gap, const std::function<void()>& progress) {
  hand_over_->Hold();
  auto reader = ingest::ArchiveReader::Open(archive_dir_, subscription_, line->store->watermark().block);
  if (!reader.ok()) return AboutArchive(reader.status());
  absl::StatusOr<BlockRef> block;
  for (;;) {
    if (stopping_->load()) return absl::CancelledError("the server stops");
    block = (*reader)->Next();
    if (block.ok() && *block == nullptr) {
      const bool released = hand_over_->Release([&] {
        block = (*reader)->Next();
        return block.ok() && *block == nullptr;
      });
      if (released) return absl::OkStatus();
    }
    if (!block.ok()) return AboutArchive(block.status());
    if (Seen(*line, (*block)->id.slot)) continue;
    if (absl::Status status = Link(line, **block, accept_gap); !status.ok()) return status;
    if (absl::Status status = line->Project(**block); !status.ok()) return status;
    progress();
  }
}

absl::Status Filler::FromQueue(Line* line, bool accept_gap, Slot target, const std::function<void()>& progress) {
  while (line->store->watermark().block.slot < target) {
    if (stopping_->load() || hand_over_->closed()) return absl::CancelledError("the server stops");
    std::optional<HandOver::Item> item =
        hand_over_->PopUntil(std::chrono::steady_clock::now() + std::chrono::milliseconds(100));
    if (!item.has_value()) continue;
    absl::Status status;
    if (const BlockRef* block = std::get_if<BlockRef>(&*item); block != nullptr && !Seen(*line, (*block)->id.slot)) {
      status = Link(line, **block, accept_gap);
      if (status.ok()) status = line->Project(**block);
    } else if (const Gap* gap = std::get_if<Gap>(&*item);
               gap != nullptr && gap->from == line->store->watermark().block.slot) {
      status = accept_gap ? line->RecordGap(*gap) : Hole(*gap);
    }
    if (!status.ok()) return status;
    progress();
  }
  return absl::OkStatus();
}

}  // namespace everstate
