// The encoding of values at pointer level, for the files of this room: no status, no allocation. Every function takes
// the end of the readable bytes and never reads beyond it, whatever the bytes are.
#pragma once

#include <cstdint>

#include "storage/value.h"

namespace everstate {

// Reads a varint. Returns the byte after it; null when it is cut, exceeds 64 bits, or is not the shortest form.
inline const char* ReadVarint(const char* at, const char* end, uint64_t* v) {
  uint64_t result = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (at == end) return nullptr;
    const uint8_t byte = static_cast<uint8_t>(*at++);
    if (shift == 63 && byte > 1) return nullptr;
    result |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) {
      if (byte == 0 && shift > 0) return nullptr;
      *v = result;
      return at;
    }
  }
  return nullptr;
}

// Reads one value; of a composite only its frame. Returns the byte after it; null when the bytes are not an encoding.
const char* DecodeValue(const char* at, const char* end, Value* value);

// Checks one value with all that is inside: at most `depth` composites within each other, arrays hold as many elements
// as they say and no kAbsent. Returns the byte after it, or null.
const char* CheckValue(const char* at, const char* end, int depth);

// The frame of a composite's encoding: false when `value` is none or its bytes are not one.
bool OpenFrame(const Value& value, Composite* composite);

}  // namespace everstate
