// base58 in Bitcoin's alphabet, as Solana writes public keys (32 bytes), block hashes (32) and signatures (64).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace everstate {

inline constexpr size_t kKey32TextMax = 44;  // longest text of 32 bytes
inline constexpr size_t kSig64TextMax = 88;  // longest text of 64 bytes

// Writes the text of 32 / 64 bytes to `out` (room for kKey32TextMax / kSig64TextMax) and returns its length. Works on
// machine words instead of single bytes: faster than the general form, with the same result.
size_t EncodeBase58Key32(const uint8_t* bytes, char* out);
size_t EncodeBase58Sig64(const uint8_t* bytes, char* out);

// The general form, for any length.
std::string EncodeBase58(std::span<const uint8_t> bytes);

// Empty when a character is not of the alphabet, or when the value does not have exactly N bytes.
std::optional<std::string> DecodeBase58(std::string_view text);
std::optional<std::array<uint8_t, 32>> DecodeBase58Key32(std::string_view text);

}  // namespace everstate
