// The bytes of an archive segment. All numbers are little-endian.
//
// A segment is a sequence of Zstandard frames (RFC 8878 §3.1): its own header and the header of each record are
// skippable frames, a block is one ordinary frame. So any decoder of that format, `zstd -dc` among them, makes a
// recording of it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "server/ingest/source.h"
#include "storage/model.h"

namespace everstate::ingest {

inline constexpr uint32_t kArchiveFormat = 1;

// What stands at the beginning of a segment.
struct SegmentHeader {
  Subscription subscription;  // what its blocks hold
  Slot before_slot = 0;       // the parent of its first block
  Hash32 before_hash{};
};

enum class RecordKind : uint8_t { kBlock = 1 };

struct RecordHeader {
  BlockId block;
  uint32_t frame_bytes = 0;  // of the Zstandard frame behind this header
  uint32_t raw_bytes = 0;    // of what is in it
  uint32_t frame_crc = 0;
};

// The first bytes of a segment tell how long its header is.
inline constexpr size_t kSegmentPrefixBytes = 8;
inline constexpr size_t kSegmentHeaderBytesMax = 64u << 10;  // room for 2,000 programs and owners
inline constexpr size_t kRecordHeaderBytes = 116;

// The subscription with its keys in order and each once: two that ask for the same are the same.
Subscription Canonical(Subscription subscription);
// SHA-256 over commitment and keys.
Hash32 HashOf(const Subscription& canonical);
// What `wanted` asks for and `held` does not have, as text; empty when nothing is missing. Blocks of a finalized stream
// serve a confirmed one, not the other way round.
std::string MissingIn(const Subscription& held, const Subscription& wanted);

// Errors: InvalidArgument: the subscription has more keys than a header has room for.
absl::StatusOr<std::string> EncodeSegmentHeader(const SegmentHeader& header);
// Errors: DataLoss; Unimplemented: another format.
absl::StatusOr<size_t> SegmentHeaderBytes(std::string_view prefix);
absl::StatusOr<SegmentHeader> DecodeSegmentHeader(std::string_view bytes);

std::string EncodeRecordHeader(const RecordHeader& header);
// Errors: DataLoss; Unimplemented: another kind than a block.
absl::StatusOr<RecordHeader> DecodeRecordHeader(std::string_view bytes);

uint32_t ChecksumOf(std::string_view bytes);  // CRC-32 of IEEE 802.3

}  // namespace everstate::ingest
