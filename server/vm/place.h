// Places in a stack file, and the texts of messages.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace everstate::vm {

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

// A place in a stack file, for messages.
struct Place {
  std::string file;
  std::string path;  // "entities[0].handlers[2]"

  Place At(std::string_view below) const {
    return {file, path.empty() || below.starts_with('[') ? Cat(path, below) : Cat(path, ".", below)};
  }
  std::string Text() const { return path.empty() ? file : Cat(file, ": ", path); }
  // The stack contradicts itself or its IDL.
  absl::Status Invalid(std::string_view rule) const { return absl::InvalidArgumentError(Cat(Text(), ": ", rule)); }
  // The stack asks for what is not there.
  absl::Status Unsupported(std::string_view what) const {
    return absl::UnimplementedError(Cat(Text(), ": ", what, " is not supported"));
  }
};

}  // namespace everstate::vm
