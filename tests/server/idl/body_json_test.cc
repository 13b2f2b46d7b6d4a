#include "server/idl/body_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "tests/server/idl/decode.h"

namespace everstate::idl {
namespace {

using ::testing::HasSubstr;

std::string Bytes(std::initializer_list<int> bytes) { return {bytes.begin(), bytes.end()}; }

struct Written {
  std::string text;  // or the error's name
  BodyJson json;
};

Written Write(const stack::Idl& idl, const std::string& bytes, bool pad = false) {
  const auto program = Compile(idl);
  Written written;
  if (program == nullptr) return written;
  // Memory of exactly this size, so that a sanitizer sees every byte beyond.
  const std::vector<uint8_t> exact(bytes.begin(), bytes.end());
  written.json = AppendBodyJson(*program, program->accounts()[0].body, exact, pad, &written.text);
  if (written.json.result.error != DecodeError::kNone) written.text += Name(written.json.result.error);
  return written;
}

std::string TextOf(const stack::IdlType& type, const std::string& bytes, std::vector<stack::IdlTypeDef> types = {}) {
  return Write(BodyIdl({{"x", type}}, std::move(types)), bytes).text;
}

stack::IdlType Prefixed(stack::IdlType type, uint8_t bytes) {
  type.prefix_bytes = bytes;
  return type;
}
stack::IdlType COption(stack::IdlType element) {
  stack::IdlType type = Prefixed(Of(TypeKind::kOption, {std::move(element)}), 4);
  type.always_there = true;
  return type;
}
stack::IdlType Generic(std::string name) {
  stack::IdlType type = Plain(TypeKind::kGeneric);
  type.name = std::move(name);
  return type;
}
stack::IdlType Constant(uint64_t value) {
  stack::IdlType type = Plain(TypeKind::kConst);
  type.count = value;
  return type;
}

TEST(BodyJson, NamesAreTheIdlsOwnAndWideIntegersAreText) {
  const stack::Idl idl =
      BodyIdl({{"zCamel", Plain(TypeKind::kU64)}, {"a_snake", Plain(TypeKind::kU32)}, {"I", Plain(TypeKind::kI64)}});
  const std::string bytes = Bytes({1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0}) + std::string(8, '\xff') + "more";
  const Written written = Write(idl, bytes);
  EXPECT_EQ(written.text, R"({"I":"-1","a_snake":2,"zCamel":"1"})");
  EXPECT_EQ(written.json.bytes, 20u);
}

TEST(BodyJson, SimpleValues) {
  EXPECT_EQ(TextOf(Plain(TypeKind::kU128), std::string(16, '\xff')),
            R"({"x":"340282366920938463463374607431768211455"})");
  EXPECT_EQ(TextOf(Plain(TypeKind::kI128), std::string(15, '\0') + '\x80'),
            R"({"x":"-170141183460469231731687303715884105728"})");
  EXPECT_EQ(TextOf(Plain(TypeKind::kI8), Bytes({255})), R"({"x":-1})");
  EXPECT_EQ(TextOf(Plain(TypeKind::kBool), Bytes({1})), R"({"x":true})");
  EXPECT_EQ(TextOf(Plain(TypeKind::kBool), Bytes({2})), "a bool that is neither 0 nor 1");
  EXPECT_EQ(TextOf(Plain(TypeKind::kBytes), Bytes({2, 0, 0, 0, 7, 255})), R"({"x":[7,255]})");
  EXPECT_EQ(TextOf(Plain(TypeKind::kString), Bytes({2, 0, 0, 0, '"', 'a'})), R"({"x":"\"a"})");
  EXPECT_EQ(TextOf(Plain(TypeKind::kPubkey), std::string(32, '\0')), R"({"x":"11111111111111111111111111111111"})");
  const auto real = [](double value) {
    std::string bytes(8, '\0');
    std::memcpy(bytes.data(), &value, 8);
    return TextOf(Plain(TypeKind::kF64), bytes);
  };
  EXPECT_EQ(real(0.1), R"({"x":0.1})");
  EXPECT_EQ(real(NAN), R"({"x":null})");
  EXPECT_EQ(real(-INFINITY), R"({"x":null})");
}

TEST(BodyJson, AnOptionThatIsAlwaysThereHasItsBytesInAnyCase) {
  const stack::Idl idl = BodyIdl({{"o", COption(Plain(TypeKind::kU16))}, {"after", Plain(TypeKind::kU8)}});
  EXPECT_EQ(Write(idl, Bytes({1, 0, 0, 0, 5, 0, 9})).text, R"({"after":9,"o":5})");
  EXPECT_EQ(Write(idl, Bytes({0, 0, 0, 0, 5, 0, 9})).text, R"({"after":9,"o":null})");
  EXPECT_EQ(Write(idl, Bytes({2, 0, 0, 0, 5, 0, 9})).text, "an option tag that is neither 0 nor 1");
  EXPECT_EQ(Write(idl, Bytes({0, 0, 0, 1, 5, 0, 9})).text, "an option tag that is neither 0 nor 1");
  EXPECT_EQ(Write(idl, Bytes({0, 0, 0, 0, 5})).text, "too short");
  EXPECT_EQ(Compile(idl)->types()[Compile(idl)->accounts()[0].body].fixed_size, 7u);
  // A plan reads the same.
  const auto program = Compile(idl);
  EXPECT_EQ(ReadPath(program, program->accounts()[0].body, {"o"}, Bytes({1, 0, 0, 0, 5, 0, 9})), 5);
  EXPECT_EQ(ReadPath(program, program->accounts()[0].body, {}, Bytes({0, 0, 0, 0, 5, 0, 9})),
            Json::parse(R"({"after":9,"o":null})"));
  EXPECT_EQ(ReadPath(program, program->accounts()[0].body, {"after"}, Bytes({0, 0, 0, 0, 5, 0, 9})), 9);
}

TEST(BodyJson, OtherLengthsAndTags) {
  EXPECT_EQ(TextOf(Prefixed(Plain(TypeKind::kString), 1), "\x02hi"), R"({"x":"hi"})");
  EXPECT_EQ(TextOf(Prefixed(Plain(TypeKind::kBytes), 8), Bytes({1, 0, 0, 0, 0, 0, 0, 0, 3})), R"({"x":[3]})");
  EXPECT_EQ(TextOf(Prefixed(Plain(TypeKind::kBytes), 8), std::string(8, '\xff') + "abc"), "too short");
  EXPECT_EQ(TextOf(Prefixed(Of(TypeKind::kVec, {Plain(TypeKind::kU16)}), 2), Bytes({1, 0, 3, 0})), R"({"x":[3]})");
  EXPECT_EQ(TextOf(Prefixed(Of(TypeKind::kOption, {Plain(TypeKind::kU8)}), 4), Bytes({0, 0, 0, 0})), R"({"x":null})");
  EXPECT_EQ(TextOf(Prefixed(Of(TypeKind::kOption, {Plain(TypeKind::kU8)}), 4), Bytes({1, 0, 0, 0, 7})), R"({"x":7})");
  stack::IdlTypeDef choice;
  choice.name = "Choice";
  choice.is_enum = true;
  choice.tag_bytes = 4;
  choice.variants = {{"A", {}}, {"B", {{"", Plain(TypeKind::kU8)}}}};
  EXPECT_EQ(TextOf(Named("Choice"), Bytes({0, 0, 0, 0}), {choice}), R"({"x":"A"})");
  EXPECT_EQ(TextOf(Named("Choice"), Bytes({1, 0, 0, 0, 6}), {choice}), R"({"x":{"B":[6]}})");
  EXPECT_EQ(TextOf(Named("Choice"), Bytes({0, 1, 0, 0}), {choice}), "an enum index out of range");
}

TEST(BodyJson, UpToTheEnd) {
  EXPECT_EQ(TextOf(Prefixed(Plain(TypeKind::kString), 0), "to the end"), R"({"x":"to the end"})");
  EXPECT_EQ(TextOf(Prefixed(Plain(TypeKind::kString), 0), ""), R"({"x":""})");
  EXPECT_EQ(TextOf(Prefixed(Of(TypeKind::kVec, {Plain(TypeKind::kU16)}), 0), Bytes({1, 0, 2, 0})), R"({"x":[1,2]})");
  EXPECT_EQ(TextOf(Prefixed(Of(TypeKind::kVec, {Plain(TypeKind::kU16)}), 0), Bytes({1, 0, 2})), "too short");
  // Zeros behind it would be content, so it is never filled up.
  const stack::Idl idl = BodyIdl({{"x", Prefixed(Of(TypeKind::kVec, {Plain(TypeKind::kU16)}), 0)}});
  EXPECT_EQ(Write(idl, Bytes({1, 0, 2}), true).text, "too short");
  const auto refused = [](std::vector<stack::IdlField> fields) {
    return std::string(Program::Compile(BodyIdl(std::move(fields), {StructDef("Nothing", {})})).status().message());
  };
  EXPECT_THAT(refused({{"x", Prefixed(Plain(TypeKind::kString), 0)}, {"y", Plain(TypeKind::kU8)}}),
              HasSubstr("is not the last there"));
  EXPECT_THAT(refused({{"x", Of(TypeKind::kVec, {Prefixed(Plain(TypeKind::kString), 0)})}}),
              HasSubstr("is not the last there"));
  EXPECT_THAT(refused({{"x", Prefixed(Of(TypeKind::kVec, {Named("Nothing")}), 0)}}),
              HasSubstr("elements without bytes"));
}

TEST(BodyJson, Maps) {
  EXPECT_EQ(TextOf(Of(TypeKind::kMap, {Plain(TypeKind::kU64), Plain(TypeKind::kU8)}),
                   Bytes({1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 5})),
            R"({"x":{"9":5}})");
  EXPECT_EQ(TextOf(Of(TypeKind::kMap, {Plain(TypeKind::kBool), Plain(TypeKind::kU8)}), Bytes({1, 0, 0, 0, 1, 5})),
            R"({"x":{"true":5}})");
  EXPECT_EQ(TextOf(Of(TypeKind::kMap, {Of(TypeKind::kOption, {Plain(TypeKind::kU8)}), Plain(TypeKind::kU8)}),
                   Bytes({1, 0, 0, 0, 0, 5})),
            R"({"x":[[null,5]]})");
  EXPECT_EQ(
      TextOf(Of(TypeKind::kMap, {Plain(TypeKind::kBool), Plain(TypeKind::kU8)}), Bytes({255, 255, 255, 255, 1, 5})),
      "too short");
}

TEST(BodyJson, GenericsAndAliases) {
  stack::IdlTypeDef inner =
      StructDef("Inner", {{"items", Of(TypeKind::kArray, {Generic("T")})}, {"other", Generic("U")}});
  inner.generics = {"N", "T", "U"};
  inner.fields[0].type.name = "N";
  stack::IdlTypeDef outer = StructDef("Outer", {{"in", Named("Inner")}});
  outer.generics = {"T", "M"};
  outer.fields[0].type.args = {Generic("M"), Generic("T"), Of(TypeKind::kVec, {Generic("T")})};
  stack::IdlTypeDef alias;
  alias.name = "Name";
  alias.alias = Plain(TypeKind::kString);
  stack::IdlType outer_of_u16 = Named("Outer");
  outer_of_u16.args = {Plain(TypeKind::kU16), Constant(2)};
  const stack::Idl idl = BodyIdl({{"o", outer_of_u16}, {"n", Named("Name")}}, {inner, outer, alias});
  EXPECT_EQ(Write(idl, Bytes({1, 0, 2, 0, 1, 0, 0, 0, 3, 0, 1, 0, 0, 0, 'a'})).text,
            R"({"n":"a","o":{"in":{"items":[1,2],"other":[3]}}})");

  const auto refused = [&](const stack::IdlType& type, std::vector<stack::IdlTypeDef> types) {
    return std::string(Program::Compile(BodyIdl({{"x", type}}, std::move(types))).status().message());
  };
  EXPECT_THAT(refused(Named("Outer"), {inner, outer}), HasSubstr("type Outer has 2 generics, and 0 are given"));
  stack::IdlType wrong = Named("Outer");
  wrong.args = {Constant(1), Constant(2)};
  EXPECT_THAT(refused(wrong, {inner, outer}), HasSubstr("the generic T must be a type"));
  EXPECT_THAT(refused(Generic("T"), {}), HasSubstr("the generic T stands for nothing here"));
  stack::IdlTypeDef loop;
  loop.name = "Loop";
  loop.alias = Of(TypeKind::kVec, {Named("Loop")});
  EXPECT_THAT(refused(Named("Loop"), {loop}), HasSubstr("type Loop contains itself"));
  // A type that grows with each step down never ends; one that doubles has too many parts before that.
  stack::IdlTypeDef growing = StructDef("G", {{"g", Named("G")}});
  growing.generics = {"T"};
  growing.fields[0].type.args = {Of(TypeKind::kVec, {Generic("T")})};
  stack::IdlType growing_of_u8 = Named("G");
  growing_of_u8.args = {Plain(TypeKind::kU16)};
  EXPECT_THAT(refused(growing_of_u8, {growing}), HasSubstr("nested deeper than 64"));
  stack::IdlTypeDef pair = StructDef("P", {});
  pair.generics = {"A", "B"};
  stack::IdlType two = Named("P");
  two.args = {Generic("T"), Generic("T")};
  growing.fields[0].type.args = {two};
  EXPECT_THAT(refused(growing_of_u8, {growing, pair}), HasSubstr("grows beyond 4096 parts"));
}

TEST(BodyJson, PackedTypesHaveNoPaddingAlsoInsideOfOthers) {
  stack::IdlTypeDef packed = StructDef("Packed", {{"a", Plain(TypeKind::kU8)}, {"b", Plain(TypeKind::kU32)}});
  packed.serialization = stack::Serialization::kBytemuckUnsafe;
  packed.packed = true;
  stack::Idl idl =
      BodyIdl({{"x", Plain(TypeKind::kU16)}, {"p", Named("Packed")}, {"y", Plain(TypeKind::kU32)}}, {packed});
  idl.accounts[0].serialization = stack::Serialization::kBytemuckUnsafe;
  // 2 + 5, one byte of padding, 4.
  EXPECT_EQ(Write(idl, Bytes({1, 0, 2, 3, 0, 0, 0, 238, 4, 0, 0, 0})).text, R"({"p":{"a":2,"b":3},"x":1,"y":4})");
}

TEST(BodyJson, ZerosForMissingArgumentsAndNothingOnAnError) {
  const stack::Idl idl = BodyIdl({{"a", Plain(TypeKind::kU16)}, {"b", Plain(TypeKind::kBool)}});
  const Written padded = Write(idl, Bytes({7}), true);
  EXPECT_EQ(padded.text, R"({"a":7,"b":false})");
  EXPECT_TRUE(padded.json.result.zeros_padded);
  EXPECT_EQ(padded.json.bytes, 1u);
  EXPECT_FALSE(Write(idl, Bytes({7, 0, 1}), true).json.result.zeros_padded);
  const Written wrong = Write(idl, Bytes({7, 0, 2}), true);
  EXPECT_EQ(wrong.text, "a bool that is neither 0 nor 1");
  EXPECT_EQ(wrong.json.result.offset, 2u);
}

TEST(BodyJson, WhatWouldFillAllMemoryIsRefused) {
  // 4096 structs of 4096 structs without bytes in each element of one byte.
  std::vector<stack::IdlField> many;
  for (int i = 0; i < 4096; ++i) many.push_back({"n" + std::to_string(i), Named("Nothing")});
  std::vector<stack::IdlField> more;
  for (int i = 0; i < 4096; ++i) more.push_back({"m" + std::to_string(i), Named("Many")});
  more.push_back({"b", Plain(TypeKind::kU8)});
  more.erase(more.begin());
  const stack::Idl idl = BodyIdl({{"x", Of(TypeKind::kVec, {Named("More")})}},
                                 {StructDef("Nothing", {}), StructDef("Many", many), StructDef("More", more)});
  EXPECT_EQ(Write(idl, Bytes({5, 0, 0, 0, 1, 2, 3, 4, 5})).text,
            "elements without bytes, nesting too deep, or more than 64 MiB of values");
}

TEST(BodyJson, ATextIsNeverLargerThanItsBound) {
  const std::string bytes(20 << 20, '\xff');  // four characters each
  stack::IdlType rest = Plain(TypeKind::kBytes);
  const Written written = Write(BodyIdl({{"x", Prefixed(rest, 0)}}), bytes);
  EXPECT_EQ(written.json.result.error, DecodeError::kTooLarge);
  EXPECT_EQ(written.text, Name(DecodeError::kTooLarge));
}

}  // namespace
}  // namespace everstate::idl
