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

namespace everstate::idl {

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

  bool ReadOptionTag(bool* some);
  // The variant whose index is here.
  bool ReadVariant(const Type& type, const Type::Variant** variant);

 private:
  bool Fail(DecodeError error) {
    error_ = error;
    return false;
  }
  uint64_t left() const { return static_cast<uint64_t>(end_ - at_); }
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
  bool LoadCount(uint64_t element_bytes_min, uint32_t* count);
  bool PassElements(const Type& type, int depth);
  bool EncodeElements(const Type& type, const Shapes& shapes, std::string* out, int depth);
  bool EncodeStruct(TypeId id, const Shapes& shapes, std::string* out, int depth);
  bool EncodeTuple(const Type& type, const Shapes& shapes, std::string* out, int depth);
  bool EncodeEnum(const Type& type, const Shapes& shapes, std::string* out, int depth);

  const std::vector<Type>* types_;
  const uint8_t *begin_, *at_, *end_;
  DecodeError error_ = DecodeError::kNone;
};

// Numbers are loaded as they lie on the wire.
static_assert(std::endian::native == std::endian::little);

}  // namespace everstate::idl
