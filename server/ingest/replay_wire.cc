#include "server/ingest/replay_wire.h"

namespace everstate::replay {

bool WireFields::Varint(uint64_t* value) {
  uint64_t result = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    if (p_ == end_) return false;
    uint8_t byte = static_cast<uint8_t>(*p_++);
    result |= uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) {
      *value = result;
      return true;
    }
  }
  return false;
}

bool WireFields::Skip(uint64_t size) {
  if (size > static_cast<uint64_t>(end_ - p_)) return false;
  bytes_ = {p_, static_cast<size_t>(size)};
  p_ += size;
  return true;
}

bool WireFields::Next() {
  if (!ok_ || p_ == end_) return false;
  start_ = p_;
  uint64_t key = 0;
  ok_ = Varint(&key) && (key >> 3) > 0 && (key >> 3) <= 0x1fffffff;
  if (!ok_) return false;
  field_ = static_cast<uint32_t>(key >> 3);
  type_ = key & 7;
  uint64_t size = 0;
  switch (type_) {
    case 0:
      ok_ = Varint(&number_);
      break;
    case 1:
      ok_ = Skip(8);
      break;
    case 2:
      ok_ = Varint(&size) && Skip(size);
      break;
    case 5:
      ok_ = Skip(4);
      break;
    default:
      ok_ = false;
  }
  return ok_;
}

void AppendVarint(uint64_t value, std::string* out) {
  for (; value >= 0x80; value >>= 7) out->push_back(static_cast<char>(value | 0x80));
  out->push_back(static_cast<char>(value));
}

void AppendNumberField(uint32_t field, uint64_t value, std::string* out) {
  AppendVarint(uint64_t{field} << 3, out);
  AppendVarint(value, out);
}

void AppendBytesField(uint32_t field, std::string_view value, std::string* out) {
  AppendVarint(uint64_t{field} << 3 | 2, out);
  AppendVarint(value.size(), out);
  out->append(value);
}

}  // namespace everstate::replay
