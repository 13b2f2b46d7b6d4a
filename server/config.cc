#include "server/config.h"

#include <fstream>

#include "absl/strings/str_cat.h"

namespace everstate {

absl::StatusOr<Commitment> ParseCommitment(const std::string& text) {
  if (text == "confirmed") return Commitment::kConfirmed;
  if (text == "finalized") return Commitment::kFinalized;
  if (text == "processed") {
    return absl::InvalidArgumentError(
        "--commitment processed is not supported: blocks at that level can be abandoned, and nothing here takes them back. Use confirmed or finalized");
  }
  return absl::InvalidArgumentError(absl::StrCat("--commitment \"", text, "\" is not one of confirmed, finalized"));
}

absl::StatusOr<std::string> ReadTokenFile(const std::string& file) {
  std::ifstream in(file);
  if (!in) return absl::InvalidArgumentError(absl::StrCat("--x-token-file ", file, ": cannot be read"));
  std::string token;
  std::getline(in, token);
  if (!token.empty() && token.back() == '\r') token.pop_back();
  if (token.empty()) return absl::InvalidArgumentError(absl::StrCat("--x-token-file ", file, ": its first line is empty"));
  return token;
}

}  // namespace everstate
