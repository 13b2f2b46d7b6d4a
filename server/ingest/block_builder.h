// BlockBuilder: the account and transaction messages of one slot, until they are sealed into a block. The one place
// that knows the order inside a block, for messages that come from a stream and for those that come from the archive.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "server/ingest/wire.h"
#include "server/vm/block.h"
#include "storage/model.h"

namespace everstate::ingest {

// What sealing left out.
struct SealCounts {
  uint64_t accounts_duplicate = 0;        // an older write of an account
  uint64_t transactions_duplicate = 0;    // the same index again
  uint64_t transactions_conflicting = 0;  // the same index again, with another signature
};

//   Thread:    one.
//   Owns:      the messages, until Seal gives them to the block.
//   Errors:    InvalidArgument: malformed, naming the slot; the builder is then of no use any more.
class BlockBuilder {
 public:
  // `walked` is what WalkMessage made of `message`, of kind kAccount or kTransaction.
  absl::Status Add(const WalkedMessage& walked, std::string message, TransactionWalker* walker);

  // The transaction that was added last, and taking it back.
  const TransactionUpdate& last_transaction() const { return block_.transactions.back(); }
  void DropLastTransaction();

  bool empty() const { return block_.buffers.empty(); }
  size_t bytes() const { return block_.bytes; }

  // The block of everything that was added; the builder is empty afterwards.
  std::shared_ptr<Block> Seal(const BlockId& id, SealCounts* counts);

 private:
  Block block_;
};

}  // namespace everstate::ingest
