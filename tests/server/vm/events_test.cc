// Events: those that instructions carry, those that only a log says, and those that are said both ways.
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/server/vm/vm_fixture.h"

namespace everstate::vm {
namespace {

constexpr char kOther[] = "11111111111111111111111111111112";
constexpr char kEd25519[] = "Ed25519SigVerify111111111111111111111111111";

EntityText Booms(const std::vector<std::string>& mappings) {
  EntityText entity;
  entity.handlers = {Handler(kBoom, "data.who", mappings)};
  return entity;
}
const std::vector<std::string> kCounted = {Mapping("n", From("data"), "Count"),
                                           Mapping("sum", From("data.amount"), "Sum"),
                                           Mapping("last", From("data.amount"), "LastWrite")};

std::string Invoke(uint32_t height, const std::string& program = kProgramId) {
  return absl::StrCat("Program ", program, " invoke [", height, "]");
}
std::string Success(const std::string& program = kProgramId) { return absl::StrCat("Program ", program, " success"); }
std::string Says(const std::string& event) { return absl::StrCat("Program data: ", absl::Base64Escape(event)); }
InstructionText Deed(uint32_t height = 1, const std::string& program = kProgramId) {
  return {DoIt(1), {1, 2}, program, height};
}
InstructionText Carries(int who, uint64_t amount, uint32_t height = 2) {
  return {BoomData(who, amount), {}, kProgramId, height};
}

TEST(EventTest, AnInstructionCarriesIt) {
  EntityText entity = Booms(kCounted);
  entity.hooks = {
      Hook(kBoom, "data.who",
           {R"({"IncrementField":{"target_field":"flags","increment_by":1,"condition":)" +
                Compare("data.flag", "Equal", "true") + "}}",
            R"({"SetField":{"target_field":"at","source":{"FromContext":{"field":"slot"}},"condition":null}})"})};
  World world({entity});
  world.Run(BlockBuilder(5).Transaction(
      1, {Deed(), {BoomData(3, 7, true), {}, kProgramId, 2}, Carries(3, 5), Carries(4, 1)}));
  EXPECT_EQ(world.Field(KeyText(3), "n"), "2");
  EXPECT_EQ(world.Field(KeyText(3), "sum"), "12");
  EXPECT_EQ(world.Field(KeyText(3), "last"), "5");
  EXPECT_EQ(world.Field(KeyText(3), "flags"), "1");
  EXPECT_EQ(world.Field(KeyText(4), "at"), "5");
  EXPECT_EQ(world.AllFaults(), 0u);
}

TEST(EventTest, PathsGoIntoItsFieldsWithOrWithoutData) {
  World world({Booms({Mapping("whole", R"("WholeSource")", "LastWrite"), Mapping("bare", From("amount"), "LastWrite"),
                      Mapping("event", R"({"AsEvent":{"fields":[)" + From("data.amount") + "]}}", "Append")})});
  world.Run(BlockBuilder(5, 900).Transaction(1, {Carries(3, 7)}));
  EXPECT_EQ(world.Field(KeyText(3), "whole"),
            absl::StrCat(R"({"data":{"amount":7,"flag":false,"who":")", KeyText(3), R"("}})"));
  EXPECT_EQ(world.Field(KeyText(3), "bare"), "7");
  EXPECT_TRUE(absl::StrContains(world.Field(KeyText(3), "event"), R"([{"data":{"amount":7},"signature":")"));
  EXPECT_TRUE(absl::StrContains(world.Field(KeyText(3), "event"), R"("slot":5,"timestamp":900}])"));
}

TEST(EventTest, FailedTransactionsAndForeignProgramsSayNothing) {
  World world({Booms(kCounted)});
  world.Run(BlockBuilder(5)
                .Transaction(1, {Carries(3, 7)}, {}, true)
                .Transaction(2, {{BoomData(3, 7), {}, kOther, 1}})
                .Log({Invoke(1, kOther), Says(Boom(3, 7)), Success(kOther)}));
  EXPECT_EQ(world.Field(KeyText(3), "n"), "no row");
}

TEST(EventTest, AShortOneIsCountedAndTheRestGoesOn) {
  World world({Booms(kCounted)});
  const std::string whole = BoomData(3, 7);
  world.Run(BlockBuilder(5).Transaction(1, {{whole.substr(0, whole.size() - 1), {}}, Carries(3, 5, 1)}));
  EXPECT_EQ(world.Field(KeyText(3), "n"), "1");
  EXPECT_EQ(world.Faults(FaultReason::kEventDecode), 1u);
}

TEST(EventTest, OneThatOnlyTheLogSaysCounts) {
  World world({Booms(kCounted)});
  world.Run(BlockBuilder(5)
                .Transaction(1, {Deed(1, kOther), Deed(2)})
                .Log({Invoke(1, kOther), "Program log: hello", Invoke(2), Says(Boom(3, 7)), "Program log: success",
                      "Program return: " + std::string(kProgramId) + " AA==", Success(), Success(kOther)}));
  EXPECT_EQ(world.Field(KeyText(3), "last"), "7");
  EXPECT_EQ(world.machine->counters().events_logged, 1u);
  EXPECT_EQ(world.machine->counters().logs_incomplete, 0u);
}

TEST(EventTest, OneThatIsSaidBothWaysCountsOnce) {
  World world({Booms(kCounted)});
  // Twice the same event, each written both ways, and a third time in the log only.
  const BlockBuilder block =
      std::move(BlockBuilder(5)
                    .Transaction(1, {Deed(), Carries(3, 7), Carries(3, 7), Deed(), Carries(3, 7)})
                    .Log({Invoke(1), Says(Boom(3, 7)), Invoke(2), Success(), Says(Boom(3, 7)), Invoke(2), Success(),
                          Says(Boom(3, 7)), Success(), Invoke(1), Invoke(2), Success(), Says(Boom(3, 7)), Success()}));
  world.Run(block);
  EXPECT_EQ(world.Field(KeyText(3), "n"), "4");
  EXPECT_EQ(world.machine->counters().events_twice, 3u);
  EXPECT_EQ(world.machine->counters().events_logged, 1u);
}

TEST(EventTest, WhatTheLogSaysStandsWhereItWasSaid) {
  World world(
      {Booms({Mapping("first", From("data.amount"), "SetOnce"), Mapping("last", From("data.amount"), "LastWrite"),
              Mapping("all", From("data.amount"), "Append")})});
  // The precompiled check leaves no line; the log's event stands between the two that instructions carry.
  world.Run(BlockBuilder(5)
                .Transaction(1, {{"x", {}, kEd25519, 1}, Deed(), Carries(3, 1), Deed(2, kOther), Carries(3, 3)})
                .Log({Invoke(1), Invoke(2), Success(), Invoke(2, kOther), Success(kOther), Says(Boom(3, 2)), Invoke(2),
                      Success(), Success()}));
  EXPECT_EQ(world.Field(KeyText(3), "all"), "[1,2,3]");
  EXPECT_EQ(world.machine->counters().logs_incomplete, 0u);
}

TEST(EventTest, ALogThatDoesNotSayAllIsCounted) {
  World world({Booms(kCounted)});
  const auto incomplete = [&] { return world.machine->counters().logs_incomplete; };
  world.Run(BlockBuilder(5).Transaction(1, {Deed()}).Log({Invoke(1), Says(Boom(3, 1)), "Log truncated"}));
  EXPECT_EQ(incomplete(), 1u);
  EXPECT_EQ(world.Field(KeyText(3), "n"), "1");  // what it did say counts
  // More invocations than instructions, and an invocation of another program than the instruction's.
  world.Run(BlockBuilder(6).Transaction(1, {Deed()}).Log({Invoke(1), Invoke(2), Says(Boom(3, 1))}));
  world.Run(BlockBuilder(7).Transaction(1, {Deed(1, kOther)}).Log({Invoke(1), Says(Boom(3, 1)), Success()}));
  EXPECT_EQ(incomplete(), 3u);
  EXPECT_EQ(world.Field(KeyText(3), "n"), "1");
  // Lines that are none of it.
  world.Run(BlockBuilder(8)
                .Transaction(1, {Deed()})
                .Log({Says(Boom(3, 1)), Invoke(1), "Program data: !!!", "Program data: ", Says("unknown"), Success(),
                      Success(), "", "Program "}));
  EXPECT_EQ(world.Field(KeyText(3), "n"), "1");
  EXPECT_EQ(incomplete(), 3u);
  EXPECT_EQ(world.AllFaults(), 0u);
}

}  // namespace
}  // namespace everstate::vm
