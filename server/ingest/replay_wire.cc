#include "server/ingest/replay_wire.h"

namespace everstate::replay {

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
