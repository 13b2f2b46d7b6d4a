#include "server/stack/stack.h"

#include <algorithm>
#include <set>

#include "server/base/base58.h"
#include "server/base/sha256.h"
#include "server/stack/compact.h"
#include "server/stack/read.h"

namespace everstate::stack {
namespace {

void CheckVersion(const Node& root) {
  std::optional<Node> version = root.Maybe("ast_version");
  if (version && version->IsText() && version->Text() != "0.0.1") {
    version->Fail(fmt::format("unsupported version \"{}\", only \"0.0.1\" is known", version->Text()));
  }
}

// The data of a stack lies in a folder of its name when no other one is said, and its file is named after it.
std::string ReadName(const Node& node) {
  constexpr size_t kFolderNameBytesMax = 255;  // NAME_MAX of Linux's file systems
  std::string name = node.NonEmptyText();
  const bool control =
      std::ranges::any_of(name, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  if (name == "." || name == ".." || name.find('/') != name.npos || control)
    node.Fail(
        fmt::format("\"{}\" is no name for a folder: it must not be . or .., nor hold / or a control character", name));
  if (name.size() > kFolderNameBytesMax)
    node.Fail(fmt::format("has {} bytes, the name of a folder at most {}", name.size(), kFolderNameBytesMax));
  return name;
}

void ReadPrograms(const Node& root, Stack* stack) {
  for (const Node& id : root.ItemsOf("program_ids")) stack->program_ids.push_back(id.NonEmptyText());
  std::set<std::string> names;
  for (const Node& node : root.ItemsOf("idls")) {
    const size_t i = stack->idls.size();
    stack->idls.push_back(ReadIdl(node, i < stack->program_ids.size() ? stack->program_ids[i] : ""));
    if (!names.insert(stack->idls.back().name).second)
      node.At("name").Fail("two IDLs of a stack must not have the same name");
  }
  if (root.place().At("idls").Covered()) return;
  // Those that have an IDL are compared with what it says.
  for (size_t i = stack->idls.size(); i < stack->program_ids.size(); ++i) {
    const Place place = root.place().At("program_ids", i);
    if (place.Faulty()) continue;
    if (DecodeBase58Key32(stack->program_ids[i]))
      place.Note("there is no IDL for it: nothing of this program is followed");
    else
      (void)place.Invalid(
          fmt::format("the program id \"{}\" is not the base58 text of 32 bytes", stack->program_ids[i]));
  }
}

void ReadEntities(const Node& root, Stack* stack) {
  std::set<std::string> names;
  const Node entities = root.At("entities");
  if (entities.IsArray() && entities.Items().empty())
    entities.Fail("is empty: a stack without entities projects nothing");
  for (const Node& node : entities.Items()) {
    stack->entities.push_back(ReadEntity(node));
    if (!names.insert(stack->entities.back().name).second) {
      node.At("state_name").Fail("two entities of a stack must not have the same name");
    }
  }
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Stack>> ReadStack(std::string text, Diagnostics* diagnostics) {
  absl::StatusOr<Json> json = ParseJson(text, diagnostics->file(), "a stack");
  if (!json.ok()) return json.status();
  auto stack = std::make_shared<Stack>();
  stack->file = diagnostics->file();
  const Node root(&*json, Place(diagnostics));
  CheckVersion(root);
  stack->name = ReadName(root.At("stack_name"));
  ReadPrograms(root, stack.get());
  ReadEntities(root, stack.get());
  stack->recorded_hash = root.TextOr("content_hash", "");
  stack->hash = Sha256Of(CompactJson(text, "content_hash"));
  const std::string hex = HexOf({reinterpret_cast<const char*>(stack->hash.data()), stack->hash.size()});
  stack->hash_differs = !stack->recorded_hash.empty() && stack->recorded_hash != hex;
  if (stack->hash_differs)
    root.place()
        .At("content_hash")
        .Note(fmt::format("is \"{}\", but the hash of the content is {}, which counts", stack->recorded_hash, hex));
  stack->text = std::move(text);
  return stack;
}

absl::StatusOr<std::shared_ptr<const Stack>> ReadStackFile(Diagnostics* diagnostics) {
  absl::StatusOr<std::string> text = ReadText(diagnostics->file());
  if (!text.ok()) return text.status();
  return ReadStack(*std::move(text), diagnostics);
}

absl::StatusOr<std::shared_ptr<const Stack>> ParseStack(std::string text, const std::string& file) {
  Diagnostics diagnostics(file);
  auto stack = ReadStack(std::move(text), &diagnostics);
  if (!diagnostics.ok()) return diagnostics.ToStatus();
  return stack;
}

absl::StatusOr<std::shared_ptr<const Stack>> LoadStack(const std::string& file) {
  Diagnostics diagnostics(file);
  auto stack = ReadStackFile(&diagnostics);
  if (!diagnostics.ok()) return diagnostics.ToStatus();
  return stack;
}

}  // namespace everstate::stack
