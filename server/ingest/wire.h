// The wire walk: reads Yellowstone's SubscribeUpdate straight from its protobuf bytes, without building message
// objects. Field numbers are those of geyser.proto and solana-storage.proto; unknown fields are passed over, a scalar
// that comes twice counts as its last value, a message that comes twice is merged and another member of a oneof
// replaces the one before, as the protobuf encoding asks.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/vm/block.h"
#include "storage/model.h"

namespace everstate::ingest {

// Yellowstone's SlotStatus.
enum class SlotStatus : int32_t {
  kProcessed = 0,
  kConfirmed = 1,
  kFinalized = 2,
  kFirstShredReceived = 3,
  kCompleted = 4,
  kCreatedBank = 5,
  kDead = 6
};

struct SlotMessage {
  SlotStatus status = SlotStatus::kProcessed;  // may be a number of a newer server, none of the above
  std::optional<Slot> parent;                  // missing on many servers
};

struct BlockMetaMessage {
  Hash32 blockhash{};
  Slot parent_slot = 0;
  Hash32 parent_blockhash{};
  std::optional<int64_t> block_time;  // unix seconds
  std::optional<uint64_t> block_height;
};

// One message. Everything points into the message's bytes. Of a transaction only the slot is read: TransactionWalker
// reads the rest.
struct WalkedMessage {
  enum class Kind : uint8_t { kUnknown, kAccount, kSlot, kTransaction, kBlockMeta, kPing, kPong };
  Kind kind = Kind::kUnknown;
  Slot slot = 0;          // of the four kinds that have one
  AccountUpdate account;  // kAccount
  SlotMessage status;     // kSlot
  BlockMetaMessage meta;  // kBlockMeta
};

// Errors: InvalidArgument naming the offset of the byte and what is wrong there.
absl::StatusOr<WalkedMessage> WalkMessage(std::string_view message);

// TransactionWalker: walks the inside of a transaction message. Reused, so that its scratch lists are allocated once.
//   Thread:  one.
class TransactionWalker {
 public:
  // `message` is a whole SubscribeUpdate whose kind is kTransaction. Lists of the result are allocated from `arena`,
  // keys and data point into `message`. Errors: InvalidArgument: malformed bytes (with their offset), or an index
  // beyond the transaction's keys (with the transaction's index).
  absl::StatusOr<TransactionUpdate> Walk(std::string_view message, std::pmr::memory_resource* arena);

 private:
  struct Instruction {
    InstructionUpdate update;
    uint32_t program_index = 0;
  };
  struct InnerGroup {
    uint32_t outer = 0;
    std::vector<Instruction> instructions;
  };

  void Begin();
  absl::Status WalkInfo(std::string_view bytes, const char* origin);
  absl::Status WalkBody(std::string_view bytes, const char* origin);
  absl::Status WalkMeta(std::string_view bytes, const char* origin);
  absl::Status WalkInnerGroup(std::string_view bytes, const char* origin);
  absl::Status Assemble(std::pmr::memory_resource* arena);
  absl::Status PlaceWritable(std::pmr::memory_resource* arena);
  absl::Status PlaceInstructions(std::pmr::memory_resource* arena);
  absl::Status OutOfRange(size_t outer) const;

  TransactionUpdate out_;
  std::vector<const uint8_t*> keys_, loaded_writable_, loaded_readonly_;
  size_t static_keys_ = 0;
  std::vector<Instruction> outer_;
  std::vector<InnerGroup> groups_;  // the first groups_used_ are of this transaction
  size_t groups_used_ = 0;
  std::vector<std::string_view> logs_;
  uint32_t signers_ = 0, readonly_signed_ = 0, readonly_unsigned_ = 0;
  bool has_meta_ = false;
};

}  // namespace everstate::ingest
