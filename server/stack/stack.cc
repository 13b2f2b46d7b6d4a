#include "server/stack/stack.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

#include "absl/strings/ascii.h"
#include "server/base/sha256.h"
#include "server/stack/compact.h"
#include "server/stack/read.h"

namespace everstate::stack {
namespace {

constexpr size_t kFileBytesMax = 64u << 20;
constexpr size_t kDepthMax = 128;

// The parser's own words, without its error number, and without the bytes of the file that it quotes when they are no text.
std::string ParserMessage(std::string_view what) {
  if (size_t end = what.find("] "); end != std::string_view::npos) what.remove_prefix(end + 2);
  std::string message(what.substr(0, 200));
  for (char& c : message) {
    if (!absl::ascii_isprint(static_cast<unsigned char>(c))) c = '?';
  }
  return message;
}

absl::StatusOr<Json> ParseJson(const std::string& text, const std::string& file) {
  if (text.size() > kFileBytesMax) {
    return absl::InvalidArgumentError(
        fmt::format("{}: top level: {} bytes, a stack has at most {}", file, text.size(), kFileBytesMax));
  }
  if (text.starts_with("\xef\xbb\xbf")) {
    return absl::InvalidArgumentError(fmt::format("{}: top level: begins with a byte order mark (RFC 8259 §8.1)", file));
  }
  if (size_t depth = JsonDepth(text); depth > kDepthMax) {
    return absl::InvalidArgumentError(
        fmt::format("{}: top level: {} levels of arrays and objects, a stack has at most {}", file, depth, kDepthMax));
  }
  try {
    return Json::parse(text);
  } catch (const nlohmann::json::exception& e) {
    return absl::InvalidArgumentError(fmt::format("{}: top level: is not JSON: {}", file, ParserMessage(e.what())));
  }
}

void CheckVersion(const Node& root) {
  std::optional<Node> version = root.Maybe("ast_version");
  if (version && version->IsText() && version->Text() != "0.0.1") {
    version->Fail(fmt::format("unsupported version \"{}\", only \"0.0.1\" is known", version->Text()));
  }
}

void ReadPrograms(const Node& root, Stack* stack) {
  for (const Node& id : root.ItemsOf("program_ids")) stack->program_ids.push_back(id.NonEmptyText());
  std::set<std::string> names;
  for (const Node& node : root.ItemsOf("idls")) {
    const size_t i = stack->idls.size();
    stack->idls.push_back(ReadIdl(node, i < stack->program_ids.size() ? stack->program_ids[i] : ""));
    if (!names.insert(stack->idls.back().name).second) node.At("name").Fail("two IDLs of a stack must not have the same name");
  }
}

void ReadEntities(const Node& root, Stack* stack) {
  std::set<std::string> names;
  for (const Node& node : root.At("entities").Items()) {
    stack->entities.push_back(ReadEntity(node));
    if (!names.insert(stack->entities.back().name).second) {
      node.At("state_name").Fail("two entities of a stack must not have the same name");
    }
  }
}

absl::Status FileError(const std::string& file, int error) {
  std::string message = fmt::format("{}: {}", file, std::strerror(error));
  if (error == ENOENT || error == ENOTDIR) return absl::NotFoundError(message);
  if (error == EACCES || error == EPERM) return absl::PermissionDeniedError(message);
  return absl::UnavailableError(message);
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Stack>> ParseStack(std::string text, const std::string& file) {
  absl::StatusOr<Json> json = ParseJson(text, file);
  if (!json.ok()) return json.status();
  auto stack = std::make_shared<Stack>();
  stack->file = file;
  Reading reading{file, absl::OkStatus()};
  const Node root(&*json, "", &reading);
  CheckVersion(root);
  stack->name = root.At("stack_name").NonEmptyText();
  ReadPrograms(root, stack.get());
  ReadEntities(root, stack.get());
  const std::string recorded = root.TextOr("content_hash", "");
  if (!reading.status.ok()) return reading.status;

  stack->hash = Sha256Of(CompactJson(text, "content_hash"));
  const std::string hex = HexOf({reinterpret_cast<const char*>(stack->hash.data()), stack->hash.size()});
  stack->hash_differs = !recorded.empty() && recorded != hex;
  stack->text = std::move(text);
  return stack;
}

absl::StatusOr<std::shared_ptr<const Stack>> LoadStack(const std::string& file) {
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
  return ParseStack(std::move(text), file);
}

}  // namespace everstate::stack
