// Random values for the tests of this room: trees that own their content, and their encodings.
#pragma once

#include <rapidcheck.h>

#include <bit>
#include <string>
#include <vector>

#include "storage/value.h"

namespace everstate {

// Draws an integer of the whole range of sign and 128 bits, with edges of all widths as often as not.
inline Value DrawInteger() {
  Uint128 magnitude = Uint128{*rc::gen::arbitrary<uint64_t>()} << 64 | *rc::gen::arbitrary<uint64_t>();
  magnitude >>= *rc::gen::resize(rc::kNominalSize, rc::gen::inRange(0, 128));
  if (*rc::gen::arbitrary<bool>()) {
    const int bit = *rc::gen::element(0, 31, 52, 53, 63, 64, 126, 127);
    magnitude = (Uint128{1} << bit) + static_cast<Uint128>(*rc::gen::inRange(-1, 2));
  }
  const bool negative = *rc::gen::arbitrary<bool>();
  return *rc::gen::arbitrary<bool>() ? Value::Wide(negative && magnitude != 0, magnitude)
                                     : Value::Decimal(negative, magnitude);
}

inline double DrawDouble() {
  const uint64_t bits = *rc::gen::arbitrary<uint64_t>();
  return *rc::gen::arbitrary<bool>() ? std::bit_cast<double>(bits)
                                     : static_cast<double>(static_cast<int64_t>(bits) >> (bits % 64)) / 64;
}

// Appends the encoding of a random value (never kAbsent) to *out. Shapes are those of `shape_keys` (keys per shape).
inline void DrawEncoded(int depth, const std::vector<size_t>& shape_keys, std::string* out) {
  const std::string text = *rc::gen::arbitrary<std::string>();
  const std::string content(64, static_cast<char>(*rc::gen::arbitrary<uint8_t>()));
  const auto* bytes = reinterpret_cast<const uint8_t*>(content.data());
  switch (*rc::gen::resize(rc::kNominalSize, rc::gen::inRange(0, depth > 0 ? 10 : 8))) {
    case 0:
      return AppendValue(Value::Null(), out);
    case 1:
      return AppendValue(Value::Bool(*rc::gen::arbitrary<bool>()), out);
    case 2:
      return AppendValue(DrawInteger(), out);
    case 3:
      return AppendValue(Value::Float(DrawDouble()), out);
    case 4:
      return AppendValue(Value::Text(text), out);
    case 5:
      return AppendValue(Value::Key32(bytes), out);
    case 6:
      return AppendValue(Value::Sig64(bytes), out);
    case 7:
      return AppendValue(Value::Bytes({reinterpret_cast<const uint8_t*>(text.data()), text.size()}), out);
    case 8: {
      const int count = *rc::gen::resize(rc::kNominalSize, rc::gen::inRange(0, 5));
      std::string payload;
      for (int i = 0; i < count; ++i) DrawEncoded(depth - 1, shape_keys, &payload);
      return AppendArray(static_cast<uint64_t>(count), payload, out);
    }
    default: {
      const size_t shape = *rc::gen::resize(rc::kNominalSize, rc::gen::inRange<size_t>(0, shape_keys.size()));
      std::string payload;
      for (size_t i = 0; i < shape_keys[shape]; ++i) {
        if (*rc::gen::arbitrary<bool>()) {
          AppendValue(Value(), &payload);
        } else {
          DrawEncoded(depth - 1, shape_keys, &payload);
        }
      }
      return AppendObject(static_cast<ShapeId>(shape), payload, out);
    }
  }
}

// The value whose encoding is all of `encoded`.
inline Value ValueOf(const std::string& encoded) { return ValueReader(encoded).Next().value(); }

}  // namespace everstate
