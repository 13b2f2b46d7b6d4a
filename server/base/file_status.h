// What the operating system says of a file, as a status.
#pragma once

#include <cerrno>
#include <string>

#include "absl/status/status.h"

namespace everstate {

// `text` and the system's words for `error` (errno). No room of any kind is ResourceExhausted. Never
// FailedPrecondition, as absl has it for a file where a directory should be: at our doors that code means that
// something belongs to another stack, chain or setting.
inline absl::Status FileStatus(int error, const std::string& text) {
  const absl::Status status = absl::ErrnoToStatus(error, text);
  if (error == EDQUOT || error == EFBIG) return absl::ResourceExhaustedError(status.message());
  return absl::IsFailedPrecondition(status) ? absl::InternalError(status.message()) : status;
}

}  // namespace everstate
