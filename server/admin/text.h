// What goes into a Protobuf string, and absl's status as gRPC's.
#pragma once

#include <grpcpp/support/status.h>

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace everstate {

// Protobuf strings are UTF-8, and a receiver refuses the whole message when one is not. Bytes that belong to no
// well-formed sequence become U+FFFD; what is longer than `bytes_max` is cut between two characters and ends with "…".
std::string ProtoText(std::string_view text, size_t bytes_max = 4096);

// A gRPC message travels in a header, percent-encoded; HTTP/2 peers refuse headers of more than 8 KiB.
inline constexpr size_t kStatusMessageBytesMax = 1024;
grpc::Status ToGrpc(const absl::Status& status);

}  // namespace everstate
