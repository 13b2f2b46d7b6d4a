// IDL files of Codama: a tree of nodes, each with its kind. What has no counterpart in the model is refused by its
// kind.
#include <set>

#include "absl/strings/escaping.h"
#include "server/base/base58.h"
#include "server/stack/read.h"

namespace everstate::stack {
namespace {

using Kind = IdlType::Kind;

constexpr Word<Kind> kNumbers[] = {{"u8", Kind::kU8},     {"u16", Kind::kU16},   {"u32", Kind::kU32},
                                   {"u64", Kind::kU64},   {"u128", Kind::kU128}, {"i8", Kind::kI8},
                                   {"i16", Kind::kI16},   {"i32", Kind::kI32},   {"i64", Kind::kI64},
                                   {"i128", Kind::kI128}, {"f32", Kind::kF32},   {"f64", Kind::kF64}};

std::string KindOf(const Node& node) { return node.At("kind").NonEmptyText(); }

uint8_t BytesOf(Kind number) {
  switch (number) {
    case Kind::kU8:
    case Kind::kI8:
      return 1;
    case Kind::kU16:
    case Kind::kI16:
      return 2;
    case Kind::kU32:
    case Kind::kI32:
    case Kind::kF32:
      return 4;
    case Kind::kU64:
    case Kind::kI64:
    case Kind::kF64:
      return 8;
    default:
      return 16;
  }
}

// The account's Rust name: Codama writes all names in camelCase, and its renderers name account types like this.
std::string TypeName(std::string camel) {
  if (camel[0] >= 'a' && camel[0] <= 'z') camel[0] = static_cast<char>(camel[0] - 'a' + 'A');
  return camel;
}

class CodamaReader {
 public:
  Idl Read(const Node& root) {
    const Node program = root.At("program");
    idl_.name = program.At("name").NonEmptyText();
    idl_.program_id = program.At("publicKey").Text();
    std::set<std::string> names;
    for (const Node& node : program.ItemsOf("definedTypes")) {
      const std::string name = node.At("name").NonEmptyText();
      if (!names.insert(name).second) node.FailAt("name", "two types of an IDL must not have the same name");
      Define(name, node.At("type"));
    }
    for (const Node& node : program.ItemsOf("accounts")) Account(node);
    for (const Node& node : program.ItemsOf("instructions")) Instruction(node);
    for (const Node& node : program.ItemsOf("events")) Event(node);
    bool one_byte = !idl_.instructions.empty();
    for (const IdlInstruction& instruction : idl_.instructions) one_byte &= instruction.discriminator.size() == 1;
    idl_.discriminant_size = one_byte ? 1 : 8;
    return std::move(idl_);
  }

 private:
  // A member of a struct while its discriminators are still among the others.
  struct Member {
    IdlField field;
    std::vector<uint8_t> constant;  // its default value as bytes; empty when it has none
  };

  IdlType Number(const Node& node) {
    IdlType type;
    if (KindOf(node) != "numberTypeNode") {
      node.Fail(fmt::format("{} where only a numberTypeNode can be", KindOf(node)));
      return type;
    }
    type.kind = node.At("format").OneOf<Kind>(kNumbers);
    if (BytesOf(type.kind) > 1 && node.TextOr("endian", "le") != "le") node.Fail("numbers are little-endian here");
    return type;
  }

  // The size of a length or tag.
  uint8_t PrefixBytes(const Node& node) {
    const IdlType number = Number(node);
    if (number.kind > Kind::kU64) node.Fail("a length or tag must be one of u8, u16, u32, u64");
    return BytesOf(number.kind);
  }

  IdlType Named(Kind kind) {
    IdlType type;
    type.kind = kind;
    return type;
  }

  // A struct, tuple or enum inside of something gets a type of its own, named by its place.
  IdlType Inline(const Node& node) {
    IdlType type = Named(Kind::kDefined);
    type.name = node.place().path();
    Define(type.name, node);
    return type;
  }

  void Define(const std::string& name, const Node& node) {
    IdlTypeDef def;
    def.name = name;
    const std::string kind = KindOf(node);
    if (kind == "structTypeNode") {
      for (Member& member : Members(node.ItemsOf("fields"))) def.fields.push_back(std::move(member.field));
    } else if (kind == "tupleTypeNode") {
      def.is_tuple = true;
      for (const Node& item : node.ItemsOf("items")) def.fields.push_back({"", Type(item)});
    } else if (kind == "enumTypeNode") {
      Enum(node, &def);
    } else {
      def.alias = Type(node);
    }
    idl_.types.push_back(std::move(def));
  }

  void Enum(const Node& node, IdlTypeDef* def) {
    def->is_enum = true;
    if (std::optional<Node> size = node.Maybe("size")) def->tag_bytes = PrefixBytes(*size);
    for (const Node& variant : node.At("variants").Items()) {
      IdlTypeDef::Variant out{variant.At("name").NonEmptyText(), {}};
      if (std::optional<Node> number = variant.Maybe("discriminator");
          number && number->Natural(UINT32_MAX) != def->variants.size()) {
        number->Fail("variants are numbered from 0 here");
      }
      const std::string kind = KindOf(variant);
      if (kind == "enumStructVariantTypeNode") {
        for (Member& member : Members(Struct(variant.At("struct")))) out.fields.push_back(std::move(member.field));
      } else if (kind == "enumTupleVariantTypeNode") {
        const Node tuple = variant.At("tuple");
        if (KindOf(tuple) != "tupleTypeNode")
          tuple.Fail(fmt::format("{} where only a tupleTypeNode can be", KindOf(tuple)));
        for (const Node& item : tuple.ItemsOf("items")) out.fields.push_back({"", Type(item)});
      } else if (kind != "enumEmptyVariantTypeNode") {
        variant.Fail(fmt::format("{} is not supported", kind));
      }
      def->variants.push_back(std::move(out));
    }
  }

  std::vector<Node> Struct(const Node& node) {
    if (KindOf(node) == "structTypeNode") return node.ItemsOf("fields");
    node.Fail(fmt::format("{} where only a structTypeNode can be", KindOf(node)));
    return {};
  }

  std::vector<Member> Members(const std::vector<Node>& nodes) {
    std::vector<Member> members;
    for (const Node& node : nodes) {
      Member member{{node.At("name").NonEmptyText(), Type(node.At("type"))}, {}};
      if (std::optional<Node> value = node.Maybe("defaultValue")) member.constant = Constant(*value, member.field.type);
      members.push_back(std::move(member));
    }
    return members;
  }

  // A constant as bytes; empty when it is of a kind that no discriminator has.
  std::vector<uint8_t> Constant(const Node& node, const IdlType& type) {
    const std::string kind = KindOf(node);
    if (kind == "numberValueNode" && type.kind <= Kind::kI64 && type.kind != Kind::kU128 &&
        node.At("number").IsNumber()) {
      // Only small natural numbers discriminate; another default says nothing about that.
      std::vector<uint8_t> bytes(BytesOf(type.kind));
      const Literal literal = node.At("number").Constant();
      const uint64_t* value = std::get_if<uint64_t>(&literal.value);
      if (value == nullptr) return {};
      if (bytes.size() < 8 && *value >> (8 * bytes.size()) != 0)
        node.FailAt("number", fmt::format("does not fit {} bytes", bytes.size()));
      for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(*value >> (8 * i));
      return bytes;
    }
    if (kind != "bytesValueNode") return {};
    const std::string data = node.At("data").Text();
    const std::string encoding = node.At("encoding").OneOfTexts({"base16", "base58", "base64", "utf8"});
    std::string bytes = data;
    bool ok = true;
    if (encoding == "base64") ok = absl::Base64Unescape(data, &bytes);
    if (encoding == "base16") {
      ok = data.size() % 2 == 0 && data.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
      if (ok) bytes = absl::HexStringToBytes(data);
    }
    if (encoding == "base58") {
      std::optional<std::string> decoded = DecodeBase58(data);
      ok = decoded.has_value();
      if (ok) bytes = *decoded;
    }
    if (!ok) node.Fail(fmt::format("\"{}\" is not {}", data, encoding));
    return {bytes.begin(), bytes.end()};
  }

  IdlType Type(const Node& node) {
    const std::string kind = KindOf(node);
    if (kind == "numberTypeNode") return Number(node);
    if (kind == "publicKeyTypeNode") return Named(Kind::kPubkey);
    if (kind == "booleanTypeNode") {
      if (std::optional<Node> size = node.Maybe("size"); size && PrefixBytes(*size) != 1)
        size->Fail("a bool has one byte here");
      return Named(Kind::kBool);
    }
    if (kind == "stringTypeNode" || kind == "bytesTypeNode") return ToTheEnd(node, kind);
    if (kind == "sizePrefixTypeNode") return SizePrefixed(node);
    if (kind == "fixedSizeTypeNode") return FixedSize(node);
    if (kind == "optionTypeNode") return Option(node);
    if (kind == "arrayTypeNode" || kind == "setTypeNode" || kind == "mapTypeNode") return Collection(node, kind);
    if (kind == "structTypeNode" || kind == "tupleTypeNode" || kind == "enumTypeNode") return Inline(node);
    if (kind == "definedTypeLinkNode") {
      if (node.Maybe("program")) node.Fail("a type of another program");
      IdlType type = Named(Kind::kDefined);
      type.name = node.At("name").NonEmptyText();
      return type;
    }
    if (kind == "dateTimeTypeNode" || kind == "amountTypeNode" || kind == "solAmountTypeNode")
      return Number(node.At("number"));
    node.Fail(fmt::format("{} is not supported", kind));
    return {};
  }

  IdlType ToTheEnd(const Node& node, const std::string& kind) {
    IdlType type = Named(kind == "bytesTypeNode" ? Kind::kBytes : Kind::kString);
    type.prefix_bytes = uint8_t{0};
    if (type.kind == Kind::kString && node.TextOr("encoding", "utf8") != "utf8")
      node.At("encoding").Fail("a string is utf8 here");
    return type;
  }

  IdlType SizePrefixed(const Node& node) {
    const Node inner = node.At("type");
    const std::string kind = KindOf(inner);
    if (kind != "stringTypeNode" && kind != "bytesTypeNode")
      inner.Fail(fmt::format("{} with a length in front is not supported", kind));
    IdlType type = ToTheEnd(inner, kind);
    type.prefix_bytes = PrefixBytes(node.At("prefix"));
    return type;
  }

  IdlType FixedSize(const Node& node) {
    const Node inner = node.At("type");
    if (KindOf(inner) != "bytesTypeNode") inner.Fail(fmt::format("{} of a fixed size is not supported", KindOf(inner)));
    IdlType type = Named(Kind::kArray);
    type.count = node.At("size").Natural(UINT32_MAX);
    type.args.push_back(Named(Kind::kU8));
    return type;
  }

  IdlType Option(const Node& node) {
    IdlType type = Named(Kind::kOption);
    std::optional<Node> prefix = node.Maybe("prefix");
    type.prefix_bytes = prefix ? PrefixBytes(*prefix) : uint8_t{1};
    type.always_there = node.FlagOr("fixed", false);
    type.args.push_back(Type(node.At("item")));
    return type;
  }

  IdlType Collection(const Node& node, const std::string& kind) {
    const bool map = kind == "mapTypeNode";
    IdlType type = Named(map ? Kind::kMap : Kind::kVec);
    const Node count = node.At("count");
    const std::string counted = KindOf(count);
    if (counted == "fixedCountNode" && !map) {
      type.kind = Kind::kArray;
      type.count = count.At("value").Natural(UINT32_MAX);
    } else if (counted == "prefixedCountNode") {
      type.prefix_bytes = PrefixBytes(count.At("prefix"));
    } else if (counted == "remainderCountNode" && !map) {
      type.prefix_bytes = uint8_t{0};
    } else {
      count.Fail(fmt::format("{} is not supported in a {}", counted, kind));
    }
    type.args.push_back(Type(node.At(map ? "key" : "item")));
    if (map) type.args.push_back(Type(node.At("value")));
    return type;
  }

  // Takes the discriminators out of the members. Of several they lie one after the other, from the beginning on.
  std::vector<uint8_t> TakeDiscriminator(const Node& owner, std::vector<Member>* members, bool body_begins_after) {
    std::vector<uint8_t> out;
    for (const Node& node : owner.ItemsOf("discriminators")) {
      const std::string kind = KindOf(node);
      if (kind == "sizeDiscriminatorNode") continue;  // what has nothing else is known by its layout's length
      std::optional<Node> offset = node.Maybe("offset");
      if ((offset ? offset->Natural(UINT32_MAX) : 0) != out.size())
        node.Fail("a discriminator must be at the beginning");
      std::vector<uint8_t> bytes;
      if (kind == "fieldDiscriminatorNode") {
        const std::string name = node.At("name").NonEmptyText();
        if (members->empty() || members->front().field.name != name)
          node.Fail(fmt::format("{} is not the first field", name));
        else
          bytes = members->front().constant;
      } else if (kind == "constantDiscriminatorNode") {
        const Node constant = node.At("constant");
        bytes = Constant(constant.At("value"), Type(constant.At("type")));
      } else {
        node.Fail(fmt::format("{} is not supported", kind));
      }
      if (bytes.empty()) node.Fail("a discriminator needs a constant");
      const bool is_member = !members->empty() && members->front().constant == bytes;
      if (is_member)
        members->erase(members->begin());
      else if (!body_begins_after)
        node.Fail("a constant that is no field is not supported");
      out.insert(out.end(), bytes.begin(), bytes.end());
    }
    return out;
  }

  static std::vector<IdlField> FieldsOf(std::vector<Member>* members) {
    std::vector<IdlField> fields;
    for (Member& member : *members) fields.push_back(std::move(member.field));
    return fields;
  }

  void Account(const Node& node) {
    IdlAccount account;
    account.name = TypeName(node.At("name").NonEmptyText());
    std::vector<Member> members = Members(Struct(node.At("data")));
    account.discriminator = TakeDiscriminator(node, &members, false);
    account.fields = FieldsOf(&members);
    idl_.accounts.push_back(std::move(account));
  }

  void Instruction(const Node& node) {
    IdlInstruction instruction;
    instruction.name = node.At("name").NonEmptyText();
    std::vector<Member> members = Members(node.ItemsOf("arguments"));
    instruction.discriminator = TakeDiscriminator(node, &members, false);
    if (instruction.discriminator.empty()) node.FailAt("discriminators", "an instruction needs a discriminator");
    instruction.args = FieldsOf(&members);
    for (const Node& account : node.ItemsOf("accounts")) {
      instruction.accounts.push_back(account.At("name").NonEmptyText());
      instruction.optional.push_back(account.FlagOr("isOptional", false));
    }
    idl_.instructions.push_back(std::move(instruction));
  }

  // Anchor writes the discriminator before the event's struct, which has no field for it.
  void Event(const Node& node) {
    IdlEvent event;
    event.name = node.At("name").NonEmptyText();
    Node data = node.At("data");
    if (KindOf(data) == "hiddenPrefixTypeNode") data = data.At("type");
    std::vector<Member> members = Members(Struct(data));
    event.discriminator = TakeDiscriminator(node, &members, true);
    if (event.discriminator.empty()) node.FailAt("discriminators", "an event needs a discriminator");
    event.fields = FieldsOf(&members);
    idl_.events.push_back(std::move(event));
  }

  Idl idl_;
};

}  // namespace

Idl ReadCodamaIdl(const Node& root) { return CodamaReader().Read(root); }

}  // namespace everstate::stack
