#include "server/idl/layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/stack/stack.h"
#include "tests/server/idl/decode.h"
#include "tests/support/source_dir.h"

namespace everstate::idl {
namespace {

using ::testing::HasSubstr;

TEST(Casing, AsTheFormatHasIt) {
  EXPECT_EQ(SnakeCase("isAuto"), "is_auto");
  EXPECT_EQ(SnakeCase("myIDL"), "my_i_d_l");
  EXPECT_EQ(SnakeCase("Already_snake"), "already_snake");
  EXPECT_EQ(SnakeCase(""), "");
  EXPECT_EQ(PascalCase("claimSol"), "ClaimSol");
  EXPECT_EQ(PascalCase("create_v2"), "CreateV2");
  EXPECT_EQ(PascalCase("__a_b"), "AB");
}

TEST(ShapeTable, TheSameKeysAreOneShape) {
  ShapeTable shapes;
  EXPECT_EQ(shapes.Intern({"a", "b"}), 0u);
  EXPECT_EQ(shapes.Intern({"a"}), 1u);
  EXPECT_EQ(shapes.Intern({"a", "b"}), 0u);
  EXPECT_EQ(shapes.shapes()[1].keys, std::vector<std::string>{"a"});
}

stack::IdlAccount Account(std::string name, std::vector<uint8_t> discriminator,
                          std::vector<stack::IdlField> fields = {}) {
  stack::IdlAccount account;
  account.name = std::move(name);
  account.discriminator = std::move(discriminator);
  account.fields = std::move(fields);
  return account;
}

int MatchAccount(const Program& program, const std::string& data) { return program.MatchAccount(Span(data)); }

TEST(Match, TheLongestDiscriminatorWinsThenTheLength) {
  stack::Idl idl = EmptyIdl();
  idl.accounts = {Account("One", {1}), Account("Two", {1, 2}), Account("Nine", {1, 2, 3, 4, 5, 6, 7, 8, 9}),
                  Account("OtherNine", {1, 2, 3, 4, 5, 6, 7, 8, 10}),
                  Account("Exact", {}, {{"x", Plain(TypeKind::kU32)}})};
  const auto program = Compile(idl);
  EXPECT_EQ(MatchAccount(*program, "\x01"), 0);
  EXPECT_EQ(MatchAccount(*program, "\x01\x03"), 0);
  EXPECT_EQ(MatchAccount(*program, "\x01\x02"), 1);
  EXPECT_EQ(MatchAccount(*program, "\x01\x02\x03\x04\x05\x06\x07\x08"), 1);
  EXPECT_EQ(MatchAccount(*program, "\x01\x02\x03\x04\x05\x06\x07\x08\x09"), 2);
  EXPECT_EQ(MatchAccount(*program, "\x01\x02\x03\x04\x05\x06\x07\x08\x0a"), 3);
  EXPECT_EQ(MatchAccount(*program, "\x02\x02\x02\x02"), 4);
  EXPECT_EQ(MatchAccount(*program, "\x01\x02\x03\x04"), 1);  // its bytes say more than its length
  EXPECT_EQ(MatchAccount(*program, "\x02\x02\x02"), -1);
  EXPECT_EQ(MatchAccount(*program, ""), -1);
}

TEST(Match, InstructionsByDiscriminantSize) {
  stack::Idl idl = EmptyIdl();
  stack::IdlInstruction a, b;
  a.name = "do_a";
  a.discriminator = {7, 0, 0, 0, 0, 0, 0, 0};
  b.name = "doB";
  b.discriminator = {8};
  idl.instructions = {a, b};
  idl.discriminant_size = 1;
  const auto steel = Compile(idl);
  EXPECT_EQ(steel->instructions()[0].discriminator, std::vector<uint8_t>{7});
  EXPECT_EQ(steel->instructions()[0].name, "DoA");
  EXPECT_EQ(steel->instructions()[1].name, "DoB");
  EXPECT_EQ(steel->MatchInstruction(Span("\x07\x55")), 0);
  EXPECT_EQ(steel->MatchInstruction(Span("\x08")), 1);
  EXPECT_EQ(steel->MatchInstruction(Span("")), -1);
  idl.discriminant_size = 8;
  const auto anchor = Compile(idl);
  EXPECT_EQ(anchor->MatchInstruction(Span("\x07\x55")), -1);
  EXPECT_EQ(anchor->MatchInstruction(Span(std::string("\x07\0\0\0\0\0\0\0", 8))), 0);
  EXPECT_EQ(anchor->MatchInstruction(Span("\x08\x55")), 1);
}

TEST(Match, EventsBehindTheTag) {
  stack::Idl idl = EmptyIdl();
  idl.types = {StructDef("E", {})};
  idl.events = {{"E", {1, 2, 3, 4, 5, 6, 7, 8}}};
  const auto program = Compile(idl);
  const std::string tag(reinterpret_cast<const char*>(kCpiEventTag.data()), kCpiEventTag.size());
  EXPECT_EQ(program->MatchCpiEvent(Span(tag + "\x01\x02\x03\x04\x05\x06\x07\x08")), 0);
  EXPECT_EQ(program->MatchCpiEvent(Span(tag + "\x01\x02\x03\x04\x05\x06\x07")), -1);
  EXPECT_EQ(program->MatchCpiEvent(Span("\x01\x02\x03\x04\x05\x06\x07\x08")), -1);
  EXPECT_EQ(program->MatchCpiEvent(Span(tag)), -1);
}

TEST(Match, TokenAccountsByTheirLength) {
  auto stack = stack::LoadStack(InSource("tests/stacks/SplStream.stack.json"));
  ASSERT_TRUE(stack.ok()) << stack.status();
  const auto program = Compile((*stack)->idls[0]);
  const auto name_of = [&](size_t bytes) {
    const int index = program->MatchAccount(Span(std::string(bytes, '\0')));
    return index < 0 ? "none" : program->accounts()[static_cast<size_t>(index)].name;
  };
  EXPECT_EQ(name_of(82), "Mint");
  EXPECT_EQ(name_of(165), "Token");
  EXPECT_EQ(name_of(355), "Multisig");
  EXPECT_EQ(name_of(83), "none");
  EXPECT_EQ(name_of(0), "none");
}

void ExpectRefused(const stack::Idl& idl, const std::string& item, const std::string& rule) {
  const auto program = Program::Compile(idl);
  ASSERT_FALSE(program.ok()) << rule;
  EXPECT_EQ(program.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(program.status().message()), HasSubstr("IDL test: " + item + ": "));
  EXPECT_THAT(std::string(program.status().message()), HasSubstr(rule));
}

TEST(Refused, WhatTheBytesCannotTellApart) {
  stack::Idl idl = EmptyIdl();
  idl.accounts = {Account("A", {1}), Account("B", {1})};
  ExpectRefused(idl, "accounts.B", "discriminator of another");
  idl.accounts = {Account("A", {}, {{"x", Plain(TypeKind::kU32)}}), Account("B", {}, {{"x", Plain(TypeKind::kF32)}})};
  ExpectRefused(idl, "accounts.B", "length of another");
  idl.accounts = {Account("A", {}, {{"x", Plain(TypeKind::kString)}})};
  ExpectRefused(idl, "accounts.A", "no fixed length");
  idl.accounts = {Account("A", {})};
  ExpectRefused(idl, "accounts.A", "no fixed length");
  idl.accounts.clear();
  stack::IdlInstruction instruction;
  instruction.name = "i";
  instruction.discriminator = {1};
  idl.instructions = {instruction, instruction};
  idl.instructions[1].name = "j";
  ExpectRefused(idl, "instructions.j", "discriminator of another");
}

// A stack asks for all of these by name.
TEST(Refused, WhatNamesCannotTellApart) {
  stack::Idl idl = EmptyIdl();
  idl.accounts = {Account("A", {1}), Account("A", {2})};
  ExpectRefused(idl, "accounts.A", "has the name of another one");
  idl.accounts.clear();
  stack::IdlInstruction instruction;
  instruction.name = "claim_sol";
  instruction.discriminator = {1};
  idl.instructions = {instruction, instruction};
  idl.instructions[1].name = "claimSol";
  idl.instructions[1].discriminator = {2};
  ExpectRefused(idl, "instructions.claimSol", "has the name of another one");
  idl.instructions.resize(1);
  idl.instructions[0].accounts = {"payer", "mint", "payer"};
  ExpectRefused(idl, "instructions.claim_sol", "has two accounts called payer");
  idl.instructions.clear();
  idl.events = {{"E", {1}, std::vector<stack::IdlField>()}, {"E", {2}, std::vector<stack::IdlField>()}};
  ExpectRefused(idl, "events.E", "has the name of another one");
}

TEST(Refused, TypesThatCannotBe) {
  ExpectRefused(BodyIdl({{"x", Named("Nowhere")}}), "accounts.Body.x", "type Nowhere is not defined");
  ExpectRefused(
      BodyIdl({{"x", Named("A")}}, {StructDef("A", {{"a", Named("B")}}), StructDef("B", {{"b", Named("A")}})}),
      "types.A", "contains itself without end");
  ExpectRefused(BodyIdl({{"x", Named("A")}}, {StructDef("A", {{"a", Of(TypeKind::kArray, {Named("A")}, 2)}})}),
                "types.A", "contains itself without end");
  ExpectRefused(BodyIdl({{"fooBar", Plain(TypeKind::kU8)}, {"foo_bar", Plain(TypeKind::kU8)}}), "accounts.Body",
                "JSON key foo_bar");
  ExpectRefused(BodyIdl({{"x", Of(TypeKind::kArray, {Named("A")}, 3)}}, {StructDef("A", {})}), "accounts.Body.x",
                "without bytes");
  ExpectRefused(
      BodyIdl({{"x", Of(TypeKind::kArray, {Of(TypeKind::kArray, {Plain(TypeKind::kU128)}, 1 << 20)}, 1 << 20)}}),
      "accounts.Body.x", "larger than");
  ExpectRefused(BodyIdl({{"x", Of(TypeKind::kArray, {Plain(TypeKind::kU8)}, UINT32_MAX)}}), "accounts.Body.x",
                "too long");
  stack::IdlType deep = Plain(TypeKind::kU8);
  for (int i = 0; i < 100; ++i) deep = Of(TypeKind::kOption, {deep});
  ExpectRefused(BodyIdl({{"x", deep}}), "accounts.Body.x", "nested deeper");
  stack::Idl idl = EmptyIdl();
  idl.events = {{"E", {1}}};
  ExpectRefused(idl, "events.E", "no type of its name");
  idl = BodyIdl({{"x", Plain(TypeKind::kString)}});
  idl.accounts[0].serialization = stack::Serialization::kBytemuck;
  ExpectRefused(idl, "accounts.Body.x", "fixed size only");
  idl = EmptyIdl();
  idl.program_id = "0";
  ExpectRefused(idl, "program_id", "base58");
}

TEST(Sizes, LeastAndFixed) {
  stack::IdlTypeDef choice;
  choice.name = "Choice";
  choice.is_enum = true;
  choice.variants = {{"A", {{"", Plain(TypeKind::kU32)}}}, {"B", {{"", Plain(TypeKind::kF32)}}}};
  stack::IdlTypeDef loose = choice;
  loose.name = "Loose";
  loose.variants.push_back({"C", {}});
  const auto program = Compile(BodyIdl({{"a", Named("Choice")},
                                        {"b", Of(TypeKind::kArray, {Plain(TypeKind::kU128)}, 3)},
                                        {"c", Named("Loose")},
                                        {"d", Of(TypeKind::kOption, {Plain(TypeKind::kU64)})},
                                        {"e", Plain(TypeKind::kString)}},
                                       {choice, loose}));
  const Type& body = program->types()[program->accounts()[0].body];
  const auto at = [&](size_t field) -> const Type& { return program->types()[body.fields[field].type]; };
  EXPECT_EQ(at(0).fixed_size, 5u);  // all variants are equally long
  EXPECT_EQ(at(1).fixed_size, 48u);
  EXPECT_FALSE(at(2).fixed_size);
  EXPECT_EQ(at(2).min_size, 1u);
  EXPECT_FALSE(body.fixed_size);
  EXPECT_EQ(body.min_size, 5u + 48 + 1 + 1 + 4);
}

}  // namespace
}  // namespace everstate::idl
