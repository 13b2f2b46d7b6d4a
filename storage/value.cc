#include "storage/value.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "storage/value_codec.h"

namespace everstate {
namespace {

constexpr uint64_t kUintMax = std::numeric_limits<uint64_t>::max();
constexpr Uint128 kNegIntMagnitudeMax = Uint128{1} << 63;  // of i64::MIN
constexpr size_t kWideBytes = 1 + 16;

Value Pointing(ValueTag tag, const void* data, size_t size) {
  Value v;
  v.tag = tag;
  v.data = static_cast<const uint8_t*>(data);
  v.size = static_cast<uint32_t>(size);
  return v;
}

// An integer of any tag as sign and magnitude.
struct SignedMagnitude {
  bool negative;
  Uint128 magnitude;
};

SignedMagnitude MagnitudeOf(const Value& v) {
  if (v.tag == ValueTag::kUint) return {false, v.uint};
  if (v.tag == ValueTag::kNegInt) return {true, Uint128{static_cast<uint64_t>(-(v.neg + 1))} + 1};
  return {v.negative, v.magnitude};
}

double DoubleOf(const Value& v) {
  if (v.tag == ValueTag::kFloat) return v.real;
  const SignedMagnitude m = MagnitudeOf(v);
  return m.negative ? -static_cast<double>(m.magnitude) : static_cast<double>(m.magnitude);
}

// Whether kUint or kNegInt can hold it: then kWide may not.
bool Narrow(bool negative, Uint128 magnitude) {
  return negative ? magnitude <= kNegIntMagnitudeMax : magnitude <= kUintMax;
}

void AppendWide(const Value& value, std::string* out) {
  char bytes[kWideBytes];
  bytes[0] = value.negative ? 1 : 0;
  for (int i = 0; i < 16; ++i) bytes[1 + i] = static_cast<char>(value.magnitude >> (8 * i) & 0xff);
  out->append(bytes, sizeof bytes);
}

const char* DecodeWide(const char* at, const char* end, Value* value) {
  if (static_cast<size_t>(end - at) < kWideBytes) return nullptr;
  const uint8_t* bytes = reinterpret_cast<const uint8_t*>(at);
  if (bytes[0] > 1) return nullptr;
  value->negative = bytes[0] == 1;
  value->magnitude = 0;
  for (int i = 16; i > 0; --i) value->magnitude = value->magnitude << 8 | bytes[i];
  const bool canonical = value->tag == ValueTag::kWide ? !Narrow(value->negative, value->magnitude)
                                                       : !(value->negative && value->magnitude == 0);
  return canonical ? at + kWideBytes : nullptr;
}

const char* DecodeFloat(const char* at, const char* end, Value* value) {
  if (end - at < 8) return nullptr;
  uint64_t bits;
  std::memcpy(&bits, at, 8);
  value->real = std::bit_cast<double>(bits);
  const bool canonical = std::isfinite(value->real) && !(value->real == 0 && std::signbit(value->real));
  return canonical ? at + 8 : nullptr;
}

const char* DecodeContent(const char* at, const char* end, uint64_t size, Value* value) {
  if (at == nullptr || size > static_cast<uint64_t>(end - at) || size > std::numeric_limits<uint32_t>::max()) {
    return nullptr;
  }
  value->data = reinterpret_cast<const uint8_t*>(at);
  value->size = static_cast<uint32_t>(size);
  return at + size;
}

// What follows the tag of a composite. Returns the end of its payload.
const char* DecodeFrame(const char* at, const char* end, Composite* composite) {
  uint64_t payload_bytes = 0;
  at = ReadVarint(at, end, &payload_bytes);
  if (at != nullptr) at = ReadVarint(at, end, &composite->count_or_shape);
  if (at == nullptr || payload_bytes > static_cast<uint64_t>(end - at)) return nullptr;
  composite->payload = {at, static_cast<size_t>(payload_bytes)};
  return at + payload_bytes;
}

}  // namespace

Value Value::Int(int64_t i) {
  if (i >= 0) return Uint(static_cast<uint64_t>(i));
  Value v;
  v.tag = ValueTag::kNegInt;
  v.neg = i;
  return v;
}

Value Value::Wide(bool negative, Uint128 magnitude) {
  if (!negative && magnitude <= kUintMax) return Uint(static_cast<uint64_t>(magnitude));
  if (negative && magnitude <= kNegIntMagnitudeMax)
    return Int(static_cast<int64_t>(0 - static_cast<uint64_t>(magnitude)));
  Value v;
  v.tag = ValueTag::kWide;
  v.negative = negative;
  v.magnitude = magnitude;
  return v;
}

Value Value::Decimal(bool negative, Uint128 magnitude) {
  Value v;
  v.tag = ValueTag::kDecimal;
  v.negative = negative && magnitude != 0;
  v.magnitude = magnitude;
  return v;
}

Value Value::Float(double d) {
  if (!std::isfinite(d)) return Null();
  Value v;
  v.tag = ValueTag::kFloat;
  v.real = d == 0 ? 0.0 : d;
  return v;
}

Value Value::Text(std::string_view text) { return Pointing(ValueTag::kText, text.data(), text.size()); }
Value Value::Key32(const uint8_t* bytes) { return Pointing(ValueTag::kKey32, bytes, 32); }
Value Value::Sig64(const uint8_t* bytes) { return Pointing(ValueTag::kSig64, bytes, 64); }
Value Value::Bytes(std::span<const uint8_t> bytes) { return Pointing(ValueTag::kBytes, bytes.data(), bytes.size()); }

bool ValuesEqual(const Value& a, const Value& b) {
  if (a.tag != b.tag) return false;
  switch (a.tag) {
    case ValueTag::kAbsent:
    case ValueTag::kNull:
    case ValueTag::kFalse:
    case ValueTag::kTrue:
      return true;
    case ValueTag::kUint:
      return a.uint == b.uint;
    case ValueTag::kNegInt:
      return a.neg == b.neg;
    case ValueTag::kFloat:
      return a.real == b.real;
    case ValueTag::kWide:
    case ValueTag::kDecimal:
      return a.negative == b.negative && a.magnitude == b.magnitude;
    default:
      return a.bytes() == b.bytes();  // composites too: equal values have equal encodings
  }
}

std::optional<int> CompareNumbers(const Value& a, const Value& b) {
  const bool a_float = a.tag == ValueTag::kFloat, b_float = b.tag == ValueTag::kFloat;
  if (!(a.integer() || a_float) || !(b.integer() || b_float)) return std::nullopt;
  if (a_float || b_float) {
    const double x = DoubleOf(a), y = DoubleOf(b);
    return x < y ? -1 : x > y ? 1 : 0;
  }
  const SignedMagnitude x = MagnitudeOf(a), y = MagnitudeOf(b);
  if (x.negative != y.negative) return x.negative ? -1 : 1;
  if (x.magnitude == y.magnitude) return 0;
  return (x.magnitude < y.magnitude) != x.negative ? -1 : 1;
}

Value AddIntegers(const Value& a, const Value& b, bool* saturated) {
  const SignedMagnitude x = MagnitudeOf(a), y = MagnitudeOf(b);
  SignedMagnitude sum;
  bool overflow = false;
  if (x.negative == y.negative) {
    sum.negative = x.negative;
    overflow = __builtin_add_overflow(x.magnitude, y.magnitude, &sum.magnitude);
  } else if (x.magnitude >= y.magnitude) {
    sum = {x.negative, x.magnitude - y.magnitude};
  } else {
    sum = {y.negative, y.magnitude - x.magnitude};
  }
  const Uint128 limit = (Uint128{1} << 127) - (sum.negative ? 0 : 1);
  if (overflow || sum.magnitude > limit) {
    *saturated = true;
    sum.magnitude = limit;
  }
  return Value::Wide(sum.negative && sum.magnitude != 0, sum.magnitude);
}

void AppendVarint(uint64_t v, std::string* out) {
  char bytes[10];
  size_t size = 0;
  for (; v >= 0x80; v >>= 7) bytes[size++] = static_cast<char>(v | 0x80);
  bytes[size++] = static_cast<char>(v);
  out->append(bytes, size);
}

void AppendValue(const Value& value, std::string* out) {
  const auto content = [&] { out->append(reinterpret_cast<const char*>(value.data), value.size); };
  if (value.tag == ValueTag::kArray || value.tag == ValueTag::kObject) return content();  // carries its tag
  out->push_back(static_cast<char>(value.tag));
  switch (value.tag) {
    case ValueTag::kUint:
      return AppendVarint(value.uint, out);
    case ValueTag::kNegInt:
      return AppendVarint(static_cast<uint64_t>(-(value.neg + 1)), out);
    case ValueTag::kWide:
    case ValueTag::kDecimal:
      return AppendWide(value, out);
    case ValueTag::kFloat: {
      const uint64_t bits = std::bit_cast<uint64_t>(value.real);
      out->append(reinterpret_cast<const char*>(&bits), sizeof bits);
      return;
    }
    case ValueTag::kText:
    case ValueTag::kBytes:
      AppendVarint(value.size, out);
      return content();
    case ValueTag::kKey32:
    case ValueTag::kSig64:
      return content();
    default:
      return;  // kAbsent, kNull, kFalse, kTrue are their tag
  }
}

void AppendArray(uint64_t count, std::string_view payload, std::string* out) {
  AppendArrayHead(count, payload.size(), out);
  out->append(payload);
}

void AppendArrayHead(uint64_t count, size_t payload_bytes, std::string* out) {
  out->push_back(static_cast<char>(ValueTag::kArray));
  AppendVarint(payload_bytes, out);
  AppendVarint(count, out);
}

void AppendObject(ShapeId shape, std::string_view payload, std::string* out) {
  out->push_back(static_cast<char>(ValueTag::kObject));
  AppendVarint(payload.size(), out);
  AppendVarint(shape, out);
  out->append(payload);
}

const char* DecodeValue(const char* at, const char* end, Value* value) {
  if (at == end) return nullptr;
  const char* begin = at;
  value->tag = static_cast<ValueTag>(*at++);
  uint64_t v = 0;
  switch (value->tag) {
    case ValueTag::kAbsent:
    case ValueTag::kNull:
    case ValueTag::kFalse:
    case ValueTag::kTrue:
      return at;
    case ValueTag::kUint:
      return ReadVarint(at, end, &value->uint);
    case ValueTag::kNegInt:
      at = ReadVarint(at, end, &v);
      if (at == nullptr || v > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return nullptr;
      value->neg = -1 - static_cast<int64_t>(v);
      return at;
    case ValueTag::kWide:
    case ValueTag::kDecimal:
      return DecodeWide(at, end, value);
    case ValueTag::kFloat:
      return DecodeFloat(at, end, value);
    case ValueTag::kText:
    case ValueTag::kBytes:
      at = ReadVarint(at, end, &v);
      return DecodeContent(at, end, v, value);
    case ValueTag::kKey32:
      return DecodeContent(at, end, 32, value);
    case ValueTag::kSig64:
      return DecodeContent(at, end, 64, value);
    case ValueTag::kArray:
    case ValueTag::kObject: {
      Composite composite;
      at = DecodeFrame(at, end, &composite);
      return at == nullptr ? nullptr : DecodeContent(begin, end, static_cast<uint64_t>(at - begin), value);
    }
  }
  return nullptr;
}

const char* CheckValue(const char* at, const char* end, int depth) {
  Value value;
  const char* after = DecodeValue(at, end, &value);
  if (after == nullptr || (value.tag != ValueTag::kArray && value.tag != ValueTag::kObject)) return after;
  Composite composite;
  if (depth == 0 || !OpenFrame(value, &composite)) return nullptr;
  const bool array = value.tag == ValueTag::kArray;
  if (!array && composite.count_or_shape > std::numeric_limits<ShapeId>::max()) return nullptr;
  uint64_t count = 0;
  const char* inside = composite.payload.data();
  const char* inside_end = inside + composite.payload.size();
  for (; inside != inside_end; ++count) {
    if (array && static_cast<ValueTag>(*inside) == ValueTag::kAbsent) return nullptr;
    inside = CheckValue(inside, inside_end, depth - 1);
    if (inside == nullptr) return nullptr;
  }
  return array && count != composite.count_or_shape ? nullptr : after;
}

bool OpenFrame(const Value& value, Composite* composite) {
  if ((value.tag != ValueTag::kArray && value.tag != ValueTag::kObject) || value.size == 0) return false;
  const char* begin = reinterpret_cast<const char*>(value.data);
  return DecodeFrame(begin + 1, begin + value.size, composite) == begin + value.size;
}

absl::StatusOr<Value> ValueReader::Next() {
  Value value;
  const char* after = DecodeValue(at_, end_, &value);
  if (after == nullptr) {
    return absl::DataLossError(absl::StrCat("no encoded value at offset ", offset(), " of ", end_ - begin_, " bytes"));
  }
  at_ = after;
  return value;
}

absl::StatusOr<Composite> OpenComposite(const Value& value) {
  Composite composite;
  if (!OpenFrame(value, &composite))
    return absl::DataLossError("the value is not the encoding of an array or an object");
  return composite;
}

}  // namespace everstate
