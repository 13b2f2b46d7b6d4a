// Keys: the byte layout of every key in a store. No other file knows it.
//
// A key begins with its row kind. Kinds below kFirstOutsideState are rows of state: all of them, and nothing else, are
// in the digest, and key order gives the digest's order (entities, side rows by SideKind, watermark). Numbers inside
// keys are big-endian, so that the order of bytes is the order of numbers. The variable part of a key comes last and
// needs no terminator.
//
//   entity     0x10, u16 entity, key text
//   side row   0x20 + SideKind, u16 entity, u16 name, id bytes
//   watermark  0x7f
//   number     0x80                  journal  0x81, u64 number      gap      0x82, u64 sequence from 1
//   chain      0x83, u64 slot        lineage  0x84, u64 sequence from 1
//   format     0x90   stack name 0x91   stack hash 0x92   stack text 0x93   settings 0x94   schema 0x95
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "storage/model.h"

namespace everstate {

enum class RowKind : uint8_t {
  kEntity = 0x10,
  kSideBase = 0x20,  // no row has this kind itself: side rows have kSideBase + SideKind
  kWatermark = 0x7f,
  kNumber = 0x80,
  kJournal = 0x81,
  kGap = 0x82,
  kChain = 0x83,
  kLineage = 0x84,
  kFormat = 0x90,
  kStackName = 0x91,
  kStackHash = 0x92,
  kStackText = 0x93,
  kSettings = 0x94,
  kSchema = 0x95,
};

inline constexpr uint8_t kFirstOutsideState = 0x80;
inline bool IsStateKey(std::string_view key) {
  return !key.empty() && static_cast<uint8_t>(key[0]) < kFirstOutsideState;
}

// KeyBuffer: makes keys in one buffer that is kept, so that a key on the write path costs no allocation.
//   Thread:    one at a time.
//   Invariant: a returned view lives until the next call.
class KeyBuffer {
 public:
  std::string_view Entity(EntityId entity, std::string_view key);
  std::string_view Side(SideKind kind, EntityId entity, uint16_t name, std::string_view id);
  std::string_view Side(const SideKey& key) { return Side(key.kind, key.entity, key.name, key.id); }
  std::string_view Single(RowKind kind);                       // watermark, number, format, stack …, settings, schema
  std::string_view Numbered(RowKind kind, uint64_t sequence);  // journal, gap, chain, lineage

 private:
  void Begin(uint8_t kind);
  void AppendU16(uint16_t v);
  std::string bytes_;
};

struct EntityKeyView {
  EntityId entity = 0;
  std::string_view key;
};
struct SideKeyView {
  SideKind kind = SideKind::kLookupIndex;
  EntityId entity = 0;
  uint16_t name = 0;
  std::string_view id;
};

// The way back. Empty when the bytes are no key of that sort.
std::optional<EntityKeyView> ParseEntityKey(std::string_view bytes);
std::optional<SideKeyView> ParseSideKey(std::string_view bytes);
std::optional<uint64_t> ParseNumberedKey(RowKind kind, std::string_view bytes);

// What a key's first byte says, for reports: "entity", "pda", "journal", …; "unknown" when it is no kind of this
// format.
std::string_view RowKindName(std::string_view key);
bool IsSideKind(SideKind kind);

// The smallest key above all keys that begin with `prefix`; empty when there is none.
std::string PrefixEnd(std::string_view prefix);

}  // namespace everstate
