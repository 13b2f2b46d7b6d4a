// Stands at one place of a body and reads or passes over the values there.
#pragma once

#include <bit>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "server/idl/extract.h"
#include "server/idl/layout.h"
#include "storage/utf8.h"

namespace everstate::idl {

__extension__ using Int128 = __int128;

// BodyReader
//   Errors:    false, and error() says which; offset() is where.
//   Invariant: never reads outside the body, whatever its bytes are; nests at most 64 deep.
class BodyReader {
 public:
  BodyReader(const std::vector<Type>& types, std::span<const uint8_t> body)
      : types_(&types), begin_(body.data()), at_(body.data()), end_(body.data() + body.size()) {}

  DecodeError error() const { return error_; }
  uint32_t offset() const { return static_cast<uint32_t>(at_ - begin_); }

  bool PassBytes(uint64_t bytes) {
    if (bytes > left()) return Fail(DecodeError::kTooShort);
    at_ += bytes;
    return true;
  }
  // Over one value, by its length alone.
  bool Pass(TypeId id, int depth = 0);

  // A value of a kind that has no others inside (IsSimple), or the name of a unit variant.
  static bool IsSimple(Kind kind) { return kind <= Kind::kByteArray; }
  bool ReadSimple(Kind kind, TypeId id, Value* out);

  // One value of any kind but a map, appended in storage's encoding. The shapes are Plan's.
  struct Shapes {
    const std::vector<ShapeId>& of_struct;
    const std::vector<ShapeId>& of_payload;
  };
  bool Encode(TypeId id, const Shapes& shapes, std::string* out, int depth = 0);

  // One value as JSON text, as people read it; see body_json.h.
  bool WriteJson(TypeId id, std::string* out, int depth = 0);

  bool ReadOptionTag(const Type& type, bool* some);
  // The variant whose index is here.
  bool ReadVariant(const Type& type, const Type::Variant** variant);

 private:
  bool Fail(DecodeError error) {
    error_ = error;
    return false;
  }
  uint64_t left() const { return static_cast<uint64_t>(end_ - at_); }
  static Value Pointing(ValueTag tag, const uint8_t* content, uint32_t bytes) {
    Value value;
    value.tag = tag;
    value.size = bytes;
    value.data = content;
    return value;
  }
  template <typename T>
  bool Load(T* v) {
    if (left() < sizeof(T)) return Fail(DecodeError::kTooShort);
    std::memcpy(v, at_, sizeof(T));
    at_ += sizeof(T);
    return true;
  }
  bool LoadContent(uint32_t bytes, const uint8_t** content) {
    if (bytes > left()) return Fail(DecodeError::kTooShort);
    *content = at_;
    at_ += bytes;
    return true;
  }
  // A number of 1, 2, 4 or 8 bytes.
  bool LoadPrefix(uint8_t bytes, uint64_t* value) {
    if (bytes > left()) return Fail(DecodeError::kTooShort);
    *value = 0;
    std::memcpy(value, at_, bytes);
    at_ += bytes;
    return true;
  }
  // The content of a kText or kBlob.
  bool LoadPrefixed(uint8_t prefix, const uint8_t** content, uint32_t* bytes) {
    uint64_t length = left();
    if (prefix > 0 && !LoadPrefix(prefix, &length)) return false;
    if (length > left()) return Fail(DecodeError::kTooShort);
    *bytes = static_cast<uint32_t>(length);
    return LoadContent(*bytes, content);
  }
  template <typename T>
  bool ReadNumber(Value* out);
  bool ReadText(const uint8_t* content, uint32_t bytes, Value* out);
  bool LoadCount(uint8_t prefix, uint64_t element_bytes_min, uint32_t* count);
  bool PassToTheEnd(const Type& type, int depth);
  bool PassElements(const Type& type, int depth);
  bool EncodeElements(const Type& type, const Shapes& shapes, std::string* out, int depth);
  bool EncodeStruct(TypeId id, const Shapes& shapes, std::string* out, int depth);
  bool EncodeTuple(const Type& type, const Shapes& shapes, std::string* out, int depth);
  bool EncodeEnum(const Type& type, const Shapes& shapes, std::string* out, int depth);
  bool WriteSimple(Kind kind, TypeId id, std::string* out);
  bool WriteElements(const Type& type, std::string* out, int depth);
  bool WriteMap(const Type& type, std::string* out, int depth);
  bool WriteStruct(const Type& type, std::string* out, int depth);
  bool WriteTuple(const Type& type, std::string* out, int depth);

  const std::vector<Type>* types_;
  const uint8_t *begin_, *at_, *end_;
  DecodeError error_ = DecodeError::kNone;
};

// Instruction data is never longer (MAX_CPI_INSTRUCTION_DATA_LEN of Solana's runtime; what a transaction carries itself
// is shorter still): a layout that needs more bytes than these has no body that only lacks its end.
constexpr uint32_t kInstructionBytesMax = 10 << 10;

// Zeros behind what goes on to the end would be content.
inline bool MayBePadded(const Type& type) { return !type.open_ended && type.min_size <= kInstructionBytesMax; }

// A copy of a body that ends early, with as many zeros behind it as its layout can need.
std::vector<uint8_t> PaddedWithZeros(std::span<const uint8_t> body, uint32_t min_size);

// Numbers are loaded as they lie on the wire.
static_assert(std::endian::native == std::endian::little);

// Here and not in the .cc: this is what a run of a plan mostly does, and it should be part of its loop.
template <typename T>
bool BodyReader::ReadNumber(Value* out) {
  T v;
  if (!Load(&v)) return false;
  if constexpr (std::is_floating_point_v<T>) {
    *out = Value::Float(static_cast<double>(v));
  } else if constexpr (std::is_same_v<T, Int128>) {
    *out = Value::Decimal(v < 0, v < 0 ? -static_cast<Uint128>(v) : static_cast<Uint128>(v));
  } else if constexpr (std::is_same_v<T, Uint128>) {
    *out = Value::Decimal(false, v);
  } else if constexpr (std::is_signed_v<T>) {
    *out = v < 0 ? Value::Int(v) : Value::Uint(static_cast<uint64_t>(v));
  } else {
    *out = Value::Uint(v);
  }
  return true;
}

inline bool BodyReader::ReadText(const uint8_t* content, uint32_t bytes, Value* out) {
  const std::string_view text(reinterpret_cast<const char*>(content), bytes);
  if (!IsUtf8(text)) {
    at_ = content;
    return Fail(DecodeError::kBadUtf8);
  }
  *out = Value::Text(text);
  return true;
}

inline bool BodyReader::ReadSimple(Kind kind, TypeId id, Value* out) {
  uint32_t bytes = 0;
  const uint8_t* content = nullptr;
  switch (kind) {
    case Kind::kU8:
      return ReadNumber<uint8_t>(out);
    case Kind::kU16:
      return ReadNumber<uint16_t>(out);
    case Kind::kU32:
      return ReadNumber<uint32_t>(out);
    case Kind::kU64:
      return ReadNumber<uint64_t>(out);
    case Kind::kU128:
      return ReadNumber<Uint128>(out);
    case Kind::kI8:
      return ReadNumber<int8_t>(out);
    case Kind::kI16:
      return ReadNumber<int16_t>(out);
    case Kind::kI32:
      return ReadNumber<int32_t>(out);
    case Kind::kI64:
      return ReadNumber<int64_t>(out);
    case Kind::kI128:
      return ReadNumber<Int128>(out);
    case Kind::kF32:
      return ReadNumber<float>(out);
    case Kind::kF64:
      return ReadNumber<double>(out);
    case Kind::kBool:
      if (at_ == end_) return Fail(DecodeError::kTooShort);
      if (*at_ > 1) return Fail(DecodeError::kBadBool);
      *out = Value::Bool(*at_++ == 1);
      return true;
    case Kind::kPubkey:
      if (!LoadContent(32, &content)) return false;
      *out = Pointing(ValueTag::kKey32, content, 32);
      return true;
    case Kind::kString:
      return Load(&bytes) && LoadContent(bytes, &content) && ReadText(content, bytes, out);
    case Kind::kText:
      return LoadPrefixed((*types_)[id].prefix, &content, &bytes) && ReadText(content, bytes, out);
    case Kind::kBytes:
      if (!Load(&bytes) || !LoadContent(bytes, &content)) return false;
      break;
    case Kind::kBlob:
      if (!LoadPrefixed((*types_)[id].prefix, &content, &bytes)) return false;
      break;
    case Kind::kByteArray:
      bytes = (*types_)[id].count;
      if (!LoadContent(bytes, &content)) return false;
      break;
    default:
      return Fail(DecodeError::kTooLarge);  // not a simple kind
  }
  *out = Pointing(ValueTag::kBytes, content, bytes);
  return true;
}

}  // namespace everstate::idl
