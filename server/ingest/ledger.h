// Ledger: turns the messages of a feed into blocks. It files messages by slot and connection, learns blockhash and
// parent from BlockMeta, and says of each block that it is whole and settled, in chain order, each once, or that there
// is a gap.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "server/base/counters.h"
#include "server/vm/block.h"
#include "storage/model.h"

namespace everstate::ingest {

struct LedgerOptions {
  Commitment commitment = Commitment::kConfirmed;
  // Where to go on: the last block handed over (its slot, blockhash). Empty: an empty store.
  std::optional<BlockId> position;
  // On an empty store: begin at this slot; else at the first slot whose FIRST_SHRED or CREATED_BANK this ledger heard.
  std::optional<Slot> from_slot;
  // Blockhash of a slot that was applied before, as far as it is still known.
  std::function<std::optional<Hash32>(Slot)> applied_blockhash;
  std::chrono::milliseconds parent_wait{2000};  // a block whose parent is missing waits this long, then there is a gap
  size_t open_slots_max = 512;                  // more unsealed slots than this end the connection (ResourceExhausted)
  size_t open_bytes_max = 1ull << 30;
};

struct LedgerCounters {
  Counter messages, bytes, accounts, transactions, slots, block_metas, pings, unknown_messages, malformed_messages;
  Counter blocks_settled, blocks_dead, blocks_duplicate, blocks_below_watermark;
  Counter accounts_duplicate, transactions_duplicate, transactions_conflicting;
  Counter bank_resets, late_messages, gaps, slots_incomplete;
  Gauge newest_slot, settled_slot, open_slots, open_bytes;
};

inline constexpr auto kLedgerCounters = std::to_array<Described<LedgerCounters>>({
    {"messages", &LedgerCounters::messages, "Messages heard, of any kind"},
    {"bytes", &LedgerCounters::bytes, "Bytes of the messages heard"},
    {"accounts", &LedgerCounters::accounts, "Account writes heard"},
    {"transactions", &LedgerCounters::transactions, "Transactions heard"},
    {"slots", &LedgerCounters::slots, "Slot status messages heard"},
    {"block_metas", &LedgerCounters::block_metas, "Block metas heard"},
    {"pings", &LedgerCounters::pings, "Pings of the provider"},
    {"unknown_messages", &LedgerCounters::unknown_messages,
     "Messages of a kind that was not asked for or is not known"},
    {"malformed_messages", &LedgerCounters::malformed_messages,
     "Messages that are no SubscribeUpdate; the connection is given up"},
    {"blocks_settled", &LedgerCounters::blocks_settled, "Blocks handed over: whole, and settled at the commitment"},
    {"blocks_dead", &LedgerCounters::blocks_dead, "Blocks of which DEAD was heard, or which the chain went on without"},
    {"blocks_duplicate", &LedgerCounters::blocks_duplicate, "Blocks heard again after they were handed over"},
    {"blocks_below_watermark", &LedgerCounters::blocks_below_watermark, "Blocks below the position, dropped unjudged"},
    {"accounts_duplicate", &LedgerCounters::accounts_duplicate,
     "Account writes that a later one of the same block replaced"},
    {"transactions_duplicate", &LedgerCounters::transactions_duplicate, "Transactions heard again within their block"},
    {"transactions_conflicting", &LedgerCounters::transactions_conflicting,
     "Transactions with an index that another one of the block has"},
    {"bank_resets", &LedgerCounters::bank_resets, "Slots that the node began anew: what was held of them is void"},
    {"late_messages", &LedgerCounters::late_messages, "Messages for a block that was whole already"},
    {"gaps", &LedgerCounters::gaps, "Holes of the stream"},
    {"slots_incomplete", &LedgerCounters::slots_incomplete,
     "Slots settled without their block meta, or begun before the stream listened"},
    {"newest_slot", &LedgerCounters::newest_slot, "The newest slot heard of", CountKind::kPosition},
    {"settled_slot", &LedgerCounters::settled_slot, "The newest slot heard to be settled", CountKind::kPosition},
    {"open_slots", &LedgerCounters::open_slots, "Slots that are not whole yet"},
    {"open_bytes", &LedgerCounters::open_bytes, "Bytes held for slots that are not whole yet"},
});
static_assert(DescribesAll(kLedgerCounters));

// The mark between two positions: everything after it belongs to the chain from `at` on. A ledger makes none, the loop
// around it does.
struct Restarted {
  BlockId at;
};

// What comes out, in order.
using LedgerEvent = std::variant<BlockRef, Gap, Restarted>;

// Ledger: pure, no thread, no clock of its own.
//   Thread:    one.
//   Errors:    Aborted: the feed is of another chain (a slot that we applied has another blockhash): final, the process
//              stops.
//              FailedPrecondition: the feed does not begin where an empty store has to begin (options.from_slot):
//              final.
//              InvalidArgument (malformed) / ResourceExhausted: this connection is of no use any more; begin another
//              one.
//   Invariant: blocks come out in chain order; the parent of each is the one before it, or a Gap stands between; no
//              slot twice.
class Ledger {
 public:
  Ledger(LedgerOptions options, LedgerCounters* counters);
  ~Ledger();

  // A new connection begins: what is open is of another node's making and is forgotten. `live`: it was not asked to
  // begin at the position, so that it may begin in the middle of a block.
  void BeginConnection(bool live);
  // One SubscribeUpdate message. What becomes ready is appended to *out.
  absl::Status Add(std::string message, std::chrono::steady_clock::time_point now, std::vector<LedgerEvent>* out);
  // Time passes: waiting blocks may become a gap.
  absl::Status Tick(std::chrono::steady_clock::time_point now, std::vector<LedgerEvent>* out);
  // The receiver of the events held the caller up for so long: what came meanwhile was not read, so a parent is waited
  // for that much longer.
  void HeldUp(std::chrono::steady_clock::duration time);

  // The last block handed over; the slot to resume from.
  const std::optional<BlockId>& position() const;
  // True once the position's own block came again with the same blockhash, or a block was handed over on this
  // connection.
  bool proven() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace everstate::ingest
