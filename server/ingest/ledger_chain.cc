#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/ingest/ledger_impl.h"

namespace everstate::ingest {
namespace {

constexpr size_t kRememberedHashes = 1024;  // blocks handed over whose hash the store may not know yet

// A slot of Solana takes 400 ms (64 ticks, 160 of them in a second: solana-clock). An eighth of that is left to chains
// of one's own that are set to be faster; block times are the voters' estimates and may be off by a minute.
constexpr absl::Duration kSlotMin = absl::Milliseconds(50);
constexpr absl::Duration kBlockTimeSlack = absl::Minutes(1);

// Behind a gap no blockhash links a block to what was applied. What is left to tell another chain by is time: a chain
// cannot have made so many slots in it. Blocks without a time are taken as they are.
absl::Status CheckPace(const BlockId& applied, const BlockId& next) {
  if (!applied.block_time.has_value() || !next.block_time.has_value()) return absl::OkStatus();
  const absl::Duration passed = absl::FromUnixSeconds(*next.block_time) - absl::FromUnixSeconds(*applied.block_time);
  const Slot slots = next.slot - applied.slot;
  const int64_t possible = (passed + kBlockTimeSlack) / kSlotMin;
  if (possible >= 0 && slots <= static_cast<Slot>(possible)) return absl::OkStatus();
  return absl::AbortedError(
      absl::StrCat("another chain: block ", next.slot, " of the stream comes ", slots, " slots after slot ",
                   applied.slot, ", which was applied, but ", absl::FormatDuration(passed),
                   " later by their block times: no chain makes slots in less than ", absl::FormatDuration(kSlotMin)));
}

}  // namespace

// True when the block was first in line for as long as a parent is waited for.
bool Ledger::Impl::HasWaited(HeldBlock* block) const {
  if (!block->waiting_since.has_value()) block->waiting_since = now;
  return now - *block->waiting_since >= options.parent_wait;
}

// A stream carries a block in one piece. Where it does not begin at our position it may begin in the middle of a block,
// which then has BlockMeta and status and yet not all of its content.
bool Ledger::Impl::MayBeCut(Slot slot) const {
  return first_heard == slot && !(first_begun.has_value() && *first_begun <= slot);
}

void Ledger::Impl::DropIncomplete(HeldBlocks::iterator it) {
  counters->slots_incomplete.Add();
  open_bytes -= it->second.block->bytes;
  held.erase(it);
}

// The first block of an empty store: whole from its beginning, and no block between it and the slot to begin at.
absl::Status Ledger::Impl::Begin(std::vector<LedgerEvent>* out, bool* moved) {
  const std::optional<Slot> begin = options.from_slot.has_value() ? options.from_slot : first_begun;
  const auto first = held.begin();
  const BlockId& id = first->second.block->id;
  if (!begin.has_value() || id.slot < *begin) {
    DropIncomplete(first);
    *moved = true;
    return absl::OkStatus();
  }
  if (id.parent_slot >= *begin) {
    if (!HasWaited(&first->second)) return absl::OkStatus();
    if (options.from_slot.has_value()) {
      return absl::FailedPreconditionError(
          absl::StrCat("the stream was to begin at slot ", *begin, ", but its first block is ", id.slot,
                       " and that block's parent, slot ", id.parent_slot, ", did not come"));
    }
  }
  HandOver(first, out);
  *moved = true;
  return absl::OkStatus();
}

// The child of our position; when it is missing, the lowest block after its wait, behind a gap.
absl::Status Ledger::Impl::Advance(std::vector<LedgerEvent>* out, bool* moved) {
  auto next = std::find_if(held.begin(), held.end(),
                           [&](const auto& e) { return e.second.block->id.parent_slot <= position->slot; });
  if (next != held.end()) {
    const BlockId& id = next->second.block->id;
    if (id.parent_slot != position->slot || id.parent_blockhash != position->blockhash) {
      return absl::AbortedError(absl::StrCat("another chain: slot ", position->slot, " was applied with blockhash ",
                                             Text(position->blockhash), ", but block ", id.slot,
                                             " of the stream has parent slot ", id.parent_slot, " with blockhash ",
                                             Text(id.parent_blockhash)));
    }
    *moved = true;
    if (live && MayBeCut(id.slot)) {
      DropIncomplete(next);
    } else {
      HandOver(next, out);
    }
    return absl::OkStatus();
  }
  next = held.begin();
  if (!HasWaited(&next->second)) return absl::OkStatus();
  const BlockId& id = next->second.block->id;
  *moved = true;
  // A parent whose own status was withheld is settled by its child; its content was given the time to come in.
  if (const auto parent = open.find(id.parent_slot); parent != open.end() && parent->second.meta.has_value() &&
                                                     parent->second.meta->blockhash == id.parent_blockhash) {
    (options.commitment == Commitment::kConfirmed ? parent->second.confirmed : parent->second.finalized) = true;
    SettleIfWhole(id.parent_slot);
    return absl::OkStatus();
  }
  // The provider did not begin at our position, whatever it was asked for.
  if (MayBeCut(id.slot)) {
    DropIncomplete(next);
    return absl::OkStatus();
  }
  if (absl::Status status = CheckPace(*position, id); !status.ok()) return status;
  counters->gaps.Add();
  out->push_back(
      Gap{position->slot, id.slot,
          absl::StrCat("the stream does not have slot ", id.parent_slot, ", the parent of block ", id.slot)});
  HandOver(next, out);
  return absl::OkStatus();
}

void Ledger::Impl::HandOver(HeldBlocks::iterator it, std::vector<LedgerEvent>* out) {
  std::shared_ptr<Block> block = std::move(it->second.block);
  open_bytes -= block->bytes;
  held.erase(it);
  position = block->id;
  proven = true;
  handed_over[block->id.slot] = block->id.blockhash;
  if (handed_over.size() > kRememberedHashes) handed_over.erase(handed_over.begin());
  DropUpTo(block->id.slot);
  counters->blocks_settled.Add();
  counters->settled_slot.Set(block->id.slot);
  out->push_back(BlockRef(std::move(block)));
}

// The chain went on without these.
void Ledger::Impl::DropUpTo(Slot slot) {
  mentioned.erase(mentioned.begin(), mentioned.upper_bound(slot));
  for (auto it = open.begin(); it != open.end() && it->first <= slot; it = open.erase(it)) {
    const OpenSlot& left = it->second;
    if (IsSettled(left)) {
      counters->slots_incomplete.Add();
    } else if (left.HasContent() && !left.dead) {
      counters->blocks_dead.Add();
    }
    open_bytes -= left.content.bytes();
  }
  for (auto it = held.begin(); it != held.end() && it->first <= slot; it = held.erase(it)) {
    counters->blocks_dead.Add();
    open_bytes -= it->second.block->bytes;
  }
}

absl::Status Ledger::Impl::Drain(std::vector<LedgerEvent>* out) {
  for (bool moved = true; moved && !held.empty();) {
    moved = false;
    absl::Status status = position.has_value() ? Advance(out, &moved) : Begin(out, &moved);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace everstate::ingest
