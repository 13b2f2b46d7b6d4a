// The head of a row's bytes, for the files of this room.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string>

#include "storage/model.h"
#include "storage/value_codec.h"

namespace everstate {

// The bitmap of a row is the bits of a FieldSet as they lie in memory (row_test proves the layout).
using BitmapArray = std::array<uint8_t, kFieldsMax / 8>;
static_assert(sizeof(FieldSet) == sizeof(BitmapArray) && std::endian::native == std::endian::little);

struct RowHead {
  Cursor cursor;
  FieldSet present;
  uint32_t fields = 0;  // highest present field + 1
};

inline size_t BitmapBytes(uint32_t fields) { return (fields + 7) / 8; }
inline size_t VarintBytes(uint64_t v) { return (static_cast<size_t>(std::bit_width(v | 1)) + 6) / 7; }
inline size_t HeadBytes(const RowHead& head) {
  return VarintBytes(head.cursor.slot) + VarintBytes(head.cursor.index) + 1 + BitmapBytes(head.fields);
}

inline void AppendRowHead(const RowHead& head, std::string* out) {
  AppendVarint(head.cursor.slot, out);
  AppendVarint(head.cursor.index, out);
  AppendVarint(BitmapBytes(head.fields), out);
  out->append(reinterpret_cast<const char*>(&head.present), BitmapBytes(head.fields));
}

// Returns the byte after it; null, and in *error what is wrong, when the bytes do not begin with one.
inline const char* ReadRowHead(const char* at, const char* end, RowHead* head, const char** error) {
  uint64_t bitmap_bytes = 0;
  if ((at = ReadVarint(at, end, &head->cursor.slot)) == nullptr ||
      (at = ReadVarint(at, end, &head->cursor.index)) == nullptr) {
    *error = "no cursor at its beginning";
    return nullptr;
  }
  at = ReadVarint(at, end, &bitmap_bytes);
  if (at == nullptr || bitmap_bytes > kFieldsMax / 8 || bitmap_bytes > static_cast<uint64_t>(end - at)) {
    *error = "no bitmap of its fields after the cursor";
    return nullptr;
  }
  BitmapArray bitmap{};
  std::memcpy(bitmap.data(), at, bitmap_bytes);
  head->present = std::bit_cast<FieldSet>(bitmap);
  head->fields = 0;
  if (bitmap_bytes == 0) return at;
  const uint8_t last = bitmap[bitmap_bytes - 1];
  if (last == 0) {
    *error = "the bitmap ends with a zero byte";
    return nullptr;
  }
  head->fields = static_cast<uint32_t>(8 * (bitmap_bytes - 1) + static_cast<size_t>(std::bit_width(last)));
  return at + bitmap_bytes;
}

}  // namespace everstate
