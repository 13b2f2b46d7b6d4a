// What a replay knows about its recordings: one item per message that can be served, with what the filters ask, and the
// blocks among them. Made once when the files are loaded; serving looks at items and copies recorded bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/ingest/recording.h"

namespace everstate::replay {

// The field numbers of SubscribeUpdate.update_oneof that are served. A transaction status is made from its transaction;
// whole blocks, and the pings of the server that was recorded, are not.
enum class UpdateKind : uint8_t { kAccount = 2, kSlot = 3, kTransaction = 4, kBlockMeta = 7, kEntry = 8 };

// geyser.SlotStatus; the first three equal geyser.CommitmentLevel.
enum SlotStatusCode : uint8_t { kStatusProcessed = 0, kStatusConfirmed = 1, kStatusFinalized = 2 };

inline constexpr uint32_t kNoKey = 0xffffffff;

// `bytes` is the recorded field of the oneof, tag included: an update without filters and created_at.
struct ReplayItem {
  std::string_view bytes;
  uint64_t slot = 0;
  uint64_t lamports = 0;       // account
  std::string_view data;       // account
  std::string_view signature;  // account (empty = absent), transaction
  uint32_t key = kNoKey;       // account: the account itself, as an id of ReplayIndex::FindKey
  uint32_t owner = kNoKey;     // account
  uint32_t keys_begin = 0;     // transaction: static and loaded keys, a range of ReplayIndex::key_pool()
  uint32_t keys_count = 0;
  uint32_t step = 0;  // which step of the clock releases it
  UpdateKind kind = UpdateKind::kSlot;
  uint8_t status = 0;   // slot: geyser.SlotStatus
  bool vote = false;    // transaction
  bool failed = false;  // transaction
};

// One slot that has a BlockMeta. Item numbers count from the beginning of the recording.
struct ReplayBlock {
  uint64_t slot = 0;
  uint64_t parent_slot = 0;
  std::string blockhash;
  std::string parent_blockhash;
  uint64_t height = 0;
  int64_t time_seconds = 0;
  uint32_t meta = 0;                // item of its BlockMeta
  uint32_t ready = 0;               // items before this one hold the block whole: BlockMeta and CONFIRMED are behind
  uint32_t live_from = 0;           // no item before this one is content of this block or of a later one
  std::vector<uint32_t> in_replay;  // items in the order of a replay: content, BlockMeta, commitment statuses
};

// Invariant: blocks() ascend by slot, and so do their `ready` and `live_from`; steps() ascend, the first is 0.
// Thread: constant once loaded. Owns: the bytes of the files, where all views point.
class ReplayIndex {
 public:
  // Errors: those of RecordingReader; InvalidArgument for a message that is no SubscribeUpdate (file and offset), a
  // file whose blocks do not come after those of the files before it (file), no message at all.
  static absl::StatusOr<ReplayIndex> Load(const std::vector<std::string>& files);

  const std::vector<ReplayItem>& items() const { return items_; }
  const std::vector<ReplayBlock>& blocks() const { return blocks_; }
  const std::vector<uint32_t>& steps() const { return steps_; }  // first item of each step: a slot not seen before
  const std::vector<uint32_t>& key_pool() const { return key_pool_; }

  uint32_t FindKey(std::string_view key) const;  // kNoKey = nothing recorded has this key
  const ReplayBlock* FindBlock(uint64_t slot) const;

  uint64_t slot_first() const { return slot_first_; }  // of all messages
  uint64_t slot_last() const { return slot_last_; }
  uint64_t write_version_first() const { return write_version_first_; }  // of all account writes but 0
  uint64_t write_version_last() const { return write_version_last_; }

 private:
  ReplayIndex() = default;
  absl::Status LoadFile(const std::string& file);
  bool AddMessage(std::string_view message);
  bool ReadAccount(std::string_view account, ReplayItem* item);
  bool ReadAccountInfo(std::string_view info, ReplayItem* item);
  bool ReadSlot(std::string_view slot, ReplayItem* item);
  bool ReadTransaction(std::string_view transaction, ReplayItem* item);
  bool ReadTransactionInfo(std::string_view info, ReplayItem* item);
  bool AddKeys(uint32_t field, std::string_view message);
  bool ReadBlockMeta(std::string_view meta, ReplayItem* item);
  void LinkBlocks();
  void MarkSteps();
  uint32_t KeyId(std::string_view key);

  std::vector<RecordingReader> files_;
  std::vector<ReplayItem> items_;
  std::vector<ReplayBlock> blocks_;
  std::vector<uint32_t> steps_;
  std::vector<uint32_t> key_pool_;
  absl::flat_hash_map<std::string_view, uint32_t> key_ids_;
  absl::flat_hash_map<uint64_t, uint32_t> block_of_slot_;
  uint64_t file_block_first_ = 0;  // while loading: the lowest slot of a BlockMeta in the present file
  uint64_t slot_first_ = 0;
  uint64_t slot_last_ = 0;
  uint64_t write_version_first_ = 0;
  uint64_t write_version_last_ = 0;
};

}  // namespace everstate::replay
