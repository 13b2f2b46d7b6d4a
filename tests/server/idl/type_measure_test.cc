#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "tests/server/idl/decode.h"

namespace everstate::idl {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

stack::IdlType ToTheEnd(stack::IdlType type) {
  type.prefix_bytes = uint8_t{0};
  return type;
}

stack::IdlAccount AccountOf(std::string name, uint8_t discriminator, std::vector<stack::IdlField> fields) {
  stack::IdlAccount account;
  account.name = std::move(name);
  account.discriminator = {discriminator};
  account.fields = std::move(fields);
  return account;
}

std::map<std::string, std::string> RulesByPath(const stack::Diagnostics& diagnostics) {
  std::map<std::string, std::string> rules;
  for (const stack::Finding& finding : diagnostics.findings()) rules[finding.path] = finding.rule;
  return rules;
}

// All at once, each where it is, and nothing for what only contains it.
TEST(Measure, EveryFaultOfSizeIsAFindingOfItsOwn) {
  stack::IdlType optional = Of(TypeKind::kOption, {Plain(TypeKind::kString)});
  optional.always_there = true;
  stack::Idl idl = EmptyIdl();
  idl.types = {StructDef("HoldsBoth", {{"ring", Named("Ring")}, {"big", Named("Big")}}),
               StructDef("Ring", {{"next", Named("Link")}}),
               StructDef("Link", {{"x", Plain(TypeKind::kU8)}, {"back", Named("Ring")}}),
               StructDef("Self", {{"me", Of(TypeKind::kArray, {Named("Self")}, 2)}}),
               StructDef("Big", {{"many", Of(TypeKind::kArray, {Plain(TypeKind::kU64)}, 4u << 20)},
                                 {"more", Plain(TypeKind::kU8)}}),
               StructDef("Nothing", {}),
               StructDef("Good", {{"x", Plain(TypeKind::kU32)}})};
  idl.accounts = {
      AccountOf("Both", 1, {{"holds", Named("HoldsBoth")}}),
      AccountOf("Endless", 2, {{"self", Named("Self")}}),
      AccountOf("Nothings", 3, {{"n", Of(TypeKind::kArray, {Named("Nothing")}, 3)}}),
      AccountOf("Open", 4, {{"text", ToTheEnd(Plain(TypeKind::kString))}, {"behind", Plain(TypeKind::kU8)}}),
      AccountOf("There", 5, {{"o", optional}}),
      AccountOf("Sound", 6, {{"good", Named("Good")}})};
  stack::Diagnostics diagnostics("test.stack.json");
  const auto program = Program::Compile(idl, stack::Place(&diagnostics).At("idls", 0));
  EXPECT_THAT(
      RulesByPath(diagnostics),
      ElementsAre(Pair("idls[0].accounts.Nothings.n", "an array of elements without bytes"),
                  Pair("idls[0].accounts.Open", "something goes on to the end of the data and is not the last there"),
                  Pair("idls[0].accounts.There.o", "a value that is always there must be of fixed size"),
                  Pair("idls[0].types.Big.many", "the type is larger than 16777216 bytes"),
                  Pair("idls[0].types.Ring", "the type contains itself without end"),
                  Pair("idls[0].types.Self", "the type contains itself without end")));
  // What has nothing of all this can still be looked at for more findings.
  for (const AccountLayout& account : program->accounts())
    EXPECT_EQ(account.faulty, account.name != "Sound") << account.name;
}

}  // namespace
}  // namespace everstate::idl
