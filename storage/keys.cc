#include "storage/keys.h"

namespace everstate {
namespace {

constexpr size_t kEntityHead = 1 + 2;
constexpr size_t kSideHead = 1 + 2 + 2;
constexpr size_t kNumberedSize = 1 + 8;

uint16_t ReadU16(std::string_view bytes, size_t at) {
  return static_cast<uint16_t>(static_cast<uint8_t>(bytes[at]) << 8 | static_cast<uint8_t>(bytes[at + 1]));
}

uint8_t FirstByte(std::string_view bytes) { return static_cast<uint8_t>(bytes[0]); }

std::string_view SideKindName(SideKind kind) {
  switch (kind) {
    case SideKind::kLookupIndex:
      return "lookup_index";
    case SideKind::kTemporalIndex:
      return "temporal_index";
    case SideKind::kPda:
      return "pda";
    case SideKind::kWaiting:
      return "waiting";
    case SideKind::kUniqueMember:
      return "unique_member";
    case SideKind::kStopFlag:
      return "stop_flag";
    case SideKind::kSchedule:
      return "schedule";
    case SideKind::kResolverAnswer:
      return "resolver_answer";
    case SideKind::kSlotHash:
      return "slot_hash";
  }
  return "unknown";
}

}  // namespace

bool IsSideKind(SideKind kind) { return kind >= SideKind::kLookupIndex && kind <= SideKind::kSlotHash; }

void KeyBuffer::Begin(uint8_t kind) {
  bytes_.clear();
  bytes_.push_back(static_cast<char>(kind));
}

void KeyBuffer::AppendU16(uint16_t v) {
  bytes_.push_back(static_cast<char>(v >> 8));
  bytes_.push_back(static_cast<char>(v & 0xff));
}

std::string_view KeyBuffer::Entity(EntityId entity, std::string_view key) {
  Begin(static_cast<uint8_t>(RowKind::kEntity));
  AppendU16(entity);
  bytes_.append(key);
  return bytes_;
}

std::string_view KeyBuffer::Side(SideKind kind, EntityId entity, uint16_t name, std::string_view id) {
  Begin(static_cast<uint8_t>(static_cast<uint8_t>(RowKind::kSideBase) + static_cast<uint8_t>(kind)));
  AppendU16(entity);
  AppendU16(name);
  bytes_.append(id);
  return bytes_;
}

std::string_view KeyBuffer::Single(RowKind kind) {
  Begin(static_cast<uint8_t>(kind));
  return bytes_;
}

std::string_view KeyBuffer::Numbered(RowKind kind, uint64_t sequence) {
  Begin(static_cast<uint8_t>(kind));
  for (int shift = 56; shift >= 0; shift -= 8) bytes_.push_back(static_cast<char>(sequence >> shift & 0xff));
  return bytes_;
}

std::optional<EntityKeyView> ParseEntityKey(std::string_view bytes) {
  if (bytes.size() <= kEntityHead || FirstByte(bytes) != static_cast<uint8_t>(RowKind::kEntity)) return std::nullopt;
  return EntityKeyView{ReadU16(bytes, 1), bytes.substr(kEntityHead)};
}

std::optional<SideKeyView> ParseSideKey(std::string_view bytes) {
  if (bytes.size() < kSideHead) return std::nullopt;
  const SideKind kind{static_cast<uint8_t>(FirstByte(bytes) - static_cast<uint8_t>(RowKind::kSideBase))};
  if (!IsSideKind(kind)) return std::nullopt;
  return SideKeyView{kind, ReadU16(bytes, 1), ReadU16(bytes, 3), bytes.substr(kSideHead)};
}

std::optional<uint64_t> ParseNumberedKey(RowKind kind, std::string_view bytes) {
  if (bytes.size() != kNumberedSize || FirstByte(bytes) != static_cast<uint8_t>(kind)) return std::nullopt;
  uint64_t sequence = 0;
  for (const char c : bytes.substr(1)) sequence = sequence << 8 | static_cast<uint8_t>(c);
  return sequence;
}

std::string_view RowKindName(std::string_view key) {
  if (key.empty()) return "unknown";
  const uint8_t first = FirstByte(key);
  switch (RowKind{first}) {
    case RowKind::kEntity:
      return "entity";
    case RowKind::kSideBase:
      return "unknown";
    case RowKind::kWatermark:
      return "watermark";
    case RowKind::kNumber:
      return "number";
    case RowKind::kJournal:
      return "journal";
    case RowKind::kGap:
      return "gap";
    case RowKind::kChain:
      return "chain";
    case RowKind::kLineage:
      return "lineage";
    case RowKind::kFormat:
      return "format";
    case RowKind::kStackName:
      return "stack_name";
    case RowKind::kStackHash:
      return "stack_hash";
    case RowKind::kStackText:
      return "stack_text";
    case RowKind::kSettings:
      return "settings";
    case RowKind::kSchema:
      return "schema";
  }
  return SideKindName(SideKind{static_cast<uint8_t>(first - static_cast<uint8_t>(RowKind::kSideBase))});
}

std::string PrefixEnd(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<uint8_t>(end.back()) == 0xff) end.pop_back();
  if (!end.empty()) end.back() = static_cast<char>(static_cast<uint8_t>(end.back()) + 1);
  return end;
}

}  // namespace everstate
