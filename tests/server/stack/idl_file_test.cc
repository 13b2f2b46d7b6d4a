// IDL files of their own. That they mean what they should is shown by values (the idl room's vectors); here is how they
// are read.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "server/base/sha256.h"
#include "server/stack/idl.h"

namespace everstate::stack {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kId(32, '1');

Idl Parse(const std::string& text) {
  absl::StatusOr<Idl> idl = ParseIdl(text, "t.json", "");
  EXPECT_TRUE(idl.ok()) << idl.status();
  return idl.ok() ? *std::move(idl) : Idl();
}

std::string ErrorOf(const std::string& text) { return std::string(ParseIdl(text, "t.json", kId).status().message()); }

std::vector<uint8_t> Hashed(const std::string& text) {
  const Sha256Digest digest = Sha256Of(text);
  return {digest.begin(), digest.begin() + 8};
}

TEST(AnchorFile, TheOldFormHasItsDiscriminatorsFromNames) {
  const Idl idl = Parse(R"({"version":"1","name":"old","metadata":{"address":"11111111111111111111111111111111"},
    "instructions":[{"name":"initializeMint2","args":[{"name":"theKey","type":"publicKey"}],
      "accounts":[{"name":"payer","isMut":true,"isSigner":true},
                  {"name":"group","accounts":[{"name":"a"},{"name":"inner","accounts":[{"name":"b","isOptional":true}]}]}]},
     {"name":"setURIOf","accounts":[],"args":[]}],
    "accounts":[{"name":"Thing","type":{"kind":"struct","fields":[{"name":"o","type":{"coption":"u64"}},{"name":"p","type":{"defined":"COption<Pubkey>"}}]}}],
    "events":[{"name":"Done","fields":[{"name":"x","type":"u8","index":false}]}]})");
  EXPECT_EQ(idl.name, "old");
  EXPECT_EQ(idl.program_id, kId);
  EXPECT_EQ(idl.discriminant_size, 8u);
  ASSERT_EQ(idl.instructions.size(), 2u);
  EXPECT_EQ(idl.instructions[0].discriminator, Hashed("global:initialize_mint2"));
  EXPECT_EQ(idl.instructions[1].discriminator, Hashed("global:set_uri_of"));
  EXPECT_THAT(idl.instructions[0].accounts, ElementsAre("payer", "group.a", "group.inner.b"));
  EXPECT_THAT(idl.instructions[0].optional, ElementsAre(false, false, true));
  EXPECT_EQ(idl.accounts.at(0).discriminator, Hashed("account:Thing"));
  ASSERT_EQ(idl.types.size(), 1u);  // an account's type can be used by its name
  EXPECT_EQ(idl.types[0].name, "Thing");
  for (const IdlField& field : idl.types[0].fields) {
    EXPECT_EQ(field.type.kind, IdlType::Kind::kOption);
    EXPECT_EQ(field.type.prefix_bytes, 4);
    EXPECT_TRUE(field.type.always_there);
  }
  EXPECT_EQ(idl.types[0].fields[1].type.args[0].kind, IdlType::Kind::kPubkey);
  EXPECT_EQ(idl.events.at(0).discriminator, Hashed("event:Done"));
  EXPECT_EQ(idl.events[0].fields->size(), 1u);
}

TEST(AnchorFile, TheNewFormSaysItself) {
  const Idl idl = Parse(R"({"address":"11111111111111111111111111111111","metadata":{"name":"new"},
    "instructions":[{"name":"a","discriminator":[7],"accounts":[],"args":[{"name":"g","type":{"defined":{"name":"G",
      "generics":[{"kind":"type","type":"u8"},{"kind":"const","value":"4"}]}}}]}],
    "accounts":[{"name":"P","discriminator":[1,2]}],"events":[{"name":"E","discriminator":[3]}],
    "types":[{"name":"P","serialization":"bytemuckunsafe","repr":{"kind":"rust","packed":true},"type":{"kind":"struct","fields":[]}},
      {"name":"G","generics":[{"kind":"type","name":"T"},{"kind":"const","name":"N","type":"usize"}],
       "type":{"kind":"struct","fields":[{"name":"a","type":{"array":[{"generic":"T"},{"generic":"N"}]}}]}},
      {"name":"A","type":{"kind":"type","alias":{"vec":"u16"}}},
      {"name":"E","type":{"kind":"enum","variants":[{"name":"U"},{"name":"T","fields":["u8"]}]}}]})");
  EXPECT_EQ(idl.name, "new");
  EXPECT_EQ(idl.discriminant_size, 1u);
  EXPECT_TRUE(idl.types.at(0).packed);
  EXPECT_THAT(idl.types.at(1).generics, ElementsAre("T", "N"));
  EXPECT_EQ(idl.types[1].fields[0].type.name, "N");
  EXPECT_EQ(idl.types[1].fields[0].type.args[0].kind, IdlType::Kind::kGeneric);
  const IdlType& used = idl.instructions.at(0).args.at(0).type;
  EXPECT_EQ(used.args.at(1).kind, IdlType::Kind::kConst);
  EXPECT_EQ(used.args[1].count, 4u);
  EXPECT_EQ(idl.types.at(2).alias->kind, IdlType::Kind::kVec);
  EXPECT_TRUE(idl.types.at(3).is_enum);
}

TEST(AnchorFile, SteelHasDiscriminants) {
  const Idl idl = Parse(R"({"name":"s","address":"11111111111111111111111111111111","instructions":[
    {"name":"a","discriminant":{"type":"u8","value":3},"accounts":[],"args":[]}]})");
  EXPECT_EQ(idl.instructions.at(0).discriminator, std::vector<uint8_t>{3});
  EXPECT_EQ(idl.discriminant_size, 1u);
  const Idl wide = Parse(R"({"name":"s","address":"11111111111111111111111111111111","instructions":[
    {"name":"a","discriminant":{"type":"u32","value":258},"accounts":[],"args":[]}]})");
  EXPECT_THAT(wide.instructions.at(0).discriminator, ElementsAre(2, 1, 0, 0));
}

TEST(AnchorFile, ErrorsNameFilePathAndRule) {
  EXPECT_THAT(ErrorOf("{"), HasSubstr("t.json: top level: is not JSON"));
  EXPECT_THAT(ErrorOf("[]"), HasSubstr("t.json: top level: an IDL is an object"));
  EXPECT_THAT(ErrorOf("{}"), HasSubstr("t.json: instructions: is required and missing"));
  EXPECT_THAT(std::string(ParseIdl(R"({"instructions":[]})", "t.json", "").status().message()),
              HasSubstr("does not say the program's id"));
  EXPECT_THAT(std::string(ParseIdl(R"({"instructions":[]})", "t.json", "0OIl").status().message()),
              HasSubstr("t.json: top level: the program id given for it, \"0OIl\", is not the base58 text"));
  EXPECT_THAT(std::string(ParseIdl(R"({"instructions":[],"address":"0OIl"})", "t.json", "").status().message()),
              HasSubstr("t.json: address: the program id \"0OIl\" is not the base58 text"));
  EXPECT_THAT(ErrorOf(R"({"instructions":[],"types":[{"name":"A","type":{"kind":"union"}}]})"),
              HasSubstr("types[0].type.kind: \"union\" is not one of struct, enum, type, alias"));
  EXPECT_THAT(ErrorOf(R"({"instructions":[{"name":"a","args":[{"name":"x","type":{"tuple":["u8"]}}]}]})"),
              HasSubstr("instructions[0].args[0].type: \"tuple\" is not one of"));
  EXPECT_THAT(
      ErrorOf(
          R"({"instructions":[],"types":[{"name":"A","type":{"kind":"struct"}},{"name":"A","type":{"kind":"struct"}}]})"),
      HasSubstr("types[1].name: two types of an IDL must not have the same name"));
  EXPECT_EQ(LoadIdl("/nowhere/t.json", "").status().code(), absl::StatusCode::kNotFound);
}

// A Codama file around one instruction argument.
std::string Codama(const std::string& type,
                   const std::string& discriminators = R"([{"kind":"fieldDiscriminatorNode","name":"d","offset":0}])") {
  return R"({"kind":"rootNode","program":{"kind":"programNode","name":"c","publicKey":"11111111111111111111111111111111","instructions":[
    {"kind":"instructionNode","name":"go","accounts":[{"name":"a","isOptional":true}],"discriminators":)" +
         discriminators + R"(,"arguments":[
      {"name":"d","type":{"kind":"numberTypeNode","format":"u16","endian":"le"},"defaultValue":{"kind":"numberValueNode","number":258}},
      {"name":"x","type":)" +
         type + "}]}]}}";
}

TEST(AnchorFile, NamesOfAccountsInGroupsAreBounded) {
  std::string group = R"({"name":"a"})";
  for (int i = 0; i < 60; ++i) group = R"({"name":"a_group_of_accounts","accounts":[)" + group + "]}";
  EXPECT_THAT(ErrorOf(R"({"instructions":[{"name":"i","args":[],"accounts":[)" + group + "]}]}"),
              HasSubstr("with its groups has 519 bytes, a name at most 512"));
}

TEST(CodamaFile, NodesBecomeTypes) {
  const Idl idl = Parse(
      Codama(R"({"kind":"arrayTypeNode","count":{"kind":"remainderCountNode"},"item":{"kind":"structTypeNode","fields":[
    {"name":"o","type":{"kind":"optionTypeNode","fixed":true,"prefix":{"kind":"numberTypeNode","format":"u32"},"item":{"kind":"publicKeyTypeNode"}}},
    {"name":"b","type":{"kind":"sizePrefixTypeNode","prefix":{"kind":"numberTypeNode","format":"u8"},"type":{"kind":"bytesTypeNode"}}}]}})"));
  const IdlInstruction& go = idl.instructions.at(0);
  EXPECT_THAT(go.discriminator, ElementsAre(2, 1));
  EXPECT_THAT(go.optional, ElementsAre(true));
  ASSERT_EQ(go.args.size(), 1u);  // the discriminator is no argument
  EXPECT_EQ(go.args[0].type.kind, IdlType::Kind::kVec);
  EXPECT_EQ(go.args[0].type.prefix_bytes, 0);
  const IdlTypeDef& item = idl.types.at(0);
  EXPECT_EQ(go.args[0].type.args[0].name, item.name);
  EXPECT_TRUE(item.fields.at(0).type.always_there);
  EXPECT_EQ(item.fields.at(1).type.prefix_bytes, 1);
}

TEST(CodamaFile, WhatTheModelCannotSayIsRefusedByItsKind) {
  EXPECT_THAT(ErrorOf(Codama(R"({"kind":"zeroableOptionTypeNode"})")),
              HasSubstr("program.instructions[0].arguments[1].type: zeroableOptionTypeNode is not supported"));
  EXPECT_THAT(ErrorOf(Codama(R"({"kind":"numberTypeNode","format":"u64","endian":"be"})")),
              HasSubstr("numbers are little-endian here"));
  EXPECT_THAT(ErrorOf(Codama(R"({"kind":"numberTypeNode","format":"shortU16"})")),
              HasSubstr("\"shortU16\" is not one of"));
  EXPECT_THAT(
      ErrorOf(Codama(R"({"kind":"definedTypeLinkNode","name":"t","program":{"kind":"programLinkNode","name":"p"}})")),
      HasSubstr("a type of another program"));
  EXPECT_THAT(ErrorOf(Codama(R"({"kind":"publicKeyTypeNode"})", "[]")),
              HasSubstr("an instruction needs a discriminator"));
  EXPECT_THAT(ErrorOf(Codama(R"({"kind":"publicKeyTypeNode"})",
                             R"([{"kind":"fieldDiscriminatorNode","name":"x","offset":0}])")),
              HasSubstr("discriminators[0]: x is not the first field"));
  std::string large = Codama(R"({"kind":"publicKeyTypeNode"})");
  large.replace(large.find(":258}"), 4, ":65536");
  EXPECT_THAT(ErrorOf(large), HasSubstr("arguments[0].defaultValue.number: does not fit 2 bytes"));
  EXPECT_THAT(ErrorOf(R"({"kind":"rootNode","program":{"name":"c","publicKey":"0","definedTypes":[
    {"name":"t","type":{"kind":"publicKeyTypeNode"}},{"name":"t","type":{"kind":"booleanTypeNode"}}]}})"),
              HasSubstr("t.json: program.definedTypes[1].name: two types of an IDL must not have the same name"));
  EXPECT_THAT(
      std::string(
          ParseIdl(R"({"kind":"rootNode","program":{"name":"c","publicKey":"0"}})", "t.json", "").status().message()),
      HasSubstr("t.json: program.publicKey: the program id \"0\" is not the base58 text"));
  EXPECT_THAT(ErrorOf(Codama(R"({"kind":"publicKeyTypeNode"})",
                             R"([{"kind":"fieldDiscriminatorNode","name":"d","offset":4}])")),
              HasSubstr("a discriminator must be at the beginning"));
}

TEST(IdlFile, AnyBytesAreAnAnswer) {
  const std::string some = Codama(R"({"kind":"publicKeyTypeNode"})");
  std::mt19937 random(4);
  for (int i = 0; i < 3000; ++i) {
    std::string text = some;
    for (uint32_t n = 0; n <= random() % 4; ++n)
      text[random() % text.size()] = static_cast<char>(random() % 3 == 0 ? random() : "{}[]\",:0"[random() % 8]);
    if (random() % 4 == 0) text.resize(random() % text.size());
    const auto idl = ParseIdl(text, "t.json", "");
    if (idl.ok()) continue;
    EXPECT_THAT(std::string(idl.status().message()), HasSubstr("t.json: "));
  }
}

}  // namespace
}  // namespace everstate::stack
