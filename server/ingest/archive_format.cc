#include "server/ingest/archive_format.h"

#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/base58.h"
#include "server/base/sha256.h"

namespace everstate::ingest {
namespace {

static_assert(std::endian::native == std::endian::little, "the archive is read and written as it lies in memory");

// Two of the sixteen magic numbers of skippable frames (RFC 8878 §3.1.2).
constexpr uint32_t kSegmentMagic = 0x184D2A5Au, kRecordMagic = 0x184D2A5Bu;
constexpr char kName[8] = {'e', 'v', 'b', 'l', 'o', 'c', 'k', 's'};

using Key = std::array<uint8_t, 32>;

class Put {
 public:
  template <typename T>
    requires std::is_integral_v<T>
  Put& operator()(T value) {
    out_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Put& operator()(const Key& key) {
    out_.append(reinterpret_cast<const char*>(key.data()), key.size());
    return *this;
  }
  Put& operator()(std::string_view bytes) {
    out_.append(bytes);
    return *this;
  }
  std::string Take() { return std::move(out_); }
  // Once all is there: the checksum of everything behind it, at `at`.
  std::string Sealed(size_t at) {
    const uint32_t crc = ChecksumOf(std::string_view(out_).substr(at + sizeof(uint32_t)));
    std::memcpy(out_.data() + at, &crc, sizeof crc);
    return Take();
  }

 private:
  std::string out_;
};

// Takes fields from the front; the caller has made sure that they are there.
class Get {
 public:
  explicit Get(std::string_view bytes) : rest_(bytes) {}
  template <typename T>
  T Number() {
    T value;
    std::memcpy(&value, rest_.data(), sizeof value);
    rest_.remove_prefix(sizeof value);
    return value;
  }
  Key Hash() {
    Key key;
    std::memcpy(key.data(), rest_.data(), key.size());
    rest_.remove_prefix(key.size());
    return key;
  }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

void Order(std::vector<Key>* keys) {
  std::sort(keys->begin(), keys->end());
  keys->erase(std::unique(keys->begin(), keys->end()), keys->end());
}

std::string Keys(const Subscription& subscription) {
  Put put;
  put(static_cast<uint32_t>(subscription.commitment));
  put(static_cast<uint32_t>(subscription.transaction_programs.size()));
  put(static_cast<uint32_t>(subscription.account_owners.size()));
  for (const Key& key : subscription.transaction_programs) put(key);
  for (const Key& key : subscription.account_owners) put(key);
  return put.Take();
}

void AddMissing(const char* what, const std::vector<Key>& held, const std::vector<Key>& wanted, std::string* text) {
  for (const Key& key : wanted) {
    if (std::find(held.begin(), held.end(), key) != held.end()) continue;
    absl::StrAppend(text, text->empty() ? "" : ", ", what, " ", EncodeBase58(key));
  }
}

absl::Status NotWhole(const char* rule) { return absl::DataLossError(rule); }

constexpr size_t kSegmentFixedBytes = kSegmentPrefixBytes + 8 + 4 + 4 + 8 + 32 + 32 + 12;
constexpr size_t kRecordCrcAt = 8, kRecordKindAt = 12;

}  // namespace

uint32_t ChecksumOf(std::string_view bytes) {
  return static_cast<uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

Subscription Canonical(Subscription subscription) {
  Order(&subscription.transaction_programs);
  Order(&subscription.account_owners);
  return subscription;
}

Hash32 HashOf(const Subscription& canonical) { return Sha256Of(Keys(canonical)); }

std::string MissingIn(const Subscription& held, const Subscription& wanted) {
  std::string text;
  AddMissing("the transactions of program", held.transaction_programs, wanted.transaction_programs, &text);
  AddMissing("the accounts of owner", held.account_owners, wanted.account_owners, &text);
  if (held.commitment == Commitment::kConfirmed && wanted.commitment == Commitment::kFinalized)
    absl::StrAppend(&text, text.empty() ? "" : ", ", "the commitment finalized");
  return text;
}

// magic, bytes that follow, name, checksum, format, before, hash of the subscription, subscription.
absl::StatusOr<std::string> EncodeSegmentHeader(const SegmentHeader& header) {
  const std::string keys = Keys(header.subscription);
  const size_t bytes = kSegmentFixedBytes - 12 + keys.size();
  if (bytes > kSegmentHeaderBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("the subscription takes ", keys.size(), " bytes, which is more than a segment's header holds"));
  }
  Put put;
  put(kSegmentMagic)(static_cast<uint32_t>(bytes - kSegmentPrefixBytes))(std::string_view(kName, sizeof kName));
  put(uint32_t{0})(kArchiveFormat)(header.before_slot)(header.before_hash)(HashOf(header.subscription))(keys);
  return put.Sealed(kSegmentPrefixBytes + sizeof kName);
}

absl::StatusOr<size_t> SegmentHeaderBytes(std::string_view prefix) {
  Get get(prefix);
  if (get.Number<uint32_t>() != kSegmentMagic) return NotWhole("the file does not begin like a segment of an archive");
  const size_t bytes = kSegmentPrefixBytes + get.Number<uint32_t>();
  if (bytes < kSegmentFixedBytes || bytes > kSegmentHeaderBytesMax)
    return NotWhole("the segment's header has a length that cannot be");
  return bytes;
}

absl::StatusOr<SegmentHeader> DecodeSegmentHeader(std::string_view bytes) {
  Get get(bytes.substr(kSegmentPrefixBytes));
  if (get.rest().substr(0, sizeof kName) != std::string_view(kName, sizeof kName))
    return NotWhole("the file does not begin like a segment of an archive");
  get = Get(get.rest().substr(sizeof kName));
  const uint32_t crc = get.Number<uint32_t>();
  if (crc != ChecksumOf(get.rest())) return NotWhole("the checksum of the segment's header does not fit");
  if (const uint32_t format = get.Number<uint32_t>(); format != kArchiveFormat) {
    return absl::UnimplementedError(
        absl::StrCat("the segment is of format ", format, ", this version reads format ", kArchiveFormat));
  }
  SegmentHeader header;
  header.before_slot = get.Number<uint64_t>();
  header.before_hash = get.Hash();
  const Hash32 hash = get.Hash();
  header.subscription.commitment = static_cast<Commitment>(get.Number<uint32_t>());
  const size_t programs = get.Number<uint32_t>(), owners = get.Number<uint32_t>();
  if ((programs + owners) * sizeof(Key) != get.rest().size())
    return NotWhole("the segment's header does not hold as many keys as it says");
  for (size_t i = 0; i < programs; ++i) header.subscription.transaction_programs.push_back(get.Hash());
  for (size_t i = 0; i < owners; ++i) header.subscription.account_owners.push_back(get.Hash());
  if (hash != HashOf(header.subscription)) return NotWhole("the hash of the segment's subscription does not fit");
  return header;
}

// magic, bytes that follow, checksum, kind, has a time, two of nothing, frame bytes, raw bytes, frame checksum, block.
std::string EncodeRecordHeader(const RecordHeader& header) {
  const BlockId& id = header.block;
  Put put;
  put(kRecordMagic)(static_cast<uint32_t>(kRecordHeaderBytes - 8))(uint32_t{0});
  put(static_cast<uint8_t>(RecordKind::kBlock))(static_cast<uint8_t>(id.block_time.has_value()))(uint16_t{0});
  put(header.frame_bytes)(header.raw_bytes)(header.frame_crc);
  put(id.slot)(id.blockhash)(id.parent_slot)(id.parent_blockhash)(id.block_time.value_or(0));
  return put.Sealed(kRecordCrcAt);
}

absl::StatusOr<RecordHeader> DecodeRecordHeader(std::string_view bytes) {
  Get get(bytes);
  if (get.Number<uint32_t>() != kRecordMagic || get.Number<uint32_t>() != kRecordHeaderBytes - 8)
    return NotWhole("no record begins here");
  if (get.Number<uint32_t>() != ChecksumOf(bytes.substr(kRecordKindAt)))
    return NotWhole("the checksum of the record's header does not fit");
  const auto kind = get.Number<uint8_t>();
  if (kind != static_cast<uint8_t>(RecordKind::kBlock)) {
    return absl::UnimplementedError(
        absl::StrCat("a record of kind ", kind, "; this version reads kind 1, blocks, and no other"));
  }
  const bool has_time = get.Number<uint8_t>() != 0;
  get.Number<uint16_t>();
  RecordHeader header;
  header.frame_bytes = get.Number<uint32_t>();
  header.raw_bytes = get.Number<uint32_t>();
  header.frame_crc = get.Number<uint32_t>();
  header.block.slot = get.Number<uint64_t>();
  header.block.blockhash = get.Hash();
  header.block.parent_slot = get.Number<uint64_t>();
  header.block.parent_blockhash = get.Hash();
  const auto time = get.Number<int64_t>();
  if (has_time) header.block.block_time = time;
  return header;
}

}  // namespace everstate::ingest
