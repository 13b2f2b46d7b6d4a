// Where everything is in a recording that may go round: positions, passes and blocks, by arithmetic alone. A position
// counts items from the beginning of the first pass. In pass k slots, heights, times, hashes, write versions and
// signatures are a function of what was recorded and k, so that every process serves the same bytes for the same slot.
//
//   slots     + k * (last slot of the recording - slot of its first block + 1)
//   heights   + k * (last height - first height + 1), times likewise
//   hashes and signatures: the first 8 bytes xor Mix64(k), which is 0 for pass 0
//   the first block of pass k has the last block of pass k-1 as its parent
//
// What was recorded of slots before the first block (the tail of blocks that the recording does not have) is served in
// pass 0 only, except FINALIZED of a slot that is a block of the pass before: the chain goes on finalizing across the
// seam.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "server/ingest/replay_index.h"

namespace everstate::replay {

using Position = uint64_t;
using BlockNumber = uint64_t;  // of a block, counted like positions from the first pass

// The finalizer of splitmix64: a bijection of u64 with Mix64(0) = 0.
uint64_t Mix64(uint64_t x);

// The bytes with the first 8 changed for `pass`; shorter ones unchanged. Its own inverse.
std::string MixBytes(std::string_view bytes, uint64_t pass);

// Thread: constant. Borrows: the index, which must outlive it.
class ReplayTimeline {
 public:
  ReplayTimeline(const ReplayIndex& index, bool loop);

  const ReplayIndex& index() const { return index_; }
  Position end() const { return end_; }  // no position; never reached when it loops
  uint64_t Pass(Position at) const { return at / items_; }
  const ReplayItem& Item(Position at) const { return index_.items()[at % items_]; }
  bool Served(Position at) const;

  // The clock's steps.
  Position StepBegin(uint64_t step) const;
  uint64_t StepAt(Position at) const;  // the step that holds the item

  // Blocks. `ready` of a block is the position at which it is whole, `live_from` one from where nothing of it or of a
  // later one is missing.
  std::optional<BlockNumber> TipAt(Position head) const;
  std::optional<BlockNumber> BlockAtOrAfter(uint64_t slot) const;
  bool HasBlock(BlockNumber b) const { return b < blocks_ || (loop_ && blocks_ > 0); }
  const ReplayBlock& Block(BlockNumber b) const { return index_.blocks()[b % blocks_]; }
  uint64_t BlockPass(BlockNumber b) const { return b / blocks_; }
  Position BlockReady(BlockNumber b) const { return BlockPass(b) * items_ + Block(b).ready; }
  Position BlockLiveFrom(BlockNumber b) const { return BlockPass(b) * items_ + Block(b).live_from; }
  Position BlockItem(BlockNumber b, size_t i) const { return BlockPass(b) * items_ + Block(b).in_replay[i]; }

  // What is said of a block, and of a slot with `recorded_parent`, in a pass.
  uint64_t BlockSlot(BlockNumber b) const { return SlotIn(BlockPass(b), Block(b).slot); }
  uint64_t BlockHeight(BlockNumber b) const { return HeightIn(BlockPass(b), Block(b).height); }
  std::string BlockHash(BlockNumber b) const { return HashIn(BlockPass(b), Block(b).blockhash); }
  uint64_t SlotIn(uint64_t pass, uint64_t recorded) const { return recorded + pass * slot_span_; }
  uint64_t ParentIn(uint64_t pass, uint64_t recorded_slot, uint64_t recorded_parent) const;
  std::string ParentHashIn(uint64_t pass, const ReplayBlock& block) const;
  uint64_t HeightIn(uint64_t pass, uint64_t recorded) const { return recorded + pass * height_span_; }
  int64_t TimeIn(uint64_t pass, int64_t recorded) const { return recorded + static_cast<int64_t>(pass) * time_span_; }
  uint64_t WriteVersionIn(uint64_t pass, uint64_t recorded) const {
    return recorded == 0 ? 0 : recorded + pass * write_version_span_;
  }
  static std::string HashIn(uint64_t pass, const std::string& base58);

 private:
  const ReplayIndex& index_;
  const uint64_t items_;
  const uint64_t blocks_;
  const uint64_t steps_;
  const bool loop_;
  const Position end_;
  uint64_t slot_span_ = 1;
  uint64_t height_span_ = 1;
  int64_t time_span_ = 1;
  uint64_t write_version_span_ = 1;
};

}  // namespace everstate::replay
