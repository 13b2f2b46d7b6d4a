#include "server/idl/type_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/idl/generics.h"

namespace everstate::idl {
namespace {

using stack::IdlType;

constexpr int kNestingMax = 64;
constexpr size_t kFieldsInOneMax = 4096;
constexpr size_t kTypesMax = 65536;
constexpr uint64_t kTableBytesMax = 16u << 20;

std::optional<Kind> SimpleKind(IdlType::Kind kind) {
  using K = IdlType::Kind;
  switch (kind) {
    case K::kU8:
      return Kind::kU8;
    case K::kU16:
      return Kind::kU16;
    case K::kU32:
      return Kind::kU32;
    case K::kU64:
      return Kind::kU64;
    case K::kU128:
      return Kind::kU128;
    case K::kI8:
      return Kind::kI8;
    case K::kI16:
      return Kind::kI16;
    case K::kI32:
      return Kind::kI32;
    case K::kI64:
      return Kind::kI64;
    case K::kI128:
      return Kind::kI128;
    case K::kF32:
      return Kind::kF32;
    case K::kF64:
      return Kind::kF64;
    case K::kBool:
      return Kind::kBool;
    case K::kString:
      return Kind::kString;
    case K::kBytes:
      return Kind::kBytes;
    case K::kPubkey:
      return Kind::kPubkey;
    default:
      return std::nullopt;
  }
}

bool FixedInBytemuck(IdlType::Kind kind) {
  using K = IdlType::Kind;
  return kind != K::kString && kind != K::kBytes && kind != K::kVec && kind != K::kOption && kind != K::kMap;
}

}  // namespace

TypeTable::TypeTable(const stack::Idl& idl, stack::Place place) : place_(std::move(place)) {
  for (size_t i = 0; i < idl.types.size(); ++i) {
    defs_.emplace(idl.types[i].name, &idl.types[i]);
    if (place_.At("types", i).Faulty()) unread_.insert(&idl.types[i]);
    name_unread_ |= place_.At("types", i).At("name").Faulty();
  }
  name_unread_ |= place_.At("types").Covered();
}

const stack::IdlTypeDef* TypeTable::Find(const std::string& name) const {
  const auto it = defs_.find(name);
  return it == defs_.end() ? nullptr : it->second;
}

TypeTable::Form TypeTable::FormOf(const stack::IdlTypeDef& def) {
  switch (def.serialization) {
    case stack::Serialization::kBorsh:
      return Form::kBorsh;
    case stack::Serialization::kBytemuck:
      return Form::kBytemuck;
    case stack::Serialization::kBytemuckUnsafe:
      return def.packed ? Form::kBytemuck : Form::kBytemuckUnsafe;
  }
  return Form::kBorsh;
}

TypeTable::Extent TypeTable::ExtentOf(const Type& type) const {
  Extent extent{0, AlignmentOf(type), SizeInBytemuck(type)};
  ForEachPart(type, [&](TypeId part) { extent.height = std::max(extent.height, extents_[part].height); });
  ++extent.height;
  return extent;
}

absl::Status TypeTable::Spend(uint64_t bytes) {
  spent_ += bytes;
  if (spent_ <= kTableBytesMax) return absl::OkStatus();
  return place_.Invalid(
      fmt::format("its types and what generics make of them take more than {} MiB", kTableBytesMax >> 20));
}

absl::StatusOr<TypeId> TypeTable::Add(Type type, const std::string& item) {
  if (types_.size() == kTypesMax) return place_.Invalid(fmt::format("the IDL has more than {} types", kTypesMax));
  extents_.push_back(ExtentOf(type));
  types_.push_back(std::move(type));
  items_.push_back(item);
  return static_cast<TypeId>(types_.size() - 1);
}

absl::StatusOr<TypeId> TypeTable::Simple(Kind kind) {
  if (const auto it = simple_.find(kind); it != simple_.end()) return it->second;
  Type type;
  type.kind = kind;
  absl::StatusOr<TypeId> id = Add(std::move(type), "");
  if (id.ok()) simple_[kind] = *id;
  return id;
}

absl::StatusOr<TypeId> TypeTable::Defined(const std::string& name, Form form, const std::string& item) {
  IdlType type;
  type.kind = IdlType::Kind::kDefined;
  type.name = name;
  return DefinedAs(type, form, item);
}

absl::StatusOr<TypeId> TypeTable::DefinedAs(const IdlType& type, Form form, const std::string& item) {
  const stack::IdlTypeDef* def = Find(type.name);
  if (def == nullptr) {
    return !name_unread_ && missing_.insert(type.name).second
               ? Error(item, fmt::format("type {} is not defined", type.name))
               : stack::Place::Reported();
  }
  if (unread_.contains(def)) return stack::Place::Reported();
  // Inside of bytemuck types one that says so itself is packed or has natural alignment, the others are like what they
  // are in.
  if (form != Form::kBorsh && def->serialization == stack::Serialization::kBytemuckUnsafe) form = FormOf(*def);
  const auto key = std::make_pair(TypeText(type), form);
  if (faulty_.contains(key)) return stack::Place::Reported();
  if (const auto it = defined_.find(key); it != defined_.end()) {
    // Inside itself a Borsh type may occur behind something that can be empty; Measure finds out. Bytemuck has no such
    // thing.
    if (form != Form::kBorsh && open_[key]) return Error(item, fmt::format("type {} contains itself", type.name));
    if (depth_ + extents_[it->second].height > kNestingMax)
      return Error(item, fmt::format("types are nested deeper than {}", kNestingMax));
    return it->second;
  }
  if (absl::Status status = Spend(key.first.size() + BytesOf(*def)); !status.ok()) return status;
  std::optional<stack::IdlTypeDef> bound;
  if (!type.args.empty() || !def->generics.empty()) {
    absl::StatusOr<stack::IdlTypeDef> made = BindGenerics(*def, type.args);
    if (!made.ok()) return Error(item, std::string(made.status().message()));
    def = &bound.emplace(*std::move(made));
  }
  absl::StatusOr<TypeId> id = def->alias ? Alias(*def, key, item) : CompileDefined(*def, key, "types." + def->name);
  if (!id.ok()) faulty_.insert(key);
  return id;
}

absl::StatusOr<TypeId> TypeTable::CompileDefined(const stack::IdlTypeDef& def, const std::pair<std::string, Form>& key,
                                                 const std::string& item) {
  absl::StatusOr<TypeId> id = Add({}, item);
  if (!id.ok()) return id;
  defined_[key] = *id;
  open_[key] = true;
  const Form form = key.second;
  absl::StatusOr<Type> compiled = def.is_enum ? EnumOf(def, form) : FieldsOf(def.fields, def.is_tuple, form, item);
  open_[key] = false;
  if (!compiled.ok()) {
    unfinished_.push_back(*id);
    return compiled.status();
  }
  compiled->packed = def.packed && form != Form::kBorsh;
  extents_[*id] = ExtentOf(*compiled);
  types_[*id] = *std::move(compiled);
  return id;
}

absl::StatusOr<TypeId> TypeTable::Alias(const stack::IdlTypeDef& def, const std::pair<std::string, Form>& key,
                                        const std::string& item) {
  if (open_[key]) return Error(item, fmt::format("type {} contains itself", def.name));
  open_[key] = true;
  absl::StatusOr<TypeId> id = Written(*def.alias, key.second, "types." + def.name);
  open_[key] = false;
  if (id.ok()) defined_[key] = *id;
  return id;
}

absl::StatusOr<TypeId> TypeTable::Fields(const std::vector<stack::IdlField>& fields, bool tuple, Form form,
                                         const std::string& item) {
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
  switch (type.kind) {
    case K::kDefined:
      return DefinedAs(type, form, item);
    case K::kGeneric:
      return Error(item, fmt::format("the generic {} stands for nothing here", type.name));
    case K::kConst:
      return Error(item, "a number where a type is asked for");
    case K::kArray:
      if (!type.name.empty()) return Error(item, fmt::format("the generic {} stands for nothing here", type.name));
      return Listed(type, form, item);
    case K::kVec:
    case K::kMap:
    case K::kOption:
      return Listed(type, form, item);
    case K::kBool:
      // A bool of a bytemuck type is any byte, and its value a number.
      return Simple(bytemuck ? Kind::kU8 : Kind::kBool);
    case K::kString:
    case K::kBytes: {
      if (!type.prefix_bytes || *type.prefix_bytes == 4) return Simple(*SimpleKind(type.kind));
      Type out;
      out.kind = type.kind == K::kString ? Kind::kText : Kind::kBlob;
      out.prefix = *type.prefix_bytes;
      return Add(std::move(out), item);
    }
    default:
      return Simple(*SimpleKind(type.kind));
  }
}

// Types with elements.
absl::StatusOr<TypeId> TypeTable::Listed(const IdlType& type, Form form, const std::string& item) {
  using K = IdlType::Kind;
  const IdlType& element = type.args.at(0);
  const bool of_bytes = element.kind == K::kU8 || (form != Form::kBorsh && element.kind == K::kBool);
  Type out;
  out.prefix = type.prefix_bytes.value_or(type.kind == K::kOption ? 1 : 4);
  if (type.kind == K::kVec && of_bytes) {
    if (out.prefix == 4) return Simple(Kind::kBytes);
    out.kind = Kind::kBlob;
    return Add(std::move(out), item);
  }
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
  switch (type.kind) {
    case K::kArray:
      out.kind = Kind::kArray;
      break;
    case K::kVec:
      out.kind = Kind::kVec;
      break;
    case K::kOption:
      out.kind = type.always_there ? Kind::kFixedOption : Kind::kOption;
      break;
    default: {
      absl::StatusOr<TypeId> value = Written(type.args.at(1), form, item);
      if (!value.ok()) return value;
      out.kind = Kind::kMap;
      out.map_value = *value;
    }
  }
  return Add(std::move(out), item);
}

absl::StatusOr<Type> TypeTable::EnumOf(const stack::IdlTypeDef& def, Form form) {
  Type out;
  out.kind = Kind::kEnum;
  out.prefix = def.tag_bytes;
  absl::Status faults;
  for (const auto& variant : def.variants) {
    const std::string item = fmt::format("types.{}.{}", def.name, variant.name);
    Type::Variant compiled{variant.name, 0, variant.fields.empty()};
    if (!compiled.unit) {
      absl::StatusOr<TypeId> payload = form == Form::kBorsh
                                           ? Fields(variant.fields, variant.fields.front().name.empty(), form, item)
                                           : Error(item, "an enum of a bytemuck type has no fields");
      faults.Update(payload.status());
      if (payload.ok()) compiled.payload = *payload;
    }
    out.variants.push_back(std::move(compiled));
  }
  if (out.variants.empty()) return Error("types." + def.name, "an enum must have a variant");
  if (!faults.ok()) return faults;
  return out;
}

absl::StatusOr<Type> TypeTable::FieldsOf(const std::vector<stack::IdlField>& fields, bool tuple, Form form,
                                         const std::string& item) {
  if (fields.size() > kFieldsInOneMax) return Error(item, fmt::format("more than {} fields", kFieldsInOneMax));
  Type out;
  out.kind = tuple ? Kind::kTuple : Kind::kStruct;
  uint64_t size = 0;
  uint32_t most_aligned = 1;
  absl::Status faults;
  for (size_t i = 0; i < fields.size(); ++i) {
    const stack::IdlField& field = fields[i];
    absl::StatusOr<TypeId> id =
        Written(field.type, form, fmt::format("{}.{}", item, tuple ? std::to_string(i) : field.name));
    faults.Update(id.status());
    if (!id.ok()) continue;
    if (form == Form::kBytemuckUnsafe) {
      const Extent part = extents_[*id];
      most_aligned = std::max(most_aligned, part.alignment);
      if (absl::Status status = AddPadding(part.alignment, item, &size, &out); !status.ok()) return status;
      size += part.size;  // 4096 sums of at most 2^40
    }
    out.fields.push_back({SnakeCase(field.name), *id, field.name});
  }
  if (!faults.ok()) return faults;
  if (form == Form::kBytemuckUnsafe) {
    if (absl::Status status = AddPadding(most_aligned, item, &size, &out); !status.ok()) return status;
  }
  if (absl::Status status = SortKeys(&out, item); !status.ok()) return status;
  return out;
}

absl::Status TypeTable::SortKeys(Type* type, const std::string& item) {
  if (type->kind != Kind::kStruct) return absl::OkStatus();
  for (size_t i = 0; i < type->fields.size(); ++i) {
    if (types_[type->fields[i].type].kind != Kind::kPad) type->by_key.push_back(static_cast<uint16_t>(i));
  }
  const auto& fields = type->fields;
  type->by_written = type->by_key;
  std::sort(type->by_written.begin(), type->by_written.end(),
            [&](uint16_t a, uint16_t b) { return fields[a].written < fields[b].written; });
  std::sort(type->by_key.begin(), type->by_key.end(),
            [&](uint16_t a, uint16_t b) { return fields[a].name < fields[b].name; });
  const auto twice = std::adjacent_find(type->by_key.begin(), type->by_key.end(),
                                        [&](uint16_t a, uint16_t b) { return fields[a].name == fields[b].name; });
  if (twice == type->by_key.end()) return absl::OkStatus();
  return Error(item, fmt::format("two fields have the JSON key {}", fields[*twice].name));
}

absl::Status TypeTable::AddPadding(uint32_t alignment, const std::string& item, uint64_t* size, Type* type) {
  const uint64_t bytes = (alignment - *size % alignment) % alignment;
  if (bytes == 0) return absl::OkStatus();
  Type pad;
  pad.kind = Kind::kPad;
  pad.count = static_cast<uint32_t>(bytes);
  absl::StatusOr<TypeId> id = Add(std::move(pad), item);
  if (!id.ok()) return id.status();
  type->fields.push_back({"", *id, ""});
  *size += bytes;
  return absl::OkStatus();
}

}  // namespace everstate::idl
