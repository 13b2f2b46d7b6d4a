// The nouns that cross rooms. No room's mechanism is visible here: only what a position, a key, a mutation and a batch
// are.
#pragma once

#include <array>
#include <bitset>
#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace everstate {

using Slot = uint64_t;    // the chain's tick number; may be skipped
using Number = uint64_t;  // dense number of an applied batch within a generation, from 1; 0 = nothing applied
using Hash32 = std::array<uint8_t, 32>;
using Signature = std::array<uint8_t, 64>;

using EntityId = uint16_t;  // position of the entity in its stack
using FieldId = uint16_t;   // position of the field in its entity's schema

inline constexpr size_t kFieldsMax = 256;  // fields of one entity; a stack that needs more is refused when it is loaded
using FieldSet = std::bitset<kFieldsMax>;

// The level at which a block's content is settled for us (Yellowstone's CommitmentLevel without PROCESSED).
enum class Commitment : uint8_t { kConfirmed, kFinalized };

// The chain's order of changes: (slot, index). Index 0 is the slot itself; the mutations of a slot that change a row
// are numbered from 1. On the wire a cursor is `seq`: "<slot>:<index padded to 12 digits>".
struct Cursor {
  Slot slot = 0;
  uint64_t index = 0;
  auto operator<=>(const Cursor&) const = default;

  std::string ToSeq() const;
  static std::optional<Cursor> FromSeq(std::string_view seq);  // empty unless exactly digits ":" digits, both u64
};

class Row;
using RowRef = std::shared_ptr<const Row>;

// What made a mutation last: the transaction, or nothing for writes that no transaction made.
struct Cause {
  std::optional<Signature> signature;
  std::optional<uint64_t> transaction_index;
};

// An append field of a mutation: its array in `after` ends with `count` elements that `before` did not have. Not listed
// when the array was cut or replaced: then it is sent whole.
struct Appended {
  FieldId field = 0;
  uint32_t count = 0;
};

// All changes of one entity in one block. Nobody changes a mutation once its batch is sealed.
struct Mutation {
  EntityId entity = 0;
  std::string key;                 // the entity's key as text, as on the wire; never empty
  Cursor cursor;                   // of this mutation; equals after->cursor()
  RowRef before;                   // null: the entity is new
  RowRef after;                    // null: the entity is deleted
  FieldSet changed;                // fields whose value differs between before and after, emitted or not
  std::vector<Appended> appended;  // a subset of changed, ascending by field
  Cause cause;
};

// Side rows: what a projection remembers besides entities. The digest covers all of them, in this order of kinds.
// The values are part of the format on disk.
enum class SideKind : uint8_t {
  kLookupIndex = 1,  // name = index number in the entity, id = looked-up value; value = entity key
  kTemporalIndex = 2,
  kPda = 3,  // entity 0, name 0, id = address; value = what it leads to
  kWaiting = 4,
  kUniqueMember = 5,  // name = count field, id = UniqueMemberId(key, member); value empty
  kStopFlag = 6,      // name = stopped field, id = entity key; value empty
  kSchedule = 7,
  kResolverAnswer = 8,
  kSlotHash = 9,
};

struct SideKey {
  SideKind kind = SideKind::kLookupIndex;
  EntityId entity = 0;
  uint16_t name = 0;
  std::string id;
  auto operator<=>(const SideKey&) const = default;
};

// The members of one unique set lie together: (u32 big-endian key length, key, encoded member value).
std::string UniqueMemberId(std::string_view entity_key, std::string_view member);

struct SideWrite {
  SideKey key;
  std::optional<std::string> value;  // empty: the row is removed
};

// A hole in what was applied: blocks of (from, to) exclusive of both ends are missing. Stored for ever, shown
// everywhere.
struct Gap {
  Slot from = 0;      // last slot applied before the hole
  Slot to = 0;        // first slot heard after it
  std::string cause;  // one sentence for people
};

// The values are part of the format on disk (journal).
enum class BatchKind : uint8_t { kSlot = 1, kBootstrap = 2, kRetention = 3, kRepair = 4, kGap = 5 };

// The chain's position: which block a batch brings the state to.
struct BlockId {
  Slot slot = 0;
  Hash32 blockhash{};
  Slot parent_slot = 0;
  Hash32 parent_blockhash{};
  std::optional<int64_t> block_time;  // unix seconds
  bool operator==(const BlockId&) const = default;
};

// One step of the store, all or none. Only a kSlot batch moves the chain's position (`block`); every other kind takes
// the watermark's slot and continues its index, and its `block` is ignored.
struct Batch {
  BatchKind kind = BatchKind::kSlot;
  BlockId block;
  std::vector<Mutation> mutations;  // ascending by cursor
  std::vector<SideWrite> side;      // each key once
  std::optional<Gap> gap;           // with kGap only
};
using BatchRef = std::shared_ptr<const Batch>;

// The record of the last applied batch. number 0: nothing was ever applied.
struct Watermark {
  Number number = 0;
  BlockId block;
  uint64_t last_index = 0;  // highest cursor index given in block.slot
  Cursor cursor() const { return {block.slot, last_index}; }
};

// An applied batch, as it goes to those who publish it.
struct Applied {
  uint64_t generation = 0;
  Number number = 0;
  BatchRef batch;
};

// A view by its wire name. Every entity has E/list, E/state and E/append; a stack may add derived views.
enum class ViewMode : uint8_t { kList, kState, kAppend };
std::string_view ViewModeName(ViewMode mode);  // "list", "state", "append"

struct ViewDef {
  std::string id;  // e.g. "TokenMint/list"
  EntityId entity = 0;
  ViewMode mode = ViewMode::kList;
  std::string unsupported;  // not empty: why this view cannot be served, for the client and for /status
};

}  // namespace everstate
