// Each population, source, condition and bound, and a reference that computes them all the plain way.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <map>
#include <set>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "tests/server/vm/vm_fixture.h"

namespace everstate::vm {
namespace {

std::string When(const std::string& condition) { return absl::StrCat(",\"condition\":", condition); }
std::string Signature(uint8_t byte) {
  std::string json;
  const std::string bytes(64, static_cast<char>(byte));
  AppendValueJson(*RowSchema::Build({}, {}, {}).value(), Value::Sig64(reinterpret_cast<const uint8_t*>(bytes.data())),
                  &json);
  return json;
}

TEST(PopulationTest, SetOnceKeepsTheFirstValueThatIsNotNull) {
  World world({Things({Mapping("once", From("maybe"), "SetOnce"), Mapping("last", From("maybe"), "LastWrite")})});
  world.Run(BlockBuilder(1).Account(1, Thing{}.Bytes()));
  EXPECT_EQ(world.Field(KeyText(1), "once"), "absent");
  EXPECT_EQ(world.Field(KeyText(1), "last"), "null");
  world.Run(BlockBuilder(2).Account(1, Thing{.maybe = 4}.Bytes()));
  world.Run(BlockBuilder(3).Account(1, Thing{.maybe = 5}.Bytes()));
  EXPECT_EQ(world.Field(KeyText(1), "once"), "4");
  EXPECT_EQ(world.Field(KeyText(1), "last"), "5");
  world.Run(BlockBuilder(4).Account(1, Thing{}.Bytes()));
  EXPECT_EQ(world.Field(KeyText(1), "once"), "4");
  EXPECT_EQ(world.Field(KeyText(1), "last"), "null");
}

TEST(PopulationTest, SetOnceWithinOneBlockKeepsTheFirstInTheBlocksOrder) {
  World world({Deeds({Mapping("once", From("data.amount"), "SetOnce")})});
  world.Run(BlockBuilder(1).Transaction(1, {{DoIt(7), {1, 0}}, {DoIt(8), {1, 0}}}).Transaction(2, {{DoIt(9), {1, 0}}}));
  EXPECT_EQ(world.Field(KeyText(1), "once"), "7");
}

TEST(PopulationTest, MaxMinAndSumIgnoreNullAndAreExactBeyond64Bits) {
  World world({Things({Mapping("max", From("amount"), "Max"), Mapping("min", From("delta"), "Min"),
                       Mapping("sum", From("amount"), "Sum"), Mapping("signed", From("delta"), "Sum"),
                       Mapping("big", From("big"), "Max"), Mapping("maxn", From("maybe"), "Max")})});
  const uint64_t top = UINT64_MAX;
  world.Run(BlockBuilder(1).Account(1, Thing{.amount = top, .delta = -5, .big = 3}.Bytes()));
  world.Run(BlockBuilder(2).Account(1, Thing{.amount = top - 1, .delta = 2, .big = 2, .maybe = 8}.Bytes()));
  world.Run(BlockBuilder(3).Account(1, Thing{.amount = 1, .delta = INT64_MIN}.Bytes()));
  EXPECT_EQ(world.Field(KeyText(1), "max"), "\"18446744073709551615\"");
  EXPECT_EQ(world.Field(KeyText(1), "min"), "\"-9223372036854775808\"");
  EXPECT_EQ(world.Field(KeyText(1), "sum"), "\"36893488147419103230\"");
  EXPECT_EQ(world.Field(KeyText(1), "signed"), "\"-9223372036854775811\"");
  EXPECT_EQ(world.Field(KeyText(1), "big"), "\"3\"");
  EXPECT_EQ(world.Field(KeyText(1), "maxn"), "8");
  EXPECT_EQ(world.AllFaults(), 0u);
}

TEST(PopulationTest, ASumOrMaximumOfSomethingElseIsSkippedAndCounted) {
  World world({Things({Mapping("sum", From("owner"), "Sum"), Mapping("sumn", From("maybe"), "Sum"),
                       Mapping("max", From("owner"), "Max"), Mapping("n", From("id"), "Count")})});
  world.Run(BlockBuilder(1).Account(1, Thing{}.Bytes()));
  EXPECT_EQ(world.Field(KeyText(1), "sum"), "absent");
  EXPECT_EQ(world.Field(KeyText(1), "max"), "absent");
  EXPECT_EQ(world.Field(KeyText(1), "n"), "1");
  EXPECT_EQ(world.Faults(FaultReason::kSumType), 2u);
  EXPECT_EQ(world.Faults(FaultReason::kMaxMinType), 1u);
}

TEST(PopulationTest, UniqueCountRemembersItsMembersAcrossBlocks) {
  World world({Deeds({Mapping("users", From("accounts.user"), "UniqueCount")})});
  const BatchRef first = world.Run(
      BlockBuilder(1).Transaction(1, {{DoIt(1), {1, 5}}, {DoIt(1), {1, 6}}, {DoIt(1), {1, 5}}, {DoIt(1), {1}}}));
  EXPECT_EQ(first->side.size(), 2u);
  EXPECT_EQ(world.Field(KeyText(1), "users"), "2");
  const BatchRef second =
      world.Run(BlockBuilder(2).Transaction(1, {{DoIt(1), {1, 5}}, {DoIt(1), {2, 5}}, {DoIt(1), {1, 7}}}));
  EXPECT_EQ(second->side.size(), 2u);  // 5 of the other entity, 7 of this one
  EXPECT_EQ(world.Field(KeyText(1), "users"), "3");
  EXPECT_EQ(world.Field(KeyText(2), "users"), "1");
}

TEST(PopulationTest, AppendKeepsAtLeastTheNewestAndCutsAtTwiceThat) {
  World world({Deeds({Mapping("all", From("data.amount"), "Append")})}, Settings{.append_keep = 3});
  for (uint64_t i = 1; i <= 5; ++i) {
    const BatchRef batch = world.Run(BlockBuilder(i).Transaction(1, {{DoIt(i), {1, 0}}}));
    ASSERT_EQ(batch->mutations[0].appended.size(), 1u);
    EXPECT_EQ(batch->mutations[0].appended[0].count, 1u);
  }
  EXPECT_EQ(world.Field(KeyText(1), "all"), "[1,2,3,4,5]");
  const BatchRef batch = world.Run(BlockBuilder(6).Transaction(1, {{DoIt(6), {1, 0}}}));
  EXPECT_TRUE(batch->mutations[0].appended.empty());  // sent whole
  EXPECT_EQ(world.Field(KeyText(1), "all"), "[4,5,6]");
}

TEST(PopulationTest, AppendToSomethingElseIsSkippedAndCounted) {
  World world({Deeds({Mapping("x", From("data.amount"), "LastWrite"), Mapping("x", From("data.amount"), "Append")})});
  world.Run(BlockBuilder(1).Transaction(1, {{DoIt(4), {1, 0}}}));
  EXPECT_EQ(world.Field(KeyText(1), "x"), "4");
  EXPECT_EQ(world.Faults(FaultReason::kAppendType), 1u);
}

TEST(PopulationTest, BesideWhenAndStopEveryPopulationIsLastWrite) {
  std::vector<std::string> mappings;
  const std::vector<std::string> populations = {"SetOnce", "LastWrite", "Merge", "Append",     "Max",
                                                "Min",     "Sum",       "Count", "UniqueCount"};
  for (const std::string& population : populations) {
    mappings.push_back(Mapping("when" + population, From("amount"), population, R"(,"when":"mini::FreezeIxState")"));
    mappings.push_back(Mapping("stop" + population, From("amount"), population, R"(,"stop":"mini::HaltIxState")"));
  }
  EntityText entity = Things(mappings);
  for (const std::string& population : populations) {
    entity.hooks.push_back(Hook(kHalt, "accounts.target",
                                {absl::StrCat(R"({"SetField":{"target_field":"__stop:stop)", population,
                                              R"(","source":{"Constant":true},"condition":null}})")}));
  }
  World world({entity});
  for (uint64_t amount : {7u, 5u})
    world.Run(BlockBuilder(amount == 7 ? 1 : 2)
                  .Transaction(1, {{"\n", {1}}}, {1})
                  .Account(1, Thing{.amount = amount}.Bytes()));
  for (const std::string& population : populations) {
    EXPECT_EQ(world.Field(KeyText(1), "when" + population), "5") << population;
    EXPECT_EQ(world.Field(KeyText(1), "stop" + population), "5") << population;
  }
  EXPECT_EQ(world.Sides(SideKind::kUniqueMember), 0u);
}

TEST(PopulationTest, MergeReplaces) {
  World world({Deeds({Mapping("x", R"("WholeSource")", "Merge")})});
  world.Run(BlockBuilder(1).Transaction(1, {{DoIt(4, -1), {1, 2}}}));
  world.Run(BlockBuilder(2).Transaction(1, {{DoIt(5, 0), {1}}}));
  EXPECT_EQ(world.Field(KeyText(1), "x"),
            absl::StrCat(R"({"accounts":{"target":")", KeyText(1), R"("},"data":{"amount":5,"delta":0,"ratio":0.0}})"));
}

TEST(PopulationTest, ConditionsHoldOnEveryPopulation) {
  const std::string large = When(Compare("data.amount", "GreaterThan", "10"));
  std::vector<std::string> mappings;
  for (const char* population :
       {"SetOnce", "LastWrite", "Merge", "Append", "Max", "Min", "Sum", "Count", "UniqueCount"}) {
    mappings.push_back(Mapping(population, From("data.amount"), population, large));
  }
  World world({Deeds(mappings)});
  world.Run(BlockBuilder(1).Transaction(
      1, {{DoIt(5), {1, 0}}, {DoIt(20), {1, 0}}, {DoIt(10), {1, 0}}, {DoIt(30), {1, 0}}, {DoIt(1), {1, 0}}}));
  const std::pair<const char*, const char*> expected[] = {
      {"SetOnce", "20"}, {"LastWrite", "30"}, {"Merge", "30"}, {"Append", "[20,30]"}, {"Max", "30"},
      {"Min", "20"},     {"Sum", "50"},       {"Count", "2"},  {"UniqueCount", "2"}};
  for (const auto& [field, value] : expected) EXPECT_EQ(world.Field(KeyText(1), field), value) << field;
}

TEST(PopulationTest, ConditionsCompareTextWithKeysAndOrderOnlyNumbers) {
  const std::string is_owner = Compare("owner", "Equal", '"' + KeyText(3) + '"');
  const std::string logical = absl::StrCat(
      R"({"expression":"x","parsed":{"Logical":{"op":"And","conditions":[)",
      R"({"Comparison":{"field":{"segments":["amount"]},"op":"GreaterThan","value":2}},)",
      R"({"Logical":{"op":"Or","conditions":[{"Comparison":{"field":{"segments":["delta"]},"op":"LessThan","value":0}},)",
      R"({"Comparison":{"field":{"segments":["id"]},"op":"Equal","value":9}}]}}]}}})");
  World world(
      {Things({Mapping("owned", From("id"), "Count", When(is_owner)),
               Mapping("other", From("id"), "Count", When(Compare("owner", "NotEqual", '"' + KeyText(3) + '"'))),
               Mapping("null", From("id"), "Count", When(Compare("maybe", "Equal", "null"))),
               Mapping("big", From("id"), "Count", When(Compare("big", "Equal", "\"12\""))),
               Mapping("bign", From("id"), "Count", When(Compare("big", "Equal", "12"))),
               Mapping("both", From("id"), "Count", When(logical)),
               Mapping("ordered", From("id"), "Count", When(Compare("maybe", "LessThan", "5")))})});
  world.Run(BlockBuilder(1).Account(1, Thing{.owner = 3, .amount = 3, .delta = -1, .big = 12}.Bytes()));
  for (const char* field : {"owned", "null", "big", "bign", "both"})
    EXPECT_EQ(world.Field(KeyText(1), field), "1") << field;
  for (const char* field : {"other", "ordered"}) EXPECT_EQ(world.Field(KeyText(1), field), "absent") << field;
  EXPECT_EQ(world.Faults(FaultReason::kConditionType), 1u);
  EXPECT_EQ(world.machine->faults()[0].sample, "ordered");
  world.Run(BlockBuilder(2).Account(1, Thing{.id = 9, .owner = 4, .amount = 3, .maybe = 4}.Bytes()));
  EXPECT_EQ(world.Field(KeyText(1), "both"), "2");
  EXPECT_EQ(world.Field(KeyText(1), "ordered"), "1");
  EXPECT_EQ(world.Field(KeyText(1), "other"), "1");
  world.Run(BlockBuilder(3).Account(1, Thing{.amount = 2, .delta = -1, .maybe = 5}.Bytes()));
  EXPECT_EQ(world.Field(KeyText(1), "both"), "2");
  EXPECT_EQ(world.Field(KeyText(1), "ordered"), "1");
}

TEST(SourceTest, EventsCapturesContextAndConstants) {
  const std::string event =
      absl::StrCat(R"({"AsEvent":{"fields":[)", From("data.amount"), ",", From("accounts.user"), "]}}");
  EntityText deeds =
      Deeds({Mapping("event", event, "LastWrite"), Mapping("whole", R"({"AsEvent":{"fields":[]}})", "LastWrite"),
             Mapping("slot", R"({"FromContext":{"field":"slot"}})", "LastWrite"),
             Mapping("sig", R"({"FromContext":{"field":"signature"}})", "LastWrite"),
             Mapping("time", R"({"FromContext":{"field":"timestamp"}})", "LastWrite"),
             Mapping("const", R"({"Constant":{"b":[1,-2,"x",null,true],"a":1.5}})", "LastWrite"),
             Mapping("dflt", From("accounts.user", R"(,"default":"none","transform":null)"), "LastWrite")});
  EntityText things = Things({Mapping("raw", R"({"AsCapture":{"field_transforms":{}}})", "LastWrite")});
  things.name = "T";
  World world({deeds, things});
  world.Run(BlockBuilder(5, 77)
                .Transaction(1, {{DoIt(4, 2, 0.5), {1}}})
                .Account(2, Thing{.id = 3, .owner = 1, .maybe = 6}.Bytes(), 1)
                .Account(3, Thing{}.Bytes()));
  const std::string wrapper = absl::StrCat(R"(,"signature":)", Signature(1), R"(,"slot":5,"timestamp":77})");
  EXPECT_EQ(world.Field(KeyText(1), "event"), absl::StrCat(R"({"data":{"amount":4,"user":null})", wrapper));
  EXPECT_EQ(world.Field(KeyText(1), "whole"),
            absl::StrCat(R"({"data":{"accounts":{"target":")", KeyText(1),
                         R"("},"data":{"amount":4,"delta":2,"ratio":0.5}})", wrapper));
  EXPECT_EQ(world.Field(KeyText(1), "slot"), "5");
  EXPECT_EQ(world.Field(KeyText(1), "sig"), Signature(1));
  EXPECT_EQ(world.Field(KeyText(1), "time"), "77");
  EXPECT_EQ(world.Field(KeyText(1), "const"), R"({"a":1.5,"b":[1,-2,"x",null,true]})");
  EXPECT_EQ(world.Field(KeyText(1), "dflt"), "\"none\"");
  const std::string data = absl::StrCat(
      R"("data":{"amount":0,"big":"0","delta":0,"end_at":0,"id":3,"maybe":6,"owner":")", KeyText(1), "\"}");
  EXPECT_EQ(world.Field(KeyText(2), "raw", 1),
            absl::StrCat(R"({"account_address":")", KeyText(2), "\",", data, wrapper));
  EXPECT_EQ(world.Field(KeyText(3), "raw", 1).find("signature"), std::string::npos);  // no transaction wrote it
}

TEST(SourceTest, ABlockWithoutATimeGivesNull) {
  World world({Deeds({Mapping("time", R"({"FromContext":{"field":"timestamp"}})", "LastWrite")})});
  world.Run(BlockBuilder(5, std::nullopt).Transaction(1, {{DoIt(4), {1, 2}}}));
  EXPECT_EQ(world.Field(KeyText(1), "time"), "null");
}

TEST(SourceTest, PathsMayBeWrittenInTheIdlsSpellingAndWithoutData) {
  World world(
      {Things({Mapping("camel", From("endAt"), "LastWrite"), Mapping("snake", From("end_at"), "LastWrite")}), [] {
         EntityText deeds =
             Deeds({Mapping("bare", From("amount"), "LastWrite", When(Compare("amount", "GreaterThan", "3")))});
         deeds.name = "D";
         return deeds;
       }()});
  world.Run(
      BlockBuilder(5).Transaction(1, {{DoIt(4), {1, 2}}, {DoIt(2), {2, 2}}}).Account(1, Thing{.end_at = 6}.Bytes()));
  EXPECT_EQ(world.Field(KeyText(1), "camel"), "6");
  EXPECT_EQ(world.Field(KeyText(1), "snake"), "6");
  EXPECT_EQ(world.Field(KeyText(1), "bare", 1), "4");
  EXPECT_EQ(world.Field(KeyText(2), "bare", 1), "no row");
}

TEST(SourceTest, Base58OfAKeyIsTheKeyAndOfNothingAFault) {
  const std::string source = From("accounts.user", R"(,"default":null,"transform":"Base58Encode")");
  World world({Deeds({Mapping("user", source, "LastWrite"), Mapping("n", From("data"), "Count")})});
  world.Run(BlockBuilder(5).Transaction(1, {{DoIt(4), {1, 2}}, {DoIt(4), {1}}}));
  EXPECT_EQ(world.Field(KeyText(1), "user"), '"' + KeyText(2) + '"');
  EXPECT_EQ(world.Field(KeyText(1), "n"), "2");
  EXPECT_EQ(world.Faults(FaultReason::kTransformNull), 1u);
}

TEST(SourceTest, AFieldIsHiddenWhenNoneOfItsMappingsEmitsIt) {
  const std::string hidden = R"(,"emit":false)", amount = From("data.amount");
  EntityText entity = Deeds({Mapping("a", amount, "LastWrite", hidden), Mapping("a", amount, "LastWrite"),
                             Mapping("b", amount, "LastWrite", hidden), Mapping("c", amount, "LastWrite")});
  const auto set = [](const std::string& field) {
    return absl::StrCat(R"({"SetField":{"target_field":")", field, R"(","source":{"Constant":1},"condition":null}})");
  };
  entity.hooks = {Hook(kDoIt, "", {set("b"), set("d")})};
  auto projection = CompileText({entity});
  ASSERT_TRUE(projection.ok()) << projection.status();
  std::map<std::string, bool> emitted;
  for (const FieldDef& field : (*projection)->schema()->entity(0).fields) emitted[field.path] = field.emit;
  const std::map<std::string, bool> expected = {{"a", true}, {"b", false}, {"c", true}, {"d", true}};
  EXPECT_EQ(emitted, expected);
}

TEST(SourceTest, AKeyWithoutAPathIsTheFieldThatBecomesThePrimaryKey) {
  EntityText entity;
  entity.primary_key = "id.target";
  entity.handlers = {Handler(
      kDoIt, "", {Mapping("id.target", From("accounts.target"), "SetOnce"), Mapping("n", From("data"), "Count")})};
  World world({entity});
  world.Run(BlockBuilder(5).Transaction(1, {{DoIt(4), {1, 2}}}));
  EXPECT_EQ(world.Field(KeyText(1), "n"), "1");
}

TEST(FaultTest, AValueTooDeepIsSkippedAndCounted) {
  EntityText entity;
  entity.handlers = {Handler(kNest, "accounts.target",
                             {Mapping("deep", From("data.deep"), "LastWrite"),
                              Mapping("all", From("data.deep"), "Append"), Mapping("n", From("data"), "Count")}),
                     Handler(kNest, "data.deep", {Mapping("n", From("data"), "Count")})};
  entity.hooks = {
      Hook(kNest, "",
           {absl::StrCat(R"({"RegisterPdaMapping":{"pda_field":)", PathJson("accounts.target"), R"(,"seed_field":)",
                         PathJson("data.deep"), R"(,"lookup_name":"default_pda_lookup"}})")})};
  World world({entity});
  world.Run(BlockBuilder(5).Transaction(1, {{"\r" + Little(1, 8), {1}}}));
  EXPECT_EQ(world.Field(KeyText(1), "n"), "1");
  EXPECT_EQ(world.Field(KeyText(1), "deep"), "absent");
  EXPECT_EQ(world.Field(KeyText(1), "all"), "absent");
  EXPECT_EQ(world.Sides(SideKind::kPda), 0u);
  EXPECT_EQ(world.Faults(FaultReason::kValueDepth), 4u);  // two fields, a key, an address
}

// The plain reference: the whole history at once, with strings of decimal digits as the only arithmetic trick.
struct Event {
  int target;
  uint64_t amount;
  int64_t delta;
};
struct Reference {
  std::vector<Event> events;
  std::string Expect(const std::string& field) const {
    if (events.empty()) return "no row";
    __extension__ typedef __int128 Wide;
    Wide sum = 0;
    int64_t max = INT64_MIN, min = INT64_MAX;
    std::set<uint64_t> members;
    std::string all;
    for (const Event& e : events) {
      sum += e.delta;
      max = std::max(max, e.delta);
      min = std::min(min, e.delta);
      members.insert(e.amount);
      absl::StrAppend(&all, all.empty() ? "" : ",", e.amount);
    }
    if (field == "n") return absl::StrCat(events.size());
    if (field == "sum") return absl::StrCat(static_cast<int64_t>(sum));
    if (field == "max") return absl::StrCat(max);
    if (field == "min") return absl::StrCat(min);
    if (field == "last") return absl::StrCat(events.back().amount);
    if (field == "once") return absl::StrCat(events.front().amount);
    if (field == "unique") return absl::StrCat(members.size());
    return "[" + all + "]";
  }
};

TEST(PopulationProperty, EqualsThePlainReferenceHoweverTheEventsAreCutIntoBlocks) {
  const std::vector<std::string> fields = {"n", "sum", "max", "min", "last", "once", "unique", "all"};
  const EntityText entity =
      Deeds({Mapping("n", From("data"), "Count"), Mapping("sum", From("data.delta"), "Sum"),
             Mapping("max", From("data.delta"), "Max"), Mapping("min", From("data.delta"), "Min"),
             Mapping("last", From("data.amount"), "LastWrite"), Mapping("once", From("data.amount"), "SetOnce"),
             Mapping("unique", From("data.amount"), "UniqueCount"), Mapping("all", From("data.amount"), "Append")});
  const bool holds = rc::check("machine equals reference", [&] {
    World world({entity}, Settings{.append_keep = 1000});
    std::map<int, Reference> reference;
    const auto blocks = *rc::gen::container<std::vector<std::vector<std::tuple<int, int, int>>>>(
        rc::gen::container<std::vector<std::tuple<int, int, int>>>(
            rc::gen::tuple(rc::gen::inRange(0, 4), rc::gen::inRange(0, 9), rc::gen::inRange(-1000, 1000))));
    Slot slot = 0;
    for (const auto& events : blocks) {
      BlockBuilder block(++slot);
      uint8_t signature = 0;
      for (const auto& [target, amount, delta] : events) {
        const Event event{target, static_cast<uint64_t>(amount), delta};
        block.Transaction(++signature, {{DoIt(event.amount, event.delta), {target, 9}}});
        reference[target].events.push_back(event);
      }
      world.Run(block);
    }
    for (const auto& [target, expected] : reference) {
      for (const std::string& field : fields) RC_ASSERT(world.Field(KeyText(target), field) == expected.Expect(field));
    }
    RC_ASSERT(world.view.rows.size() == reference.size());
    RC_ASSERT(world.AllFaults() == 0u);
  });
  EXPECT_TRUE(holds);
}

}  // namespace
}  // namespace everstate::vm
