// Values of every account, instruction and event of real programs, as a decoder that is not ours reads them.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "absl/strings/escaping.h"
#include "server/idl/body_json.h"
#include "server/stack/idl.h"
#include "tests/server/idl/decode.h"
#include "tests/support/source_dir.h"

namespace everstate::idl {
namespace {

const std::string kData = InSharedData("");

std::shared_ptr<const Program> ProgramOf(const std::string& name) {
  const auto idl = stack::LoadIdl(kData + "idls/" + name + ".json", "");
  EXPECT_TRUE(idl.ok()) << idl.status();
  return idl.ok() ? Compile(*idl) : nullptr;
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
    return Matched{layout.written, layout.args, layout.discriminator.size()};
  }
  const int i = program.MatchCpiEvent(data);
  if (i < 0) return std::nullopt;
  const EventLayout& layout = program.events()[static_cast<size_t>(i)];
  return Matched{layout.name, layout.body, kCpiEventTag.size() + layout.discriminator.size()};
}

TEST(Vectors, AreDecodedAsExpected) {
  std::ifstream in(kData + "expected/vectors.jsonl");
  if (!in) GTEST_SKIP() << "no test vectors at " << kData;
  std::map<std::string, std::shared_ptr<const Program>> programs;
  std::map<std::string, int> equal, all;
  for (std::string line; std::getline(in, line);) {
    const Json vector = Json::parse(line);
    const std::string idl = vector["program"], kind = vector["kind"];
    const auto [program, added] = programs.try_emplace(idl);
    if (added) program->second = ProgramOf(idl);
    ASSERT_NE(program->second, nullptr) << idl;
    std::string data;
    ASSERT_TRUE(absl::Base64Unescape(vector["data"].get<std::string>(), &data));
    const auto matched = Match(*program->second, kind, Span(data));
    ASSERT_TRUE(matched) << line;
    EXPECT_EQ(matched->name, vector["name"].get<std::string>());
    std::string text;
    const BodyJson json =
        AppendBodyJson(*program->second, matched->body, Span(data).subspan(matched->body_at), false, &text);
    EXPECT_EQ(json.result.error, DecodeError::kNone) << Name(json.result.error) << " " << line;
    const bool same = !text.empty() && Json::parse(text) == vector["expected"];
    EXPECT_TRUE(same) << line << "\n" << text;
    equal[idl + " " + kind] += same;
    ++all[idl + " " + kind];
  }
  int total = 0;
  for (const auto& [what, count] : all) {
    std::cout << what << ": " << equal[what] << " of " << count << "\n";
    total += equal[what];
  }
  std::cout << total << " vectors equal\n";
  EXPECT_GT(total, 1000);
}

}  // namespace
}  // namespace everstate::idl
