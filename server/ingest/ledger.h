// Ledger: turns the messages of a feed into blocks. It files messages by slot and connection, learns blockhash and parent from
// BlockMeta, and says of each block that it is whole and settled, in chain order, each once, or that there is a gap.
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
  Counter blocks_settled, blocks_duplicate, blocks_below_watermark;
  Counter blocks_dead;                                 // DEAD was heard, or the chain went on without it
  Counter accounts_duplicate, transactions_duplicate;  // within one block: an older write, the same index again
  Counter transactions_conflicting;                    // the same index again, but of another transaction
  Counter bank_resets;                                 // what was held of a slot is void, the node begins it anew
  Counter late_messages;                               // for a block that was whole already
  Counter gaps, slots_incomplete;                      // incomplete: settled without its BlockMeta, or begun before we listened
  Gauge newest_slot, settled_slot, open_slots, open_bytes;
};

// The mark between two positions: everything after it belongs to the chain from `at` on. A ledger makes none, the loop
// around it does.
struct Restarted {
  BlockId at;
};

// What comes out, in order.
using LedgerEvent = std::variant<BlockRef, Gap, Restarted>;

// Ledger: pure, no thread, no clock of its own.
//   Thread:    one.
//   Errors:    Aborted: the feed is of another chain (a slot that we applied has another blockhash): final, the process stops.
//              FailedPrecondition: the feed does not begin where an empty store has to begin (options.from_slot): final.
//              InvalidArgument (malformed) / ResourceExhausted: this connection is of no use any more; begin another one.
//   Invariant: blocks come out in chain order; the parent of each is the one before it, or a Gap stands between; no slot twice.
class Ledger {
 public:
  Ledger(LedgerOptions options, LedgerCounters* counters);
  ~Ledger();

  // A new connection begins: what is open is of another node's making and is forgotten.
  void BeginConnection();
  // One SubscribeUpdate message. What becomes ready is appended to *out.
  absl::Status Add(std::string message, std::chrono::steady_clock::time_point now, std::vector<LedgerEvent>* out);
  // Time passes: waiting blocks may become a gap.
  absl::Status Tick(std::chrono::steady_clock::time_point now, std::vector<LedgerEvent>* out);

  // The last block handed over; the slot to resume from.
  const std::optional<BlockId>& position() const;
  // True once the position's own block came again with the same blockhash, or a block was handed over that links to it.
  bool proven() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace everstate::ingest
