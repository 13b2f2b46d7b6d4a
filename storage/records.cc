#include "storage/records.h"

#include <fmt/core.h>

#include <cstring>

#include "server/base/sha256.h"

namespace everstate {
namespace {

// Fields: takes fixed-size fields off a record. The size is checked once, before the first field is taken.
class Fields {
 public:
  explicit Fields(std::string_view bytes) : bytes_(bytes) {}
  uint8_t U8() { return static_cast<uint8_t>(Take(1)[0]); }
  uint64_t U64() {
    const std::string_view part = Take(8);
    uint64_t v = 0;
    for (int i = 7; i >= 0; --i) v = v << 8 | static_cast<uint8_t>(part[static_cast<size_t>(i)]);
    return v;
  }
  Hash32 Hash() {
    Hash32 hash;
    std::memcpy(hash.data(), Take(hash.size()).data(), hash.size());
    return hash;
  }
  std::string_view Rest() const { return bytes_; }

 private:
  std::string_view Take(size_t n) {
    const std::string_view part = bytes_.substr(0, n);
    bytes_.remove_prefix(n);
    return part;
  }
  std::string_view bytes_;
};

constexpr size_t kWatermarkBytes = 8 + 8 + 32 + 8 + 32 + 1 + 8;
constexpr size_t kNumberBytes = 8 + 8;
constexpr size_t kGapHeadBytes = 8 + 8;
constexpr size_t kLineageBytes = 8 + 32;

absl::Status WrongSize(std::string_view record, size_t has, size_t wants) {
  return absl::DataLossError(fmt::format("the {} record has {} bytes, not {}", record, has, wants));
}

}  // namespace

void AppendU32(uint32_t v, std::string* out) {
  for (int shift = 0; shift < 32; shift += 8) out->push_back(static_cast<char>(v >> shift & 0xff));
}

void AppendU64(uint64_t v, std::string* out) {
  for (int shift = 0; shift < 64; shift += 8) out->push_back(static_cast<char>(v >> shift & 0xff));
}

std::string_view BytesOf(const Hash32& hash) { return {reinterpret_cast<const char*>(hash.data()), hash.size()}; }

std::string EncodeWatermark(const Watermark& watermark) {
  std::string out;
  AppendU64(watermark.block.slot, &out);
  AppendU64(watermark.last_index, &out);
  out.append(BytesOf(watermark.block.blockhash));
  AppendU64(watermark.block.parent_slot, &out);
  out.append(BytesOf(watermark.block.parent_blockhash));
  out.push_back(watermark.block.block_time ? 1 : 0);
  AppendU64(static_cast<uint64_t>(watermark.block.block_time.value_or(0)), &out);
  return out;
}

absl::StatusOr<Watermark> DecodeWatermark(std::string_view bytes) {
  if (bytes.size() != kWatermarkBytes) return WrongSize("watermark", bytes.size(), kWatermarkBytes);
  Fields fields(bytes);
  Watermark watermark;
  watermark.block.slot = fields.U64();
  watermark.last_index = fields.U64();
  watermark.block.blockhash = fields.Hash();
  watermark.block.parent_slot = fields.U64();
  watermark.block.parent_blockhash = fields.Hash();
  const uint8_t has_block_time = fields.U8();
  const auto block_time = static_cast<int64_t>(fields.U64());
  // The digest is over bytes: one content has one form.
  if (has_block_time > 1 || (has_block_time == 0 && block_time != 0)) {
    return absl::DataLossError("the watermark record says neither that it has a block time nor that it has none");
  }
  if (has_block_time == 1) watermark.block.block_time = block_time;
  return watermark;
}

std::string EncodeNumber(const NumberRecord& record) {
  std::string out;
  AppendU64(record.number, &out);
  AppendU64(record.entities, &out);
  return out;
}

absl::StatusOr<NumberRecord> DecodeNumber(std::string_view bytes) {
  if (bytes.size() != kNumberBytes) return WrongSize("number", bytes.size(), kNumberBytes);
  Fields fields(bytes);
  NumberRecord record;
  record.number = fields.U64();
  record.entities = fields.U64();
  return record;
}

std::string EncodeGap(const Gap& gap) {
  std::string out;
  AppendU64(gap.from, &out);
  AppendU64(gap.to, &out);
  out.append(gap.cause);
  return out;
}

absl::StatusOr<Gap> DecodeGap(std::string_view bytes) {
  if (bytes.size() < kGapHeadBytes) return WrongSize("gap", bytes.size(), kGapHeadBytes);
  Fields fields(bytes);
  Gap gap;
  gap.from = fields.U64();
  gap.to = fields.U64();
  gap.cause = fields.Rest();
  return gap;
}

std::string EncodeLineage(const LineageRecord& record) {
  std::string out;
  AppendU64(record.begins_at, &out);
  out.append(BytesOf(record.hash));
  return out;
}

absl::StatusOr<LineageRecord> DecodeLineage(std::string_view bytes) {
  if (bytes.size() != kLineageBytes) return WrongSize("lineage", bytes.size(), kLineageBytes);
  Fields fields(bytes);
  LineageRecord record;
  record.begins_at = fields.U64();
  record.hash = fields.Hash();
  return record;
}

std::string EncodeFormat(uint32_t format) {
  std::string out;
  AppendU32(format, &out);
  return out;
}

absl::StatusOr<uint32_t> DecodeFormat(std::string_view bytes) {
  if (bytes.size() != 4) return WrongSize("format", bytes.size(), 4);
  uint32_t v = 0;
  for (int i = 3; i >= 0; --i) v = v << 8 | static_cast<uint8_t>(bytes[static_cast<size_t>(i)]);
  return v;
}

absl::StatusOr<Hash32> DecodeHash(std::string_view bytes, std::string_view record) {
  if (bytes.size() != sizeof(Hash32)) return WrongSize(record, bytes.size(), sizeof(Hash32));
  return Fields(bytes).Hash();
}

Hash32 FirstLineage(const Hash32& stack_hash, const BlockId& first, std::string_view settings) {
  std::string input(BytesOf(stack_hash));
  AppendU64(first.slot, &input);
  input.append(BytesOf(first.blockhash));
  input.append(settings);
  return Sha256Of(input);
}

Hash32 NextLineage(const Hash32& lineage, const Gap& gap) {
  std::string input(BytesOf(lineage));
  AppendU64(gap.from, &input);
  AppendU64(gap.to, &input);
  return Sha256Of(input);
}

}  // namespace everstate
