// What a projection says of itself, and what it refuses: each by name, with the file and the JSON path.
#include "server/vm/projection.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "server/base/base58.h"
#include "tests/server/vm/vm_fixture.h"
#include "tests/support/source_dir.h"

namespace everstate::vm {
namespace {

const std::string kAmount = From("data.amount");
const std::string kMapping = Mapping("x", kAmount, "LastWrite");

EntityText One(const std::vector<std::string>& mappings = {kMapping}, const std::string& type = kDoIt,
               const std::string& key = "accounts.target") {
  EntityText entity;
  entity.handlers = {Handler(type, key, mappings)};
  return entity;
}

struct Refusal {
  absl::StatusCode code;
  std::string path, says;
};

void ExpectRefused(const EntityText& entity, const Refusal& refusal) {
  const auto compiled = CompileText({entity});
  ASSERT_FALSE(compiled.ok()) << "expected: " << refusal.says;
  EXPECT_EQ(compiled.status().code(), refusal.code) << compiled.status();
  const std::string message(compiled.status().message());
  EXPECT_TRUE(message.starts_with("mini.stack.json: entities[0]." + refusal.path + ": ")) << message;
  EXPECT_NE(message.find(refusal.says), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << "more than one finding: " << message;
}
constexpr auto kUnimplemented = absl::StatusCode::kUnimplemented;
constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

TEST(ProjectionTest, SaysWhatItNeedsOfTheStream) {
  auto deeds = CompileText({One()});
  ASSERT_TRUE(deeds.ok()) << deeds.status();
  ASSERT_EQ((*deeds)->transaction_programs().size(), 1u);
  EXPECT_EQ(EncodeBase58((*deeds)->transaction_programs()[0]), kProgramId);
  EXPECT_TRUE((*deeds)->account_owners().empty());
  auto things = CompileText({One({Mapping("x", From("amount"), "LastWrite")}, kThing, "__account_address")});
  ASSERT_TRUE(things.ok()) << things.status();
  EXPECT_TRUE((*things)->transaction_programs().empty());
  EXPECT_EQ((*things)->account_owners().size(), 1u);
  EXPECT_EQ((*things)->settings().Canonical(),
            "append_keep=100,waiting_bytes_max=16777216,waiting_per_address_max=50,waiting_slots_max=750");
  auto booms = CompileText({One({Mapping("x", kAmount, "LastWrite")}, kBoom, "data.who")});
  ASSERT_TRUE(booms.ok()) << booms.status();
  EXPECT_EQ((*booms)->transaction_programs().size(), 1u);
}

TEST(ProjectionTest, RefusesSettingsThatKeepNothing) {
  const auto arrays = CompileText({One()}, Settings{.append_keep = 0});
  EXPECT_EQ(arrays.status(), absl::InvalidArgumentError("append_keep: at least 1 element has to be kept"));
  const auto waiting = CompileText({One()}, Settings{.waiting_per_address_max = 0});
  EXPECT_EQ(waiting.status(), absl::InvalidArgumentError("waiting_per_address_max: at least 1 event has to be kept"));
}

TEST(ProjectionTest, ListsItsViewsAndThoseThatItCannotServe) {
  EntityText entity = One();
  entity.views = R"([{"id":"E/top","source":{"Entity":{"name":"E"}},"pipeline":[],"output":"Collection"},
                     {"id":"E/first","source":{"View":{"id":"E/top"}},"pipeline":["First"],"output":"Single"}])";
  auto compiled = CompileText({entity});
  ASSERT_TRUE(compiled.ok()) << compiled.status();
  const std::vector<ViewDef>& views = (*compiled)->schema()->views();
  ASSERT_EQ(views.size(), 5u);
  EXPECT_EQ(views[0].id, "E/list");
  EXPECT_EQ(views[1].id, "E/state");
  EXPECT_EQ(views[2].id, "E/append");
  EXPECT_TRUE(views[2].unsupported.empty());
  EXPECT_EQ(views[3].id, "E/top");
  EXPECT_EQ(views[3].mode, ViewMode::kList);
  EXPECT_EQ(views[4].mode, ViewMode::kState);
  EXPECT_FALSE(views[3].unsupported.empty() || views[4].unsupported.empty());
  EntityText lost = One();
  lost.views = R"([{"id":"E/top","source":{"Entity":{"name":"F"}},"pipeline":[],"output":"Collection"}])";
  ExpectRefused(lost, {kInvalid, "views[0].source", "\"F\""});
}

TEST(RefusalTest, Keys) {
  for (const char* kind : {"Computed", "TemporalLookup"}) {
    EntityText entity = One();
    const std::string content =
        std::string(kind) == "TemporalLookup"
            ? R"({"lookup_field":{"segments":["data","amount"]},"timestamp_field":{"segments":["data","amount"]},"index_name":"i"})"
            : R"({"primary_field":{"segments":["data","amount"]},"compute_partition":"Sum"})";
    entity.handlers[0] = absl::StrReplaceAll(entity.handlers[0],
                                             {{R"({"Embedded":{"primary_field":)" + PathJson("accounts.target") + "}}",
                                               absl::StrCat("{\"", kind, "\":", content, "}")}});
    ExpectRefused(entity, {kUnimplemented, "handlers[0].key_resolution", kind});
  }
  ExpectRefused(One({kMapping}, kDoIt, ""), {kInvalid, "handlers[0].key_resolution", "no field that holds the key"});
}

TEST(RefusalTest, Sources) {
  auto with = [](const std::string& source, const std::string& members = "") {
    return One({Mapping("x", source, "LastWrite", members)});
  };
  auto transformed = [](const std::string& path, const std::string& transform) {
    return From(path, absl::StrCat(R"(,"default":null,"transform":")", transform, "\""));
  };
  const std::string at = "handlers[0].mappings[0].source";
  for (const char* t : {"HexEncode", "HexDecode", "Base58Decode", "ToString", "ToNumber"}) {
    ExpectRefused(with(transformed("accounts.user", t)), {kUnimplemented, at + ".FromSource", t});
  }
  ExpectRefused(with(transformed("data.amount", "Base58Encode")), {kUnimplemented, at + ".FromSource", "Base58Encode"});
  ExpectRefused(with(R"({"Computed":{"inputs":[],"function":"Sum"}})"), {kUnimplemented, at, "Computed"});
  ExpectRefused(with(R"({"FromState":{"path":"a"}})"), {kUnimplemented, at, "FromState"});
  ExpectRefused(with(R"({"AsCapture":{"field_transforms":{"a":"HexEncode"}}})"),
                {kUnimplemented, at + ".AsCapture.field_transforms", "capture"});
  ExpectRefused(with(From("data.missing")), {kInvalid, at + ".FromSource.path", "missing"});
  ExpectRefused(with(From("accounts.missing")), {kInvalid, at + ".FromSource.path", "missing"});
  ExpectRefused(with(From("accounts.user.x")), {kInvalid, at + ".FromSource.path", "address"});
  ExpectRefused(with(From("__update_context.slot")),
                {kUnimplemented, at + ".FromSource.path", "__update_context.slot"});
  ExpectRefused(One({Mapping("x", transformed("accounts.user", "HexEncode"), "Count")}),
                {kUnimplemented, at + ".FromSource", "HexEncode"});
  ExpectRefused(One({Mapping("x", From("data.missing"), "Count")}),
                {kInvalid, "handlers[0].mappings[0].source.FromSource.path", "missing"});
}

TEST(RefusalTest, EventTypesWhenStopAndConditions) {
  EntityText unknown = One({kMapping}, "mini::NothingIxState");
  ExpectRefused(unknown, {kInvalid, "handlers[0].source", "mini::NothingIxState"});
  ExpectRefused(One({kMapping}, "mini::NothingCpiEvent"), {kInvalid, "handlers[0].source", "mini::NothingCpiEvent"});
  ExpectRefused(One({Mapping("x", From("accounts.target"), "LastWrite")}, kBoom, "data.who"),
                {kInvalid, "handlers[0].mappings[0].source.FromSource.path", "accounts.target"});
  ExpectRefused(
      One({Mapping("x", From("amount"), "LastWrite", R"(,"when":"mini::BoomCpiEvent")")}, kThing, "__account_address"),
      {kUnimplemented, "handlers[0].mappings[0].when", "event"});
  ExpectRefused(One({Mapping("x", kAmount, "LastWrite", R"(,"when":"mini::FreezeIxState")")}),
                {kUnimplemented, "handlers[0].mappings[0].when", "when"});
  EntityText stop =
      One({Mapping("x", From("amount"), "LastWrite", R"(,"stop":"mini::HaltIxState")")}, kThing, "__account_address");
  ExpectRefused(stop, {kInvalid, "handlers[0].mappings[0].stop", "__stop:x"});
  EntityText when =
      One({Mapping("x", From("amount"), "LastWrite", R"(,"when":"mini::NoIxState")")}, kThing, "__account_address");
  ExpectRefused(when, {kInvalid, "handlers[0].mappings[0].when", "mini::NoIxState"});
  ExpectRefused(One({Mapping("x", kAmount, "Sum", R"(,"condition":{"expression":"a ~ b","parsed":null})")}),
                {kUnimplemented, "handlers[0].mappings[0].condition", "a ~ b"});
  ExpectRefused(One({Mapping("x", kAmount, "Sum", absl::StrCat(",\"condition\":", Compare("data.no", "Equal", "1")))}),
                {kInvalid, "handlers[0].mappings[0].condition.parsed.Comparison.field", "no"});
  const std::string logical =
      R"({"expression":"","parsed":{"Logical":{"op":"Or","conditions":[{"Comparison":{"field":)" +
      PathJson("data.amount") + R"(,"op":"Equal","value":1}},{"Comparison":{"field":)" + PathJson("data.no") +
      R"(,"op":"Equal","value":1}}]}}})";
  ExpectRefused(One({Mapping("x", kAmount, "Sum", ",\"condition\":" + logical)}),
                {kInvalid, "handlers[0].mappings[0].condition.parsed.Logical.conditions[1].Comparison.field", "no"});
  EntityText conditions = One();
  conditions.handlers[0] =
      absl::StrReplaceAll(conditions.handlers[0], {{R"("conditions":[])", R"("conditions":[{}])"}});
  ExpectRefused(conditions, {kUnimplemented, "handlers[0].conditions", "condition"});
  EntityText silent = One();
  silent.handlers[0] = absl::StrReplaceAll(silent.handlers[0], {{R"("emit":true)", R"("emit":false)"}});
  ExpectRefused(silent, {kUnimplemented, "handlers[0].emit", "emit"});
}

TEST(RefusalTest, HooksResolversAndIndexes) {
  auto with_pda = [](const std::string& pda, const std::string& seed) {
    EntityText entity = One();
    entity.hooks = {Hook(kDoIt, "",
                         {absl::StrCat(R"({"RegisterPdaMapping":{"pda_field":)", PathJson(pda), R"(,"seed_field":)",
                                       PathJson(seed), R"(,"lookup_name":"default_pda_lookup"}})")})};
    return entity;
  };
  const std::string registration = "instruction_hooks[0].actions[0].RegisterPdaMapping";
  ExpectRefused(with_pda("accounts.none", "accounts.user"), {kInvalid, registration + ".pda_field", "none"});
  ExpectRefused(with_pda("accounts.user", "accounts.none"), {kInvalid, registration + ".seed_field", "none"});
  EntityText flag = One();
  flag.hooks = {Hook(kDoIt, "accounts.target",
                     {R"({"SetField":{"target_field":"__stop:x","source":{"Constant":true},"condition":null}})"})};
  ExpectRefused(flag, {kInvalid, "instruction_hooks[0].actions[0].SetField.target_field", "`stop`"});
  EntityText conditional = One();
  conditional.hooks = {Hook(kDoIt, "accounts.target",
                            {R"({"IncrementField":{"target_field":"y","increment_by":1,"condition":)" +
                             Compare("data.no", "Equal", "1") + "}}"})};
  ExpectRefused(conditional,
                {kInvalid, "instruction_hooks[0].actions[0].IncrementField.condition.parsed.Comparison.field", "no"});
  EntityText inside = One();
  inside.hooks = {Hook(kDoIt, "accounts.target",
                       {R"({"IncrementField":{"target_field":"x.y","increment_by":1,"condition":null}})"})};
  ExpectRefused(inside,
                {kInvalid, "instruction_hooks[0].actions[0].IncrementField.target_field", "inside one another"});
  EntityText orphan = One();
  orphan.hooks = {
      Hook(kHalt, "", {R"({"SetField":{"target_field":"y","source":{"Constant":true},"condition":null}})"})};
  ExpectRefused(orphan, {kInvalid, "instruction_hooks[0]", "lookup_by"});
  EntityText resolver_hook = One();
  resolver_hook.resolver_hooks = absl::StrCat(
      R"([{"account_type":"mini::ThingState","strategy":{"DirectField":{"field_path":)", PathJson("id"), "}}}]");
  ExpectRefused(resolver_hook, {kUnimplemented, "resolver_hooks[0].strategy", "DirectField"});
  EntityText unknown_hook = One();
  unknown_hook.resolver_hooks = R"([{"account_type":"mini::NoState","strategy":{"PdaReverseLookup":
      {"lookup_name":"l","queue_discriminators":[]}}}])";
  ExpectRefused(unknown_hook, {kInvalid, "resolver_hooks[0].account_type", "mini::NoState"});
  EntityText resolver = One();
  resolver.resolver_specs =
      R"([{"resolver":"token","input_value":"a","strategy":"SetOnce","extracts":[{"target_path":"meta"}]}])";
  ExpectRefused(resolver, {kUnimplemented, "resolver_specs[0]", "resolver"});
  EntityText temporal = One();
  temporal.indexes = {R"({"field_name":"x","temporal_field":"t"})"};
  ExpectRefused(temporal, {kUnimplemented, "identity.lookup_indexes[0].temporal_field", "temporal"});
}

TEST(RefusalTest, Fields) {
  for (const char* path : {"a..b", ".a", "a.", "_seq", "_seq.x"})
    ExpectRefused(One({Mapping(path, kAmount, "LastWrite")}),
                  {kInvalid, "handlers[0].mappings[0].target_path", path[0] == '_' ? "reserved" : path});
  ExpectRefused(One({kMapping, Mapping("x.y", kAmount, "LastWrite")}),
                {kInvalid, "handlers[0].mappings[1].target_path", "inside one another"});
  ExpectRefused(One({Mapping("x.y", kAmount, "LastWrite"), kMapping}),
                {kInvalid, "handlers[0].mappings[1].target_path", "inside one another"});
  std::vector<std::string> many;
  for (int i = 0; i < 257; ++i) many.push_back(Mapping(absl::StrCat("f", i), kAmount, "LastWrite"));
  ExpectRefused(One(many), {kUnimplemented, "handlers[0].mappings[256].target_path", "256"});
  many.pop_back();
  EXPECT_TRUE(CompileText({One(many)}).ok());
}

// Numbers inside a program have 16 bits.
TEST(RefusalTest, MoreThanCanBeNumbered) {
  EntityText handlers;
  handlers.handlers.assign(32768, Handler(kDoIt, "accounts.target", {}));
  const auto compiled = CompileText({handlers});
  EXPECT_EQ(compiled.status().code(), kUnimplemented);
  EXPECT_TRUE(absl::StrContains(compiled.status().message(), "handlers and hooks of one event")) << compiled.status();
  handlers.handlers.pop_back();
  EXPECT_TRUE(CompileText({handlers}).ok());
  EntityText indexes = One();
  indexes.indexes.assign(65536, R"({"field_name":"x"})");
  ExpectRefused(indexes, {kUnimplemented, "identity.lookup_indexes", "65,535"});
}

TEST(RefusalTest, Expressions) {
  auto with = [](const std::string& expression) {
    EntityText entity = One();
    entity.computed = {Computed("c", expression)};
    return entity;
  };
  const std::string at = "computed_field_specs[0].expression", ref = R"({"FieldRef":{"path":"x"}})";
  const std::pair<std::string, std::string> nodes[] = {
      {absl::StrCat(R"({"MethodCall":{"expr":)", ref, R"(,"method":"len","args":[]}})"), "MethodCall"},
      {absl::StrCat(R"({"Slice":{"expr":)", ref, R"(,"start":0,"end":8}})"), "Slice"},
      {absl::StrCat(R"({"Index":{"expr":)", ref, R"(,"index":0}})"), "Index"},
      {absl::StrCat(R"({"U64FromLeBytes":{"bytes":)", ref, "}}"), "U64FromLeBytes"},
      {R"({"ByteArray":{"bytes":[1]}})", "ByteArray"},
      {absl::StrCat(R"({"Closure":{"param":"p","body":)", ref, "}}"), "Closure"},
      {absl::StrCat(R"({"JsonToBytes":{"expr":)", ref, "}}"), "JsonToBytes"},
      {absl::StrCat(R"({"Keccak256":{"expr":)", ref, "}}"), "Keccak256"},
      {absl::StrCat(R"({"Unary":{"op":"ReverseBits","expr":)", ref, "}}"), "ReverseBits"},
      {absl::StrCat(R"({"Binary":{"op":"Xor","left":)", ref, R"(,"right":)", ref, "}}"), "Xor"},
      {absl::StrCat(R"({"Cast":{"expr":)", ref, R"(,"to_type":"String"}})"), "String"},
      {absl::StrCat(R"({"ResolverComputed":{"resolver":"SlotHash","method":"slot_hash","args":[)", ref, "]}}"),
       "SlotHash.slot_hash"},
      {R"({"Literal":{"value":"25u64"}})", "text literal"},
      {absl::StrCat(R"({"UnwrapOr":{"expr":)", ref, R"(,"default":1.5}})"), "float"},
  };
  for (const auto& [expression, name] : nodes) ExpectRefused(with(expression), {kUnimplemented, at, name});
  ExpectRefused(with(R"({"FieldRef":{"path":"y.z"}})"), {kInvalid, at, "y.z"});
  ExpectRefused(with(R"({"FieldRef":{"path":"x.y.z"}})"), {kUnimplemented, at, "\"x.y.z\" into the field \"x\""});
  ExpectRefused(with(R"({"Paren":{"expr":{"Var":{"name":"x"}}}})"), {kInvalid, at + ".Paren.expr", "\"x\""});
  ExpectRefused(with(absl::StrCat(R"({"Binary":{"op":"Add","left":{"Let":{"name":"v","value":)", ref, R"(,"body":)",
                                  ref, R"(}},"right":{"Var":{"name":"v"}}}})")),
                {kInvalid, at + ".Binary.right", "\"v\""});
  const std::string unknown = R"({"Var":{"name":"u"}})";
  ExpectRefused(with(R"({"If":{"condition":"None","then_branch":"None","else_branch":)" + unknown + "}}"),
                {kInvalid, at + ".If.else_branch", "\"u\""});
  ExpectRefused(
      with(R"({"ResolverComputed":{"resolver":"TokenMetadata","method":"ui_amount","args":["None",)" + unknown + "]}}"),
      {kInvalid, at + ".ResolverComputed.args[1]", "\"u\""});
  ExpectRefused(with(R"({"Some":{"value":)" + unknown + "}}"), {kInvalid, at + ".Some.value", "\"u\""});
  std::string deep = ref;
  for (int i = 0; i < 9; ++i) deep = absl::StrCat(R"({"Let":{"name":"v","value":)", ref, R"(,"body":)", deep, "}}");
  std::string ninth = at;
  for (int i = 0; i < 8; ++i) ninth += ".Let.body";
  ExpectRefused(with(deep), {kUnimplemented, ninth, "variables"});
  EntityText twice = One();
  twice.computed = {Computed("x", ref)};
  ExpectRefused(twice, {kInvalid, "computed_field_specs[0].target_path", "written elsewhere"});
  EntityText listed = One();
  listed.computed_fields = R"(["c"])";
  ExpectRefused(listed, {kInvalid, "computed_fields[0]", "no expression"});
}

TEST(ProjectionTest, CompilesTheRealStacksAndRefusesWhatItCannotDoByName) {
  auto spl = stack::LoadStack(InSource("tests/stacks/SplStream.stack.json"));
  ASSERT_TRUE(spl.ok()) << spl.status();
  auto projection = Projection::Compile(*spl, Settings());
  ASSERT_TRUE(projection.ok()) << projection.status();
  EXPECT_EQ((*projection)->schema()->entities().size(), 2u);
  EXPECT_EQ((*projection)->schema()->views().size(), 12u);
  const std::string stacks = InSharedData("stacks/");
  auto pump = stack::LoadStack(stacks + "PumpStream.stack.json");
  auto ore = stack::LoadStack(stacks + "OreStream.stack.json");
  if (absl::IsNotFound(pump.status()) || absl::IsNotFound(ore.status()))
    GTEST_SKIP() << "the data of the other stacks is not here";
  ASSERT_TRUE(pump.ok() && ore.ok()) << pump.status() << ore.status();
  auto pumped = Projection::Compile(*pump, Settings());
  ASSERT_TRUE(pumped.ok()) << pumped.status();
  const std::vector<ViewDef>& views = (*pumped)->schema()->views();
  ASSERT_EQ(views.size(), 2u * 3 + 5);
  for (size_t i = 0; i < views.size(); ++i) EXPECT_EQ(views[i].unsupported.empty(), i < 6) << views[i].id;
  auto refused = Projection::Compile(*ore, Settings());
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kUnimplemented) << refused.status();
  EXPECT_TRUE(absl::StrContains(refused.status().message(), "entities[0].resolver_specs[0]")) << refused.status();
}

}  // namespace
}  // namespace everstate::vm
