// Records: the byte layout of the values that are neither rows of entities nor side rows nor the journal. Inside this
// room only. All numbers are little-endian and of fixed size, except where a text ends the record.
//
//   watermark  u64 slot, u64 last index, 32 B blockhash, u64 parent slot,
//              32 B parent blockhash,
//              u8 has block time (0 or 1), i64 block time (0 when it has none)
//   number     u64 number, u64 entities
//   gap        u64 from, u64 to, text of the cause
//   chain      32 B blockhash
//   lineage    u64 number of the first batch in it, 32 B hash
//   format     u32
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "storage/model.h"

namespace everstate {

struct NumberRecord {
  Number number = 0;
  uint64_t entities = 0;  // counted by the mutations that make and delete entities
};

struct LineageRecord {
  Number begins_at = 0;
  Hash32 hash{};
};

void AppendU32(uint32_t v, std::string* out);
void AppendU64(uint64_t v, std::string* out);

// Encode… answers the whole value. Errors of Decode…: DataLoss naming the record.
std::string EncodeWatermark(const Watermark& watermark);  // without its number
absl::StatusOr<Watermark> DecodeWatermark(std::string_view bytes);
std::string EncodeNumber(const NumberRecord& record);
absl::StatusOr<NumberRecord> DecodeNumber(std::string_view bytes);
std::string EncodeGap(const Gap& gap);
absl::StatusOr<Gap> DecodeGap(std::string_view bytes);
std::string EncodeLineage(const LineageRecord& record);
absl::StatusOr<LineageRecord> DecodeLineage(std::string_view bytes);
std::string EncodeFormat(uint32_t format);
absl::StatusOr<uint32_t> DecodeFormat(std::string_view bytes);
absl::StatusOr<Hash32> DecodeHash(std::string_view bytes, std::string_view record);
std::string_view BytesOf(const Hash32& hash);

// L0 = SHA-256(stack hash, slot u64, blockhash of the first block applied, settings text).
Hash32 FirstLineage(const Hash32& stack_hash, const BlockId& first, std::string_view settings);
// L(n+1) = SHA-256(Ln, from u64, to u64).
Hash32 NextLineage(const Hash32& lineage, const Gap& gap);

}  // namespace everstate
