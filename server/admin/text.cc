#include "server/admin/text.h"

#include "storage/utf8.h"

namespace everstate {

std::string ProtoText(std::string_view text, size_t bytes_max) {
  if (text.size() <= bytes_max && IsUtf8(text)) return std::string(text);
  std::string out;
  while (!text.empty()) {
    const size_t length = Utf8Length(text);
    const std::string_view next = length == 0 ? std::string_view("\uFFFD") : text.substr(0, length);
    if (out.size() + next.size() > bytes_max) return out.append("…");
    out.append(next);
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return out;
}

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  // The codes of both have the same values.
  return {static_cast<grpc::StatusCode>(status.code()),
          ProtoText({status.message().data(), status.message().size()}, kStatusMessageBytesMax)};
}

}  // namespace everstate
