#include "server/ingest/ledger.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/log.h"
#include "server/ingest/ledger_impl.h"

namespace everstate::ingest {

absl::Status Ledger::Impl::AddContent(const WalkedMessage& walked, std::string message) {
  const bool is_account = walked.kind == WalkedMessage::Kind::kAccount;
  (is_account ? counters->accounts : counters->transactions).Add();
  if (!first_heard.has_value()) first_heard = walked.slot;
  if (Passed(walked.slot) || held.contains(walked.slot)) {
    counters->late_messages.Add();
    return absl::OkStatus();
  }
  BlockBuilder& content = Opened(walked.slot).content;
  const size_t bytes_before = content.bytes();
  absl::Status status = content.Add(walked, std::move(message), &walker);
  open_bytes += content.bytes() - bytes_before;
  return status;
}

// A block that lies behind us: the same as before, or not ours.
absl::Status Ledger::Impl::CheckKnown(Slot slot, const Hash32& blockhash) {
  const bool at_position = slot == position->slot;
  std::optional<Hash32> known;
  if (at_position) {
    known = position->blockhash;
  } else if (const auto it = handed_over.find(slot); it != handed_over.end()) {
    known = it->second;
  } else if (options.applied_blockhash) {
    known = options.applied_blockhash(slot);
  }
  if (known.has_value() && *known != blockhash) {
    return absl::AbortedError(absl::StrCat("another chain: slot ", slot, " was applied with blockhash ", Text(*known),
                                           ", the stream has it with blockhash ", Text(blockhash)));
  }
  (known.has_value() ? counters->blocks_duplicate : counters->blocks_below_watermark).Add();
  if (at_position) proven = true;
  return absl::OkStatus();
}

absl::Status Ledger::Impl::AddMeta(const WalkedMessage& walked) {
  counters->block_metas.Add();
  if (!first_heard.has_value()) first_heard = walked.slot;
  if (Passed(walked.slot)) return CheckKnown(walked.slot, walked.meta.blockhash);
  const auto differs = [&](const Hash32& first) {
    return absl::InvalidArgumentError(absl::StrCat("slot ", walked.slot, " came with two blockhashes, ", Text(first),
                                                   " and ", Text(walked.meta.blockhash),
                                                   ": its content cannot be told apart"));
  };
  if (const auto it = held.find(walked.slot); it != held.end()) {
    if (it->second.block->id.blockhash != walked.meta.blockhash) return differs(it->second.block->id.blockhash);
    counters->blocks_duplicate.Add();
    return absl::OkStatus();
  }
  OpenSlot& slot = Opened(walked.slot);
  if (slot.meta.has_value() && slot.meta->blockhash != walked.meta.blockhash) return differs(slot.meta->blockhash);
  slot.meta = walked.meta;
  // What was said of finality before could not go on to the ancestors, because the parent was not known.
  if (slot.finalized) {
    Finalize(walked.slot);
  } else {
    SettleIfWhole(walked.slot);
  }
  return absl::OkStatus();
}

OpenSlot& Ledger::Impl::Opened(Slot slot) {
  const auto [it, is_new] = open.try_emplace(slot);
  if (is_new) {
    const auto mentioned_at = mentioned.find(slot);
    it->second.first_heard = mentioned_at == mentioned.end() ? now : mentioned_at->second;
  }
  return it->second;
}

// All that was heard of the slot is void.
void Ledger::Impl::Reset(OpenSlot* slot) {
  open_bytes -= slot->content.bytes();
  OpenSlot fresh;
  fresh.first_heard = slot->first_heard;
  fresh.dead = slot->dead;
  *slot = std::move(fresh);
}

void Ledger::Impl::AddStatus(const WalkedMessage& walked) {
  counters->slots.Add();
  const SlotStatus status = walked.status.status;
  const bool begins = status == SlotStatus::kFirstShredReceived || status == SlotStatus::kCreatedBank;
  if (begins && !first_begun.has_value()) first_begun = walked.slot;
  const bool says_nothing = status != SlotStatus::kCreatedBank && status != SlotStatus::kDead &&
                            status != SlotStatus::kConfirmed && status != SlotStatus::kFinalized;
  if (Passed(walked.slot) || held.contains(walked.slot)) return;
  if (says_nothing) {
    mentioned.try_emplace(walked.slot, now);
    if (mentioned.size() > options.open_slots_max) mentioned.erase(mentioned.begin());
    return;
  }

  OpenSlot& slot = Opened(walked.slot);
  if (walked.status.parent.has_value()) slot.parent = walked.status.parent;
  if (status == SlotStatus::kCreatedBank) {
    // A bank that is created again is replayed from its start: what came before is void.
    if (slot.bank_created) {
      counters->bank_resets.Add();
      Reset(&slot);
    }
    slot.bank_created = true;
    slot.dead = false;
  } else if (status == SlotStatus::kDead) {
    if (!slot.dead) counters->blocks_dead.Add();
    Reset(&slot);
    slot.dead = true;
  } else if (status == SlotStatus::kConfirmed) {
    slot.confirmed = true;
    SettleIfWhole(walked.slot);
  } else {
    Finalize(walked.slot);
  }
}

bool Ledger::Impl::IsSettled(const OpenSlot& slot) const {
  return slot.finalized || (slot.confirmed && options.commitment == Commitment::kConfirmed);
}

// Whole and settled are one at the levels that are followed: a stream of that level carries a block's content in one
// piece before the status of that level, and BlockMeta with it.
void Ledger::Impl::SettleIfWhole(Slot slot) {
  const auto it = open.find(slot);
  if (it == open.end() || !it->second.meta.has_value() || !IsSettled(it->second)) return;
  OpenSlot& whole = it->second;
  SealCounts counts;
  std::shared_ptr<Block> block = whole.content.Seal(
      {slot, whole.meta->blockhash, whole.meta->parent_slot, whole.meta->parent_blockhash, whole.meta->block_time},
      &counts);
  counters->accounts_duplicate.Add(counts.accounts_duplicate);
  counters->transactions_duplicate.Add(counts.transactions_duplicate);
  counters->transactions_conflicting.Add(counts.transactions_conflicting);
  if (counts.transactions_conflicting > 0) {
    LogWarn(Room::kIngest,
            "slot {}: {} transactions have an index that another one has; the first one of each index is kept", slot,
            counts.transactions_conflicting);
  }
  block->first_heard = whole.first_heard;
  block->settled = now;
  held.emplace(slot, HeldBlock{std::move(block), std::nullopt});
  open.erase(it);
}

// A finalized block finalizes its ancestors, also when their own status was withheld.
void Ledger::Impl::Finalize(Slot slot) {
  for (auto it = open.find(slot); it != open.end(); it = open.find(slot)) {
    OpenSlot& entry = it->second;
    entry.finalized = true;
    const std::optional<Slot> parent = entry.meta.has_value() ? std::optional(entry.meta->parent_slot) : entry.parent;
    SettleIfWhole(slot);
    if (!parent.has_value() || *parent >= slot) return;
    slot = *parent;
  }
}

absl::Status Ledger::Impl::CheckBounds() const {
  if (open.size() + held.size() > options.open_slots_max) {
    return absl::ResourceExhaustedError(
        absl::StrCat("more than ", options.open_slots_max, " slots are open, from slot ",
                     open.empty() ? held.begin()->first : open.begin()->first,
                     " on: the stream carries no statuses or block metas that would settle them"));
  }
  if (open_bytes > options.open_bytes_max) {
    return absl::ResourceExhaustedError(absl::StrCat("open slots hold more than ", options.open_bytes_max, " bytes"));
  }
  return absl::OkStatus();
}

Ledger::Ledger(LedgerOptions options, LedgerCounters* counters)
    : impl_(std::make_unique<Impl>(std::move(options), counters)) {}
Ledger::~Ledger() = default;

void Ledger::BeginConnection(bool live) {
  impl_->live = live;
  impl_->open.clear();
  impl_->held.clear();
  impl_->mentioned.clear();
  impl_->open_bytes = 0;
  impl_->first_begun.reset();
  impl_->first_heard.reset();
  impl_->proven = false;
  impl_->counters->open_slots.Set(0);
  impl_->counters->open_bytes.Set(0);
}

absl::Status Ledger::Add(std::string message, std::chrono::steady_clock::time_point now,
                         std::vector<LedgerEvent>* out) {
  using Kind = WalkedMessage::Kind;
  LedgerCounters* const counters = impl_->counters;
  impl_->now = now;
  counters->messages.Add();
  counters->bytes.Add(message.size());
  const absl::StatusOr<WalkedMessage> walked = WalkMessage(message);
  if (!walked.ok()) {
    counters->malformed_messages.Add();
    return walked.status();
  }
  absl::Status status;
  const Kind kind = walked->kind;
  if (kind == Kind::kAccount || kind == Kind::kTransaction) {
    status = impl_->AddContent(*walked, std::move(message));
  } else if (kind == Kind::kBlockMeta) {
    status = impl_->AddMeta(*walked);
  } else if (kind == Kind::kSlot) {
    impl_->AddStatus(*walked);
  } else {
    (kind == Kind::kUnknown ? counters->unknown_messages : counters->pings).Add();
  }
  if (status.code() == absl::StatusCode::kInvalidArgument) counters->malformed_messages.Add();
  if (!status.ok()) return status;
  if (kind == Kind::kSlot || kind == Kind::kBlockMeta) {
    if (walked->slot > counters->newest_slot.value()) counters->newest_slot.Set(walked->slot);
    status = impl_->Drain(out);
  }
  counters->open_slots.Set(impl_->open.size() + impl_->held.size());
  counters->open_bytes.Set(impl_->open_bytes);
  return status.ok() ? impl_->CheckBounds() : status;
}

absl::Status Ledger::Tick(std::chrono::steady_clock::time_point now, std::vector<LedgerEvent>* out) {
  impl_->now = now;
  absl::Status status = impl_->Drain(out);
  impl_->counters->open_slots.Set(impl_->open.size() + impl_->held.size());
  impl_->counters->open_bytes.Set(impl_->open_bytes);
  return status;
}

void Ledger::HeldUp(std::chrono::steady_clock::duration time) {
  for (auto& [slot, block] : impl_->held) {
    if (block.waiting_since.has_value()) *block.waiting_since += time;
  }
}

const std::optional<BlockId>& Ledger::position() const { return impl_->position; }
bool Ledger::proven() const { return impl_->proven; }

}  // namespace everstate::ingest
