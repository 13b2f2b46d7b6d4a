// Server frames read by a hand that shares nothing with the one that writes them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace everstate::testing {

// What the frames (RFC 6455 §5.2, no mask) hold that lie back to back in `bytes`; empty when the bytes end within one.
inline std::optional<std::vector<std::string>> Payloads(std::string_view bytes) {
  std::vector<std::string> payloads;
  while (!bytes.empty()) {
    if (bytes.size() < 2) return std::nullopt;
    uint64_t size = static_cast<uint8_t>(bytes[1]);
    size_t header = 2;
    if (size >= 126) {
      header += size == 126 ? 2 : 8;
      if (bytes.size() < header) return std::nullopt;
      size = 0;
      for (size_t i = 2; i < header; ++i) size = (size << 8) | static_cast<uint8_t>(bytes[i]);
    }
    if (bytes.size() - header < size) return std::nullopt;
    payloads.emplace_back(bytes.substr(header, size));
    bytes.remove_prefix(header + size);
  }
  return payloads;
}

}  // namespace everstate::testing
