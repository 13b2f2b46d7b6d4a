// The protobuf wire format over one contiguous piece of bytes, as far as serving a recording needs it: walking the
// fields of a message without decoding it, and writing single fields.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace everstate::replay {

// for (WireFields f(message); f.Next();) ... ; afterwards ok() tells the end of the message from a fault in it.
class WireFields {
 public:
  explicit WireFields(std::string_view message) : p_(message.data()), end_(p_ + message.size()) {}

  bool Next();

  bool ok() const { return ok_; }
  uint32_t field() const { return field_; }
  bool is_number() const { return type_ == 0; }
  bool is_bytes() const { return type_ == 2; }
  uint64_t number() const { return number_; }                                            // of a varint field
  std::string_view bytes() const { return bytes_; }                                      // of a length-delimited field
  std::string_view whole() const { return {start_, static_cast<size_t>(p_ - start_)}; }  // tag and value

 private:
  bool Varint(uint64_t* value);
  bool Skip(uint64_t size);

  const char* p_;
  const char* end_;
  const char* start_ = nullptr;
  bool ok_ = true;
  uint32_t field_ = 0;
  uint32_t type_ = 0;
  uint64_t number_ = 0;
  std::string_view bytes_;
};

void AppendVarint(uint64_t value, std::string* out);
void AppendNumberField(uint32_t field, uint64_t value, std::string* out);
void AppendBytesField(uint32_t field, std::string_view value, std::string* out);

}  // namespace everstate::replay
