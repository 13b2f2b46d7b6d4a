// Files of JSON: what can be wrong with them before anybody looks for a key.
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "absl/strings/ascii.h"
#include "server/stack/compact.h"
#include "server/stack/read.h"

namespace everstate::stack {
namespace {

constexpr size_t kFileBytesMax = 64u << 20;
constexpr size_t kDepthMax = 128;

// The parser's own words, without its error number, and without the bytes of the file that it quotes when they are no
// text.
std::string ParserMessage(std::string_view what) {
  if (size_t end = what.find("] "); end != std::string_view::npos) what.remove_prefix(end + 2);
  std::string message(what.substr(0, 200));
  for (char& c : message) {
    if (!absl::ascii_isprint(static_cast<unsigned char>(c))) c = '?';
  }
  return message;
}

absl::Status FileError(const std::string& file, int error) {
  std::string message = fmt::format("{}: {}", file, std::strerror(error));
  if (error == ENOENT || error == ENOTDIR) return absl::NotFoundError(message);
  if (error == EACCES || error == EPERM) return absl::PermissionDeniedError(message);
  return absl::UnavailableError(message);
}

}  // namespace

absl::StatusOr<Json> ParseJson(const std::string& text, const std::string& file, std::string_view what) {
  if (text.size() > kFileBytesMax) {
    return absl::InvalidArgumentError(
        fmt::format("{}: top level: larger than {} bytes, which is the most that {} has", file, kFileBytesMax, what));
  }
  if (text.starts_with("\xef\xbb\xbf")) {
    return absl::InvalidArgumentError(
        fmt::format("{}: top level: begins with a byte order mark (RFC 8259 §8.1)", file));
  }
  // The parser takes one for the end of the text, and says nothing of what follows.
  if (size_t nul = text.find('\0'); nul != std::string::npos) {
    return absl::InvalidArgumentError(
        fmt::format("{}: top level: is not JSON: a NUL byte at offset {} (RFC 8259 §7)", file, nul));
  }
  if (size_t depth = JsonDepth(text); depth > kDepthMax) {
    return absl::InvalidArgumentError(
        fmt::format("{}: top level: {} levels of arrays and objects, {} has at most {}", file, depth, what, kDepthMax));
  }
  try {
    return Json::parse(text);
  } catch (const nlohmann::json::exception& e) {
    return absl::InvalidArgumentError(fmt::format("{}: top level: is not JSON: {}", file, ParserMessage(e.what())));
  }
}

absl::StatusOr<std::string> ReadText(const std::string& file) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(file, error);
  if (std::filesystem::is_directory(status)) return absl::NotFoundError(fmt::format("{}: is a folder", file));
  errno = 0;
  std::ifstream in(file, std::ios::binary);
  if (!in) return FileError(file, errno);
  // One byte more than allowed is enough to know that it is too large, also when the size cannot be asked for.
  std::string text(kFileBytesMax + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad()) return FileError(file, errno);
  text.resize(static_cast<size_t>(in.gcount()));
  text.shrink_to_fit();
  return text;
}

}  // namespace everstate::stack
