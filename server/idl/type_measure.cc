// The sizes of types: what a table knows of them once all are there.
#include <fmt/format.h>

#include <algorithm>

#include "server/idl/type_table.h"

namespace everstate::idl {
namespace {

constexpr uint64_t kEndless = UINT64_MAX;      // a type that contains itself, as far as is known
constexpr uint64_t kHuge = uint64_t{1} << 40;  // sums stop here

uint32_t SimpleSize(Kind kind) {
  switch (kind) {
    case Kind::kU8:
    case Kind::kI8:
    case Kind::kBool:
      return 1;
    case Kind::kU16:
    case Kind::kI16:
      return 2;
    case Kind::kU32:
    case Kind::kI32:
    case Kind::kF32:
      return 4;
    case Kind::kU64:
    case Kind::kI64:
    case Kind::kF64:
      return 8;
    case Kind::kU128:
    case Kind::kI128:
      return 16;
    case Kind::kPubkey:
      return 32;
    default:
      return 0;
  }
}

uint64_t Sum(uint64_t a, uint64_t b) { return a == kEndless || b == kEndless ? kEndless : std::min(a + b, kHuge); }
uint64_t Times(uint64_t a, uint64_t count) {
  if (count == 0) return 0;
  if (a == kEndless) return kEndless;
  return a > kHuge / count ? kHuge : a * count;
}

}  // namespace

// Natural alignment in bytes, as Rust has it on today's 64-bit targets (128-bit integers: 16).
uint32_t TypeTable::AlignmentOf(const Type& type) const {
  switch (type.kind) {
    case Kind::kPubkey:
      return 1;
    case Kind::kArray:
      return extents_[type.element].alignment;
    case Kind::kEnum:
      return type.prefix;
    case Kind::kStruct:
    case Kind::kTuple: {
      uint32_t most = 1;
      if (type.packed) return most;
      for (const Type::Field& field : type.fields) most = std::max(most, extents_[field.type].alignment);
      return most;
    }
    default:
      return std::max(SimpleSize(type.kind), 1u);
  }
}

uint64_t TypeTable::SizeInBytemuck(const Type& type) const {
  switch (type.kind) {
    case Kind::kByteArray:
    case Kind::kPad:
      return type.count;
    case Kind::kArray:
      return Times(extents_[type.element].size, type.count);
    case Kind::kEnum:
      return type.prefix;
    case Kind::kStruct:
    case Kind::kTuple: {
      uint64_t size = 0;
      for (const Type::Field& field : type.fields) size = Sum(size, extents_[field.type].size);
      return size;
    }
    default:
      return SimpleSize(type.kind);
  }
}

// From what is known of the parts.
uint64_t TypeTable::MinSizeOf(const Type& type) const {
  switch (type.kind) {
    case Kind::kString:
    case Kind::kBytes:
      return 4;
    case Kind::kText:
    case Kind::kBlob:
    case Kind::kVec:
    case Kind::kMap:
    case Kind::kOption:
      return type.prefix;
    case Kind::kFixedOption:
      return Sum(type.prefix, min_sizes_[type.element]);
    case Kind::kByteArray:
    case Kind::kPad:
      return type.count;
    case Kind::kArray:
      return Times(min_sizes_[type.element], type.count);
    case Kind::kStruct:
    case Kind::kTuple: {
      uint64_t size = 0;
      for (const Type::Field& field : type.fields) size = Sum(size, min_sizes_[field.type]);
      return size;
    }
    case Kind::kEnum: {
      uint64_t least = kEndless;
      for (const Type::Variant& variant : type.variants)
        least = std::min(least, variant.unit ? 0 : min_sizes_[variant.payload]);
      return Sum(type.prefix, least);
    }
    default:
      return SimpleSize(type.kind);
  }
}

bool TypeTable::VariesIn(const Type& type, const std::vector<bool>& varies) const {
  switch (type.kind) {
    case Kind::kString:
    case Kind::kBytes:
    case Kind::kText:
    case Kind::kBlob:
    case Kind::kVec:
    case Kind::kMap:
    case Kind::kOption:
      return true;
    case Kind::kArray:
    case Kind::kFixedOption:
      return varies[type.element];
    case Kind::kStruct:
    case Kind::kTuple:
      return std::any_of(type.fields.begin(), type.fields.end(), [&](const auto& field) { return varies[field.type]; });
    case Kind::kEnum: {
      const auto size = [&](const Type::Variant& variant) { return variant.unit ? 0 : min_sizes_[variant.payload]; };
      return std::any_of(type.variants.begin(), type.variants.end(), [&](const Type::Variant& variant) {
        return size(variant) != size(type.variants.front()) || (!variant.unit && varies[variant.payload]);
      });
    }
    default:
      return false;
  }
}

void TypeTable::Measure() {
  // Types may contain each other, so sizes begin as "endless" and are corrected until nothing changes: what is endless
  // then has no value that ends. Whether sizes vary spreads from the parts in the same way.
  min_sizes_.assign(types_.size(), kEndless);
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = 0; i < types_.size(); ++i) {
      const uint64_t size = MinSizeOf(types_[i]);
      changed |= size != min_sizes_[i];
      min_sizes_[i] = size;
    }
  }
  std::vector<bool> varies(types_.size(), false);
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = 0; i < types_.size(); ++i) {
      const bool now = VariesIn(types_[i], varies);
      changed |= now != varies[i];
      varies[i] = now;
    }
  }
  sound_.assign(types_.size(), true);
  for (const TypeId id : unfinished_) sound_[id] = false;
  CheckEndless();
  MarkOpenEnds();
  for (TypeId id = 0; id < types_.size(); ++id) {
    CheckSize(id, varies[id]);
    CheckOpenEnd(id);
    types_[id].min_size = static_cast<uint32_t>(std::min(min_sizes_[id], kTypeBytesMax));
    if (!varies[id]) types_[id].fixed_size = types_[id].min_size;
  }
  for (bool changed = true; changed;) {
    changed = false;
    for (TypeId id = 0; id < types_.size(); ++id) {
      bool now = sound_[id];
      ForEachPart(types_[id], [&](TypeId part) { now = now && sound_[part]; });
      changed |= now != sound_[id];
      sound_[id] = now;
    }
  }
}

void TypeTable::Fault(TypeId id, const std::string& rule) {
  sound_[id] = false;
  (void)Error(items_[id], rule);
}

// A type without end has a part without end. Who follows these comes into a ring, and each ring is one finding.
void TypeTable::CheckEndless() {
  const auto endless_part = [&](TypeId id) {
    TypeId found = id;
    ForEachPart(types_[id], [&](TypeId part) {
      if (min_sizes_[part] == kEndless) found = part;
    });
    return found;
  };
  constexpr TypeId kNone = UINT32_MAX;
  std::vector<TypeId> reached_from(types_.size(), kNone);
  for (TypeId start = 0; start < types_.size(); ++start) {
    if (min_sizes_[start] != kEndless) continue;
    TypeId at = start;
    for (; reached_from[at] == kNone; at = endless_part(at)) reached_from[at] = start;
    if (reached_from[at] == start) Fault(at, "the type contains itself without end");
  }
}

// What is only too large for what is in it is no fault of its own.
void TypeTable::CheckSize(TypeId id, bool varies) {
  const Type& type = types_[id];
  if (min_sizes_[id] > kTypeBytesMax) {
    bool of_a_part = min_sizes_[id] == kEndless;
    ForEachPart(type, [&](TypeId part) { of_a_part |= min_sizes_[part] > kTypeBytesMax; });
    if (!of_a_part) Fault(id, fmt::format("the type is larger than {} bytes", kTypeBytesMax));
    sound_[id] = false;
  } else if (type.kind == Kind::kArray && type.count > 0 && min_sizes_[type.element] == 0) {
    Fault(id, "an array of elements without bytes");
  } else if (type.kind == Kind::kVec && type.prefix == 0 && min_sizes_[type.element] == 0) {
    Fault(id, "elements without bytes up to the end of the data");
  } else if (type.kind == Kind::kFixedOption && varies) {
    Fault(id, "a value that is always there must be of fixed size");
  }
}

// What goes on to the end of the data does so in everything that it is the last part of.
void TypeTable::MarkOpenEnds() {
  const auto last_parts = [](const Type& type) {
    std::vector<TypeId> parts;
    if (type.kind == Kind::kOption) parts.push_back(type.element);
    if (!type.fields.empty()) parts.push_back(type.fields.back().type);
    for (const Type::Variant& variant : type.variants) {
      if (!variant.unit) parts.push_back(variant.payload);
    }
    return parts;
  };
  for (bool changed = true; changed;) {
    changed = false;
    for (Type& type : types_) {
      bool open = (type.kind == Kind::kText || type.kind == Kind::kBlob || type.kind == Kind::kVec) && type.prefix == 0;
      for (const TypeId part : last_parts(type)) open |= types_[part].open_ended;
      changed |= open != type.open_ended;
      type.open_ended = open;
    }
  }
}

// Nothing can be behind it.
void TypeTable::CheckOpenEnd(TypeId id) {
  const Type& type = types_[id];
  bool wrong = type.kind == Kind::kMap && types_[type.map_value].open_ended;
  if (type.kind == Kind::kMap || type.kind == Kind::kVec || type.kind == Kind::kArray)
    wrong |= types_[type.element].open_ended;
  for (size_t f = 0; f + 1 < type.fields.size(); ++f) wrong |= types_[type.fields[f].type].open_ended;
  if (wrong) Fault(id, "something goes on to the end of the data and is not the last there");
}

}  // namespace everstate::idl
