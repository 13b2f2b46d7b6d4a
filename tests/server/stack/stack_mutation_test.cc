// Stack files with faults: whatever stands in the file, the answer is a stack or an error that says where.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "server/stack/stack.h"
#include "tests/server/stack/real_stacks.h"

namespace everstate::stack {
namespace {

using Json = nlohmann::ordered_json;
using ::testing::HasSubstr;
using ::testing::StartsWith;

void Collect(Json* node, std::vector<Json*>* all) {
  all->push_back(node);
  if (node->is_structured()) {
    for (Json& child : *node) Collect(&child, all);
  }
}

void Mutate(Json* root, std::mt19937_64* random) {
  static const char* kValues[] = {"null",
                                  "true",
                                  "0",
                                  "-1",
                                  "1.5",
                                  "300",
                                  "18446744073709551615",
                                  "\"\"",
                                  "\"Foo\"",
                                  "[]",
                                  "{}",
                                  "[null]",
                                  "{\"Foo\":1}",
                                  "{\"segments\":[1]}",
                                  "{\"defined\":{}}",
                                  "{\"array\":[\"u8\"]}",
                                  "[[[]]]"};
  std::vector<Json*> all;
  Collect(root, &all);
  Json* node = all[(*random)() % all.size()];
  if (node->is_structured() && !node->empty() && (*random)() % 2 == 0) {
    auto child = node->begin();
    std::advance(child, static_cast<long>((*random)() % node->size()));
    node->erase(child);
  } else {
    *node = Json::parse(kValues[(*random)() % std::size(kValues)]);
  }
}

TEST(StackMutation, EveryFaultIsAnErrorWithItsPlace) {
  for (const std::string& file : RealStackFiles()) {
    const Json whole = Json::parse(ReadFile(file));
    const int rounds = file == SplStackFile() ? 500 : 100;
    int refused = 0;
    for (int seed = 0; seed < rounds; ++seed) {
      std::mt19937_64 random(static_cast<uint64_t>(seed));
      Json json = whole;
      Mutate(&json, &random);
      const auto stack = ParseStack(json.dump(), "some.stack.json");
      if (stack.ok()) continue;
      ++refused;
      const std::string message(stack.status().message());
      EXPECT_EQ(stack.status().code(), absl::StatusCode::kInvalidArgument) << message;
      EXPECT_THAT(message, StartsWith("some.stack.json: "));
      // Place and rule: "<file>: <path>: <rule>".
      const size_t rule = message.find(": ", 17);
      ASSERT_NE(rule, std::string::npos) << message;
      EXPECT_GT(rule, 17u) << message;
      EXPECT_LT(rule + 2, message.size()) << message;
    }
    EXPECT_GT(refused, rounds / 10) << file;  // most mutations hit a part that only describes
  }
}

TEST(StackMutation, BrokenBytesAreRefusedAndNeverCrash) {
  const std::string whole = ReadFile(SplStackFile());
  for (int seed = 0; seed < 200; ++seed) {
    std::mt19937_64 random(static_cast<uint64_t>(seed));
    std::string text = whole.substr(0, seed % 2 == 0 ? whole.size() : random() % whole.size());
    if (text.empty()) continue;
    for (int i = 0; i < 3; ++i) text[random() % text.size()] = static_cast<char>(random());
    const auto stack = ParseStack(text, "some.stack.json");
    if (!stack.ok()) {
      EXPECT_THAT(std::string(stack.status().message()), StartsWith("some.stack.json: "));
    }
  }
}

struct Fault {
  const char* pointer;
  const char* value;  // JSON; null: the node is removed
  const char* path;
  const char* rule;
};

class StackFault : public ::testing::TestWithParam<Fault> {};

TEST_P(StackFault, IsNamed) {
  const Fault& fault = GetParam();
  Json json = Json::parse(ReadFile(SplStackFile()));
  const Json::json_pointer pointer(fault.pointer);
  if (fault.value != nullptr)
    json[pointer] = Json::parse(fault.value);
  else
    json[pointer.parent_pointer()].erase(pointer.back());
  const auto stack = ParseStack(json.dump(), "f.stack.json");
  ASSERT_FALSE(stack.ok());
  const std::string message(stack.status().message());
  EXPECT_THAT(message, StartsWith(std::string("f.stack.json: ") + fault.path + ": "));
  EXPECT_THAT(message, HasSubstr(fault.rule));
}

INSTANTIATE_TEST_SUITE_P(
    Faults, StackFault,
    ::testing::Values(
        Fault{"/ast_version", "\"0.0.2\"", "ast_version", "unsupported version \"0.0.2\""},
        Fault{"/stack_name", nullptr, "stack_name", "required"},
        Fault{"/stack_name", "\"\"", "stack_name", "must not be empty"},
        Fault{"/stack_name", "\"..\"", "stack_name", "\"..\" is no name for a folder"},
        Fault{"/stack_name", "\"a/b\"", "stack_name", "\"a/b\" is no name for a folder"},
        Fault{"/stack_name", "\"a\\u001b[31m\"", "stack_name", R"("a\x1b[31m" is no name for a folder)"},
        Fault{"/program_ids/1", "\"abc\"", "program_ids[1]", "\"abc\" is not the base58 text of 32 bytes"},
        Fault{"/entities", "[]", "entities", "is empty"},
        Fault{"/entities/0/handlers/1/mappings/1/source/FromSource/path/segments/1", "\"\"",
              "entities[0].handlers[1].mappings[1].source.FromSource.path.segments[1]", "\"\" has an empty part"},
        Fault{"/entities/0/views/0/pipeline/0/Sort/key/segments/0", "\"a..b\"",
              "entities[0].views[0].pipeline[0].Sort.key.segments[0]", "\"a..b\" has an empty part"},
        Fault{"/entities/1/handlers/0/mappings/2/population", "\"Foo\"",
              "entities[1].handlers[0].mappings[2].population", "\"Foo\" is not one of SetOnce, LastWrite"},
        Fault{"/entities/0/handlers/0/key_resolution", "{\"Nearest\":{}}", "entities[0].handlers[0].key_resolution",
              "not one of Embedded"},
        Fault{"/entities/0/handlers/0/mappings/0/source/FromSource/path/segments/0", "7",
              "entities[0].handlers[0].mappings[0].source.FromSource.path.segments[0]", "must be a string"},
        Fault{"/entities/1/state_name", "\"TokenMint\"", "entities[1].state_name", "same name"},
        Fault{"/entities/0/identity", nullptr, "entities[0].identity", "required"},
        Fault{"/entities/0/views/0/pipeline/0", "\"Group\"", "entities[0].views[0].pipeline[0]", "not one of Filter"},
        Fault{"/idls/0/discriminant_size", "4", "idls[0].discriminant_size", "1 or 8"},
        Fault{"/idls/0/program_id", "\"abc\"", "idls[0].program_id", "differs from the stack's program_ids"},
        Fault{"/idls/0/types/0/type/kind", "\"record\"", "idls[0].types[0].type.kind", "not one of struct, enum"},
        Fault{"/idls/0/instructions/0/discriminator", "[]", "idls[0].instructions[0].discriminator",
              "needs a discriminator"},
        Fault{"/idls/0/instructions/0/discriminator/0", "256", "idls[0].instructions[0].discriminator[0]", "0 to 255"},
        Fault{"/idls/0/instructions/0/args/0/type", "{\"pair\":\"u8\"}", "idls[0].instructions[0].args[0].type",
              "\"pair\" is not one of"}));

TEST(StackLimits, DepthAndSizeAndMarks) {
  const std::string deep = std::string(200, '[') + std::string(200, ']');
  EXPECT_THAT(std::string(ParseStack(deep, "f").status().message()), HasSubstr("200 levels"));
  EXPECT_THAT(std::string(ParseStack(std::string(100'000'000, ' '), "f").status().message()),
              HasSubstr("larger than 67108864 bytes, which is the most that a stack has"));
  EXPECT_THAT(std::string(ParseStack("\xef\xbb\xbf{}", "f").status().message()), HasSubstr("byte order mark"));
  EXPECT_THAT(std::string(ParseStack(std::string("{}\0\"\\q\"", 7), "f").status().message()),
              HasSubstr("a NUL byte at offset 2"));
  EXPECT_THAT(std::string(ParseStack("{\"a\": \x80}", "f").status().message()), HasSubstr("is not JSON"));
  EXPECT_THAT(std::string(ParseStack("[]", "f").status().message()), HasSubstr("must be an object"));
  EXPECT_THAT(std::string(ParseStack("{\"stack_name\":\"" + std::string(513, 'n') + "\"}", "f").status().message()),
              HasSubstr("f: stack_name: has 513 bytes, a name at most 512"));
  EXPECT_THAT(std::string(ParseStack("{\"stack_name\":\"" + std::string(256, 'n') + "\"}", "f").status().message()),
              HasSubstr("f: stack_name: has 256 bytes, the name of a folder at most 255"));
}

// Reading takes time in proportion to the file, also when it is one object of many members.
TEST(StackLimits, AWideObjectIsReadLikeAnyOther) {
  Json small = Json::parse(ReadFile(SplStackFile()));
  small.erase("stack_name");
  std::string text = "{\"stack_name\":\"Wide\"," + small.dump().substr(1);
  text.pop_back();
  for (int i = 0; i < 300'000; ++i) text += ",\"member" + std::to_string(i) + "\":0";
  const auto stack = ParseStack(text + ",\"stack_name\":\"Last\"}", "f");
  ASSERT_TRUE(stack.ok()) << stack.status();
  EXPECT_EQ((*stack)->name, "Last");
}

}  // namespace
}  // namespace everstate::stack
