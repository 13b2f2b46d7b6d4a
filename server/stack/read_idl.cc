// An IDL as a stack carries it.
#include "server/base/base58.h"
#include "server/stack/read.h"

namespace everstate::stack {
namespace {

IdlAccount ReadAccount(const Node& node) {
  IdlAccount account;
  account.name = node.At("name").NonEmptyText();
  account.discriminator = node.At("discriminator").Bytes();
  account.serialization = ReadSerialization(node);
  account.fields = ReadNamedFields(node.ItemsOf("fields"));
  if (std::optional<Node> type = node.Maybe("type"); type && account.fields.empty()) {
    account.fields = ReadNamedFields(type->ItemsOf("fields"));
  }
  return account;
}

IdlInstruction ReadInstruction(const Node& node) {
  IdlInstruction instruction;
  instruction.name = node.At("name").NonEmptyText();
  if (std::optional<Node> bytes = node.Maybe("discriminator")) instruction.discriminator = bytes->Bytes();
  std::optional<Node> discriminant = node.Maybe("discriminant");
  if (instruction.discriminator.empty() && discriminant) {
    instruction.discriminator = {static_cast<uint8_t>(discriminant->At("value").Natural(255))};
  }
  if (instruction.discriminator.empty()) node.FailAt("discriminator", "an instruction needs a discriminator");
  for (const Node& account : node.ItemsOf("accounts"))
    instruction.accounts.push_back(account.At("name").NonEmptyText());
  instruction.args = ReadNamedFields(node.ItemsOf("args"));
  return instruction;
}

// Files written before the size was recorded: one byte when every instruction says so, either by a discriminant without
// a discriminator or by a discriminator of one byte without a discriminant.
unsigned GuessDiscriminantSize(const std::vector<Node>& instructions) {
  for (const Node& node : instructions) {
    const bool discriminant = node.Maybe("discriminant").has_value();
    const size_t bytes = node.ItemsOf("discriminator").size();
    if (!(discriminant ? bytes == 0 : bytes == 1)) return 8;
  }
  return instructions.empty() ? 8 : 1;
}

}  // namespace

Idl ReadIdl(const Node& node, const std::string& program_id) {
  Idl idl;
  idl.name = node.At("name").NonEmptyText();
  std::optional<Node> own_id = node.Maybe("program_id");
  if (!own_id) own_id = node.Maybe("address");
  idl.program_id = own_id ? own_id->Text() : program_id;
  if (!program_id.empty() && idl.program_id != program_id) {
    own_id->Fail(fmt::format("differs from the stack's program_ids, which say {}", program_id));
  }
  if (!DecodeBase58Key32(idl.program_id)) {
    const std::string rule = fmt::format("the program id \"{}\" is not the base58 text of 32 bytes", idl.program_id);
    if (own_id)
      own_id->Fail(rule);
    else
      node.FailAt("program_id", rule);
  }
  for (const Node& account : node.At("accounts").Items()) idl.accounts.push_back(ReadAccount(account));
  const std::vector<Node> instructions = node.At("instructions").Items();
  for (const Node& instruction : instructions) idl.instructions.push_back(ReadInstruction(instruction));
  for (const Node& type : node.ItemsOf("types")) idl.types.push_back(ReadTypeDef(type));
  for (const Node& event : node.ItemsOf("events")) {
    idl.events.push_back({event.At("name").NonEmptyText(), event.At("discriminator").Bytes()});
  }
  std::optional<Node> size = node.Maybe("discriminant_size");
  idl.discriminant_size = size ? static_cast<unsigned>(size->Natural(8)) : 0;
  if (idl.discriminant_size == 0) idl.discriminant_size = GuessDiscriminantSize(instructions);
  if (idl.discriminant_size != 1 && idl.discriminant_size != 8) size->Fail("must be 1 or 8");
  return idl;
}

}  // namespace everstate::stack
