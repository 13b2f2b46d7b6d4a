// IDL files of Anchor, old (before 0.30) and new, and of Steel, which borrows the old form.
#include <algorithm>
#include <set>

#include "server/base/sha256.h"
#include "server/stack/read.h"

namespace everstate::stack {
namespace {

bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }
bool IsLower(char c) { return c >= 'a' && c <= 'z'; }

// The Rust name of an instruction that the old form writes in camelCase: words begin at a capital letter behind another
// kind of letter, or before a small one ("initializeMint2" -> "initialize_mint2", "setURIOf" -> "set_uri_of").
std::string RustName(const std::string& camel) {
  std::string out;
  for (size_t i = 0; i < camel.size(); ++i) {
    const bool begins = i > 0 && IsUpper(camel[i]) && camel[i - 1] != '_' &&
                        (!IsUpper(camel[i - 1]) || (i + 1 < camel.size() && IsLower(camel[i + 1])));
    if (begins) out += '_';
    out += IsUpper(camel[i]) ? static_cast<char>(camel[i] - 'A' + 'a') : camel[i];
  }
  return out;
}

// Anchor's discriminator of what says none itself.
std::vector<uint8_t> HashedDiscriminator(const std::string& preimage) {
  const Sha256Digest digest = Sha256Of(preimage);
  return {digest.begin(), digest.begin() + 8};
}

std::vector<uint8_t> DiscriminatorOr(const Node& node, const std::string& preimage) {
  std::optional<Node> bytes = node.Maybe("discriminator");
  return bytes ? bytes->Bytes() : HashedDiscriminator(preimage);
}

// Steel's {"type": "u8", "value": 3}.
std::vector<uint8_t> ReadDiscriminant(const Node& node) {
  std::optional<Node> type = node.Maybe("type");
  const std::string word = type ? type->OneOfTexts({"u8", "u16", "u32", "u64"}) : "u8";
  const size_t bytes = word == "u16" ? 2 : word == "u32" ? 4 : word == "u64" ? 8 : 1;
  uint64_t value = node.At("value").Natural(bytes == 8 ? UINT64_MAX : (uint64_t{1} << (8 * bytes)) - 1);
  std::vector<uint8_t> out;
  for (size_t i = 0; i < bytes; ++i, value >>= 8) out.push_back(static_cast<uint8_t>(value));
  return out;
}

void ReadAccountNames(const std::vector<Node>& nodes, const std::string& group, IdlInstruction* instruction) {
  for (const Node& node : nodes) {
    const std::string name = group + node.At("name").NonEmptyText();
    if (name.size() > kNameBytesMax) {
      node.FailAt("name", fmt::format("with its groups has {} bytes, a name at most {}", name.size(), kNameBytesMax));
      continue;
    }
    if (node.Has("accounts")) {
      ReadAccountNames(node.ItemsOf("accounts"), name + ".", instruction);
      continue;
    }
    instruction->accounts.push_back(name);
    instruction->optional.push_back(node.FlagOr("optional", false) || node.FlagOr("isOptional", false));
  }
}

IdlInstruction ReadInstruction(const Node& node) {
  IdlInstruction instruction;
  instruction.name = node.At("name").NonEmptyText();
  std::optional<Node> discriminant = node.Maybe("discriminant");
  if (discriminant && !node.Has("discriminator"))
    instruction.discriminator = ReadDiscriminant(*discriminant);
  else
    instruction.discriminator = DiscriminatorOr(node, "global:" + RustName(instruction.name));
  if (instruction.discriminator.empty()) node.FailAt("discriminator", "an instruction needs a discriminator");
  ReadAccountNames(node.ItemsOf("accounts"), "", &instruction);
  instruction.args = ReadNamedFields(node.ItemsOf("args"));
  return instruction;
}

using Names = std::set<std::string>;

Names ReadTypes(const Node& root, Idl* idl) {
  Names names;
  for (const Node& node : root.ItemsOf("types")) {
    idl->types.push_back(ReadTypeDef(node));
    if (!names.insert(idl->types.back().name).second)
      node.At("name").Fail("two types of an IDL must not have the same name");
  }
  return names;
}

// An account of the old form has its type with it, and others may use it by the account's name.
void ReadAccounts(const Node& root, Names types, Idl* idl) {
  for (const Node& node : root.ItemsOf("accounts")) {
    IdlAccount account;
    account.name = node.At("name").NonEmptyText();
    account.discriminator = DiscriminatorOr(node, "account:" + account.name);
    account.serialization = ReadSerialization(node);
    if (types.insert(account.name).second) idl->types.push_back(ReadTypeDef(node));
    idl->accounts.push_back(std::move(account));
  }
}

void ReadEvents(const Node& root, Idl* idl) {
  for (const Node& node : root.ItemsOf("events")) {
    IdlEvent event;
    event.name = node.At("name").NonEmptyText();
    event.discriminator = DiscriminatorOr(node, "event:" + event.name);
    if (node.Maybe("fields")) event.fields = ReadNamedFields(node.ItemsOf("fields"));
    idl->events.push_back(std::move(event));
  }
}

}  // namespace

Idl ReadAnchorIdl(const Node& root) {
  Idl idl;
  std::optional<Node> metadata = root.Maybe("metadata");
  std::optional<Node> name = root.Maybe("name"), address = root.Maybe("address");
  if (!name && metadata) name = metadata->Maybe("name");
  if (!address && metadata) address = metadata->Maybe("address");
  idl.name = name ? name->NonEmptyText() : "unknown";
  if (address) idl.program_id = address->Text();
  ReadAccounts(root, ReadTypes(root, &idl), &idl);
  for (const Node& node : root.At("instructions").Items()) idl.instructions.push_back(ReadInstruction(node));
  ReadEvents(root, &idl);
  const bool one_byte =
      !idl.instructions.empty() && std::all_of(idl.instructions.begin(), idl.instructions.end(),
                                               [](const auto& i) { return i.discriminator.size() == 1; });
  idl.discriminant_size = one_byte ? 1 : 8;
  return idl;
}

}  // namespace everstate::stack
