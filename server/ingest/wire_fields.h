// Protobuf's wire format over one contiguous piece of bytes: walking the fields of a message without decoding it.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace everstate::ingest {

// FieldReader: the fields of one message, one after the other (protobuf encoding, wire types 0, 1, 2 and 5; groups,
// types 3 and 4, do not exist in proto3). Offsets in errors count from `origin`, the beginning of the outermost
// message.
//   for (FieldReader field(message); field.Next();) ...
// Afterwards ok() tells the end of the message from a fault in it.
class FieldReader {
 public:
  FieldReader(std::string_view bytes, const char* origin)
      : origin_(origin), start_(bytes.data()), at_(bytes.data()), end_(bytes.data() + bytes.size()) {}
  explicit FieldReader(std::string_view message) : FieldReader(message, message.data()) {}

  // Moves to the next field. False at the end and on an error; ok() and status() tell which.
  bool Next() {
    if (at_ == end_ || error_ != nullptr) return false;
    start_ = at_;
    uint64_t tag = 0;
    if (!ReadVarint(&tag)) return false;
    if (tag > std::numeric_limits<uint32_t>::max() || tag < 8) return Fail("a field number that does not exist");
    number_ = static_cast<uint32_t>(tag >> 3);
    type_ = static_cast<uint32_t>(tag & 7);
    switch (type_) {
      case 0:
        return ReadVarint(&varint_);
      case 1:
        return Take(8);
      case 2: {
        uint64_t size = 0;
        return ReadVarint(&size) && Take(size);
      }
      case 5:
        return Take(4);
      default:
        return Fail("a wire type that does not exist");
    }
  }

  uint32_t number() const { return number_; }
  // The field `number`, as a number or as bytes. With another wire type it is an unknown field.
  bool IsNumber(uint32_t number) const { return number_ == number && type_ == 0; }
  bool IsBytes(uint32_t number) const { return number_ == number && type_ == 2; }
  bool IsBytes() const { return type_ == 2; }
  uint64_t u64() const { return varint_; }
  uint32_t u32() const { return static_cast<uint32_t>(varint_); }
  std::string_view bytes() const { return bytes_; }
  std::string_view whole() const { return {start_, static_cast<size_t>(at_ - start_)}; }  // tag and value

  bool ok() const { return error_ == nullptr; }
  absl::Status status() const { return error_ == nullptr ? absl::OkStatus() : Fault(error_); }
  // An error about the present field.
  absl::Status Fault(const std::string& what) const {
    return absl::InvalidArgumentError(absl::StrCat("malformed update, byte ", start_ - origin_, ": ", what));
  }
  // The present field as a fixed number of bytes.
  absl::Status ReadFixed(size_t size, const char* name, const uint8_t** out) const {
    if (bytes_.size() != size) return Fault(absl::StrCat(name, " has ", bytes_.size(), " bytes instead of ", size));
    *out = reinterpret_cast<const uint8_t*>(bytes_.data());
    return absl::OkStatus();
  }
  std::span<const uint8_t> span() const { return {reinterpret_cast<const uint8_t*>(bytes_.data()), bytes_.size()}; }

 private:
  bool Fail(const char* why) {
    error_ = why;
    return false;
  }
  bool ReadVarint(uint64_t* value) {
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (at_ == end_) return Fail("a number is cut off");
      const auto byte = static_cast<uint8_t>(*at_++);
      v |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) {
        *value = v;
        return true;
      }
    }
    return Fail("a number longer than 10 bytes");
  }
  bool Take(uint64_t size) {
    if (size > static_cast<uint64_t>(end_ - at_)) return Fail("a field reaches beyond the end");
    bytes_ = {at_, static_cast<size_t>(size)};
    at_ += size;
    return true;
  }

  const char* const origin_;
  const char* start_;  // of the present field
  const char* at_;
  const char* const end_;
  uint32_t number_ = 0, type_ = 0;
  uint64_t varint_ = 0;
  std::string_view bytes_;
  const char* error_ = nullptr;
};

// SubscribeUpdate.update_oneof: its members have the numbers 2 to 10 and are all messages.
inline constexpr uint32_t kAccountField = 2, kSlotField = 3, kTransactionField = 4, kPingField = 6, kBlockMetaField = 7,
                          kPongField = 9;

inline bool IsUpdateMember(const FieldReader& field) {
  return field.IsBytes() && field.number() >= 2 && field.number() <= 10;
}

}  // namespace everstate::ingest
