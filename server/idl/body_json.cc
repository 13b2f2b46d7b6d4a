#include "server/idl/body_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "server/base/base58.h"
#include "server/idl/body_reader.h"
#include "storage/row.h"

namespace everstate::idl {
namespace {

constexpr int kDepthMax = 64;
constexpr size_t kJsonBytesMax = 64u << 20;

std::string DecimalText(Uint128 value) {
  std::string text;
  do text += static_cast<char>('0' + static_cast<int>(value % 10));
  while ((value /= 10) != 0);
  std::reverse(text.begin(), text.end());
  return text;
}

bool IsWide(Kind kind) {
  return kind == Kind::kU64 || kind == Kind::kI64 || kind == Kind::kU128 || kind == Kind::kI128;
}

// Integers without quotes, floats, text and keys with them.
std::string Integer(const Value& value) {
  if (value.tag == ValueTag::kUint) return fmt::format("{}", value.uint);
  return fmt::format("{}", value.neg);
}

// By a string of its own: AppendJsonString makes room in proportion to what is there already.
void AppendText(std::string_view text, std::string* out) {
  std::string quoted;
  AppendJsonString(text, &quoted);
  *out += quoted;
}

void AppendBytes(const uint8_t* bytes, uint32_t count, std::string* out) {
  *out += '[';
  for (uint32_t i = 0; i < count; ++i) {
    if (i > 0) *out += ',';
    fmt::format_to(std::back_inserter(*out), "{}", bytes[i]);
  }
  *out += ']';
}

}  // namespace

bool BodyReader::WriteSimple(Kind kind, TypeId id, std::string* out) {
  if (kind == Kind::kU128 || kind == Kind::kI128) {
    Uint128 v;
    if (!Load(&v)) return false;
    const bool negative = kind == Kind::kI128 && v >> 127 != 0;
    *out += negative ? "\"-" : "\"";
    *out += DecimalText(negative ? -v : v);
    *out += '"';
    return true;
  }
  Value value;
  if (!ReadSimple(kind, id, &value)) return false;
  switch (kind) {
    case Kind::kBool:
      *out += value.tag == ValueTag::kTrue ? "true" : "false";
      break;
    case Kind::kF32:
    case Kind::kF64:
      if (value.tag == ValueTag::kFloat && std::isfinite(value.real))
        fmt::format_to(std::back_inserter(*out), "{}", value.real);
      else
        *out += "null";
      break;
    case Kind::kString:
    case Kind::kText:
      AppendText({reinterpret_cast<const char*>(value.data), value.size}, out);
      break;
    case Kind::kPubkey:
      *out += '"';
      *out += EncodeBase58({value.data, 32});
      *out += '"';
      break;
    case Kind::kBytes:
    case Kind::kBlob:
    case Kind::kByteArray:
      AppendBytes(value.data, value.size, out);
      break;
    default:
      if (IsWide(kind)) *out += '"';
      *out += Integer(value);
      if (IsWide(kind)) *out += '"';
  }
  return true;
}

bool BodyReader::WriteJson(TypeId id, std::string* out, int depth) {
  const Type& type = (*types_)[id];
  if (IsSimple(type.kind)) return WriteSimple(type.kind, id, out);
  if (depth == kDepthMax || out->size() > kJsonBytesMax) return Fail(DecodeError::kTooLarge);
  switch (type.kind) {
    case Kind::kOption:
    case Kind::kFixedOption: {
      bool some = false;
      if (!ReadOptionTag(type, &some)) return false;
      if (some) return WriteJson(type.element, out, depth + 1);
      *out += "null";
      return type.kind == Kind::kOption || Pass(type.element, depth + 1);
    }
    case Kind::kArray:
    case Kind::kVec:
      return WriteElements(type, out, depth);
    case Kind::kMap:
      return WriteMap(type, out, depth);
    case Kind::kStruct:
      return WriteStruct(type, out, depth);
    case Kind::kTuple:
      return WriteTuple(type, out, depth);
    case Kind::kEnum: {
      const Type::Variant* variant = nullptr;
      if (!ReadVariant(type, &variant)) return false;
      if (!variant->unit) *out += '{';
      AppendText(variant->name, out);
      if (variant->unit) return true;
      *out += ':';
      if (!WriteJson(variant->payload, out, depth + 1)) return false;
      *out += '}';
      return true;
    }
    default:
      return Fail(DecodeError::kTooLarge);  // padding has no value
  }
}

bool BodyReader::WriteElements(const Type& type, std::string* out, int depth) {
  const bool to_the_end = type.kind == Kind::kVec && type.prefix == 0;
  uint32_t count = type.count;
  if (type.kind == Kind::kVec && !to_the_end && !LoadCount(type.prefix, (*types_)[type.element].min_size, &count))
    return false;
  *out += '[';
  for (uint32_t i = 0; to_the_end ? left() > 0 : i < count; ++i) {
    if (i > 0) *out += ',';
    if (!WriteJson(type.element, out, depth + 1)) return false;
  }
  *out += ']';
  return true;
}

bool BodyReader::WriteMap(const Type& type, std::string* out, int depth) {
  uint32_t count = 0;
  if (!LoadCount(type.prefix, uint64_t{(*types_)[type.element].min_size} + (*types_)[type.map_value].min_size, &count))
    return false;
  const Kind key_kind = (*types_)[type.element].kind;
  const bool object =
      IsSimple(key_kind) && key_kind != Kind::kBytes && key_kind != Kind::kBlob && key_kind != Kind::kByteArray;
  *out += object ? '{' : '[';
  for (uint32_t i = 0; i < count; ++i) {
    if (i > 0) *out += ',';
    if (!object) *out += '[';
    std::string key;
    if (!WriteJson(type.element, &key, depth + 1)) return false;
    const bool bare = object && key[0] != '"';
    if (bare) *out += '"';
    *out += key;
    if (bare) *out += '"';
    *out += object ? ':' : ',';
    if (!WriteJson(type.map_value, out, depth + 1)) return false;
    if (!object) *out += ']';
  }
  *out += object ? '}' : ']';
  return true;
}

// As EncodeStruct: first where each field begins, then in the order of the names.
bool BodyReader::WriteStruct(const Type& type, std::string* out, int depth) {
  absl::InlinedVector<const uint8_t*, 40> starts;
  for (const Type::Field& field : type.fields) {
    starts.push_back(at_);
    if (!Pass(field.type, depth + 1)) return false;
  }
  const uint8_t* const behind = at_;
  *out += '{';
  for (size_t i = 0; i < type.by_written.size(); ++i) {
    const Type::Field& field = type.fields[type.by_written[i]];
    if (i > 0) *out += ',';
    AppendText(field.written, out);
    *out += ':';
    at_ = starts[type.by_written[i]];
    if (!WriteJson(field.type, out, depth + 1)) return false;
  }
  at_ = behind;
  *out += '}';
  return true;
}

bool BodyReader::WriteTuple(const Type& type, std::string* out, int depth) {
  *out += '[';
  bool first = true;
  for (const Type::Field& field : type.fields) {
    if ((*types_)[field.type].kind == Kind::kPad) {
      if (!Pass(field.type, depth + 1)) return false;
      continue;
    }
    if (!first) *out += ',';
    first = false;
    if (!WriteJson(field.type, out, depth + 1)) return false;
  }
  *out += ']';
  return true;
}

BodyJson AppendBodyJson(const Program& program, TypeId body, std::span<const uint8_t> bytes, bool pad_with_zeros,
                        std::string* out) {
  const auto write = [&](std::span<const uint8_t> from) {
    BodyReader reader(program.types(), from);
    std::string text;
    BodyJson json;
    const bool read = reader.WriteJson(body, &text);
    if (read && text.size() <= kJsonBytesMax)
      *out += text;
    else
      json.result = {read ? DecodeError::kTooLarge : reader.error(), reader.offset(), false};
    json.bytes = reader.offset();
    return json;
  };
  BodyJson json = write(bytes);
  if (!pad_with_zeros || json.result.error != DecodeError::kTooShort || !MayBePadded(program.types()[body]))
    return json;
  const std::vector<uint8_t> padded = PaddedWithZeros(bytes, program.types()[body].min_size);
  json = write(padded);
  json.result.zeros_padded = json.result.error == DecodeError::kNone;
  json.bytes = std::min(json.bytes, static_cast<uint32_t>(bytes.size()));
  return json;
}

}  // namespace everstate::idl
