#include "server/stack/stack.h"

#include <set>

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

void ReadPrograms(const Node& root, Stack* stack) {
  for (const Node& id : root.ItemsOf("program_ids")) stack->program_ids.push_back(id.NonEmptyText());
  std::set<std::string> names;
  for (const Node& node : root.ItemsOf("idls")) {
    const size_t i = stack->idls.size();
    stack->idls.push_back(ReadIdl(node, i < stack->program_ids.size() ? stack->program_ids[i] : ""));
    if (!names.insert(stack->idls.back().name).second)
      node.At("name").Fail("two IDLs of a stack must not have the same name");
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

}  // namespace

absl::StatusOr<std::shared_ptr<const Stack>> ReadStack(std::string text, Diagnostics* diagnostics) {
  absl::StatusOr<Json> json = ParseJson(text, diagnostics->file(), "a stack");
  if (!json.ok()) return json.status();
  auto stack = std::make_shared<Stack>();
  stack->file = diagnostics->file();
  const Node root(&*json, Place(diagnostics));
  CheckVersion(root);
  stack->name = root.At("stack_name").NonEmptyText();
  ReadPrograms(root, stack.get());
  ReadEntities(root, stack.get());
  const std::string recorded = root.TextOr("content_hash", "");
  stack->hash = Sha256Of(CompactJson(text, "content_hash"));
  const std::string hex = HexOf({reinterpret_cast<const char*>(stack->hash.data()), stack->hash.size()});
  stack->hash_differs = !recorded.empty() && recorded != hex;
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
