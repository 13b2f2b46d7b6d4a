// The texts of messages. Where they belong in a stack file is a stack::Place.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "server/stack/diagnostics.h"

namespace everstate::vm {

using stack::Place;

inline void AppendPart(std::string* out, std::string_view text) { out->append(text); }
inline void AppendPart(std::string* out, size_t number) { out->append(std::to_string(number)); }

// Texts and numbers, one after the other.
template <typename... Parts>
std::string Cat(const Parts&... parts) {
  std::string out;
  (AppendPart(&out, parts), ...);
  return out;
}
inline std::string Message(const absl::Status& status) { return std::string(status.message()); }

}  // namespace everstate::vm
