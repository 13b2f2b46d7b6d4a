#include "server/stack/stack.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/server/stack/real_stacks.h"
#include "tests/support/source_dir.h"

namespace everstate::stack {
namespace {

using Json = nlohmann::ordered_json;
using ::testing::HasSubstr;

std::shared_ptr<const Stack> Load(const std::string& file) {
  auto stack = LoadStack(file);
  EXPECT_TRUE(stack.ok()) << stack.status();
  return stack.ok() ? *stack : nullptr;
}

std::shared_ptr<const Stack> ParseJson(const Json& json) {
  auto stack = ParseStack(json.dump(), "test.stack.json");
  EXPECT_TRUE(stack.ok()) << stack.status();
  return stack.ok() ? *stack : nullptr;
}

TEST(Stack, RealStacksLoadAndTheirContentHashIsTheirs) {
  for (const std::string& file : RealStackFiles()) {
    const auto stack = Load(file);
    ASSERT_NE(stack, nullptr);
    EXPECT_FALSE(stack->hash_differs) << file;
    EXPECT_EQ(stack->text, ReadFile(file));
    EXPECT_EQ(stack->idls.size(), stack->program_ids.size());
  }
}

TEST(Stack, ContentHashIsThatOfTheContentNotOfItsSpelling) {
  Json json = Json::parse(ReadFile(SplStackFile()));
  const auto stack = ParseJson(json);
  auto spelled = ParseStack(json.dump(7, '\t', true), "test.stack.json");
  ASSERT_TRUE(spelled.ok());
  EXPECT_EQ((*spelled)->hash, stack->hash);
  json["stack_name"] = "Other";
  EXPECT_TRUE(ParseJson(json)->hash_differs);
  EXPECT_EQ(ParseJson(json)->recorded_hash, json["content_hash"].get<std::string>());
  EXPECT_NE(ParseJson(json)->hash, stack->hash);
  json.erase("content_hash");
  EXPECT_FALSE(ParseJson(json)->hash_differs);
}

// Everything that the file lists is in the model, counted from the file itself.
TEST(Stack, NothingOfTheFileIsLeftOut) {
  for (const std::string& file : RealStackFiles()) {
    const auto stack = Load(file);
    const Json json = Json::parse(ReadFile(file));
    EXPECT_EQ(stack->name, json["stack_name"].get<std::string>());
    ASSERT_EQ(stack->entities.size(), json["entities"].size());
    for (size_t e = 0; e < stack->entities.size(); ++e) {
      const Entity& entity = stack->entities[e];
      const Json& in = json["entities"][e];
      EXPECT_EQ(entity.name, in["state_name"].get<std::string>());
      EXPECT_EQ(entity.resolver_hooks.size(), in["resolver_hooks"].size());
      EXPECT_EQ(entity.instruction_hooks.size(), in["instruction_hooks"].size());
      EXPECT_EQ(entity.resolver_specs.size(), in["resolver_specs"].size());
      EXPECT_EQ(entity.computed_fields, in["computed_fields"].get<std::vector<std::string>>());
      EXPECT_EQ(entity.computed_field_specs.size(), in["computed_field_specs"].size());
      EXPECT_EQ(entity.views.size(), in["views"].size());
      ASSERT_EQ(entity.handlers.size(), in["handlers"].size());
      for (size_t h = 0; h < entity.handlers.size(); ++h) {
        const Json& handler = in["handlers"][h];
        EXPECT_EQ(entity.handlers[h].event_type, handler["source"]["Source"]["type_name"].get<std::string>());
        ASSERT_EQ(entity.handlers[h].mappings.size(), handler["mappings"].size());
        for (size_t m = 0; m < handler["mappings"].size(); ++m) {
          const Json& mapping = handler["mappings"][m];
          EXPECT_EQ(entity.handlers[h].mappings[m].target_path, mapping["target_path"].get<std::string>());
          EXPECT_EQ(Name(entity.handlers[h].mappings[m].population), mapping["population"].get<std::string>());
          EXPECT_EQ(entity.handlers[h].mappings[m].condition.has_value(), mapping.contains("condition"));
        }
      }
    }
    for (size_t i = 0; i < stack->idls.size(); ++i) {
      EXPECT_EQ(stack->idls[i].program_id, json["program_ids"][i].get<std::string>());
      EXPECT_EQ(stack->idls[i].types.size(), json["idls"][i]["types"].size());
      EXPECT_EQ(stack->idls[i].accounts.size(), json["idls"][i]["accounts"].size());
      EXPECT_EQ(stack->idls[i].instructions.size(), json["idls"][i]["instructions"].size());
      EXPECT_EQ(stack->idls[i].events.size(), json["idls"][i]["events"].size());
    }
  }
}

// A small stack in which every form of the format occurs once.
Json EveryForm() {
  return Json::parse(R"json({
    "stack_name": "Every", "program_ids": ["11111111111111111111111111111111"],
    "idls": [{"name": "p", "accounts": [
        {"name": "A", "discriminator": [1, 2], "serialization": "bytemuckunsafe", "type": {"kind": "struct", "fields": [{"name": "x", "type": "u8"}]}}],
      "instructions": [{"name": "i", "discriminator": [], "discriminant": {"type": "u8", "value": 7}, "accounts": [{"name": "a"}],
        "args": [{"name": "m", "type": {"hashMap": ["u8", {"option": {"vec": {"array": ["i128", 3]}}}]}}, {"name": "t", "type": "T"}]}],
      "types": [{"name": "T", "type": {"kind": "struct", "fields": ["publicKey", {"defined": {"name": "E"}}]}},
        {"name": "E", "type": {"kind": "enum", "variants": [{"name": "U"}, {"name": "P", "fields": ["u8"]}, {"name": "S", "fields": [{"name": "f", "type": "bool"}]}]}}]}],
    "entities": [{"state_name": "E",
      "identity": {"primary_keys": ["k", "k"], "lookup_indexes": [{"field_name": "l", "temporal_field": "t"}]},
      "handlers": [{"source": {"Source": {"type_name": "p::AState"}}, "conditions": [], "emit": false,
        "key_resolution": {"TemporalLookup": {"lookup_field": {"segments": ["a"]}, "timestamp_field": {"segments": ["b"]}, "index_name": "n"}},
        "mappings": [
          {"target_path": "a", "population": "Max", "emit": false, "when": "p::IIxState", "stop": "p::JIxState",
           "source": {"FromSource": {"path": {"segments": ["x", "y"]}, "default": 5, "transform": "HexEncode"}},
           "condition": {"expression": "c", "parsed": {"Logical": {"op": "Or", "conditions": [
              {"Comparison": {"field": {"segments": []}, "op": "LessThan", "value": -3}}]}}}},
          {"target_path": "b", "population": "Sum", "source": {"Computed": {"inputs": [{"segments": ["q"]}], "function": {"Format": "s"}}}},
          {"target_path": "c", "population": "Append", "source": {"AsEvent": {"fields": [{"FromSource": {"path": {"segments": ["z"]}}}]}}},
          {"target_path": "d", "population": "LastWrite", "source": "WholeSource"},
          {"target_path": "e", "population": "LastWrite", "source": {"AsCapture": {"field_transforms": {"f": "ToNumber"}}}},
          {"target_path": "f", "population": "LastWrite", "source": {"Constant": [1, {"b": 1.5, "a": null}]}},
          {"target_path": "g", "population": "LastWrite", "source": {"FromState": {"path": "a"}}},
          {"target_path": "h", "population": "LastWrite", "source": {"FromContext": {"field": "slot"}}, "transform": "ToString"}]}],
      "sections": [{"name": "root"}, {"name": "s"}],
      "resolver_hooks": [{"account_type": "p::AState", "strategy": {"PdaReverseLookup": {"lookup_name": "l", "queue_discriminators": [[9, 1]]}}},
        {"account_type": "p::AState", "strategy": {"DirectField": {"field_path": {"segments": ["m"]}}}}],
      "instruction_hooks": [{"instruction_type": "p::IIxState", "lookup_by": {"segments": ["accounts", "a"]}, "actions": [
        {"RegisterPdaMapping": {"pda_field": {"segments": ["p"]}, "seed_field": {"segments": ["s"]}, "lookup_name": "l"}},
        {"SetField": {"target_field": "t", "source": {"Constant": true}, "condition": {"expression": "raw"}}},
        {"IncrementField": {"target_field": "n", "increment_by": -2, "condition": null}}]}],
      "resolver_specs": [{"resolver": "token", "input_value": "v", "extracts": [{"target_path": "m"}]},
        {"resolver": {"url": {"url_source": {"Template": [{"Literal": "h/"}, {"FieldRef": "s.i"}]}, "method": "post"}}, "strategy": "LastWrite",
         "extracts": [{"target_path": "m", "source_path": "p", "transform": "Base58Encode"}], "schedule_at": "s.e", "input_path": "i",
         "condition": {"field_path": "v", "op": "Equal", "value": null}},
        {"resolver": {"url": {"url_source": {"FieldPath": "s.u"}}}, "extracts": []}],
      "computed_field_specs": [{"target_path": "x", "expression":
        {"Let": {"name": "v", "value": {"Binary": {"op": "Shl", "left": {"FieldRef": {"path": "a.b"}}, "right": {"Literal": {"value": 25}}}},
          "body": {"If": {"condition": {"Unary": {"op": "Not", "expr": {"Var": {"name": "v"}}}},
            "then_branch": {"MethodCall": {"expr": "None", "method": "map", "args": [{"Closure": {"param": "c", "body": "ContextSlot"}}]}},
            "else_branch": {"ResolverComputed": {"resolver": "R", "method": "m", "args": [
               {"Slice": {"expr": {"ByteArray": {"bytes": [0, 255]}}, "start": 8, "end": 18446744073709551615}},
               {"UnwrapOr": {"expr": {"Index": {"expr": {"Some": {"value": "ContextTimestamp"}}, "index": 2}}, "default": "d"}}]}}}}}}}],
      "views": [{"id": "E/v", "source": {"View": {"id": "E/list"}}, "output": {"Keyed": {"key_field": {"segments": ["k"]}}}, "pipeline": [
        {"Filter": {"predicate": {"And": [{"Compare": {"field": {"segments": ["a"]}, "op": "Gte", "value": {"Field": {"segments": ["b"]}}}},
           {"Not": {"Exists": {"field": {"segments": ["c"]}}}}, {"Or": [{"Compare": {"field": {"segments": ["a"]}, "op": "Ne", "value": {"Dynamic": "now()"}}}]}]}}},
        {"Sort": {"key": {"segments": ["a"]}}}, {"Skip": {"count": 2}}, {"Take": {"count": 3}}, "First", "Last", {"MinBy": {"key": {"segments": ["a"]}}}]}]
    }]})json");
}

TEST(Stack, ReadsEveryFormOfHandlersAndHooks) {
  const auto stack = ParseJson(EveryForm());
  ASSERT_NE(stack, nullptr);
  const Entity& entity = stack->entities[0];
  EXPECT_EQ(entity.sections, std::vector<std::string>{"s"});
  EXPECT_EQ(entity.lookup_indexes[0].temporal_field, "t");
  const Handler& handler = entity.handlers[0];
  EXPECT_EQ(handler.key.kind, KeyResolution::Kind::kTemporalLookup);
  EXPECT_EQ(handler.key.timestamp_field, Path{"b"});
  EXPECT_EQ(handler.key.index_name, "n");
  EXPECT_FALSE(handler.emit);
  EXPECT_FALSE(handler.is_account);

  const Mapping& first = handler.mappings[0];
  EXPECT_EQ(first.when, "p::IIxState");
  EXPECT_EQ(first.stop, "p::JIxState");
  EXPECT_FALSE(first.emit);
  const auto& source = std::get<MappingSource::FromSource>(first.source.value);
  EXPECT_EQ(PathText(source.path), "x.y");
  EXPECT_EQ(std::get<uint64_t>(source.default_value->value), 5u);
  EXPECT_EQ(source.transform, Transform::kHexEncode);
  const auto& logical = std::get<Condition::Logical>(first.condition->parsed);
  EXPECT_FALSE(logical.all);
  const auto& compare = std::get<Condition::Compare>(logical.conditions[0].parsed);
  EXPECT_EQ(compare.op, Comparison::kLessThan);
  EXPECT_EQ(std::get<int64_t>(compare.value.value), -3);

  const auto& computed = std::get<MappingSource::Computed>(handler.mappings[1].source.value);
  EXPECT_EQ(computed.function, "Format");
  EXPECT_EQ(computed.argument, "s");
  EXPECT_EQ(std::get<MappingSource::AsEvent>(handler.mappings[2].source.value).fields[0].path, Path{"z"});
  EXPECT_TRUE(std::holds_alternative<MappingSource::WholeSource>(handler.mappings[3].source.value));
  EXPECT_EQ(std::get<MappingSource::AsCapture>(handler.mappings[4].source.value).field_transforms[0].second,
            Transform::kToNumber);
  const auto& constant =
      std::get<Literal::Array>(std::get<MappingSource::Constant>(handler.mappings[5].source.value).value.value);
  const auto& object = std::get<Literal::Object>(constant[1].value);
  EXPECT_EQ(object[0].key, "a");  // ascending
  EXPECT_EQ(std::get<double>(object[1].value.value), 1.5);
  EXPECT_EQ(std::get<MappingSource::FromState>(handler.mappings[6].source.value).path, "a");
  EXPECT_EQ(std::get<MappingSource::FromContext>(handler.mappings[7].source.value).field, "slot");
  EXPECT_EQ(handler.mappings[7].transform, Transform::kToString);

  const auto& reverse = std::get<ResolverHook::PdaReverseLookup>(entity.resolver_hooks[0].strategy);
  EXPECT_EQ(reverse.queue_discriminators[0], (std::vector<uint8_t>{9, 1}));
  EXPECT_EQ(std::get<ResolverHook::DirectField>(entity.resolver_hooks[1].strategy).field, Path{"m"});
  const InstructionHook& hook = entity.instruction_hooks[0];
  EXPECT_EQ(hook.lookup_by, (Path{"accounts", "a"}));
  EXPECT_EQ(std::get<HookAction::RegisterPdaMapping>(hook.actions[0].value).seed_field, Path{"s"});
  const auto& set = std::get<HookAction::SetField>(hook.actions[1].value);
  EXPECT_TRUE(std::holds_alternative<std::monostate>(set.condition->parsed));
  EXPECT_EQ(std::get<HookAction::IncrementField>(hook.actions[2].value).increment_by, -2);
}

TEST(Stack, ReadsEveryFormOfResolversExpressionsAndViews) {
  const auto stack = ParseJson(EveryForm());
  ASSERT_NE(stack, nullptr);
  const Entity& entity = stack->entities[0];
  EXPECT_TRUE(entity.resolver_specs[0].token);
  EXPECT_EQ(std::get<std::string>(entity.resolver_specs[0].input_value->value), "v");
  const ResolverSpec& url = entity.resolver_specs[1];
  EXPECT_TRUE(url.post && url.last_write);
  EXPECT_TRUE(url.url_template[1].field_ref);
  EXPECT_EQ(url.extracts[0].transform, Transform::kBase58Encode);
  EXPECT_EQ(url.schedule_at, "s.e");
  EXPECT_TRUE(std::holds_alternative<Literal::Null>(url.condition->value.value));
  EXPECT_EQ(entity.resolver_specs[2].url_template[0].text, "s.u");

  const Expr& let = entity.computed_field_specs[0].expression;
  EXPECT_EQ(Name(let.kind), "Let");
  EXPECT_EQ(let.text, "v");
  EXPECT_EQ(let.args[0].text, "Shl");
  EXPECT_EQ(let.args[0].args[0].text, "a.b");
  const Expr& branch = let.args[1];
  EXPECT_EQ(branch.args[0].text, "Not");
  EXPECT_EQ(branch.args[1].args.size(), 2u);  // None, the closure
  EXPECT_EQ(branch.args[1].args[1].args[0].kind, Expr::Kind::kContextSlot);
  const Expr& resolver = branch.args[2];
  EXPECT_EQ(resolver.text, "R.m");
  EXPECT_EQ(resolver.args[0].end, UINT64_MAX);
  EXPECT_EQ(resolver.args[0].args[0].bytes, (std::vector<uint8_t>{0, 255}));
  EXPECT_EQ(std::get<std::string>(resolver.args[1].literal.value), "d");
  EXPECT_EQ(resolver.args[1].args[0].start, 2u);

  const View& view = entity.views[0];
  EXPECT_EQ(view.source_view, "E/list");
  EXPECT_EQ(view.output, "Keyed");
  EXPECT_EQ(view.output_key, Path{"k"});
  const Predicate& predicate = view.pipeline[0].predicate;
  EXPECT_EQ(std::get<Path>(predicate.args[0].value), Path{"b"});
  EXPECT_EQ(predicate.args[1].args[0].kind, Predicate::Kind::kExists);
  EXPECT_EQ(std::get<std::string>(predicate.args[2].args[0].value), "now()");
  EXPECT_FALSE(view.pipeline[1].descending);
  EXPECT_EQ(view.pipeline[3].count, 3u);
  EXPECT_EQ(view.pipeline[6].kind, ViewStep::Kind::kMinBy);
}

TEST(Stack, ReadsEveryFormOfIdls) {
  const auto stack = ParseJson(EveryForm());
  ASSERT_NE(stack, nullptr);
  const Idl& idl = stack->idls[0];
  EXPECT_EQ(idl.discriminant_size, 1u);  // guessed: all instructions have a discriminant only
  EXPECT_EQ(idl.accounts[0].fields[0].name, "x");
  EXPECT_EQ(idl.accounts[0].serialization, Serialization::kBytemuckUnsafe);
  EXPECT_EQ(idl.instructions[0].discriminator, std::vector<uint8_t>{7});
  const IdlType& map = idl.instructions[0].args[0].type;
  EXPECT_EQ(map.kind, IdlType::Kind::kMap);
  EXPECT_EQ(map.args[1].args[0].args[0].count, 3u);
  EXPECT_EQ(idl.instructions[0].args[1].type.name, "T");
  EXPECT_TRUE(idl.types[0].is_tuple);
  EXPECT_EQ(idl.types[0].fields[0].type.kind, IdlType::Kind::kPubkey);
  EXPECT_EQ(idl.types[0].fields[1].type.name, "E");
  EXPECT_TRUE(idl.types[1].variants[0].fields.empty());
  EXPECT_EQ(idl.types[1].variants[1].fields[0].name, "");
  EXPECT_EQ(idl.types[1].variants[2].fields[0].name, "f");
}

TEST(Stack, NumbersKeepTheirKind) {
  Json json = EveryForm();
  json["entities"][0]["handlers"][0]["mappings"][5]["source"]["Constant"] =
      Json::parse("[18446744073709551615, -9223372036854775808, 18446744073709551616, 1.0, 2e0]");
  const auto stack = ParseJson(json);
  const auto& mapping = stack->entities[0].handlers[0].mappings[5];
  const auto& array = std::get<Literal::Array>(std::get<MappingSource::Constant>(mapping.source.value).value.value);
  EXPECT_EQ(std::get<uint64_t>(array[0].value), UINT64_MAX);
  EXPECT_EQ(std::get<int64_t>(array[1].value), INT64_MIN);
  EXPECT_EQ(std::get<double>(array[2].value), 18446744073709551616.0);
  EXPECT_EQ(std::get<double>(array[3].value), 1.0);
  EXPECT_EQ(std::get<double>(array[4].value), 2.0);
}

TEST(Stack, FilesThatCannotBeRead) {
  EXPECT_EQ(LoadStack("/nowhere/x.stack.json").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(LoadStack(InSource("")).status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(LoadStack("/nowhere/x.stack.json").status().message()), HasSubstr("/nowhere/x.stack.json"));
}

}  // namespace
}  // namespace everstate::stack
