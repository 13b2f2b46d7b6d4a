// Values: what a field of an entity can hold, in registers (Value) and in bytes (the encoding inside rows).
//
// Encoding: a tag byte, then
//   kNull kFalse kTrue   nothing
//   kUint                varint u64
//   kNegInt              varint u64 of -(v+1): only for negative v >= i64::MIN
//   kWide                sign byte (1 = negative), 16 bytes little-endian magnitude: only for what neither above holds
//   kDecimal             as kWide, for integers that are decimal text on the wire whatever their size (IDL u128, i128)
//   kFloat               8 bytes IEEE 754 little-endian, finite (NaN and infinities are kNull), never -0.0 (it is 0.0)
//   kText                varint length, UTF-8
//   kKey32 kSig64        32 / 64 bytes; base58 text on the wire
//   kBytes               varint length, bytes; an array of numbers on the wire
//   kArray               varint payload bytes, varint count, values
//   kObject              varint payload bytes, varint shape id, its values in the order of the keys (kAbsent: missing)
// Payload bytes are those of the values alone. Varints are protobuf's (LEB128), in their shortest form. There is one
// encoding for each value, so equal values have equal bytes; anything else is refused when it is read.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace everstate {

enum class ValueTag : uint8_t {
  kAbsent = 0,  // there is no value: the field was never written
  kNull = 1,
  kFalse = 2,
  kTrue = 3,
  kUint = 4,
  kNegInt = 5,
  kWide = 6,
  kDecimal = 7,
  kFloat = 8,
  kText = 9,
  kKey32 = 10,
  kSig64 = 11,
  kBytes = 12,
  kArray = 13,
  kObject = 14,
};

// Composites within each other in one value, the outermost counted. A row with a deeper value is refused.
inline constexpr int kValueDepthMax = 32;

using ShapeId = uint32_t;
__extension__ using Uint128 = unsigned __int128;

// Value: a typed register. It owns nothing: text, bytes and composites point into an update's bytes, a row or an arena,
// which must outlive it. Cheap to copy.
struct Value {
  ValueTag tag = ValueTag::kAbsent;
  bool negative = false;  // kWide, kDecimal
  uint32_t size = 0;      // bytes at `data`
  // kText kKey32 kSig64 kBytes: the content. kArray kObject: the whole encoding, tag included
  const uint8_t* data = nullptr;
  union {
    uint64_t uint = 0;  // kUint
    int64_t neg;        // kNegInt
    double real;        // kFloat
  };
  Uint128 magnitude = 0;  // kWide, kDecimal

  bool absent() const { return tag == ValueTag::kAbsent; }
  bool null_or_absent() const { return tag <= ValueTag::kNull; }
  bool integer() const { return tag >= ValueTag::kUint && tag <= ValueTag::kDecimal; }
  std::string_view bytes() const { return {reinterpret_cast<const char*>(data), size}; }

  static Value Null() {
    Value v;
    v.tag = ValueTag::kNull;
    return v;
  }
  static Value Bool(bool b) {
    Value v;
    v.tag = b ? ValueTag::kTrue : ValueTag::kFalse;
    return v;
  }
  static Value Uint(uint64_t u) {
    Value v;
    v.tag = ValueTag::kUint;
    v.uint = u;
    return v;
  }
  static Value Int(int64_t i);                          // kUint or kNegInt
  static Value Wide(bool negative, Uint128 magnitude);  // the smallest tag that holds it; never kDecimal
  static Value Decimal(bool negative, Uint128 magnitude);
  static Value Float(double d);  // kNull when not finite
  static Value Text(std::string_view text);
  static Value Key32(const uint8_t* bytes);
  static Value Sig64(const uint8_t* bytes);
  static Value Bytes(std::span<const uint8_t> bytes);
};

// Equality as JSON has it, by kind: 1 and 1.0 differ; a key equals its base58 text only as the same tag (the compiler
// turns constants into the tag of the field they are compared with). kDecimal is equal only to kDecimal.
bool ValuesEqual(const Value& a, const Value& b);

// Order of two numbers (integers of any width exactly, integer with float as floats). Empty when one is not a number.
std::optional<int> CompareNumbers(const Value& a, const Value& b);

// a + b of two integers within [-2^127, 2^127-1], saturating there; `saturated` is set when it did, else left alone.
// Both must be integer(); the sum never is kDecimal.
Value AddIntegers(const Value& a, const Value& b, bool* saturated);

// Appends the encoding. kAbsent is encoded too (one zero byte): inside shapes only.
void AppendValue(const Value& value, std::string* out);
void AppendVarint(uint64_t v, std::string* out);

// Builds composites. Begin… appends the tag and reserves nothing: the payload is collected by the caller in `payload`
// and closed by these two, because its length comes first.
void AppendArray(uint64_t count, std::string_view payload, std::string* out);
void AppendArrayHead(uint64_t count, size_t payload_bytes, std::string* out);  // all of it but the payload
void AppendObject(ShapeId shape, std::string_view payload, std::string* out);

// ValueReader: walks encoded values one after the other.
//   Errors: DataLoss naming the offset when the bytes are not an encoding. After an error the reader stands still.
class ValueReader {
 public:
  explicit ValueReader(std::string_view bytes)
      : begin_(bytes.data()), at_(bytes.data()), end_(bytes.data() + bytes.size()) {}
  bool done() const { return at_ == end_; }
  size_t offset() const { return static_cast<size_t>(at_ - begin_); }
  absl::StatusOr<Value> Next();

 private:
  const char *begin_, *at_, *end_;
};

// The elements of a kArray value, or the values of a kObject value.
struct Composite {
  uint64_t count_or_shape = 0;
  std::string_view payload;
};
absl::StatusOr<Composite> OpenComposite(const Value& value);

}  // namespace everstate
