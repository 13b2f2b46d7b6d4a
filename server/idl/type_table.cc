#include "server/idl/type_table.h"

#include <fmt/format.h>

#include <algorithm>

namespace everstate::idl {
namespace {

using stack::IdlType;

constexpr int kNestingMax = 64;
constexpr size_t kFieldsInOneMax = 4096;
constexpr uint64_t kTypeBytesMax = 16u << 20;       // more than an account can hold (10 MiB)
constexpr uint64_t kEndless = UINT64_MAX;           // a type that contains itself, as far as is known
constexpr uint64_t kHuge = uint64_t{1} << 40;       // sums stop here

uint32_t SimpleSize(Kind kind) {
  switch (kind) {
    case Kind::kU8: case Kind::kI8: case Kind::kBool: return 1;
    case Kind::kU16: case Kind::kI16: return 2;
    case Kind::kU32: case Kind::kI32: case Kind::kF32: return 4;
    case Kind::kU64: case Kind::kI64: case Kind::kF64: return 8;
    case Kind::kU128: case Kind::kI128: return 16;
    case Kind::kPubkey: return 32;
    default: return 0;
  }
}

std::optional<Kind> SimpleKind(IdlType::Kind kind) {
  using K = IdlType::Kind;
  switch (kind) {
    case K::kU8: return Kind::kU8;
    case K::kU16: return Kind::kU16;
    case K::kU32: return Kind::kU32;
    case K::kU64: return Kind::kU64;
    case K::kU128: return Kind::kU128;
    case K::kI8: return Kind::kI8;
    case K::kI16: return Kind::kI16;
    case K::kI32: return Kind::kI32;
    case K::kI64: return Kind::kI64;
    case K::kI128: return Kind::kI128;
    case K::kF32: return Kind::kF32;
    case K::kF64: return Kind::kF64;
    case K::kBool: return Kind::kBool;
    case K::kString: return Kind::kString;
    case K::kBytes: return Kind::kBytes;
    case K::kPubkey: return Kind::kPubkey;
    default: return std::nullopt;
  }
}

bool FixedInBytemuck(IdlType::Kind kind) {
  using K = IdlType::Kind;
  return kind != K::kString && kind != K::kBytes && kind != K::kVec && kind != K::kOption && kind != K::kMap;
}

uint64_t Sum(uint64_t a, uint64_t b) { return a == kEndless || b == kEndless ? kEndless : std::min(a + b, kHuge); }
uint64_t Times(uint64_t a, uint64_t count) {
  if (count == 0) return 0;
  if (a == kEndless) return kEndless;
  return a > kHuge / count ? kHuge : a * count;
}

}  // namespace

absl::Status TypeTable::Error(const std::string& item, const std::string& rule) const {
  return absl::InvalidArgumentError(fmt::format("IDL {}: {}: {}", idl_.name, item, rule));
}

const stack::IdlTypeDef* TypeTable::Find(const std::string& name) const {
  const auto it = std::find_if(idl_.types.begin(), idl_.types.end(), [&](const auto& def) { return def.name == name; });
  return it == idl_.types.end() ? nullptr : &*it;
}

TypeId TypeTable::Add(Type type, const std::string& item) {
  types_.push_back(std::move(type));
  items_.push_back(item);
  return static_cast<TypeId>(types_.size() - 1);
}

TypeId TypeTable::Simple(Kind kind) {
  const auto [it, inserted] = simple_.try_emplace(kind, 0);
  if (inserted) {
    Type type;
    type.kind = kind;
    it->second = Add(std::move(type), "");
  }
  return it->second;
}

absl::StatusOr<TypeId> TypeTable::Defined(const std::string& name, Form form, const std::string& item) {
  const auto key = std::make_pair(name, form);
  if (const auto it = defined_.find(key); it != defined_.end()) {
    // Inside itself a Borsh type may occur behind something that can be empty; Measure finds out. Bytemuck has no such thing.
    if (form != Form::kBorsh && open_[key]) return Error(item, fmt::format("type {} contains itself", name));
    return it->second;
  }
  const stack::IdlTypeDef* def = Find(name);
  if (def == nullptr) return Error(item, fmt::format("type {} is not defined", name));
  const TypeId id = Add({}, "types." + name);
  defined_[key] = id;
  open_[key] = true;
  absl::StatusOr<Type> type =
      def->is_enum ? EnumOf(*def, form) : FieldsOf(def->fields, def->is_tuple, form, "types." + name);
  open_[key] = false;
  if (!type.ok()) return type.status();
  types_[id] = *std::move(type);
  return id;
}

absl::StatusOr<TypeId> TypeTable::Fields(const std::vector<stack::IdlField>& fields, bool tuple, Form form, const std::string& item) {
  absl::StatusOr<Type> type = FieldsOf(fields, tuple, form, item);
  if (!type.ok()) return type.status();
  return Add(*std::move(type), item);
}

absl::StatusOr<TypeId> TypeTable::Written(const IdlType& type, Form form, const std::string& item) {
  if (depth_ == kNestingMax) return Error(item, fmt::format("types are nested deeper than {}", kNestingMax));
  ++depth_;
  absl::StatusOr<TypeId> id = WrittenInside(type, form, item);
  --depth_;
  return id;
}

absl::StatusOr<TypeId> TypeTable::WrittenInside(const IdlType& type, Form form, const std::string& item) {
  using K = IdlType::Kind;
  const bool bytemuck = form != Form::kBorsh;
  if (bytemuck && !FixedInBytemuck(type.kind)) return Error(item, "a bytemuck type has parts of fixed size only");
  if (type.kind == K::kDefined) return Defined(type.name, form, item);
  // A bool of a bytemuck type is any byte, and its value a number.
  if (bytemuck && type.kind == K::kBool) return Simple(Kind::kU8);
  if (const std::optional<Kind> simple = SimpleKind(type.kind)) return Simple(*simple);

  const IdlType& element = type.args.at(0);
  const bool of_bytes = element.kind == K::kU8 || (bytemuck && element.kind == K::kBool);
  Type out;
  if (type.kind == K::kVec && of_bytes) return Simple(Kind::kBytes);
  if (type.kind == K::kArray) {
    if (type.count > kTypeBytesMax) return Error(item, fmt::format("an array of {} elements is too long", type.count));
    out.count = static_cast<uint32_t>(type.count);
    if (of_bytes) {
      out.kind = Kind::kByteArray;
      return Add(std::move(out), item);
    }
  }
  absl::StatusOr<TypeId> element_id = Written(element, form, item);
  if (!element_id.ok()) return element_id;
  out.element = *element_id;
  out.kind = type.kind == K::kArray ? Kind::kArray : type.kind == K::kVec ? Kind::kVec : type.kind == K::kOption ? Kind::kOption : Kind::kMap;
  if (type.kind == K::kMap) {
    absl::StatusOr<TypeId> value = Written(type.args.at(1), form, item);
    if (!value.ok()) return value;
    out.map_value = *value;
  }
  return Add(std::move(out), item);
}

absl::StatusOr<Type> TypeTable::EnumOf(const stack::IdlTypeDef& def, Form form) {
  Type out;
  out.kind = Kind::kEnum;
  for (const auto& variant : def.variants) {
    const std::string item = fmt::format("types.{}.{}", def.name, variant.name);
    Type::Variant compiled{variant.name, 0, variant.fields.empty()};
    if (!compiled.unit) {
      if (form != Form::kBorsh) return Error(item, "an enum of a bytemuck type has no fields");
      absl::StatusOr<TypeId> payload = Fields(variant.fields, variant.fields.front().name.empty(), form, item);
      if (!payload.ok()) return payload.status();
      compiled.payload = *payload;
    }
    out.variants.push_back(std::move(compiled));
  }
  if (out.variants.empty()) return Error("types." + def.name, "an enum must have a variant");
  return out;
}

absl::StatusOr<Type> TypeTable::FieldsOf(const std::vector<stack::IdlField>& fields, bool tuple, Form form, const std::string& item) {
  if (fields.size() > kFieldsInOneMax) return Error(item, fmt::format("more than {} fields", kFieldsInOneMax));
  Type out;
  out.kind = tuple ? Kind::kTuple : Kind::kStruct;
  uint64_t size = 0;
  uint32_t most_aligned = 1;
  for (size_t i = 0; i < fields.size(); ++i) {
    const stack::IdlField& field = fields[i];
    absl::StatusOr<TypeId> id = Written(field.type, form, fmt::format("{}.{}", item, tuple ? std::to_string(i) : field.name));
    if (!id.ok()) return id.status();
    if (form == Form::kBytemuckUnsafe) {
      const uint32_t alignment = AlignmentOf(*id);
      most_aligned = std::max(most_aligned, alignment);
      AddPadding(alignment, &size, &out);
      size = Sum(size, SizeInBytemuck(*id));
    }
    out.fields.push_back({SnakeCase(field.name), *id});
  }
  if (form == Form::kBytemuckUnsafe) AddPadding(most_aligned, &size, &out);
  if (absl::Status status = SortKeys(&out, item); !status.ok()) return status;
  return out;
}

absl::Status TypeTable::SortKeys(Type* type, const std::string& item) {
  if (type->kind != Kind::kStruct) return absl::OkStatus();
  for (size_t i = 0; i < type->fields.size(); ++i) {
    if (types_[type->fields[i].type].kind != Kind::kPad) type->by_key.push_back(static_cast<uint16_t>(i));
  }
  const auto& fields = type->fields;
  std::sort(type->by_key.begin(), type->by_key.end(), [&](uint16_t a, uint16_t b) { return fields[a].name < fields[b].name; });
  const auto twice = std::adjacent_find(type->by_key.begin(), type->by_key.end(),
                                        [&](uint16_t a, uint16_t b) { return fields[a].name == fields[b].name; });
  if (twice == type->by_key.end()) return absl::OkStatus();
  return Error(item, fmt::format("two fields have the JSON key {}", fields[*twice].name));
}

void TypeTable::AddPadding(uint32_t alignment, uint64_t* size, Type* type) {
  const uint64_t bytes = (alignment - *size % alignment) % alignment;
  if (bytes == 0) return;
  Type pad;
  pad.kind = Kind::kPad;
  pad.count = static_cast<uint32_t>(bytes);
  type->fields.push_back({"", Add(std::move(pad), "")});
  *size += bytes;
}

// Natural alignment in bytes, as Rust has it on today's 64-bit targets (128-bit integers: 16).
uint32_t TypeTable::AlignmentOf(TypeId id) const {
  const Type& type = types_[id];
  switch (type.kind) {
    case Kind::kPubkey: return 1;
    case Kind::kArray: return AlignmentOf(type.element);
    case Kind::kStruct:
    case Kind::kTuple: {
      uint32_t most = 1;
      for (const Type::Field& field : type.fields) most = std::max(most, AlignmentOf(field.type));
      return most;
    }
    default: return std::max(SimpleSize(type.kind), 1u);
  }
}

uint64_t TypeTable::SizeInBytemuck(TypeId id) const {
  const Type& type = types_[id];
  switch (type.kind) {
    case Kind::kByteArray:
    case Kind::kPad: return type.count;
    case Kind::kArray: return Times(SizeInBytemuck(type.element), type.count);
    case Kind::kEnum: return 1;
    case Kind::kStruct:
    case Kind::kTuple: {
      uint64_t size = 0;
      for (const Type::Field& field : type.fields) size = Sum(size, SizeInBytemuck(field.type));
      return size;
    }
    default: return SimpleSize(type.kind);
  }
}

// From what is known of the parts.
uint64_t TypeTable::MinSizeOf(const Type& type) const {
  switch (type.kind) {
    case Kind::kString: case Kind::kBytes: case Kind::kVec: case Kind::kMap: return 4;
    case Kind::kOption: return 1;
    case Kind::kByteArray: case Kind::kPad: return type.count;
    case Kind::kArray: return Times(min_sizes_[type.element], type.count);
    case Kind::kStruct:
    case Kind::kTuple: {
      uint64_t size = 0;
      for (const Type::Field& field : type.fields) size = Sum(size, min_sizes_[field.type]);
      return size;
    }
    case Kind::kEnum: {
      uint64_t least = kEndless;
      for (const Type::Variant& variant : type.variants) least = std::min(least, variant.unit ? 0 : min_sizes_[variant.payload]);
      return Sum(1, least);
    }
    default: return SimpleSize(type.kind);
  }
}

bool TypeTable::VariesIn(const Type& type, const std::vector<bool>& varies) const {
  switch (type.kind) {
    case Kind::kString: case Kind::kBytes: case Kind::kVec: case Kind::kMap: case Kind::kOption: return true;
    case Kind::kArray: return varies[type.element];
    case Kind::kStruct:
    case Kind::kTuple:
      return std::any_of(type.fields.begin(), type.fields.end(), [&](const auto& field) { return varies[field.type]; });
    case Kind::kEnum: {
      const auto size = [&](const Type::Variant& variant) { return variant.unit ? 0 : min_sizes_[variant.payload]; };
      return std::any_of(type.variants.begin(), type.variants.end(), [&](const Type::Variant& variant) {
        return size(variant) != size(type.variants.front()) || (!variant.unit && varies[variant.payload]);
      });
    }
    default: return false;
  }
}

absl::Status TypeTable::Measure() {
  // Types may contain each other, so sizes begin as "endless" and are corrected until nothing changes: what is endless then
  // has no value that ends. Whether sizes vary spreads from the parts in the same way.
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
  for (size_t i = 0; i < types_.size(); ++i) {
    Type& type = types_[i];
    if (min_sizes_[i] == kEndless) return Error(items_[i], "the type contains itself without end");
    if (min_sizes_[i] > kTypeBytesMax) return Error(items_[i], fmt::format("the type is larger than {} bytes", kTypeBytesMax));
    if (type.kind == Kind::kArray && type.count > 0 && min_sizes_[type.element] == 0) {
      return Error(items_[i], "an array of elements without bytes");
    }
    type.min_size = static_cast<uint32_t>(min_sizes_[i]);
    if (!varies[i]) type.fixed_size = type.min_size;
  }
  return absl::OkStatus();
}

}  // namespace everstate::idl
