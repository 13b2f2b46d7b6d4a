#include <array>

#include "server/base/base58.h"
#include "server/stack/read.h"

namespace everstate::stack {
namespace {

constexpr Word<IdlType::Kind> kSimpleTypes[] = {
    {"u8", IdlType::Kind::kU8},         {"u16", IdlType::Kind::kU16},       {"u32", IdlType::Kind::kU32},
    {"u64", IdlType::Kind::kU64},       {"u128", IdlType::Kind::kU128},     {"i8", IdlType::Kind::kI8},
    {"i16", IdlType::Kind::kI16},       {"i32", IdlType::Kind::kI32},       {"i64", IdlType::Kind::kI64},
    {"i128", IdlType::Kind::kI128},     {"f32", IdlType::Kind::kF32},       {"f64", IdlType::Kind::kF64},
    {"bool", IdlType::Kind::kBool},     {"string", IdlType::Kind::kString}, {"bytes", IdlType::Kind::kBytes},
    {"pubkey", IdlType::Kind::kPubkey}, {"publicKey", IdlType::Kind::kPubkey}};

IdlType Defined(std::string name) {
  IdlType type;
  type.kind = IdlType::Kind::kDefined;
  type.name = std::move(name);
  return type;
}

IdlType ReadType(const Node& node) {
  if (node.IsText()) {
    std::string name = node.NonEmptyText();
    for (const auto& word : kSimpleTypes) {
      if (word.text == name) return IdlType{.kind = word.value, .name = {}, .count = 0, .args = {}};
    }
    return Defined(std::move(name));  // an unknown simple name is a defined type
  }
  auto [tag, content] = node.Tagged();
  IdlType type;
  if (tag == "defined") return Defined(content.IsText() ? content.NonEmptyText() : content.At("name").NonEmptyText());
  if (tag == "option" || tag == "vec") {
    type.kind = tag == "option" ? IdlType::Kind::kOption : IdlType::Kind::kVec;
    type.args.push_back(ReadType(content));
    return type;
  }
  if (tag == "array" || tag == "hashMap" || tag == "bTreeMap") {
    std::vector<Node> parts = content.Items();
    if (parts.size() != 2) {
      content.Fail(fmt::format("\"{}\" must have two elements", tag));
      return type;
    }
    type.kind = tag == "array" ? IdlType::Kind::kArray : IdlType::Kind::kMap;
    type.args.push_back(ReadType(parts[0]));
    if (tag == "array") type.count = parts[1].Natural(UINT32_MAX);
    else type.args.push_back(ReadType(parts[1]));
    return type;
  }
  node.Fail(fmt::format("\"{}\" is not one of array, option, vec, hashMap, bTreeMap, defined", tag));
  return type;
}

// Named fields ({name, type} each) or, in tuples, bare types; `is_tuple` says which.
std::vector<IdlField> ReadFields(const std::vector<Node>& nodes, bool* is_tuple) {
  std::vector<IdlField> fields;
  *is_tuple = !nodes.empty() && !nodes[0].Has("name");
  for (const Node& node : nodes) {
    if (*is_tuple) {
      fields.push_back({"", ReadType(node)});
    } else {
      fields.push_back({node.At("name").NonEmptyText(), ReadType(node.At("type"))});
    }
  }
  return fields;
}

std::vector<IdlField> ReadNamedFields(const std::vector<Node>& nodes) {
  bool is_tuple = false;
  std::vector<IdlField> fields = ReadFields(nodes, &is_tuple);
  if (is_tuple) nodes[0].Fail("must be an object with \"name\" and \"type\"");
  return fields;
}

Serialization ReadSerialization(const Node& node) {
  std::optional<Node> text = node.Maybe("serialization");
  return text ? text->OneOf<Serialization>(kSerializations) : Serialization::kBorsh;
}

IdlTypeDef ReadTypeDef(const Node& node) {
  IdlTypeDef def;
  def.name = node.At("name").NonEmptyText();
  def.serialization = ReadSerialization(node);
  Node body = node.At("type");
  def.is_enum = body.At("kind").OneOfTexts({"struct", "enum"}) == "enum";
  if (!def.is_enum) {
    def.fields = ReadFields(body.ItemsOf("fields"), &def.is_tuple);
    return def;
  }
  for (const Node& variant : body.At("variants").Items()) {
    bool is_tuple = false;
    def.variants.push_back({variant.At("name").NonEmptyText(), ReadFields(variant.ItemsOf("fields"), &is_tuple)});
  }
  return def;
}

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
  if (instruction.discriminator.empty()) node.Fail("an instruction needs a discriminator");
  for (const Node& account : node.ItemsOf("accounts")) instruction.accounts.push_back(account.At("name").NonEmptyText());
  instruction.args = ReadNamedFields(node.ItemsOf("args"));
  return instruction;
}

// Files written before the size was recorded: one byte when every instruction says so, either by a discriminant without a
// discriminator or by a discriminator of one byte without a discriminant.
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
    node.Fail(fmt::format("the program id \"{}\" is not the base58 text of 32 bytes", idl.program_id));
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
