// Values of every account, instruction and event of real programs, as a decoder that is not ours reads them.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "absl/strings/escaping.h"
#include "server/stack/stack.h"
#include "tests/server/idl/decode.h"

namespace everstate::idl {
namespace {

const std::string kData = EVERSTATE_SOURCE_DIR "/../shared/data/";

// The vectors have integers of 64 bits and more as text, we have some of them as numbers; keys are as the IDL writes them.
bool Same(const Json& expected, const Json& actual) {
  if (expected.is_string() && actual.is_number_integer()) return expected.get<std::string>() == actual.dump();
  if (expected.is_array() && actual.is_array() && expected.size() == actual.size()) {
    for (size_t i = 0; i < expected.size(); ++i) {
      if (!Same(expected[i], actual[i])) return false;
    }
    return true;
  }
  if (expected.is_object() && actual.is_object() && expected.size() == actual.size()) {
    for (const auto& [key, value] : expected.items()) {
      const std::string ours = actual.contains(key) ? key : SnakeCase(key);
      if (!actual.contains(ours) || !Same(value, actual[ours])) return false;
    }
    return true;
  }
  return expected == actual;
}

std::map<std::string, std::shared_ptr<const Program>> ProgramsOfTheStacks() {
  std::map<std::string, std::shared_ptr<const Program>> programs;
  for (const char* name : {"SplStream", "OreStream", "PumpStream"}) {
    const auto stack = stack::LoadStack(kData + "stacks/" + name + ".stack.json");
    EXPECT_TRUE(stack.ok()) << stack.status();
    if (!stack.ok()) continue;
    for (const stack::Idl& idl : (*stack)->idls) programs[idl.name] = Compile(idl);
  }
  return programs;
}

// The layout that the bytes have, and where the body begins; empty when there is none.
struct Matched {
  std::string name;
  TypeId body = 0;
  size_t body_at = 0;
};
std::optional<Matched> Match(const Program& program, const std::string& kind, std::span<const uint8_t> data) {
  if (kind == "account") {
    const int i = program.MatchAccount(data);
    if (i < 0) return std::nullopt;
    const AccountLayout& layout = program.accounts()[static_cast<size_t>(i)];
    return Matched{layout.name, layout.body, layout.discriminator.size()};
  }
  if (kind == "instruction") {
    const int i = program.MatchInstruction(data);
    if (i < 0) return std::nullopt;
    const InstructionLayout& layout = program.instructions()[static_cast<size_t>(i)];
    return Matched{layout.name, layout.args, layout.discriminator.size()};
  }
  const int i = program.MatchCpiEvent(data);
  if (i < 0) return std::nullopt;
  const EventLayout& layout = program.events()[static_cast<size_t>(i)];
  return Matched{layout.name, layout.body, kCpiEventTag.size() + layout.discriminator.size()};
}

TEST(Vectors, AreDecodedAsExpected) {
  std::ifstream in(kData + "expected/vectors.jsonl");
  if (!in) GTEST_SKIP() << "no test vectors at " << kData;
  const auto programs = ProgramsOfTheStacks();
  std::map<std::string, int> checked;
  int others = 0;
  for (std::string line; std::getline(in, line);) {
    const Json vector = Json::parse(line);
    const auto program = programs.find(vector["program"]);
    if (program == programs.end()) {
      ++others;
      continue;
    }
    std::string data;
    ASSERT_TRUE(absl::Base64Unescape(vector["data"].get<std::string>(), &data));
    const std::string kind = vector["kind"], name = vector["name"];
    const auto matched = Match(*program->second, kind, Span(data));
    ASSERT_TRUE(matched) << line;
    EXPECT_EQ(matched->name, kind == "instruction" ? PascalCase(SnakeCase(name)) : name);
    const Json actual = ReadPath(program->second, matched->body, {}, data.substr(matched->body_at));
    EXPECT_TRUE(Same(vector["expected"], actual)) << line << "\n" << actual;
    ++checked[program->first + " " + kind];
  }
  int all = 0;
  for (const auto& [what, count] : checked) {
    std::cout << count << " " << what << "\n";
    all += count;
  }
  std::cout << all << " vectors checked, " << others << " of programs that no stack has\n";
  EXPECT_GT(all, 300);
}

}  // namespace
}  // namespace everstate::idl
