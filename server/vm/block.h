// What a projection eats: the updates of one block, owned and walked, not yet decoded. Every pointer and span below
// leads into the block's own buffers.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <memory_resource>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "storage/model.h"

namespace everstate {

// One instruction as executed, outer or inner.
struct InstructionUpdate {
  const uint8_t* program = nullptr;   // 32 bytes
  std::span<const uint8_t> accounts;  // indexes into TransactionUpdate::keys, all checked
  std::span<const uint8_t> data;
  uint16_t outer = 0;   // position of the outer instruction
  int32_t inner = -1;   // position in the outer one's list of inner instructions; -1 = the outer one itself
  uint32_t height = 1;  // 1 = outer, 2 = called by it, …
};

struct TransactionUpdate {
  uint64_t index = 0;                  // position in the block
  const uint8_t* signature = nullptr;  // 64 bytes, the first one
  bool failed = false;
  // Static keys, then writable keys of lookup tables, then read-only ones: the space of all account indexes (32 bytes
  // each).
  std::span<const uint8_t* const> keys;
  std::span<const bool> writable;  // of each key
  std::span<const InstructionUpdate>
      instructions;  // in execution order: each outer one, then its inner ones as delivered
  std::span<const std::string_view> logs;
  bool logs_missing = false;   // the node did not record them: unknown, not none
  bool inner_missing = false;  // the same for the instructions that others called
};

struct AccountUpdate {
  const uint8_t* pubkey = nullptr;     // 32 bytes
  const uint8_t* owner = nullptr;      // 32 bytes
  uint64_t lamports = 0;               // 0: the account is gone
  uint64_t write_version = 0;          // comparable within one slot of one connection only
  const uint8_t* signature = nullptr;  // 64 bytes of the transaction that wrote it; null for sysvars, rewards, rent
  std::span<const uint8_t> data;
};

// Block: all updates of one slot, sealed.
//   Owns:      its buffers. Move-only; nobody changes it once it left the ledger.
//   Invariant: transactions ascend by index, each index once. accounts holds the last write of each account (highest
//              write_version), ordered by (index of the transaction that made it, public key); writes whose transaction
//              is unknown come last, by public key.
struct Block {
  BlockId id;
  std::vector<TransactionUpdate> transactions;
  std::vector<AccountUpdate> accounts;
  size_t bytes = 0;                 // weight for queues: wire bytes of everything in it
  std::deque<std::string> buffers;  // the wire bytes that everything points into; a deque never moves its elements
  std::unique_ptr<std::pmr::monotonic_buffer_resource> arena;  // key tables and instruction lists
  // For people who watch, never for a projection: when the slot was first heard of on this connection, and when the
  // block was whole and settled. Of a block that was read back both are the moment of reading.
  std::chrono::steady_clock::time_point first_heard, settled;
};
using BlockRef = std::shared_ptr<const Block>;

}  // namespace everstate
