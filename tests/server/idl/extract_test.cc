#include "server/idl/extract.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <cstddef>
#include <cstring>

#include "server/idl/body_json.h"
#include "tests/server/idl/decode.h"

namespace everstate::idl {
namespace {

using ::testing::HasSubstr;

constexpr auto kU8 = TypeKind::kU8, kU32 = TypeKind::kU32, kU64 = TypeKind::kU64, kString = TypeKind::kString,
               kVec = TypeKind::kVec, kOption = TypeKind::kOption, kMap = TypeKind::kMap, kArray = TypeKind::kArray,
               kBool = TypeKind::kBool;

std::string Bytes(std::initializer_list<int> bytes) { return {bytes.begin(), bytes.end()}; }

Json ReadBody(const stack::Idl& idl, std::vector<std::string> path, const std::string& bytes, bool pad = false) {
  const auto program = Compile(idl);
  return ReadPath(program, program->accounts()[0].body, std::move(path), bytes, pad);
}

TEST(Plan, FieldsByKeyOrAsWrittenAndTuplesByPosition) {
  stack::IdlTypeDef pair;
  pair.name = "Pair";
  pair.is_tuple = true;
  pair.fields = {{"", Plain(kU8)}, {"", Plain(kU32)}};
  const stack::Idl idl = BodyIdl({{"isAuto", Plain(kBool)}, {"thePair", Named("Pair")}}, {pair});
  const std::string bytes = Bytes({1, 7, 9, 0, 0, 0});
  EXPECT_EQ(ReadBody(idl, {"is_auto"}, bytes), true);
  EXPECT_EQ(ReadBody(idl, {"isAuto"}, bytes), true);
  EXPECT_EQ(ReadBody(idl, {"thePair", "1"}, bytes), 9);
  EXPECT_EQ(ReadBody(idl, {}, bytes), Json::parse(R"({"is_auto":true,"the_pair":[7,9]})"));

  const auto program = Compile(idl);
  ShapeTable shapes;
  for (const std::vector<std::string>& path :
       {std::vector<std::string>{"nope"}, {"the_pair", "2"}, {"the_pair", "x"}, {"is_auto", "a"}}) {
    const auto plan = Plan::Compile(program, program->accounts()[0].body, {{path, 0}}, &shapes);
    EXPECT_EQ(plan.status().code(), absl::StatusCode::kNotFound);
    EXPECT_THAT(std::string(plan.status().message()), HasSubstr("there is no field " + path[0]));
  }
}

TEST(Plan, ValuesPointIntoTheBody) {
  const auto program =
      Compile(BodyIdl({{"n", Plain(kU64)}, {"key", Plain(TypeKind::kPubkey)}, {"text", Plain(kString)}}));
  ShapeTable shapes;
  const auto plan = Plan::Compile(program, program->accounts()[0].body, {{{"text"}, 0}, {{"key"}, 1}}, &shapes);
  ASSERT_TRUE(plan.ok());
  const std::string body = std::string(8, '\1') + std::string(32, '\2') + Bytes({2, 0, 0, 0}) + "hi";
  Arena arena;
  Value registers[2];
  ASSERT_EQ(plan->Run(Span(body), false, &arena, registers).error, DecodeError::kNone);
  EXPECT_EQ(registers[0].tag, ValueTag::kText);
  EXPECT_EQ(reinterpret_cast<const char*>(registers[0].data), body.data() + 44);
  EXPECT_EQ(registers[1].tag, ValueTag::kKey32);
  EXPECT_EQ(reinterpret_cast<const char*>(registers[1].data), body.data() + 8);
}

TEST(Plan, MapsArePassedOverButNotRead) {
  const stack::Idl idl = BodyIdl({{"m", Of(kMap, {Plain(kString), Plain(kU8)})}, {"after", Plain(kU8)}});
  EXPECT_EQ(ReadBody(idl, {"after"}, Bytes({2, 0, 0, 0, 1, 0, 0, 0, 'a', 5, 0, 0, 0, 0, 6, 42})), 42);
  EXPECT_EQ(ReadBody(idl, {"after"}, Bytes({255, 255, 255, 255, 1, 0, 0, 0, 'a', 5})), "too short");
  const auto program = Compile(idl);
  ShapeTable shapes;
  for (const std::vector<std::string>& path : {std::vector<std::string>{}, {"m"}}) {
    const auto plan = Plan::Compile(program, program->accounts()[0].body, {{path, 0}}, &shapes);
    EXPECT_EQ(plan.status().code(), absl::StatusCode::kUnimplemented);
    EXPECT_THAT(std::string(plan.status().message()),
                HasSubstr(path.empty() ? "the whole body holds a map" : "field m holds a map"));
  }
}

TEST(Plan, FaultsAreNamedWithTheirPlace) {
  stack::IdlTypeDef choice;
  choice.name = "Choice";
  choice.is_enum = true;
  choice.variants = {{"A", {}}, {"B", {}}};
  const struct {
    stack::IdlType type;
    std::string bytes;
    DecodeError error;
    uint32_t offset;
  } cases[] = {
      {Plain(kBool), Bytes({2}), DecodeError::kBadBool, 1},
      {Of(kOption, {Plain(kU8)}), Bytes({2, 0}), DecodeError::kBadOptionTag, 1},
      {Named("Choice"), Bytes({2}), DecodeError::kBadEnumIndex, 1},
      {Plain(kString), Bytes({2, 0, 0, 0, 0xc0, 0x80}), DecodeError::kBadUtf8, 5},
      {Plain(kString), Bytes({9, 0, 0, 0, 'a'}), DecodeError::kTooShort, 5},
      {Of(kVec, {Plain(kU64)}), Bytes({255, 255, 255, 255, 0, 0}), DecodeError::kTooShort, 1},
      {Of(kVec, {Named("Nothing")}), Bytes({255, 255, 255, 255, 0, 0}), DecodeError::kTooLarge, 1},
      {Of(kVec, {Of(kVec, {Named("Nothing")})}), Bytes({1, 0, 0, 0, 255, 255, 255, 255}), DecodeError::kTooLarge, 5},
  };
  for (const auto& c : cases) {
    const auto program = Compile(BodyIdl({{"before", Plain(kU8)}, {"x", c.type}}, {choice, StructDef("Nothing", {})}));
    ShapeTable shapes;
    const auto plan = Plan::Compile(program, program->accounts()[0].body, {{{"before"}, 0}, {{"x"}, 1}}, &shapes);
    ASSERT_TRUE(plan.ok());
    Arena arena;
    Value registers[2];
    registers[1] = Value::Uint(77);
    const DecodeResult result = plan->Run(Span('\5' + c.bytes), false, &arena, registers);
    EXPECT_EQ(result.error, c.error);
    EXPECT_EQ(result.offset, c.offset) << Name(result.error);
    EXPECT_EQ(registers[0].uint, 5u);   // read before the fault
    EXPECT_EQ(registers[1].uint, 77u);  // untouched
  }
}

// A byte can stand for a long name: what becomes of a body is bounded besides by what it has.
TEST(Plan, AValueIsBoundedHoweverLongItsNamesAre) {
  stack::IdlTypeDef choice;
  choice.name = "Choice";
  choice.is_enum = true;
  choice.variants = {{std::string(100'000, 'A'), {}}};
  const stack::Idl idl = BodyIdl({{"x", Of(kVec, {Named("Choice")})}}, {choice});
  const std::string names = Bytes({232, 3, 0, 0}) + std::string(1000, '\0');
  EXPECT_EQ(ReadBody(idl, {"x"}, names), Json(std::string(Name(DecodeError::kTooLarge))));
}

TEST(Plan, ABodyMustBeWholeWhateverIsWantedOfIt) {
  const stack::Idl idl = BodyIdl({{"a", Plain(kU8)}, {"b", Plain(kU64)}, {"c", Of(kVec, {Plain(kU32)})}});
  const std::string whole = Bytes({3, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0});
  EXPECT_EQ(ReadBody(idl, {"a"}, whole), 3);
  EXPECT_EQ(ReadBody(idl, {"a"}, whole + "more"), 3);
  for (size_t n = 0; n < whole.size(); ++n) EXPECT_EQ(ReadBody(idl, {"a"}, whole.substr(0, n)), "too short") << n;
}

TEST(Plan, ZerosForMissingArguments) {
  const stack::Idl idl = BodyIdl({{"a", Plain(kU32)},
                                  {"list", Of(kVec, {Plain(kU32)})},
                                  {"o", Of(kOption, {Plain(kU64)})},
                                  {"flag", Plain(kBool)},
                                  {"big", Of(kArray, {Plain(kU64)}, 500)}});
  const auto program = Compile(idl);
  ShapeTable shapes;
  const auto plan = Plan::Compile(program, program->accounts()[0].body,
                                  {{{"a"}, 0}, {{"list"}, 1}, {{"o"}, 2}, {{"flag"}, 3}}, &shapes);
  ASSERT_TRUE(plan.ok());
  Arena arena;
  Value r[4];
  // Cut inside the second element of the list.
  const DecodeResult cut = plan->Run(Span(Bytes({1, 2, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0, 9})), true, &arena, r);
  EXPECT_EQ(cut.error, DecodeError::kNone);
  EXPECT_TRUE(cut.zeros_padded);
  EXPECT_EQ(r[0].uint, 513u);
  EXPECT_EQ(ToJson(r[1], shapes), Json::parse("[7,9]"));
  EXPECT_EQ(r[2].tag, ValueTag::kNull);
  EXPECT_EQ(r[3].tag, ValueTag::kFalse);
  EXPECT_TRUE(plan->Run({}, true, &arena, r).zeros_padded);
  EXPECT_EQ(r[0].uint, 0u);
  // Whole arguments are not padded, faults stay faults, and a length may not promise gigabytes.
  const DecodeResult whole = plan->Run(Span(std::string(5000, '\0')), true, &arena, r);
  EXPECT_EQ(whole.error, DecodeError::kNone);
  EXPECT_FALSE(whole.zeros_padded);
  EXPECT_EQ(plan->Run(Span(Bytes({1, 2, 0, 0, 0, 0, 0, 0, 5})), true, &arena, r).error, DecodeError::kBadOptionTag);
  EXPECT_EQ(plan->Run(Span(Bytes({1, 2, 0, 0, 255, 255, 255, 255})), true, &arena, r).error, DecodeError::kTooShort);
}

// No instruction has so many bytes, so that it is not its end that is missing.
TEST(Plan, NoMoreZerosThanAnInstructionHas) {
  for (const uint64_t words : {10u << 7, (10u << 7) + 1}) {
    const auto program = Compile(BodyIdl({{"big", Of(kArray, {Plain(kU64)}, words)}}));
    ShapeTable shapes;
    const auto plan = Plan::Compile(program, program->accounts()[0].body, {{{"big"}, 0}}, &shapes);
    ASSERT_TRUE(plan.ok());
    Arena arena;
    Value value;
    EXPECT_EQ(plan->Run(Span(Bytes({1})), true, &arena, &value).zeros_padded, words == 10u << 7);
    std::string text;
    EXPECT_EQ(AppendBodyJson(*program, program->accounts()[0].body, Span(Bytes({1})), true, &text).result.zeros_padded,
              words == 10u << 7);
  }
}

TEST(Plan, TypesMayContainThemselvesBehindAList) {
  const stack::Idl idl =
      BodyIdl({{"t", Named("Tree")}}, {StructDef("Tree", {{"v", Plain(kU8)}, {"c", Of(kVec, {Named("Tree")})}})});
  EXPECT_EQ(ReadBody(idl, {"t"}, Bytes({1, 2, 0, 0, 0, 2, 0, 0, 0, 0, 3, 0, 0, 0, 0})),
            Json::parse(R"({"v":1,"c":[{"v":2,"c":[]},{"v":3,"c":[]}]})"));
  std::string deep;
  for (int i = 0; i < 1000; ++i) deep += Bytes({1, 1, 0, 0, 0});
  EXPECT_EQ(ReadBody(idl, {"t"}, deep), "elements without bytes, nesting too deep, or more than 64 MiB of values");
}

TEST(Plan, FloatsThatAreNoNumbersAreNull) {
  const stack::Idl idl = BodyIdl({{"a", Plain(TypeKind::kF32)}, {"b", Plain(TypeKind::kF64)}});
  const float a = 0.1f;
  const double b = std::numeric_limits<double>::quiet_NaN();
  std::string bytes(12, '\0');
  std::memcpy(bytes.data(), &a, 4);
  std::memcpy(bytes.data() + 4, &b, 8);
  EXPECT_EQ(ReadBody(idl, {}, bytes), Json::parse(R"({"a":0.10000000149011612,"b":null})"));
}

// The oracle of a repr(C) layout is the C++ compiler's own.
struct Inner {
  uint8_t a;
  uint32_t b;
};
struct Natural {
  uint8_t flag;
  uint64_t amount;
  uint16_t parts[3];
  Inner inner[2];
  uint8_t key[32];
  Uint128 wide;
  uint8_t last;
};

stack::Idl NaturalIdl(stack::Serialization serialization) {
  stack::Idl idl = BodyIdl({{"flag", Plain(kBool)},
                            {"amount", Plain(kU64)},
                            {"parts", Of(kArray, {Plain(TypeKind::kU16)}, 3)},
                            {"inner", Of(kArray, {Named("Inner")}, 2)},
                            {"key", Plain(TypeKind::kPubkey)},
                            {"wide", Plain(TypeKind::kU128)},
                            {"last", Plain(kU8)}},
                           {StructDef("Inner", {{"a", Plain(kU8)}, {"b", Plain(kU32)}})});
  idl.accounts[0].serialization = serialization;
  return idl;
}

TEST(Bytemuck, UnsafeHasNaturalAlignment) {
  const auto program = Compile(NaturalIdl(stack::Serialization::kBytemuckUnsafe));
  const TypeId body = program->accounts()[0].body;
  EXPECT_EQ(program->types()[body].fixed_size, sizeof(Natural));
  Natural value;
  std::memset(&value, 0xee, sizeof value);
  value.flag = 3;  // any byte, and a number
  value.amount = 12345;
  value.parts[0] = 1, value.parts[1] = 2, value.parts[2] = 3;
  value.inner[0] = {4, 5};
  value.inner[1] = {6, 7};
  std::memset(value.key, 0, 32);
  value.wide = 9;
  value.last = 10;
  const std::string bytes(reinterpret_cast<const char*>(&value), sizeof value);
  EXPECT_EQ(ReadPath(program, body, {}, bytes),
            Json::parse(R"({"flag":3,"amount":12345,"parts":[1,2,3],"inner":[{"a":4,"b":5},{"a":6,"b":7}],
                            "key":"11111111111111111111111111111111","wide":"9","last":10})"));
  EXPECT_EQ(ReadPath(program, body, {"last"}, bytes), 10);
  EXPECT_EQ(ReadPath(program, body, {"flag"}, bytes.substr(0, bytes.size() - 1)), "too short");
}

TEST(Bytemuck, SafeHasNoPadding) {
  const auto program = Compile(NaturalIdl(stack::Serialization::kBytemuck));
  EXPECT_EQ(program->types()[program->accounts()[0].body].fixed_size, 1u + 8 + 6 + 2 * 5 + 32 + 16 + 1);
}

// An account that grows from block to block needs a little more each time.
TEST(Arena, ValuesThatGrowLeaveNothingBehind) {
  const auto held = [] {
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
  };
  Arena arena;
  const size_t before = held();
  for (size_t round = 0; round < 1000; ++round) {
    arena.Clear();
    (void)arena.Allocate((200 << 10) + (round << 10));
  }
  EXPECT_LT(held() - before, size_t{8} << 20);
}

TEST(Arena, KeepsAddressesAndMemory) {
  Arena arena;
  const std::string_view first = arena.Copy("first");
  std::vector<std::string_view> copies;
  for (int i = 0; i < 5000; ++i)
    copies.push_back(arena.Copy(std::string(static_cast<size_t>(i % 300), static_cast<char>('a' + i % 26))));
  const std::string_view large = arena.Copy(std::string(1 << 20, 'x'));
  EXPECT_EQ(first, "first");
  EXPECT_EQ(large.size(), size_t{1} << 20);
  for (int i = 0; i < 5000; ++i)
    ASSERT_EQ(copies[static_cast<size_t>(i)],
              std::string(static_cast<size_t>(i % 300), static_cast<char>('a' + i % 26)));
  arena.Clear();
  EXPECT_EQ(arena.Copy("again").data(), first.data());
}

}  // namespace
}  // namespace everstate::idl
