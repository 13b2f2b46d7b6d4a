// Writes single fields in protobuf's wire format.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace everstate::replay {

void AppendVarint(uint64_t value, std::string* out);
void AppendNumberField(uint32_t field, uint64_t value, std::string* out);
void AppendBytesField(uint32_t field, std::string_view value, std::string* out);

}  // namespace everstate::replay
