// Types as Anchor's IDLs write them; a stack's IDLs have some of these words.
#include <charconv>

#include "server/stack/read.h"

namespace everstate::stack {
namespace {

using Kind = IdlType::Kind;

constexpr Word<Kind> kSimpleTypes[] = {{"u8", Kind::kU8},         {"u16", Kind::kU16},         {"u32", Kind::kU32},
                                       {"u64", Kind::kU64},       {"u128", Kind::kU128},       {"i8", Kind::kI8},
                                       {"i16", Kind::kI16},       {"i32", Kind::kI32},         {"i64", Kind::kI64},
                                       {"i128", Kind::kI128},     {"f32", Kind::kF32},         {"f64", Kind::kF64},
                                       {"bool", Kind::kBool},     {"string", Kind::kString},   {"bytes", Kind::kBytes},
                                       {"pubkey", Kind::kPubkey}, {"publicKey", Kind::kPubkey}};

IdlType OfKind(Kind kind, std::string name = {}) {
  IdlType type;
  type.kind = kind;
  type.name = std::move(name);
  return type;
}

// A number, or the name of a generic that is one.
void ReadLength(const Node& node, IdlType* array) {
  if (node.IsObject())
    array->name = node.At("generic").NonEmptyText();
  else
    array->count = node.Natural(UINT32_MAX);
}

// An unknown simple name is a defined type.
IdlType TypeOfName(const std::string& name) {
  for (const auto& word : kSimpleTypes) {
    if (word.text == name) return OfKind(word.value);
  }
  return OfKind(Kind::kDefined, name);
}

IdlType ReadGenericArgument(const Node& node) {
  if (node.At("kind").OneOfTexts({"type", "const"}) == "type") return ReadType(node.At("type"));
  IdlType number = OfKind(Kind::kConst);
  const Node value = node.At("value");
  if (!value.IsText()) {
    number.count = value.Natural(UINT32_MAX);
    return number;
  }
  const std::string text = value.Text();
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number.count);
  if (error != std::errc() || end != text.data() + text.size() || number.count > UINT32_MAX) {
    value.Fail(fmt::format("\"{}\" is no length, and other constants have no use here", text));
  }
  return number;
}

IdlType COptionOf(IdlType element) {
  IdlType type = OfKind(Kind::kOption);
  type.prefix_bytes = uint8_t{4};
  type.always_there = true;
  type.args.push_back(std::move(element));
  return type;
}

IdlType ReadDefined(const Node& node) {
  if (node.IsText()) {
    const std::string name = node.NonEmptyText();
    constexpr std::string_view kCOption = "COption<";  // old files of the Token program spell it so
    if (!name.starts_with(kCOption) || !name.ends_with('>')) return OfKind(Kind::kDefined, name);
    const std::string element = name.substr(kCOption.size(), name.size() - kCOption.size() - 1);
    return COptionOf(element == "Pubkey" ? OfKind(Kind::kPubkey) : TypeOfName(element));
  }
  IdlType type = OfKind(Kind::kDefined, node.At("name").NonEmptyText());
  for (const Node& argument : node.ItemsOf("generics")) type.args.push_back(ReadGenericArgument(argument));
  return type;
}

IdlType ReadPair(Kind kind, const std::string& tag, const Node& content) {
  IdlType type = OfKind(kind);
  const std::vector<Node> parts = content.Items();
  if (parts.size() != 2) {
    content.Fail(fmt::format("\"{}\" must have two elements", tag));
    return type;
  }
  type.args.push_back(ReadType(parts[0]));
  if (kind == Kind::kArray)
    ReadLength(parts[1], &type);
  else
    type.args.push_back(ReadType(parts[1]));
  return type;
}

}  // namespace

IdlType ReadType(const Node& node) {
  if (node.IsText()) return TypeOfName(node.NonEmptyText());
  auto [tag, content] = node.Tagged();
  if (tag == "defined") return ReadDefined(content);
  if (tag == "generic") return OfKind(Kind::kGeneric, content.NonEmptyText());
  if (tag == "array") return ReadPair(Kind::kArray, tag, content);
  if (tag == "hashMap" || tag == "bTreeMap") return ReadPair(Kind::kMap, tag, content);
  if (tag == "coption") return COptionOf(ReadType(content));
  if (tag == "option" || tag == "vec" || tag == "hashSet" || tag == "bTreeSet") {
    IdlType type = OfKind(tag == "option" ? Kind::kOption : Kind::kVec);
    type.args.push_back(ReadType(content));
    return type;
  }
  node.Fail(fmt::format(
      "\"{}\" is not one of array, option, coption, vec, hashMap, bTreeMap, hashSet, bTreeSet, defined, generic", tag));
  return {};
}

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
  if (std::optional<Node> repr = node.Maybe("repr"); repr && repr->IsObject())
    def.packed = repr->FlagOr("packed", false);
  for (const Node& generic : node.ItemsOf("generics")) {
    def.generics.push_back(generic.IsText() ? generic.NonEmptyText() : generic.At("name").NonEmptyText());
  }
  const Node body = node.At("type");
  const std::string kind = body.At("kind").OneOfTexts({"struct", "enum", "type", "alias"});
  if (kind == "type" || kind == "alias") {
    def.alias = ReadType(body.At(kind == "alias" ? "value" : "alias"));
    return def;
  }
  def.is_enum = kind == "enum";
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

}  // namespace everstate::stack
