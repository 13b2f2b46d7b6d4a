#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/idl/decode.h"

namespace everstate::idl {
namespace {

using ::testing::HasSubstr;

// Structs of two of the next one each: 2^depth bytes.
std::vector<stack::IdlTypeDef> Doubling(int depth, const stack::IdlType& leaf) {
  std::vector<stack::IdlTypeDef> types;
  for (int i = 0; i < depth; ++i) {
    const stack::IdlType next = i + 1 == depth ? leaf : Named("T" + std::to_string(i + 1));
    types.push_back(StructDef("T" + std::to_string(i), {{"a", next}, {"b", next}}));
  }
  return types;
}

// Each type is looked at once, however often it is inside of others.
TEST(TypeTable, TypesThatDoubleAreCompiledInStepsOfTheirNumber) {
  stack::Idl idl = BodyIdl({{"x", Named("T0")}}, Doubling(60, Plain(TypeKind::kU8)));
  idl.accounts[0].serialization = stack::Serialization::kBytemuckUnsafe;
  const auto refused = Program::Compile(idl);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("types.T35: the type is larger than 16777216 bytes"));
  idl = BodyIdl({{"x", Named("T0")}}, Doubling(16, Plain(TypeKind::kU16)));
  idl.accounts[0].serialization = stack::Serialization::kBytemuckUnsafe;
  const auto program = Compile(idl);
  EXPECT_EQ(program->types()[program->accounts()[0].body].fixed_size, 2u << 16);
}

TEST(TypeTable, APlanPassesOverTypesThatDouble) {
  const stack::Idl idl = BodyIdl({{"x", Named("T0")}, {"after", Plain(TypeKind::kU8)}},
                                 Doubling(14, Of(TypeKind::kOption, {Plain(TypeKind::kU8)})));
  const auto program = Compile(idl);
  const TypeId body = program->accounts()[0].body;
  std::string bytes;
  for (size_t i = 0; i < size_t{1} << 14; ++i) bytes += i % 3 == 1 ? std::string("\1\5", 2) : std::string(1, '\0');
  EXPECT_EQ(ReadPath(program, body, {"after"}, bytes + "\x2a"), 42);
  EXPECT_EQ(ReadPath(program, body, {"after"}, bytes), "too short");
  EXPECT_EQ(ReadPath(program, body, {"x", "b"}, bytes + "\x2a").size(), 2u);
  bytes[bytes.size() - 1] = '\2';
  EXPECT_EQ(ReadPath(program, body, {"after"}, bytes + "\x2a"), "an option tag that is neither 0 nor 1");
}

// 60,000 forms of a type with 4000 fields would be gigabytes.
TEST(TypeTable, WhatGenericsMakeOfAnIdlIsBounded) {
  stack::IdlTypeDef wide = StructDef("Wide", {{"items", Of(TypeKind::kArray, {Plain(TypeKind::kU8)})}});
  wide.generics = {"N"};
  wide.fields[0].type.name = "N";
  for (int i = 0; i < 4000; ++i) wide.fields.push_back({"field" + std::to_string(i), Plain(TypeKind::kU8)});
  stack::Idl idl = BodyIdl({}, {wide});
  for (uint64_t n = 0; n < 60'000; ++n) {
    stack::IdlType use = Named("Wide");
    use.args.push_back(Of(TypeKind::kConst, {}, n + 1));
    if (n % 1000 == 0) idl.types.push_back(StructDef("Uses" + std::to_string(n / 1000), {}));
    idl.types.back().fields.push_back({"use" + std::to_string(n), use});
  }
  for (size_t i = 0; i < 60; ++i)
    idl.accounts[0].fields.push_back({"uses" + std::to_string(i), Named("Uses" + std::to_string(i))});
  const auto refused = Program::Compile(idl);
  EXPECT_EQ(refused.status().message(),
            "IDL test: top level: its types and what generics make of them take more than 16 MiB");
}

// What may be in a type whose name could not be read is not judged as if it were not there.
TEST(TypeTable, AnAccountWhoseTypeMayBeUnreadIsLeftOut) {
  stack::Idl idl = EmptyIdl();
  idl.types = {StructDef("", {{"x", Plain(TypeKind::kU8)}}), StructDef("Known", {{"x", Plain(TypeKind::kU8)}})};
  for (const char* name : {"Unknown", "Known"}) {
    idl.accounts.emplace_back();
    idl.accounts.back().name = name;
    idl.accounts.back().discriminator = {static_cast<uint8_t>(idl.accounts.size())};
  }
  stack::Diagnostics diagnostics("test.stack.json");
  const stack::Place place = stack::Place(&diagnostics).At("idls", 0);
  (void)place.At("types", 0).At("name").Invalid("is required and missing");
  const auto program = Program::Compile(idl, place);
  EXPECT_TRUE(program->accounts()[0].faulty);
  EXPECT_FALSE(program->accounts()[1].faulty);
  EXPECT_EQ(diagnostics.findings().size(), 1u);
}

TEST(TypeTable, WhatIsInATypeWithAFindingIsLeftOutWithIt) {
  // Inner is whole by itself, but holds the type that it is in.
  stack::Idl idl = BodyIdl({{"o", Named("Outer")}},
                           {StructDef("Outer", {{"in", Of(TypeKind::kVec, {Named("Inner")})}, {"x", Named("Nowhere")}}),
                            StructDef("Inner", {{"out", Named("Outer")}})});
  idl.accounts.push_back(idl.accounts[0]);
  idl.accounts[1].name = "Second";
  idl.accounts[1].discriminator = {2};
  idl.accounts[1].fields[0].type = Named("Inner");
  stack::Diagnostics diagnostics("test.stack.json");
  const auto program = Program::Compile(idl, stack::Place(&diagnostics));
  EXPECT_EQ(diagnostics.findings().size(), 1u);
  EXPECT_TRUE(program->accounts()[0].faulty);
  EXPECT_TRUE(program->accounts()[1].faulty);
}

}  // namespace
}  // namespace everstate::idl
