// Computed fields: each node, faults, order, and when they are written.
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/server/vm/vm_fixture.h"

namespace everstate::vm {
namespace {

std::string Ref(const std::string& path) { return absl::StrCat(R"({"FieldRef":{"path":")", path, R"("}})"); }
std::string Lit(const std::string& value) { return absl::StrCat(R"({"Literal":{"value":)", value, "}}"); }
std::string Bin(const std::string& op, const std::string& l, const std::string& r) {
  return absl::StrCat(R"({"Binary":{"op":")", op, R"(","left":)", l, R"(,"right":)", r, "}}");
}
std::string Or(const std::string& e, const std::string& value) {
  return absl::StrCat(R"({"UnwrapOr":{"expr":)", e, R"(,"default":)", value, "}}");
}
std::string Cast(const std::string& e, const std::string& type) {
  return absl::StrCat(R"({"Cast":{"expr":)", e, R"(,"to_type":")", type, R"("}})");
}
std::string Not(const std::string& e) { return absl::StrCat(R"({"Unary":{"op":"Not","expr":)", e, "}}"); }
std::string If(const std::string& c, const std::string& t, const std::string& e) {
  return absl::StrCat(R"({"If":{"condition":)", c, R"(,"then_branch":)", t, R"(,"else_branch":)", e, "}}");
}
std::string Resolve(const std::string& method, const std::string& a, const std::string& b) {
  return absl::StrCat(R"({"ResolverComputed":{"resolver":"TokenMetadata","method":")", method, R"(","args":[)", a, ",",
                      b, "]}}");
}

std::string Let(const std::string& name, const std::string& value, const std::string& body) {
  return absl::StrCat(R"({"Let":{"name":")", name, R"(","value":)", value, R"(,"body":)", body, "}}");
}
std::string Var(const std::string& name) { return absl::StrCat(R"({"Var":{"name":")", name, R"("}})"); }

// Things with amount a, delta d, u128 g, option m, and the given computed fields.
EntityText With(const std::vector<std::string>& computed) {
  EntityText entity;
  entity.handlers = {Handler(kThing, "__account_address",
                             {Mapping("a", From("amount"), "LastWrite"), Mapping("d", From("delta"), "LastWrite"),
                              Mapping("g", From("big"), "LastWrite"),
                              Mapping("m", From("maybe"), "LastWrite",
                                      absl::StrCat(",\"condition\":", Compare("id", "NotEqual", "99")))}),
                     Handler(kDoIt, "accounts.target",
                             {Mapping("n", From("data"), "Count"), Mapping("f", From("data.ratio"), "LastWrite")})};
  entity.computed = computed;
  return entity;
}

struct Answer {
  std::string value;
  uint64_t faults;
  bool operator==(const Answer&) const = default;
  friend void PrintTo(const Answer& a, std::ostream* out) { *out << a.value << " with " << a.faults << " faults"; }
};
Answer Eval(const std::string& expression, const Thing& thing = {.amount = 7, .delta = -3, .big = 5}) {
  World world({With({Computed("c", expression)})});
  world.Run(BlockBuilder(50, 900).Account(1, thing.Bytes()));
  return {world.Field(KeyText(1), "c"), world.Faults(FaultReason::kComputedType)};
}

TEST(ExpressionTest, VariablesAreKnownInTheirBodyAndHideOuterOnes) {
  EXPECT_EQ(Eval(Let("x", Ref("a"), Bin("Mul", Var("x"), Var("x")))), (Answer{"49", 0}));
  EXPECT_EQ(Eval(Let("x", Ref("a"), Let("y", Bin("Add", Var("x"), Lit("1")), Bin("Sub", Var("x"), Var("y"))))),
            (Answer{"-1", 0}));
  EXPECT_EQ(Eval(Let("x", Lit("1"), Bin("Add", Let("x", Lit("10"), Var("x")), Var("x")))), (Answer{"11", 0}));
  EXPECT_EQ(Eval(Let("x", Let("x", Lit("3"), Bin("Add", Var("x"), Lit("1"))), Var("x"))), (Answer{"4", 0}));
  EXPECT_EQ(Eval(Let("x", Ref("m"), Or(Var("x"), "5"))), (Answer{"5", 0}));
}

TEST(ExpressionTest, ArithmeticIsExactAndTruncatesTowardZero) {
  EXPECT_EQ(Eval(Bin("Add", Ref("a"), Ref("d"))), (Answer{"4", 0}));
  EXPECT_EQ(Eval(Bin("Sub", Lit("1"), Ref("a"))), (Answer{"-6", 0}));
  EXPECT_EQ(Eval(Bin("Mul", Ref("a"), Ref("d"))), (Answer{"-21", 0}));
  EXPECT_EQ(Eval(Bin("Div", Ref("d"), Lit("2"))), (Answer{"-1", 0}));
  EXPECT_EQ(Eval(Bin("Mod", Ref("d"), Lit("2"))), (Answer{"-1", 0}));
  EXPECT_EQ(Eval(Bin("Mul", Ref("a"), Ref("a")), {.amount = UINT64_MAX}),
            (Answer{"absent", 1}));  // beyond 128 bits with a sign
  EXPECT_EQ(Eval(Bin("Add", Ref("a"), Ref("a")), {.amount = UINT64_MAX}), (Answer{"\"36893488147419103230\"", 0}));
  EXPECT_EQ(Eval(Bin("Add", Ref("g"), Lit("1"))), (Answer{"6", 0}));
  EXPECT_EQ(Eval(Bin("Add", Lit("1.5"), Lit("2.25"))), (Answer{"3.75", 0}));
  EXPECT_EQ(Eval(Bin("Mod", Lit("7.5"), Lit("2.0"))), (Answer{"1.5", 0}));
}

TEST(ExpressionTest, DivisionByZeroAndMixedTypesAreFaultsWithoutAValue) {
  EXPECT_EQ(Eval(Bin("Div", Ref("a"), Lit("0"))), (Answer{"absent", 1}));
  EXPECT_EQ(Eval(Bin("Mod", Ref("a"), Lit("0"))), (Answer{"absent", 1}));
  EXPECT_EQ(Eval(Bin("Add", Ref("a"), Lit("1.5"))), (Answer{"absent", 1}));
  EXPECT_EQ(Eval(Bin("Add", Ref("a"), Lit("true"))), (Answer{"absent", 1}));
  EXPECT_EQ(Eval(Bin("Add", Ref("a"), Ref("m"))), (Answer{"absent", 1}));
  EXPECT_EQ(Eval(Bin("Gt", Ref("a"), Ref("m"))), (Answer{"absent", 1}));
  EXPECT_EQ(Eval(Bin("And", Ref("a"), Lit("true"))), (Answer{"absent", 1}));
  EXPECT_EQ(Eval(If(Ref("a"), Lit("1"), Lit("2"))), (Answer{"absent", 1}));
  EXPECT_EQ(Eval(Bin("Div", Lit("1.0"), Lit("0.0"))), (Answer{"absent", 0}));  // infinity is null
}

TEST(ExpressionTest, FloatsAreIeeeOnTheWayAndNullWhenAResultIsNotFinite) {
  const std::string infinity = Bin("Div", Lit("1.0"), Lit("0.0")), nan = Bin("Div", Lit("0.0"), Lit("0.0"));
  const std::string minus_infinity = Bin("Sub", Lit("0.0"), infinity);
  for (const std::string& e :
       {infinity, minus_infinity, nan, Bin("Mod", Lit("1.0"), Lit("0.0")), Cast(Lit("1e300"), "f32")})
    EXPECT_EQ(Eval(e), (Answer{"absent", 0})) << e;
  EXPECT_EQ(Eval(Bin("Div", Lit("1.0"), infinity)), (Answer{"0.0", 0}));
  EXPECT_EQ(Eval(Bin("Div", Lit("1.0"), minus_infinity)), (Answer{"0.0", 0}));  // there is one zero in rows
  EXPECT_EQ(Eval(Bin("Div", Lit("1.0"), Bin("Div", Lit("1.0"), minus_infinity))), (Answer{"absent", 0}));
  EXPECT_EQ(Eval(Cast(infinity, "u64")), (Answer{"\"18446744073709551615\"", 0}));
  EXPECT_EQ(Eval(Cast(minus_infinity, "i8")), (Answer{"-128", 0}));
  EXPECT_EQ(Eval(Cast(nan, "i64")), (Answer{"0", 0}));
  EXPECT_EQ(Eval(Bin("Gt", infinity, Lit("1e300"))), (Answer{"true", 0}));
  for (const char* op : {"Gt", "Gte", "Lt", "Lte", "Eq"})
    EXPECT_EQ(Eval(Bin(op, nan, nan)), (Answer{"false", 0})) << op;
  EXPECT_EQ(Eval(Bin("Ne", nan, nan)), (Answer{"true", 0}));
  EXPECT_EQ(Eval(Let("x", infinity, If(Bin("Gt", Var("x"), Lit("0.0")), Lit("1"), Lit("2")))), (Answer{"1", 0}));
  EXPECT_EQ(Eval(Resolve("ui_amount", nan, Lit("2"))), (Answer{"absent", 0}));
  EXPECT_EQ(Eval(Resolve("raw_amount", infinity, Lit("2"))), (Answer{"absent", 0}));
}

TEST(ExpressionTest, ComparisonsAndLogic) {
  EXPECT_EQ(Eval(Bin("Gt", Ref("a"), Ref("d"))).value, "true");
  EXPECT_EQ(Eval(Bin("Lte", Ref("a"), Lit("7"))).value, "true");
  EXPECT_EQ(Eval(Bin("Lt", Ref("a"), Lit("7"))).value, "false");
  EXPECT_EQ(Eval(Bin("Gte", Ref("a"), Lit("8"))).value, "false");
  EXPECT_EQ(Eval(Bin("Eq", Ref("a"), Lit("7"))).value, "true");
  EXPECT_EQ(Eval(Bin("Ne", Ref("a"), Lit("7"))).value, "false");
  EXPECT_EQ(Eval(Bin("Eq", Ref("m"), "\"None\"")).value, "true");
  // The right side is not looked at when the left one decides.
  const std::string broken = Bin("Div", Lit("1"), Lit("0"));
  EXPECT_EQ(Eval(Bin("And", Lit("false"), Bin("Eq", broken, Lit("1")))), (Answer{"false", 0}));
  EXPECT_EQ(Eval(Bin("Or", Lit("true"), Bin("Eq", broken, Lit("1")))), (Answer{"true", 0}));
  EXPECT_EQ(Eval(If(Not(Lit("false")), Lit("1"), broken)), (Answer{"1", 0}));
  EXPECT_EQ(Eval(If(Lit("false"), broken, Lit("2"))), (Answer{"2", 0}));
}

TEST(ExpressionTest, UnwrapOrTakesIntegersOnly) {
  EXPECT_EQ(Eval(Or(Ref("a"), "1")).value, "7");
  EXPECT_EQ(Eval(Or(Ref("m"), "1")).value, "1");
  EXPECT_EQ(Eval(Or(Ref("n"), "4")).value, "4");  // never written
  EXPECT_EQ(Eval(Or(Ref("m"), "true")).value, "1");
  EXPECT_EQ(Eval(Or(Ref("m"), "\"x\"")).value, "0");
  EXPECT_EQ(Eval(Or(Lit("1.5"), "3")).value, "3");
}

TEST(ExpressionTest, CastsAreRusts) {
  EXPECT_EQ(Eval(Cast(Ref("d"), "u8")).value, "253");
  EXPECT_EQ(Eval(Cast(Ref("d"), "u64")).value, "\"18446744073709551613\"");
  EXPECT_EQ(Eval(Cast(Ref("d"), "u128")).value, "\"340282366920938463463374607431768211453\"");
  EXPECT_EQ(Eval(Cast(Lit("200"), "i8")).value, "-56");
  EXPECT_EQ(Eval(Cast(Lit("300"), "u8")).value, "44");
  EXPECT_EQ(Eval(Cast(Ref("a"), "f64")).value, "7.0");
  EXPECT_EQ(Eval(Cast(Lit("2.9"), "i64")).value, "2");
  EXPECT_EQ(Eval(Cast(Bin("Sub", Lit("0.0"), Lit("2.9")), "i64")).value, "-2");
  EXPECT_EQ(Eval(Cast(Bin("Sub", Lit("0.0"), Lit("2.9")), "u64")).value, "0");
  EXPECT_EQ(Eval(Cast(Lit("1e30"), "i64")).value, "\"9223372036854775807\"");
  EXPECT_EQ(Eval(Cast(Lit("true"), "u64")).value, "1");
  EXPECT_EQ(Eval(Cast(Lit("16777217"), "f32")).value, "16777216.0");
  EXPECT_EQ(Eval(Cast("\"None\"", "u64")), (Answer{"absent", 1}));
}

TEST(ExpressionTest, ContextAndWrappers) {
  EXPECT_EQ(Eval("\"ContextSlot\"").value, "50");
  EXPECT_EQ(Eval("\"ContextTimestamp\"").value, "900");
  EXPECT_EQ(Eval(absl::StrCat(R"({"Paren":{"expr":{"Some":{"value":)", Ref("a"), "}}}}")).value, "7");
  EXPECT_EQ(Eval("\"None\""), (Answer{"absent", 0}));
}

TEST(ExpressionTest, TokenAmounts) {
  EXPECT_EQ(Eval(Resolve("ui_amount", Lit("13750343"), Lit("2"))).value, "137503.43");
  EXPECT_EQ(Eval(Resolve("ui_amount", Ref("m"), Lit("2"))), (Answer{"absent", 0}));
  EXPECT_EQ(Eval(Resolve("ui_amount", Ref("a"), Lit("256"))), (Answer{"absent", 0}));
  EXPECT_EQ(Eval(Resolve("raw_amount", Lit("1.005"), Lit("2"))).value, "100");
  EXPECT_EQ(Eval(Resolve("raw_amount", Lit("0.5"), Lit("0"))).value, "1");
  EXPECT_EQ(Eval(Resolve("raw_amount", Ref("d"), Lit("0"))), (Answer{"absent", 0}));
  EXPECT_EQ(Eval(Resolve("raw_amount", Lit("1e19"), Lit("1"))), (Answer{"absent", 0}));
}

TEST(ExpressionTest, FieldsComeAfterThoseThatTheyRead) {
  World world({With({Computed("z", Bin("Add", Ref("y"), Lit("1"))), Computed("y", Bin("Add", Ref("x"), Lit("1"))),
                     Computed("x", Bin("Add", Ref("a"), Lit("1")))})});
  world.Run(BlockBuilder(1).Account(1, Thing{.amount = 10}.Bytes()));
  EXPECT_EQ(world.Field(KeyText(1), "z"), "13");
}

TEST(ExpressionTest, ACycleIsRefusedWithItsFields) {
  const auto compiled =
      CompileText({With({Computed("x", Ref("y")), Computed("y", Ref("x")), Computed("w", Ref("a"))})});
  ASSERT_FALSE(compiled.ok());
  EXPECT_EQ(compiled.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(std::string(compiled.status().message()),
            "mini.stack.json: entities[0].computed_field_specs: these fields wait for each other: x, y");
  EXPECT_FALSE(CompileText({With({Computed("x", Ref("x"))})}).ok());
}

TEST(ExpressionTest, EvaluatedOnceAtTheEndOfTheBlockForEveryEntityThatWasReached) {
  World world({With({Computed("slot", "\"ContextSlot\""), Computed("twice", Bin("Mul", Ref("n"), Lit("2")))})});
  world.Run(BlockBuilder(1).Transaction(1, {{DoIt(1), {1, 0}}, {DoIt(1), {1, 0}}, {DoIt(1), {2, 0}}}));
  EXPECT_EQ(world.Field(KeyText(1), "twice"), "4");
  const BatchRef batch = world.Run(BlockBuilder(2).Transaction(1, {{DoIt(1), {1, 0}}}));
  EXPECT_EQ(batch->mutations.size(), 1u);
  EXPECT_EQ(world.Field(KeyText(1), "slot"), "2");
  EXPECT_EQ(world.Field(KeyText(2), "slot"), "1");  // not reached
}

TEST(ExpressionTest, AKeyThatNothingWasWrittenToIsNoEntity) {
  EntityText entity = With({Computed("slot", "\"ContextSlot\"")});
  entity.handlers = {Handler(kDoIt, "accounts.target",
                             {Mapping("a", From("data.amount"), "LastWrite",
                                      ",\"condition\":" + Compare("data.amount", "GreaterThan", "5"))}),
                     LookupHandler(kDoIt, "accounts.user", {Mapping("d", From("data.delta"), "LastWrite")})};
  entity.handlers.push_back(Handler(kThing, "__account_address", {}));
  World world({entity});
  world.Run(BlockBuilder(1).Transaction(1, {{DoIt(9, 4), {2, 1}}}));  // waits for key 1
  EXPECT_TRUE(
      world.Run(BlockBuilder(2).Transaction(1, {{DoIt(1), {1, 9}}}).Account(1, Thing{}.Bytes()))->mutations.empty());
  world.Run(BlockBuilder(3).Transaction(1, {{DoIt(6), {1, 9}}}));
  EXPECT_EQ(world.Field(KeyText(1), "slot"), "3");
  EXPECT_EQ(world.Field(KeyText(1), "d"), "4");  // it did not miss that its key came to be
}

TEST(ExpressionTest, AFieldThatLosesItsValueBecomesNull) {
  World world({With({Computed("c", Ref("m"))})});
  world.Run(BlockBuilder(1).Account(1, Thing{}.Bytes()));
  EXPECT_EQ(world.Field(KeyText(1), "c"), "absent");
  world.Run(BlockBuilder(2).Account(1, Thing{.maybe = 5}.Bytes()));
  EXPECT_EQ(world.Field(KeyText(1), "c"), "5");
  world.Run(BlockBuilder(3).Account(1, Thing{}.Bytes()));
  EXPECT_EQ(world.Field(KeyText(1), "c"), "null");
}

}  // namespace
}  // namespace everstate::vm
