// What a ledger is made of. For ledger.cc, which files what is heard by slot until it is whole and settled, and for
// ledger_chain.cc, which puts the blocks in chain order.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/base/base58.h"
#include "server/ingest/block_builder.h"
#include "server/ingest/ledger.h"
#include "server/ingest/wire.h"

namespace everstate::ingest {

// What was heard of a slot that is not settled yet.
struct OpenSlot {
  BlockBuilder content;
  std::chrono::steady_clock::time_point first_heard;
  std::optional<BlockMetaMessage> meta;
  std::optional<Slot> parent;  // as a status said it; the meta knows better
  bool bank_created = false;
  bool confirmed = false, finalized = false;
  bool dead = false;

  bool HasContent() const { return !content.empty() || meta.has_value(); }
};

// A block that is whole and settled, but not the child of our position.
struct HeldBlock {
  std::shared_ptr<Block> block;
  std::optional<std::chrono::steady_clock::time_point> waiting_since;  // first in line, but its parent is missing
};
using HeldBlocks = std::map<Slot, HeldBlock>;

struct Ledger::Impl {
  Impl(LedgerOptions o, LedgerCounters* c) : options(std::move(o)), counters(c), position(options.position) {}

  absl::Status AddContent(const WalkedMessage& walked, std::string message);
  absl::Status AddMeta(const WalkedMessage& walked);
  void AddStatus(const WalkedMessage& walked);
  absl::Status CheckKnown(Slot slot, const Hash32& blockhash);

  OpenSlot& Opened(Slot slot);
  void Reset(OpenSlot* slot);
  bool IsSettled(const OpenSlot& slot) const;
  void SettleIfWhole(Slot slot);
  void Finalize(Slot slot);

  absl::Status Drain(std::vector<LedgerEvent>* out);
  absl::Status Begin(std::vector<LedgerEvent>* out, bool* moved);
  absl::Status Advance(std::vector<LedgerEvent>* out, bool* moved);
  bool HasWaited(HeldBlock* held) const;
  bool MayBeCut(Slot slot) const;
  void DropIncomplete(HeldBlocks::iterator it);
  void HandOver(HeldBlocks::iterator it, std::vector<LedgerEvent>* out);
  void DropUpTo(Slot slot);
  absl::Status CheckBounds() const;

  bool Passed(Slot slot) const { return position.has_value() && slot <= position->slot; }

  const LedgerOptions options;
  LedgerCounters* const counters;
  std::optional<BlockId> position;
  bool proven = false;
  bool live = false;                          // this connection was joined wherever the provider was
  std::optional<Slot> first_begun;            // the first slot whose beginning this connection heard
  std::optional<Slot> first_heard;            // the first slot of which it heard content or BlockMeta
  std::chrono::steady_clock::time_point now;  // of the present call
  std::map<Slot, OpenSlot> open;
  std::map<Slot, std::chrono::steady_clock::time_point> mentioned;  // first heard of by a status that opens nothing
  HeldBlocks held;
  std::map<Slot, Hash32> handed_over;
  TransactionWalker walker;
  size_t open_bytes = 0;  // of open and held
};

inline std::string Text(const Hash32& hash) { return EncodeBase58(hash); }

}  // namespace everstate::ingest
