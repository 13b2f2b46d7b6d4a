// Keys that lead to entities: indexes, addresses that lead on, and the events that wait until they do.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/server/vm/vm_fixture.h"

namespace everstate::vm {
namespace {

const std::string kRegister = absl::StrCat(R"({"RegisterPdaMapping":{"pda_field":)", PathJson("accounts.from"),
                                           R"(,"seed_field":)", PathJson("accounts.to"), R"(,"lookup_name":"any"}})");
const std::string kSlotField = R"({"FromContext":{"field":"slot"}})";

// Entities by `who` of a Boom. Thing accounts and do_it instructions are led there by their address.
EntityText Led(const std::vector<std::string>& things = {Mapping("amount", From("amount"), "LastWrite")},
               const std::vector<std::string>& deeds = {Mapping("deeds", From("data"), "Count"),
                                                        Mapping("all", From("data.amount"), "Append")}) {
  EntityText entity;
  entity.handlers = {Handler(kBoom, "data.who", {Mapping("booms", From("data"), "Count")}),
                     LookupHandler(kThing, "__account_address", things),
                     LookupHandler(kDoIt, "accounts.target", deeds)};
  entity.hooks = {Hook(kLink, "", {kRegister, kRegister})};
  entity.resolver_hooks = absl::StrCat(R"([{"account_type":")", kThing, R"(","strategy":{"PdaReverseLookup":)",
                                       R"({"lookup_name":"any","queue_discriminators":[[12]]}}}])");
  return entity;
}

InstructionText Link(int from, int to) { return {kLinkData, {from, to}}; }
InstructionText Exists(int who) { return {BoomData(who, 1), {}}; }
InstructionText Deed(int target, uint64_t amount = 1) { return {DoIt(amount), {target, 0}}; }
std::string ThingOf(uint64_t amount, int owner = 0) { return Thing{.owner = owner, .amount = amount}.Bytes(); }

constexpr int kA = 21, kB = 22, kC = 23, kKey = 7, kOtherKey = 8;

TEST(LookupTest, AnAddressLeadsToAnEntityOverSeveralHops) {
  World world({Led()});
  world.Run(
      BlockBuilder(5).Transaction(1, {Exists(kKey), Link(kB, kKey), Link(kA, kB), Deed(kA)}).Account(kA, ThingOf(11)));
  EXPECT_EQ(world.Field(KeyText(kKey), "amount"), "11");
  EXPECT_EQ(world.Field(KeyText(kKey), "deeds"), "1");
  EXPECT_EQ(world.Sides(SideKind::kPda), 2u);
  world.Run(BlockBuilder(6).Transaction(1, {Exists(kOtherKey), Link(kB, kOtherKey)}).Account(kA, ThingOf(12)));
  EXPECT_EQ(world.Field(KeyText(kOtherKey), "amount"), "12");  // it leads elsewhere now
  EXPECT_EQ(world.Field(KeyText(kKey), "amount"), "11");
  EXPECT_EQ(world.AllFaults(), 0u);
  EXPECT_EQ(world.Sides(SideKind::kWaiting), 0u);
}

TEST(LookupTest, AHandlerThatIsLedFeedsTheIndexesToo) {
  EntityText entity =
      Led({Mapping("address", From("__account_address"), "SetOnce"), Mapping("amount", From("amount"), "Sum")});
  entity.indexes = {R"({"field_name":"address","temporal_field":null})"};
  World world({entity});
  world.Run(BlockBuilder(5).Transaction(1, {Exists(kKey), Link(kA, kKey)}).Account(kA, ThingOf(1)));
  EXPECT_EQ(world.Sides(SideKind::kLookupIndex), 1u);
  world.view.sides.erase({SideKind::kPda, 0, 0, KeyText(kA)});
  world.Run(BlockBuilder(6).Account(kA, ThingOf(2)));
  EXPECT_EQ(world.Field(KeyText(kKey), "amount"), "3");
}

TEST(LookupTest, AnEmbeddedKeyIsNeverLedElsewhere) {
  EntityText other;
  other.name = "F";
  other.handlers = {Handler(kThing, "__account_address", {Mapping("amount", From("amount"), "LastWrite")})};
  World world({Led(), other});
  world.Run(BlockBuilder(5).Transaction(1, {Exists(kKey), Link(kA, kKey)}).Account(kA, ThingOf(11)));
  EXPECT_EQ(world.Field(KeyText(kKey), "amount", 0), "11");
  EXPECT_EQ(world.Field(KeyText(kA), "amount", 1), "11");
  EXPECT_EQ(world.Field(KeyText(kKey), "amount", 1), "no row");
}

TEST(LookupTest, NullLeadsNowhereAndWaitsForNothing) {
  World world({Led()});
  world.Run(BlockBuilder(5).Transaction(1, {{DoIt(1), {}}, {kLinkData, {kA}}}));
  EXPECT_EQ(world.Faults(FaultReason::kKeyNull), 1u);
  EXPECT_TRUE(world.view.sides.empty());
}

TEST(WaitingTest, AnEventWaitsForItsKeyWithItsOwnSlotSignatureAndTime) {
  World world({Led({Mapping("amount", From("amount"), "LastWrite"),
                    Mapping("capture", R"({"AsCapture":{"field_transforms":{}}})", "LastWrite")},
                   {Mapping("slots", kSlotField, "Append")})});
  world.Run(BlockBuilder(5, 500).Transaction(9, {Deed(kA)}).Account(kA, ThingOf(11), 9));
  EXPECT_TRUE(world.view.rows.empty());
  EXPECT_EQ(world.machine->counters().events_waited, 2u);
  world.Restart();
  const BatchRef batch =
      world.Run(BlockBuilder(6, 600).Transaction(3, {}).Transaction(2, {Exists(kKey), Link(kA, kKey)}));
  EXPECT_EQ(world.machine->counters().events_resumed, 2u);
  EXPECT_EQ(world.Field(KeyText(kKey), "amount"), "11");
  EXPECT_EQ(world.Field(KeyText(kKey), "slots"), "[5]");
  const std::string capture = world.Field(KeyText(kKey), "capture");
  EXPECT_TRUE(absl::StrContains(capture, R"("slot":5,"timestamp":500)")) << capture;
  EXPECT_TRUE(absl::StrContains(capture, KeyText(kA))) << capture;
  // The mutation is of this slot, and what caused it is what made the key known.
  ASSERT_EQ(batch->mutations.size(), 1u);
  EXPECT_EQ(batch->mutations[0].cursor, (Cursor{6, 1}));
  EXPECT_EQ(batch->mutations[0].cause.transaction_index, 1u);
  EXPECT_EQ(world.AllFaults(), 0u);
}

TEST(WaitingTest, HowMuchWaitsIsKnownAfterEachBlock) {
  World world({Led()});
  const auto waiting = [&] { return world.machine->counters().waiting_bytes; };
  world.Run(BlockBuilder(5).Transaction(1, {Deed(kA)}));
  const uint64_t one = waiting();
  EXPECT_GT(one, 0u);
  world.Run(BlockBuilder(6).Transaction(1, {Deed(kB)}));
  EXPECT_EQ(waiting(), 2 * one);
  world.Restart();
  world.Run(BlockBuilder(7));
  EXPECT_EQ(waiting(), 2 * one);
  world.Run(BlockBuilder(8).Transaction(1, {Exists(kKey), Link(kA, kKey)}));
  EXPECT_EQ(waiting(), one);
  world.Run(BlockBuilder(100000));
  EXPECT_EQ(waiting(), 0u);
}

TEST(WaitingTest, OfAnAccountTheNewestWaitsAndOfInstructionsAll) {
  World world({Led({Mapping("seen", From("amount"), "Append")})});
  world.Run(BlockBuilder(5).Transaction(1, {Deed(kA, 1), Deed(kA, 2)}).Account(kA, ThingOf(11)));
  world.Run(BlockBuilder(6).Transaction(1, {Deed(kA, 3)}).Account(kA, ThingOf(12)).Account(kB, ThingOf(13)));
  world.Run(BlockBuilder(7).Transaction(1, {Exists(kKey), Link(kA, kKey), Link(kB, kKey)}));
  EXPECT_EQ(world.Field(KeyText(kKey), "all"), "[1,2,3]");
  EXPECT_EQ(world.Field(KeyText(kKey), "seen"), "[12,13]");
  EXPECT_EQ(world.machine->counters().waiting_replaced, 1u);
}

TEST(WaitingTest, WhatWaitsIsOlderThanTheEventThatMakesItsKeyKnown) {
  EntityText entity = Led({Mapping("seen", From("amount"), "Append")}, {Mapping("n", From("data"), "Count")});
  entity.handlers.push_back(Handler(kLink, "accounts.to", {Mapping("seen", R"({"Constant":99})", "Append")}));
  World world({entity});
  world.Run(BlockBuilder(5).Transaction(1, {Exists(kKey)}).Account(kA, ThingOf(11)));
  world.Run(BlockBuilder(6).Transaction(1, {Link(kA, kKey)}).Account(kA, ThingOf(12)));
  EXPECT_EQ(world.Field(KeyText(kKey), "seen"), "[11,99,12]");
}

TEST(WaitingTest, ItMayWaitForTheEntityAndGoOnInSteps) {
  World world({Led()});
  world.Run(BlockBuilder(5).Account(kA, ThingOf(11)));
  world.Run(BlockBuilder(6).Transaction(1, {Link(kA, kB)}));  // one step on: now it waits for B
  EXPECT_EQ(world.view.sides.count({SideKind::kWaiting, 0, 0, KeyText(kA)}), 0u);
  EXPECT_EQ(world.view.sides.count({SideKind::kWaiting, 0, 0, KeyText(kB)}), 1u);
  world.Restart();
  world.Run(BlockBuilder(7).Transaction(1, {Link(kB, kKey)}));  // and for the entity
  world.Restart();
  world.Run(BlockBuilder(8).Transaction(1, {Exists(kKey)}));
  EXPECT_EQ(world.Field(KeyText(kKey), "amount"), "11");
}

TEST(WaitingTest, WhatIsLedOnStandsAmongTheOthersByItsAge) {
  World world({Led({Mapping("amount", From("amount"), "LastWrite")})});
  world.Run(BlockBuilder(5).Transaction(1, {Link(kA, kB), Deed(kA, 1)}).Account(kA, ThingOf(11)));  // wait for B
  world.Run(BlockBuilder(6).Transaction(1, {Link(kA, kC), Deed(kA, 2)}).Account(kA, ThingOf(12)));  // and for C
  world.Run(BlockBuilder(7).Transaction(1, {Link(kB, kC), Deed(kC, 3)}));  // the older ones come to the newer ones
  const MachineCounters& counters = world.machine->counters();
  EXPECT_EQ(counters.waiting_replaced, 1u);
  EXPECT_EQ(counters.events_waited - counters.events_resumed - counters.waiting_replaced, 4u);
  world.Run(BlockBuilder(8).Transaction(1, {Exists(kKey), Link(kC, kKey)}));
  EXPECT_EQ(world.Field(KeyText(kKey), "all"), "[1,2,3]");
  EXPECT_EQ(world.Field(KeyText(kKey), "amount"), "12");
  EXPECT_EQ(world.Field(KeyText(kKey), "deeds"), "3");
  world.Run(BlockBuilder(10000));
  EXPECT_EQ(world.Sides(SideKind::kWaiting), 0u);
  EXPECT_EQ(world.AllFaults(), 0u);
}

TEST(WaitingTest, WhenAnAddressIsFullTheOldestFallsOutWhereverItCameFrom) {
  World world({Led()}, Settings{.waiting_per_address_max = 2});
  world.Run(BlockBuilder(5).Transaction(1, {Deed(kA, 1)}));
  world.Run(BlockBuilder(6).Transaction(1, {Deed(kB, 2), Deed(kB, 3)}));
  world.Run(BlockBuilder(7).Transaction(1, {Link(kA, kB)}));
  EXPECT_EQ(world.Faults(FaultReason::kWaitingFull), 1u);
  world.Run(BlockBuilder(8).Transaction(1, {Exists(kKey), Link(kB, kKey)}));
  EXPECT_EQ(world.Field(KeyText(kKey), "all"), "[2,3]");
}

TEST(WaitingTest, WithinOneBlockNothingIsLeftBehind) {
  EntityText entity = Led();
  entity.handlers[0] = Handler(kThing, "owner", {Mapping("booms", From("amount"), "Sum")});
  entity.handlers[1] = LookupHandler(kDoIt, "accounts.user", {Mapping("users", From("data"), "Count")});
  World world({entity});
  // The instruction's key becomes known by an account, and accounts come last.
  world.Run(BlockBuilder(5).Transaction(1, {Deed(kKey)}).Account(kA, ThingOf(5, kKey)));
  EXPECT_EQ(world.Field(KeyText(kKey), "deeds"), "1");
  // `user` is another key, and waits: the book, its slot and the event. Of `target` nothing does.
  EXPECT_EQ(world.Sides(SideKind::kWaiting), 3u);
}

TEST(WaitingTest, HooksWaitTooAndAStopFlagCountsAfterTheSlotInWhichItIsSet) {
  EntityText entity = Led({Mapping("amount", From("amount"), "LastWrite", R"(,"stop":"mini::HaltIxState")")});
  entity.hooks.push_back(
      Hook(kHalt, "accounts.target",
           {R"({"SetField":{"target_field":"__stop:amount","source":{"Constant":true},"condition":null}})",
            R"({"SetField":{"target_field":"halted","source":)" + kSlotField + R"(,"condition":null}})"}));
  World world({entity});
  world.Run(BlockBuilder(5).Transaction(1, {{"\v", {kA}}}));
  world.Run(BlockBuilder(6).Transaction(1, {Exists(kKey), Link(kA, kKey)}).Account(kA, ThingOf(1)));
  EXPECT_EQ(world.Field(KeyText(kKey), "halted"), "5");
  EXPECT_EQ(world.Field(KeyText(kKey), "amount"), "1");
  world.Run(BlockBuilder(7).Account(kA, ThingOf(2)));
  EXPECT_EQ(world.Field(KeyText(kKey), "amount"), "1");
}

TEST(WaitingTest, AHookThatServesItsHandlersEntityWaitsWithIt) {
  EntityText entity = Led();
  entity.hooks = {
      entity.hooks[0],
      Hook(kDoIt, "", {R"({"SetField":{"target_field":"by","source":)" + kSlotField + R"(,"condition":null}})"})};
  World world({entity});
  world.Run(BlockBuilder(5).Transaction(1, {Deed(kA)}));
  EXPECT_EQ(world.AllFaults(), 0u);
  world.Run(BlockBuilder(6).Transaction(1, {Exists(kKey), Link(kA, kKey)}));
  EXPECT_EQ(world.Field(KeyText(kKey), "deeds"), "1");
  EXPECT_EQ(world.Field(KeyText(kKey), "by"), "5");
}

TEST(WaitingTest, WhetherWhenHeldIsRemembered) {
  World world({Led({Mapping("amount", From("amount"), "LastWrite"),
                    Mapping("frozen", From("amount"), "LastWrite", R"(,"when":"mini::FreezeIxState")")})});
  world.Run(BlockBuilder(5).Transaction(1, {{"\n", {kA}}}, {kA}).Account(kA, ThingOf(1)).Account(kB, ThingOf(2)));
  // In the slot in which the keys become known it holds for the other one.
  world.Run(BlockBuilder(6)
                .Transaction(1, {{"\n", {kB}}}, {kB})
                .Transaction(2, {Exists(kKey), Exists(kOtherKey), Link(kA, kKey), Link(kB, kOtherKey)}));
  EXPECT_EQ(world.Field(KeyText(kKey), "frozen"), "1");
  EXPECT_EQ(world.Field(KeyText(kOtherKey), "amount"), "2");
  EXPECT_EQ(world.Field(KeyText(kOtherKey), "frozen"), "absent");
}

TEST(WaitingTest, WhatIsTooOldFallsOutAndIsCounted) {
  World world({Led()}, Settings{.waiting_slots_max = 10});
  world.Run(BlockBuilder(100).Transaction(1, {Deed(kA)}));
  world.Run(BlockBuilder(103).Transaction(1, {Deed(kA)}).Account(kB, ThingOf(1)));
  world.Run(BlockBuilder(110));
  EXPECT_EQ(world.AllFaults(), 0u);
  world.Run(BlockBuilder(111));  // 11 slots old
  EXPECT_EQ(world.Faults(FaultReason::kWaitingExpired), 1u);
  ASSERT_EQ(world.machine->faults().size(), 1u);
  EXPECT_EQ(world.machine->faults()[0].sample, KeyText(kA));
  EXPECT_EQ(world.machine->faults()[0].handler, kDoIt);
  EXPECT_EQ(world.machine->faults()[0].entity, "E");
  world.Run(BlockBuilder(112).Transaction(1, {Exists(kKey), Link(kA, kKey)}));
  EXPECT_EQ(world.Field(KeyText(kKey), "deeds"), "1");
  world.Run(BlockBuilder(100000));  // a long way on
  EXPECT_EQ(world.Faults(FaultReason::kWaitingExpired), 2u);
  EXPECT_EQ(world.machine->counters().waiting_dropped, 2u);
  EXPECT_EQ(world.Sides(SideKind::kWaiting), 0u);  // and nothing of it is left
}

TEST(WaitingTest, OneAddressKeepsTheNewest) {
  World world({Led()}, Settings{.waiting_per_address_max = 3});
  for (uint64_t i = 1; i <= 5; ++i) world.Run(BlockBuilder(i).Transaction(1, {Deed(kA, i), Deed(kB, i)}));
  EXPECT_EQ(world.Faults(FaultReason::kWaitingFull), 4u);
  world.Run(BlockBuilder(6).Transaction(1, {Exists(kKey), Link(kA, kKey)}));
  EXPECT_EQ(world.Field(KeyText(kKey), "all"), "[3,4,5]");
}

TEST(WaitingTest, TooManyBytesLeaveSlotBySlot) {
  World world({Led()}, Settings{.waiting_bytes_max = 400});
  for (int i = 0; i < 6; ++i) world.Run(BlockBuilder(static_cast<Slot>(10 + i)).Transaction(1, {Deed(30 + i)}));
  const uint64_t dropped = world.Faults(FaultReason::kWaitingFull);
  EXPECT_GT(dropped, 0u);
  EXPECT_LT(dropped, 6u);
  for (int i = 0; i < 6; ++i)
    world.Run(BlockBuilder(static_cast<Slot>(20 + i)).Transaction(1, {Exists(40 + i), Link(30 + i, 40 + i)}));
  for (int i = 0; i < 6; ++i)
    EXPECT_EQ(world.Field(KeyText(40 + i), "deeds"), static_cast<uint64_t>(i) < dropped ? "absent" : "1");
}

TEST(WaitingTest, ADamagedRowStopsTheBlock) {
  World world({Led()});
  world.Run(BlockBuilder(5).Transaction(1, {Deed(kA)}));
  const BlockBuilder known = std::move(BlockBuilder(6).Transaction(1, {Exists(kKey), Link(kA, kKey)}));
  for (auto& [key, value] : world.view.sides) {
    if (key.kind != SideKind::kWaiting || key.name == 2) continue;
    const std::string whole = value;
    for (size_t size = 0; size < whole.size(); ++size) {
      value = whole.substr(0, size);
      world.machine->Begin(known.block().id, &world.view);
      absl::Status status = world.machine->Feed(known.block().transactions[0]);
      if (status.ok()) status = world.machine->Seal().status();
      EXPECT_TRUE(status.ok() ? size == 0 : status.code() == absl::StatusCode::kDataLoss)
          << key.name << " " << size << " " << status;
    }
    value = whole;
  }
  world.Run(known);
  EXPECT_EQ(world.Field(KeyText(kKey), "deeds"), "1");
}

TEST(WaitingTest, ASlotOfAnEntityThatThereIsNotStopsTheBlock) {
  World world({Led()}, Settings{.waiting_slots_max = 1});
  world.Run(BlockBuilder(5).Transaction(1, {Deed(kA)}));
  for (auto& [key, value] : world.view.sides) {
    if (key.kind == SideKind::kWaiting && key.name == 2) value[0] = 1;  // there is entity 0 only
  }
  world.view.sides[{SideKind::kWaiting, 1, 0, KeyText(kA)}] = world.view.sides[{SideKind::kWaiting, 0, 0, KeyText(kA)}];
  const BlockBuilder later(7);
  world.machine->Begin(later.block().id, &world.view);
  EXPECT_EQ(world.machine->Seal().status().code(), absl::StatusCode::kDataLoss);
}

// Whatever becomes known when, in the end every event has reached the entity that its address leads to, once.
TEST(WaitingTest, InTheEndEveryEventIsWhereItsAddressLeads) {
  const bool holds = rc::check("no event is lost or doubled", [] {
    // Address i leads to address or key leads[i]: an address above i, or a key (4 and 5).
    constexpr int kAddresses = 4, kKeys = 2;
    std::vector<int> leads;
    for (int i = 0; i < kAddresses; ++i) leads.push_back(*rc::gen::inRange(i + 1, kAddresses + kKeys));
    const auto end_of = [&](int at) {
      while (at < kAddresses) at = leads[static_cast<size_t>(at)];
      return at;
    };
    std::vector<InstructionText> all;
    std::map<int, int> expected;
    for (int i = 0; i < kAddresses; ++i) all.push_back(Link(30 + i, 30 + leads[static_cast<size_t>(i)]));
    for (int key = kAddresses; key < kAddresses + kKeys; ++key) all.push_back(Exists(30 + key));
    for (int n = *rc::gen::inRange(0, 12); n > 0; --n) {
      const int at = *rc::gen::inRange(0, kAddresses);
      all.push_back(Deed(30 + at));
      ++expected[end_of(at)];
    }
    for (size_t i = all.size(); i > 1; --i)
      std::swap(all[i - 1], all[static_cast<size_t>(*rc::gen::inRange<int>(0, static_cast<int>(i)))]);
    World world({Led()});
    Slot slot = 10;
    std::vector<InstructionText> of_block;
    for (const InstructionText& one : all) {
      of_block.push_back(one);
      if (*rc::gen::inRange(0, 3) == 0) continue;
      world.Run(BlockBuilder(slot++).Transaction(1, of_block));
      of_block.clear();
      if (*rc::gen::inRange(0, 2) == 0) world.Restart();
    }
    world.Run(BlockBuilder(slot++).Transaction(1, of_block));
    for (int key = kAddresses; key < kAddresses + kKeys; ++key) {
      const std::string deeds = expected[key] == 0 ? "absent" : std::to_string(expected[key]);
      RC_ASSERT(world.Field(KeyText(30 + key), "deeds") == deeds);
    }
    RC_ASSERT(world.AllFaults() == 0u);
    world.Run(BlockBuilder(slot + 10000));
    RC_ASSERT(world.Sides(SideKind::kWaiting) == 0u);
  });
  EXPECT_TRUE(holds);
}

}  // namespace
}  // namespace everstate::vm
