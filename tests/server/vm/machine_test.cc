// The machine over hand-made blocks: order, keys, when, stop, hooks, lookups, faults, batches.
#include "server/vm/machine.h"

#include "tests/server/vm/vm_fixture.h"

namespace everstate::vm {
namespace {

constexpr char kSlotSource[] = R"({"FromContext":{"field":"slot"}})";
constexpr char kIndexOnOwner[] = R"({"field_name":"owner","temporal_field":null})";

std::string Set(const std::string& target, const std::string& source, const std::string& condition = "null") {
  return R"({"SetField":{"target_field":")" + target + R"(","source":)" + source + R"(,"condition":)" + condition +
         "}}";
}
std::string Increment(const std::string& target, int by, const std::string& condition = "null") {
  return R"({"IncrementField":{"target_field":")" + target + R"(","increment_by":)" + std::to_string(by) +
         R"(,"condition":)" + condition + "}}";
}

TEST(MachineTest, OneMutationPerEntityAndBlockWithRanksInOrderOfFirstTouch) {
  World world({Deeds({Mapping("n", From("data"), "Count"), Mapping("last", From("data.amount"), "LastWrite")})});
  const BatchRef batch = world.Run(
      BlockBuilder(5).Transaction(1, {{DoIt(7), {2, 0}}, {DoIt(8), {1, 0}}}).Transaction(2, {{DoIt(9), {2, 0}}}));
  ASSERT_EQ(batch->mutations.size(), 2u);
  EXPECT_EQ(batch->mutations[0].key, KeyText(2));
  EXPECT_EQ(batch->mutations[0].cursor, (Cursor{5, 1}));
  EXPECT_EQ(batch->mutations[1].key, KeyText(1));
  EXPECT_EQ(batch->mutations[1].cursor, (Cursor{5, 2}));
  EXPECT_EQ(world.Field(KeyText(2), "n"), "2");
  EXPECT_EQ(world.Field(KeyText(2), "last"), "9");
  EXPECT_EQ(batch->mutations[0].cause.transaction_index, 1u);
  EXPECT_EQ((*batch->mutations[0].cause.signature)[0], 2);
  EXPECT_EQ(batch->mutations[1].cause.transaction_index, 0u);
}

TEST(MachineTest, AnUnchangedEntityHasNoMutationAndTakesNoRank) {
  World world({Deeds({Mapping("last", From("data.amount"), "LastWrite")})});
  world.Run(BlockBuilder(5).Transaction(1, {{DoIt(7), {1, 0}}}));
  const BatchRef batch = world.Run(BlockBuilder(6).Transaction(1, {{DoIt(7), {1, 0}}, {DoIt(3), {2, 0}}}));
  ASSERT_EQ(batch->mutations.size(), 1u);
  EXPECT_EQ(batch->mutations[0].key, KeyText(2));
  EXPECT_EQ(batch->mutations[0].cursor.index, 1u);
}

TEST(MachineTest, FailedTransactionsContributeNothing) {
  World world({Deeds({Mapping("n", From("data"), "Count")})});
  const BatchRef batch = world.Run(BlockBuilder(5).Transaction(1, {{DoIt(7), {1, 0}}}, {}, true));
  EXPECT_TRUE(batch->mutations.empty());
  EXPECT_EQ(world.machine->counters().transactions_failed, 1u);
}

TEST(MachineTest, InstructionsOfOtherProgramsAreIgnoredAndUnknownOnesCounted) {
  World world({Deeds({Mapping("n", From("data"), "Count")})});
  const BatchRef batch = world.Run(BlockBuilder(5).Transaction(
      1, {{DoIt(7), {1, 0}, "11111111111111111111111111111112"}, {"\x63zz", {1, 0}}, {"", {}}}));
  EXPECT_TRUE(batch->mutations.empty());
  EXPECT_EQ(world.machine->counters().instructions_unknown, 2u);
  EXPECT_EQ(world.machine->counters().instructions_matched, 0u);
}

TEST(MachineTest, AccountsOfOtherOwnersAndUnknownAndClosedOnesTouchNothing) {
  World world({Things({Mapping("amount", From("amount"), "LastWrite")})});
  const Thing thing{.id = 1, .amount = 5};
  const BatchRef batch = world.Run(BlockBuilder(5)
                                       .Account(1, thing.Bytes(), {}, 1, "11111111111111111111111111111112")
                                       .Account(2, "some other bytes")
                                       .Account(3, thing.Bytes(), {}, 0));
  EXPECT_TRUE(batch->mutations.empty());
  EXPECT_EQ(world.machine->counters().accounts_unknown, 1u);
  EXPECT_EQ(world.machine->counters().accounts_closed, 1u);
}

TEST(MachineTest, TheCauseOfAnAccountWriteIsItsTransaction) {
  World world({Things({Mapping("amount", From("amount"), "LastWrite")})});
  const BatchRef batch = world.Run(BlockBuilder(5)
                                       .Transaction(1, {})
                                       .Transaction(2, {})
                                       .Account(1, Thing{.amount = 1}.Bytes(), 2)
                                       .Account(2, Thing{.amount = 1}.Bytes(), 9)
                                       .Account(3, Thing{.amount = 1}.Bytes()));
  ASSERT_EQ(batch->mutations.size(), 3u);
  EXPECT_EQ(batch->mutations[0].cause.transaction_index, 1u);
  EXPECT_FALSE(batch->mutations[1].cause.transaction_index.has_value());
  EXPECT_EQ((*batch->mutations[1].cause.signature)[63], 9);
  EXPECT_FALSE(batch->mutations[2].cause.signature.has_value());
}

TEST(MachineTest, KeysOfEveryKindAreText) {
  EntityText entity;
  entity.handlers = {Handler(kThing, "id", {Mapping("x", From("amount"), "LastWrite")})};
  EntityText wide = entity;
  wide.name = "W";
  wide.handlers = {Handler(kThing, "big", {Mapping("x", From("amount"), "LastWrite")})};
  EntityText negative = entity;
  negative.name = "N";
  negative.handlers = {Handler(kThing, "delta", {Mapping("x", From("amount"), "LastWrite")})};
  World world({entity, wide, negative});
  world.Run(BlockBuilder(5).Account(1, Thing{.id = 42, .amount = 3, .delta = -7, .big = 77}.Bytes()));
  EXPECT_EQ(world.Field("42", "x", 0), "3");
  EXPECT_EQ(world.Field("77", "x", 1), "3");
  EXPECT_EQ(world.Field("-7", "x", 2), "3");
}

TEST(MachineTest, ANullKeyTouchesNothingAndIsCounted) {
  EntityText entity;
  entity.handlers = {Handler(kThing, "maybe", {Mapping("x", From("amount"), "LastWrite")})};
  World world({entity});
  EXPECT_TRUE(world.Run(BlockBuilder(5).Account(1, Thing{.amount = 3}.Bytes()))->mutations.empty());
  EXPECT_EQ(world.Faults(FaultReason::kKeyNull), 1u);
  world.Run(BlockBuilder(6).Account(1, Thing{.amount = 3, .maybe = 12}.Bytes()));
  EXPECT_EQ(world.Field("12", "x"), "3");
}

TEST(MachineTest, AMissingInstructionAccountIsNull) {
  World world({Deeds({Mapping("user", From("accounts.user"), "LastWrite"), Mapping("n", From("data"), "Count")})});
  world.Run(BlockBuilder(5).Transaction(1, {{DoIt(1), {1, 2}}}));
  EXPECT_EQ(world.Field(KeyText(1), "user"), '"' + KeyText(2) + '"');
  world.Run(BlockBuilder(6).Transaction(1, {{DoIt(1), {1}}}));
  EXPECT_EQ(world.Field(KeyText(1), "user"), "null");
  world.Run(BlockBuilder(7).Transaction(1, {{DoIt(1), {}}}));
  EXPECT_EQ(world.Faults(FaultReason::kKeyNull), 1u);
}

TEST(MachineTest, ShortArgumentsCountAsZerosAndShortAccountsAreSkipped) {
  World world({Deeds({Mapping("delta", From("data.delta"), "LastWrite")}), [] {
                 EntityText things = Things({Mapping("end", From("endAt"), "LastWrite")});
                 things.name = "T";
                 return things;
               }()});
  const std::string whole = Thing{.end_at = 9}.Bytes();
  world.Run(BlockBuilder(5)
                .Transaction(1, {{DoIt(1).substr(0, 12), {1, 0}}})
                .Account(2, whole.substr(0, whole.size() - 1))
                .Account(3, whole));
  EXPECT_EQ(world.Field(KeyText(1), "delta"), "0");
  EXPECT_EQ(world.Faults(FaultReason::kArgumentsPadded), 1u);
  EXPECT_EQ(world.Faults(FaultReason::kAccountDecode), 1u);
  EXPECT_EQ(world.Field(KeyText(2), "end", 1), "no row");
  EXPECT_EQ(world.Field(KeyText(3), "end", 1), "9");
}

TEST(MachineTest, TwoHandlersOfOneTypeRunOneAfterTheOther) {
  EntityText entity;
  entity.handlers = {Handler(kDoIt, "accounts.target", {Mapping("n", From("data"), "Count")}),
                     Handler(kDoIt, "accounts.user", {Mapping("m", From("data"), "Count")})};
  World world({entity});
  const BatchRef batch = world.Run(BlockBuilder(5).Transaction(1, {{DoIt(1), {1, 2}}}));
  ASSERT_EQ(batch->mutations.size(), 2u);
  EXPECT_EQ(world.Field(KeyText(1), "n"), "1");
  EXPECT_EQ(world.Field(KeyText(1), "m"), "absent");
  EXPECT_EQ(world.Field(KeyText(2), "m"), "1");
}

TEST(MachineTest, WhenHoldsForAccountsWritableInASuccessfulTransactionWithTheInstruction) {
  World world({Things({Mapping("amount", From("amount"), "LastWrite"),
                       Mapping("frozen", From("amount"), "LastWrite", R"(,"when":"mini::FreezeIxState")")})});
  world.Run(BlockBuilder(5)
                .Transaction(1, {{"\n", {1}}}, {1, 2})     // freezes; 1 and 2 are writable
                .Transaction(2, {{"\n", {3}}}, {3}, true)  // failed
                .Transaction(3, {{DoIt(1), {4, 0}}}, {4})  // another instruction
                .Account(1, Thing{.amount = 11}.Bytes(), 1)
                .Account(2, Thing{.amount = 12}.Bytes(), 3)  // written last by another transaction
                .Account(3, Thing{.amount = 13}.Bytes(), 2)
                .Account(4, Thing{.amount = 14}.Bytes(), 3));
  EXPECT_EQ(world.Field(KeyText(1), "frozen"), "11");
  EXPECT_EQ(world.Field(KeyText(2), "frozen"), "12");
  EXPECT_EQ(world.Field(KeyText(3), "frozen"), "absent");
  EXPECT_EQ(world.Field(KeyText(4), "frozen"), "absent");
  EXPECT_EQ(world.Field(KeyText(4), "amount"), "14");
  world.Run(BlockBuilder(6).Account(1, Thing{.amount = 21}.Bytes()));  // it holds within its slot only
  EXPECT_EQ(world.Field(KeyText(1), "frozen"), "11");
}

TEST(MachineTest, StopTakesEffectAfterTheSlotInWhichItIsSeen) {
  EntityText entity = Things({Mapping("before", From("amount"), "SetOnce", R"(,"stop":"mini::HaltIxState")")});
  entity.hooks = {Hook(kHalt, "accounts.target", {Set("__stop:before", R"({"Constant":true})")})};
  World world({entity});
  world.Run(BlockBuilder(5).Account(1, Thing{.amount = 1}.Bytes()));
  world.Run(BlockBuilder(6).Account(1, Thing{.amount = 2}.Bytes()));
  EXPECT_EQ(world.Field(KeyText(1), "before"), "2");  // the population counts for nothing beside `stop`
  const BatchRef batch =
      world.Run(BlockBuilder(7).Transaction(1, {{"\v", {1}}}).Account(1, Thing{.amount = 3}.Bytes()));
  EXPECT_EQ(world.Field(KeyText(1), "before"), "3");
  ASSERT_EQ(batch->side.size(), 1u);
  EXPECT_EQ(batch->side[0].key, (SideKey{SideKind::kStopFlag, 0, 0, KeyText(1)}));
  world.Run(BlockBuilder(8).Account(1, Thing{.amount = 4}.Bytes()));
  EXPECT_EQ(world.Field(KeyText(1), "before"), "3");
  EXPECT_TRUE(world.Run(BlockBuilder(9).Transaction(1, {{"\v", {1}}}))->side.empty());  // nothing new to remember
}

TEST(MachineTest, HooksRunAfterTheHandlersOfTheirEventAndHonourTheirConditions) {
  EntityText entity = Deeds({Mapping("n", From("data"), "Count")});
  entity.hooks = {
      Hook(kDoIt, "accounts.target",
           {Set("at", kSlotSource), Increment("large", 3, Compare("data.amount", "GreaterThanOrEqual", "100")),
            Set("by", From("accounts.user"), Compare("data.amount", "Equal", "7"))})};
  World world({entity});
  world.Run(BlockBuilder(5).Transaction(1, {{DoIt(100), {1, 2}}, {DoIt(99), {1, 2}}, {DoIt(101), {1, 2}}}));
  EXPECT_EQ(world.Field(KeyText(1), "at"), "5");
  EXPECT_EQ(world.Field(KeyText(1), "large"), "6");
  EXPECT_EQ(world.Field(KeyText(1), "by"), "absent");
  world.Run(BlockBuilder(6).Transaction(1, {{DoIt(7), {1, 2}}}));
  EXPECT_EQ(world.Field(KeyText(1), "by"), '"' + KeyText(2) + '"');
  EXPECT_EQ(world.AllFaults(), 0u);
}

TEST(MachineTest, AHookWithoutLookupServesTheEntityThatTheHandlerReached) {
  EntityText entity = Deeds({Mapping("n", From("data"), "Count")});
  entity.hooks = {Hook(kDoIt, "", {Set("at", kSlotSource)})};
  World world({entity});
  world.Run(BlockBuilder(5).Transaction(1, {{DoIt(1), {3, 2}}}));
  EXPECT_EQ(world.Field(KeyText(3), "at"), "5");
  world.Run(BlockBuilder(6).Transaction(1, {{DoIt(1), {}}}));  // no key: one fault, not one for each that needs it
  EXPECT_EQ(world.Faults(FaultReason::kKeyNull), 1u);
  EXPECT_EQ(world.AllFaults(), 1u);
}

TEST(MachineTest, TransactionsOfWhichOnlyOuterInstructionsAreKnownAreCounted) {
  World world({Deeds({Mapping("n", From("data"), "Count")})});
  BlockBuilder block(5);
  block.Transaction(1, {{DoIt(1), {1, 2}}}).Transaction(2, {{DoIt(1), {1, 2}}}).Transaction(3, {}, {}, true);
  std::vector<TransactionUpdate> transactions = block.block().transactions;
  transactions[1].inner_missing = transactions[2].inner_missing = true;
  world.machine->Begin(block.block().id, &world.view);
  for (const TransactionUpdate& t : transactions) ASSERT_TRUE(world.machine->Feed(t).ok());
  ASSERT_TRUE(world.machine->Seal().ok());
  EXPECT_EQ(world.machine->counters().inner_missing, 1u);  // a failed one contributes nothing anyway
}

TEST(MachineTest, LookupByLeadsToAnEntityThroughKeyIndexOrPda) {
  EntityText entity = Things({Mapping("owner", From("owner"), "LastWrite")});
  entity.indexes = {kIndexOnOwner};
  entity.hooks = {Hook(kHalt, "accounts.target", {Set("halted", kSlotSource)})};
  World world({entity});
  const BatchRef batch = world.Run(BlockBuilder(6).Account(1, Thing{.owner = 7}.Bytes()));
  ASSERT_EQ(batch->side.size(), 1u);
  EXPECT_EQ(batch->side[0].key, (SideKey{SideKind::kLookupIndex, 0, 0, KeyText(7)}));
  EXPECT_EQ(batch->side[0].value, KeyText(1));

  world.Run(BlockBuilder(7).Transaction(1, {{"\v", {1}}}));  // the key itself
  EXPECT_EQ(world.Field(KeyText(1), "halted"), "7");
  world.Run(BlockBuilder(8).Transaction(1, {{"\v", {7}}}));  // the index
  EXPECT_EQ(world.Field(KeyText(1), "halted"), "8");
  world.view.sides[{SideKind::kPda, 0, 0, KeyText(9)}] = KeyText(7);
  world.Run(BlockBuilder(9).Transaction(1, {{"\v", {9}}}));  // an address that leads to what the index knows
  EXPECT_EQ(world.Field(KeyText(1), "halted"), "9");
  EXPECT_EQ(world.Sides(SideKind::kWaiting), 0u);
  world.view.sides[{SideKind::kPda, 0, 0, KeyText(8)}] = KeyText(8);
  world.Run(BlockBuilder(10).Transaction(1, {{"\v", {8}}}));  // a circle ends
  EXPECT_GT(world.Sides(SideKind::kWaiting), 0u);
  world.Run(BlockBuilder(11).Transaction(1, {{"\v", {}}}));  // null is never looked up
  EXPECT_EQ(world.Faults(FaultReason::kKeyNull), 1u);
  EXPECT_EQ(world.AllFaults(), 1u);
}

TEST(MachineTest, LookupFindsWhatTheSameBlockWrote) {
  EntityText entity = Deeds({Mapping("owner", From("accounts.user"), "LastWrite")});
  entity.indexes = {kIndexOnOwner};
  entity.hooks = {Hook(kHalt, "accounts.target", {Set("halted", kSlotSource)})};
  World world({entity});
  world.Run(BlockBuilder(5).Transaction(1, {{DoIt(1), {1, 7}}, {"\v", {7}}}));
  EXPECT_EQ(world.Field(KeyText(1), "halted"), "5");
  EXPECT_EQ(world.AllFaults(), 0u);
}

TEST(MachineTest, NullIsNeverIndexedAndAnUnchangedIndexIsNotWritten) {
  EntityText entity = Deeds({Mapping("owner", From("accounts.user"), "LastWrite")});
  entity.indexes = {kIndexOnOwner};
  World world({entity});
  EXPECT_TRUE(world.Run(BlockBuilder(5).Transaction(1, {{DoIt(1), {1}}}))->side.empty());
  EXPECT_EQ(world.Run(BlockBuilder(6).Transaction(1, {{DoIt(1), {1, 7}}}))->side.size(), 1u);
  EXPECT_TRUE(world.Run(BlockBuilder(7).Transaction(1, {{DoIt(1), {1, 7}}}))->side.empty());
}

TEST(MachineTest, AnErrorOfTheViewStopsTheBlock) {
  World world({Deeds({Mapping("n", From("data"), "Count")})});
  world.view.error = absl::DataLossError("torn");
  BlockBuilder block(5);
  block.Transaction(1, {{DoIt(1), {1, 2}}});
  world.machine->Begin(block.block().id, &world.view);
  EXPECT_EQ(world.machine->Feed(block.block().transactions[0]).code(), absl::StatusCode::kDataLoss);
  world.view.error = absl::OkStatus();
  world.Run(block);  // Begin drops what the broken block left
  EXPECT_EQ(world.Field(KeyText(1), "n"), "1");
}

TEST(MachineTest, TheSameBlockOnTheSameViewGivesTheSameBatch) {
  EntityText entity = Deeds({Mapping("n", From("data"), "Count"), Mapping("u", From("accounts.user"), "UniqueCount"),
                             Mapping("owner", From("accounts.user"), "LastWrite")});
  entity.indexes = {kIndexOnOwner};
  World one({entity}), other({entity});
  BlockBuilder block(5);
  for (uint8_t i = 1; i < 60; ++i) block.Transaction(i, {{DoIt(i), {i % 7, i % 11}}, {DoIt(i), {i % 5, i % 13}}});
  const std::string first = Describe(*one.Project(block));
  EXPECT_EQ(first, Describe(*one.Project(block)));
  EXPECT_EQ(first, Describe(*other.Project(block)));
  EXPECT_GT(first.size(), 1000u);
  const BatchRef batch = one.Project(block);
  for (size_t i = 1; i < batch->side.size(); ++i) EXPECT_LT(batch->side[i - 1].key, batch->side[i].key);
}

TEST(MachineTest, FaultsKeepOneSampleEach) {
  World world({Deeds({Mapping("s", From("data.ratio"), "Sum"), Mapping("n", From("data"), "Count")})});
  world.Run(BlockBuilder(5).Transaction(1, {{DoIt(1, 0, 0.5), {1, 0}}}));
  world.Run(BlockBuilder(6).Transaction(1, {{DoIt(1, 0, 0.5), {2, 0}}}));
  const std::vector<Fault> faults = world.machine->faults();
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_EQ(faults[0].entity, "E");
  EXPECT_EQ(faults[0].handler, kDoIt);
  EXPECT_EQ(faults[0].reason, FaultReason::kSumType);
  EXPECT_EQ(faults[0].count, 2u);
  EXPECT_EQ(faults[0].sample_slot, 5u);
  EXPECT_EQ(faults[0].sample, "s");
  EXPECT_EQ(world.Field(KeyText(2), "n"), "1");  // the rest went on
}

}  // namespace
}  // namespace everstate::vm
