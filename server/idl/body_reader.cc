#include "server/idl/body_reader.h"

#include "absl/container/inlined_vector.h"

namespace everstate::idl {
namespace {

constexpr int kDepthMax = 64;
// Structs without bytes and variants with long names could fill any memory otherwise
constexpr size_t kEncodedBytesMax = 64u << 20;

// Gives the payload that begins at `start` its head. The length comes first in the encoding, and is known last.
void CloseComposite(ValueTag tag, uint64_t count_or_shape, size_t start, std::string* out) {
  std::string head(1, static_cast<char>(tag));
  AppendVarint(out->size() - start, &head);
  AppendVarint(count_or_shape, &head);
  out->insert(start, head);
}

}  // namespace

bool BodyReader::LoadCount(uint8_t prefix, uint64_t element_bytes_min, uint32_t* count) {
  const uint8_t* const place = at_;
  uint64_t value = 0;
  if (!LoadPrefix(prefix, &value)) return false;
  // So many elements have to be there before anything is done for each. Elements without bytes could be any number.
  if (value == 0 || (element_bytes_min > 0 && value <= left() / element_bytes_min)) {
    *count = static_cast<uint32_t>(value);
    return true;
  }
  at_ = place;
  return Fail(element_bytes_min == 0 ? DecodeError::kTooLarge : DecodeError::kTooShort);
}

bool BodyReader::ReadOptionTag(const Type& type, bool* some) {
  uint64_t tag = 0;
  if (type.prefix == 1) {
    if (at_ == end_) return Fail(DecodeError::kTooShort);
    tag = *at_;
  } else {
    const uint8_t* const place = at_;
    if (!LoadPrefix(type.prefix, &tag)) return false;
    at_ = place;
  }
  if (tag > 1) return Fail(DecodeError::kBadOptionTag);
  at_ += type.prefix;
  *some = tag == 1;
  return true;
}

bool BodyReader::ReadVariant(const Type& type, const Type::Variant** variant) {
  uint64_t index = 0;
  if (type.prefix == 1) {
    if (at_ == end_) return Fail(DecodeError::kTooShort);
    index = *at_;
  } else {
    const uint8_t* const place = at_;
    if (!LoadPrefix(type.prefix, &index)) return false;
    at_ = place;
  }
  if (index >= type.variants.size()) return Fail(DecodeError::kBadEnumIndex);
  at_ += type.prefix;
  *variant = &type.variants[index];
  return true;
}

bool BodyReader::Pass(TypeId id, int depth) {
  const Type& type = (*types_)[id];
  if (type.fixed_size) return PassBytes(*type.fixed_size);
  if (depth == kDepthMax) return Fail(DecodeError::kTooLarge);
  switch (type.kind) {
    case Kind::kString:
    case Kind::kBytes: {
      uint32_t bytes = 0;
      return Load(&bytes) && PassBytes(bytes);
    }
    case Kind::kText:
    case Kind::kBlob: {
      uint32_t bytes = 0;
      const uint8_t* content = nullptr;
      return LoadPrefixed(type.prefix, &content, &bytes);
    }
    case Kind::kOption: {
      bool some = false;
      return ReadOptionTag(type, &some) && (!some || Pass(type.element, depth + 1));
    }
    case Kind::kEnum: {
      const Type::Variant* variant = nullptr;
      return ReadVariant(type, &variant) && (variant->unit || Pass(variant->payload, depth + 1));
    }
    case Kind::kStruct:
    case Kind::kTuple:
      for (const Type::Field& field : type.fields) {
        if (!Pass(field.type, depth + 1)) return false;
      }
      return true;
    default:
      return PassElements(type, depth);
  }
}

bool BodyReader::PassElements(const Type& type, int depth) {
  const Type& element = (*types_)[type.element];
  const bool map = type.kind == Kind::kMap;
  if (type.kind == Kind::kVec && type.prefix == 0) return PassToTheEnd(type, depth);
  uint32_t count = type.count;
  if (type.kind != Kind::kArray &&
      !LoadCount(type.prefix, uint64_t{element.min_size} + (map ? (*types_)[type.map_value].min_size : 0), &count)) {
    return false;
  }
  if (!map && element.fixed_size) return PassBytes(uint64_t{*element.fixed_size} * count);
  for (uint32_t i = 0; i < count; ++i) {
    if (!Pass(type.element, depth + 1) || (map && !Pass(type.map_value, depth + 1))) return false;
  }
  return true;
}

bool BodyReader::PassToTheEnd(const Type& type, int depth) {
  while (left() > 0) {
    if (!Pass(type.element, depth + 1)) return false;
  }
  return true;
}

bool BodyReader::Encode(TypeId id, const Shapes& shapes, std::string* out, int depth) {
  const Type& type = (*types_)[id];
  if (IsSimple(type.kind)) {
    Value value;
    if (!ReadSimple(type.kind, id, &value)) return false;
    AppendValue(value, out);
    return true;
  }
  if (depth == kDepthMax || out->size() > kEncodedBytesMax) return Fail(DecodeError::kTooLarge);
  switch (type.kind) {
    case Kind::kOption:
    case Kind::kFixedOption: {
      bool some = false;
      if (!ReadOptionTag(type, &some)) return false;
      if (some) return Encode(type.element, shapes, out, depth + 1);
      AppendValue(Value::Null(), out);
      return type.kind == Kind::kOption || Pass(type.element, depth + 1);
    }
    case Kind::kArray:
    case Kind::kVec:
      return EncodeElements(type, shapes, out, depth);
    case Kind::kStruct:
      return EncodeStruct(id, shapes, out, depth);
    case Kind::kTuple:
      return EncodeTuple(type, shapes, out, depth);
    case Kind::kEnum:
      return EncodeEnum(type, shapes, out, depth);
    default:
      return Fail(DecodeError::kTooLarge);  // no plan reads maps and padding
  }
}

bool BodyReader::EncodeElements(const Type& type, const Shapes& shapes, std::string* out, int depth) {
  const bool to_the_end = type.kind == Kind::kVec && type.prefix == 0;
  uint32_t count = type.count;
  if (type.kind == Kind::kVec && !to_the_end && !LoadCount(type.prefix, (*types_)[type.element].min_size, &count))
    return false;
  const size_t start = out->size();
  for (uint32_t i = 0; to_the_end ? left() > 0 : i < count; ++i) {
    if (!Encode(type.element, shapes, out, depth + 1)) return false;
    if (to_the_end) ++count;
  }
  CloseComposite(ValueTag::kArray, count, start, out);
  return true;
}

// The body has its fields in the order of declaration, the encoding in the order of their keys: first find where each
// begins.
bool BodyReader::EncodeStruct(TypeId id, const Shapes& shapes, std::string* out, int depth) {
  const Type& type = (*types_)[id];
  absl::InlinedVector<const uint8_t*, 40> starts;
  for (const Type::Field& field : type.fields) {
    starts.push_back(at_);
    if (!Pass(field.type, depth + 1)) return false;
  }
  const uint8_t* const behind = at_;
  const size_t start = out->size();
  for (const uint16_t field : type.by_key) {
    at_ = starts[field];
    if (!Encode(type.fields[field].type, shapes, out, depth + 1)) return false;
  }
  at_ = behind;
  CloseComposite(ValueTag::kObject, shapes.of_struct[id], start, out);
  return true;
}

bool BodyReader::EncodeTuple(const Type& type, const Shapes& shapes, std::string* out, int depth) {
  const size_t start = out->size();
  uint64_t count = 0;
  for (const Type::Field& field : type.fields) {
    if ((*types_)[field.type].kind == Kind::kPad) {
      if (!Pass(field.type, depth + 1)) return false;
      continue;
    }
    if (!Encode(field.type, shapes, out, depth + 1)) return false;
    ++count;
  }
  CloseComposite(ValueTag::kArray, count, start, out);
  return true;
}

bool BodyReader::EncodeEnum(const Type& type, const Shapes& shapes, std::string* out, int depth) {
  const Type::Variant* variant = nullptr;
  if (!ReadVariant(type, &variant)) return false;
  if (variant->unit) {
    AppendValue(Value::Text(variant->name), out);
    return true;
  }
  const size_t start = out->size();
  if (!Encode(variant->payload, shapes, out, depth + 1)) return false;
  CloseComposite(ValueTag::kObject, shapes.of_payload[variant->payload], start, out);
  return true;
}

}  // namespace everstate::idl
