// Faulty stacks: everything that is wrong with one is found at once, and nothing twice.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "server/stack/stack.h"
#include "server/vm/projection.h"
#include "tests/support/source_dir.h"

namespace everstate::vm {
namespace {

using Json = nlohmann::ordered_json;
using stack::Diagnostics;
using stack::Finding;

Json RealStack(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  return Json::parse(std::string(std::istreambuf_iterator<char>(in), {}));
}

Json SplStack() { return RealStack(InSource("tests/stacks/SplStream.stack.json")); }

// Reads and compiles whatever it is. A projection is there exactly when there is no finding.
Diagnostics Judge(const Json& json) {
  Diagnostics diagnostics("f.stack.json");
  const auto stack = stack::ReadStack(json.dump(), &diagnostics);
  EXPECT_TRUE(stack.ok()) << stack.status();
  if (stack.ok()) {
    const auto projection = Projection::Compile(*stack, Settings(), &diagnostics);
    EXPECT_EQ(projection != nullptr, diagnostics.ok());
  }
  return diagnostics;
}

std::set<std::string> Paths(const Diagnostics& diagnostics) {
  std::set<std::string> paths;
  for (const Finding& finding : diagnostics.findings()) paths.insert(finding.path);
  return paths;
}

struct Planted {
  const char* pointer;  // RFC 6901; its last part may be "-": one more element
  const char* value;    // JSON; null: the node is removed
  const char* path;     // of the finding
  const char* rule;     // part of it
};

void Plant(const Planted& fault, Json* json) {
  const Json::json_pointer pointer(fault.pointer);
  if (fault.value != nullptr)
    (*json)[pointer] = Json::parse(fault.value);
  else
    (*json)[pointer.parent_pointer()].erase(pointer.back());
}

// Of every kind: form, version, type, word, path, event, transform, what is not there, IDL types and discriminators,
// views. None lies inside another.
const Planted kFaults[] = {
    {"/ast_version", "\"0.0.2\"", "ast_version", "unsupported version"},
    {"/idls/0/types/0/type/kind", "\"record\"", "idls[0].types[0].type.kind", "not one of struct"},
    {"/idls/0/instructions/4/args/0/type", "{\"pair\":\"u8\"}", "idls[0].instructions[4].args[0].type",
     "\"pair\" is not one of"},
    {"/idls/0/instructions/7/args/0/type", "\"Missing\"", "idls[0].instructions.mint_to.amount",
     "type Missing is not defined"},
    {"/idls/0/instructions/9/discriminator", "[5]", "idls[0].instructions.close_account",
     "discriminator of another one"},
    {"/entities/0/handlers/0/mappings/2/population", "\"Foo\"", "entities[0].handlers[0].mappings[2].population",
     "not one of SetOnce"},
    {"/entities/0/handlers/1/mappings/1/source/FromSource/path/segments", "[\"data\",\"nothing\"]",
     "entities[0].handlers[1].mappings[1].source.FromSource.path", "no field \"nothing\""},
    {"/entities/0/handlers/2/source/Source/type_name", "\"spl_token::NothingIxState\"",
     "entities[0].handlers[2].source", "spl_token::NothingIxState"},
    {"/entities/0/handlers/5/mappings/4/source/FromSource/transform", "\"HexEncode\"",
     "entities[0].handlers[5].mappings[4].source.FromSource", "the transform HexEncode"},
    {"/entities/0/handlers/6/mappings/0/source/AsEvent/fields/0/FromSource/path", nullptr,
     "entities[0].handlers[6].mappings[0].source.AsEvent.fields[0].FromSource.path", "required and missing"},
    {"/entities/0/handlers/6/key_resolution",
     R"({"Computed":{"primary_field":{"segments":["accounts","mint"]},"compute_partition":"Sum"}})",
     "entities[0].handlers[6].key_resolution", "Computed is not supported"},
    {"/program_ids/1", "\"abc\"", "program_ids[1]", "\"abc\" is not the base58 text of 32 bytes"},
    {"/entities/0/handlers/3/key_resolution/Embedded/primary_field/segments/1", "\"\"",
     "entities[0].handlers[3].key_resolution.Embedded.primary_field.segments[1]", "has an empty part"},
    {"/entities/0/instruction_hooks/0/lookup_by/segments/1", "\"nobody\"", "entities[0].instruction_hooks[0].lookup_by",
     "no account \"nobody\""},
    {"/entities/0/instruction_hooks/1/actions/0/IncrementField/increment_by", "\"1\"",
     "entities[0].instruction_hooks[1].actions[0].IncrementField.increment_by", "integer of 64 bits"},
    {"/entities/0/computed_field_specs/3/expression",
     R"({"Binary":{"op":"Xor","left":"ContextSlot","right":"ContextSlot"}})",
     "entities[0].computed_field_specs[3].expression", "the operator Xor"},
    {"/entities/0/views/0/pipeline/0", "\"Group\"", "entities[0].views[0].pipeline[0]", "not one of Filter"},
    {"/entities/0/views/1/source/Entity/name", "\"Nobody\"", "entities[0].views[1].source", "no entity \"Nobody\""},
    {"/entities/1/identity/lookup_indexes/0/temporal_field", "\"t\"",
     "entities[1].identity.lookup_indexes[0].temporal_field", "temporal index"},
    {"/entities/1/handlers/1/mappings/2/target_path", "\"activity.sent_count.x\"",
     "entities[1].handlers[1].mappings[2].target_path", "inside one another"},
    {"/entities/1/handlers/1/mappings/3/source/FromContext/field", "\"weather\"",
     "entities[1].handlers[1].mappings[3].source.FromContext.field", "not one of slot"},
    {"/entities/1/handlers/2/conditions/-", "{}", "entities[1].handlers[2].conditions", "condition of a whole handler"},
    {"/entities/1/resolver_specs", R"([{"resolver":"token","input_value":"a","extracts":[{"target_path":"meta"}]}])",
     "entities[1].resolver_specs[0]", "a resolver"},
};

TEST(FindingsTest, EachPlantedFaultIsOneFinding) {
  ASSERT_TRUE(Judge(SplStack()).ok()) << Judge(SplStack()).ToStatus();
  for (const Planted& fault : kFaults) {
    Json json = SplStack();
    Plant(fault, &json);
    const Diagnostics diagnostics = Judge(json);
    ASSERT_EQ(diagnostics.findings().size(), 1u) << fault.pointer << "\n" << diagnostics.ToStatus();
    EXPECT_EQ(diagnostics.findings()[0].path, fault.path);
    EXPECT_NE(diagnostics.findings()[0].rule.find(fault.rule), std::string::npos) << diagnostics.ToStatus();
  }
}

TEST(FindingsTest, AllPlantedFaultsAreFoundAtOnce) {
  Json json = SplStack();
  std::set<std::string> planted;
  for (const Planted& fault : kFaults) {
    Plant(fault, &json);
    planted.insert(fault.path);
  }
  const Diagnostics diagnostics = Judge(json);
  EXPECT_EQ(Paths(diagnostics), planted);
  EXPECT_EQ(diagnostics.findings().size(), std::size(kFaults)) << diagnostics.ToStatus();
}

// Any handful of them, in any order: what one does to the rest is no finding of its own.
TEST(FindingsTest, AnyOfThemTogether) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    std::mt19937_64 random(seed);
    Json json = SplStack();
    std::set<std::string> planted;
    for (const Planted& fault : kFaults) {
      if (random() % 3 != 0) continue;
      Plant(fault, &json);
      planted.insert(fault.path);
    }
    EXPECT_EQ(Paths(Judge(json)), planted) << "seed " << seed;
  }
}

// What the reference takes and what is hardly meant: the stack is taken, with a note for each.
TEST(FindingsTest, WhatHasNoEffectIsNoted) {
  EXPECT_TRUE(Judge(SplStack()).notes().empty());
  const Planted notes[] = {
      {"/content_hash", "\"ab\"", "content_hash", "is \"ab\", but the hash of the content is "},
      {"/program_ids/1", "\"11111111111111111111111111111111\"", "program_ids[1]", "no IDL for it"},
      {"/entities/0/identity/primary_keys", "[]", "entities[0].identity.primary_keys", "is empty"},
      {"/entities/1/identity/primary_keys", R"(["id.nobody","address","id.nobody"])",
       "entities[1].identity.primary_keys[0]", "nothing fills \"id.nobody\""},
      {"/entities/1/identity/lookup_indexes/-", R"({"field_name":"a..b"})", "entities[1].identity.lookup_indexes[1]",
       "no mapping fills \"a..b\""},
  };
  Json all = SplStack();
  for (const Planted& note : notes) {
    Json json = SplStack();
    json.erase("content_hash");
    Plant(note, &json);
    Plant(note, &all);
    const Diagnostics diagnostics = Judge(json);
    EXPECT_TRUE(diagnostics.ok()) << diagnostics.ToStatus();
    ASSERT_EQ(diagnostics.notes().size(), 1u) << note.pointer;
    EXPECT_EQ(diagnostics.notes()[0].kind, Finding::Kind::kNote);
    EXPECT_EQ(diagnostics.notes()[0].path, note.path);
    EXPECT_NE(diagnostics.notes()[0].rule.find(note.rule), std::string::npos) << diagnostics.notes()[0].rule;
  }
  EXPECT_EQ(Judge(all).notes().size(), std::size(notes));
  // What could not be read may have filled it.
  all["entities"][1]["handlers"][0]["mappings"][0]["target_path"] = 5;
  EXPECT_EQ(Judge(all).notes().size(), std::size(notes) - 2);
}

TEST(FindingsTest, WhatIsNotSupportedInARealStackIsNamed) {
  const std::string file = InSharedData("stacks/OreStream.stack.json");
  if (!std::ifstream(file)) GTEST_SKIP() << "no " << file;
  const Diagnostics diagnostics = Judge(RealStack(file));
  EXPECT_FALSE(diagnostics.ok());
  for (const Finding& finding : diagnostics.findings()) {
    EXPECT_EQ(finding.kind, Finding::Kind::kUnsupported) << diagnostics.Text(finding);
  }
}

void Collect(Json* node, std::vector<Json*>* all) {
  all->push_back(node);
  if (!node->is_structured()) return;
  for (Json& child : *node) Collect(&child, all);
}

// What a stack may hold that was read with findings: nothing that compiling the rest of it could not bear.
TEST(FindingsTest, FaultyStacksCompileAsFarAsTheyGo) {
  static const char* kValues[] = {
      "null",  "true", "-1", "300", "\"\"", "\"Foo\"", "[]", "{}", "[null]", "{\"Foo\":1}", "{\"defined\":\"Mint\"}",
      "[[[]]]"};
  int refused = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    std::mt19937_64 random(seed);
    Json json = SplStack();
    for (int changes = 0; changes < 5; ++changes) {
      std::vector<Json*> all;
      Collect(&json, &all);
      Json* node = all[random() % all.size()];
      if (node->is_structured() && !node->empty() && random() % 2 == 0) {
        auto child = node->begin();
        std::advance(child, static_cast<long>(random() % node->size()));
        node->erase(child);
      } else {
        *node = Json::parse(kValues[random() % std::size(kValues)]);
      }
    }
    refused += Judge(json).ok() ? 0 : 1;
  }
  EXPECT_GT(refused, 50);
}

TEST(DiagnosticsTest, AFaultCoversWhatLiesBelowIt) {
  Diagnostics diagnostics("f");
  const stack::Place root(&diagnostics), list = root.At("a", 1);
  EXPECT_TRUE(diagnostics.ToStatus().ok());
  EXPECT_FALSE(list.At("b").Unsupported("b").ok());
  EXPECT_FALSE(list.At("b", 3).At("c").Invalid("what follows from it").ok());
  EXPECT_EQ(diagnostics.findings().size(), 1u);
  EXPECT_EQ(diagnostics.ToStatus(), absl::UnimplementedError("f: a[1].b: b is not supported"));
  EXPECT_TRUE(list.Faulty() && !list.Covered());
  EXPECT_TRUE(list.At("b", 0).Faulty() && list.At("b", 0).Covered());
  EXPECT_FALSE(list.At("bc").Faulty() || root.At("a", 11).Faulty());
  EXPECT_FALSE(root.Invalid("all of it").ok());
  EXPECT_EQ(diagnostics.ToStatus(),
            absl::InvalidArgumentError("f: a[1].b: b is not supported\nf: top level: all of it"));
  EXPECT_TRUE(root.At("z").Covered());
}

TEST(DiagnosticsTest, AFindingIsOneLineWhateverStandsInIt) {
  Diagnostics diagnostics("f\x1b.json");
  (void)stack::Place(&diagnostics).At("a\nb").Invalid("\"\u009b31m\" is wrong");
  EXPECT_EQ(diagnostics.ToStatus(), absl::InvalidArgumentError(R"(f\x1b.json: a\nb: "\u009b31m" is wrong)"));
}

TEST(DiagnosticsTest, AFileOfAnotherKindIsNotJudgedWordByWord) {
  Diagnostics diagnostics("f");
  for (size_t i = 0; i < 5000; ++i) stack::Place(&diagnostics).At("a", i).Note("so what");
  ASSERT_EQ(diagnostics.notes().size(), 1001u);
  EXPECT_EQ(diagnostics.notes().back().rule, "more than 1000 notes; the others are not listed");
  EXPECT_TRUE(diagnostics.ok());
  for (size_t i = 0; i < 5000; ++i) (void)stack::Place(&diagnostics).At("a", i).Invalid("no");
  ASSERT_EQ(diagnostics.findings().size(), 1001u);
  EXPECT_EQ(diagnostics.findings().back().path, "");
}

}  // namespace
}  // namespace everstate::vm
