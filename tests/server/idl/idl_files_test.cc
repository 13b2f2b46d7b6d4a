// IDL files as they are found in the world: that they compile, and that no bytes harm whoever reads what they describe.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <random>

#include "server/idl/body_json.h"
#include "server/stack/stack.h"
#include "tests/server/idl/decode.h"
#include "tests/support/source_dir.h"

namespace everstate::idl {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using Random = std::mt19937_64;

const std::string kData = InSharedData("");
const std::string kSomeProgram(32, '1');

// One has nothing to know an account by, the other quotes a Rust type that no IDL has a word for.
const std::map<std::string, std::string> kRefused = {
    {"mpl_token_metadata.json", "accounts.Metadata: has an empty discriminator"},
    {"spl_token.legacy.json", "instructions.uiAmountToAmount.uiAmount: type &'astr is not defined"}};

using Programs = std::map<std::string, std::shared_ptr<const Program>>;

void LoadAll(Programs* out) {
  Programs& programs = *out;
  for (const auto& entry : fs::directory_iterator(kData + "idls")) {
    const auto idl = stack::LoadIdl(entry.path().string(), kSomeProgram);
    EXPECT_TRUE(idl.ok()) << idl.status();
    if (!idl.ok()) continue;
    const auto program = Program::Compile(*idl);
    const std::string file = entry.path().filename().string();
    if (program.ok()) {
      programs[file] = *program;
    } else {
      const auto refused = kRefused.find(file);
      ASSERT_NE(refused, kRefused.end()) << program.status();
      EXPECT_THAT(std::string(program.status().message()), HasSubstr(refused->second));
    }
  }
}

// Every body of the program: of accounts, instructions and events.
std::vector<std::pair<std::string, TypeId>> Bodies(const Program& program) {
  std::vector<std::pair<std::string, TypeId>> bodies;
  for (const auto& account : program.accounts()) bodies.emplace_back("accounts." + account.name, account.body);
  for (const auto& instruction : program.instructions())
    bodies.emplace_back("instructions." + instruction.name, instruction.args);
  for (const auto& event : program.events()) bodies.emplace_back("events." + event.name, event.body);
  return bodies;
}

// Zeros, small numbers among zeros, and anything: what is all random ends at its first tag or length.
std::vector<uint8_t> SomeBytes(Random* random, size_t size) {
  std::vector<uint8_t> bytes(size);
  const uint64_t style = (*random)() % 4;
  for (uint8_t& byte : bytes) {
    const uint64_t draw = (*random)();
    byte = style == 0   ? 0
           : style == 1 ? static_cast<uint8_t>(draw % 2)
           : style == 2 ? static_cast<uint8_t>(draw % 16 == 0 ? draw >> 8 : 0)
                        : static_cast<uint8_t>(draw);
  }
  return bytes;
}

class Files : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(kData + "idls")) GTEST_SKIP() << "no IDL files at " << kData;
  }
};

TEST_F(Files, CompileOrAreRefusedByName) {
  size_t files = 0;
  for (const auto& entry : fs::directory_iterator(kData + "idls")) files += entry.is_regular_file();
  Programs programs;
  LoadAll(&programs);
  EXPECT_EQ(programs.size() + kRefused.size(), files);
}

TEST_F(Files, NoBytesHarmAndEveryPlanAgreesWithTheText) {
  Programs programs;
  LoadAll(&programs);
  Random random(20);
  size_t runs = 0, read = 0, bodies = 0;
  for (const auto& [file, program] : programs) {
    for (const auto& [name, body] : Bodies(*program)) {
      SCOPED_TRACE(file + " " + name);
      ++bodies;
      ShapeTable shapes;
      const auto whole = Plan::Compile(program, body, {{{}, 0}}, &shapes);
      const auto nothing = Plan::Compile(program, body, {}, &shapes);
      ASSERT_TRUE(whole.ok()) << whole.status();
      ASSERT_TRUE(nothing.ok());
      const uint32_t least = program->types()[body].min_size;
      for (int i = 0; i < 12; ++i) {
        const std::vector<uint8_t> bytes = SomeBytes(&random, least + random() % 200);
        // Each cut is memory of its own, of exactly its size.
        for (size_t size = bytes.size();; size = size - 1 - (size > 300 ? random() % (size / 8) : random() % 8)) {
          const std::vector<uint8_t> cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
          Arena arena;
          Value value;
          std::string text;
          for (const bool pad : {false, true}) {
            text.clear();
            const BodyJson json = AppendBodyJson(*program, body, cut, pad, &text);
            ++runs;
            // A plan that wants everything decides as the text does, and one that wants nothing is no stricter.
            const DecodeResult result = whole->Run(cut, pad, &arena, &value);
            ASSERT_EQ(result.error == DecodeError::kNone, json.result.error == DecodeError::kNone)
                << Name(result.error) << " and " << Name(json.result.error);
            if (json.result.error != DecodeError::kNone) {
              ASSERT_TRUE(text.empty());
              continue;
            }
            ++read;
            ASSERT_EQ(nothing->Run(cut, pad, &arena, &value).error, DecodeError::kNone);
            ASSERT_FALSE(Json::parse(text, nullptr, false).is_discarded()) << text;
            ASSERT_LE(json.bytes, cut.size());
          }
          if (size < 9) break;
        }
      }
    }
  }
  std::cout << bodies << " bodies, " << runs << " runs, " << read << " of them read\n";
  EXPECT_GT(read, runs / 100);
}

TEST_F(Files, AFileThatIsCutOrChangedIsAnErrorAndNoMore) {
  Random random(3);
  for (const auto& entry : fs::directory_iterator(kData + "idls")) {
    std::ifstream in(entry.path());
    std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    if (text.size() > 60000) continue;
    const auto compiles = [](const std::string& changed) {
      const auto idl = stack::ParseIdl(changed, "changed.json", kSomeProgram);
      if (!idl.ok()) {
        EXPECT_TRUE(std::string(idl.status().message()).starts_with("changed.json: ")) << idl.status();
        return false;
      }
      return Program::Compile(*idl).ok();
    };
    EXPECT_FALSE(compiles(text.substr(0, text.size() / 2)));
    // Words that change places make an IDL that is still JSON and says something else.
    Json json = Json::parse(text);
    std::vector<Json*> leaves;
    const std::function<void(Json*)> collect = [&](Json* at) {
      leaves.push_back(at);
      if (at->is_structured()) {
        for (Json& inner : *at) collect(&inner);
      }
    };
    collect(&json);
    for (int i = 0; i < 15; ++i) {
      Json changed = json;
      leaves.clear();
      collect(&changed);
      Json* const at = leaves[random() % leaves.size()];
      const Json other = *leaves[random() % leaves.size()];
      if (other.dump().size() < 5000) *at = other;
      (void)compiles(changed.dump());
    }
  }
}

}  // namespace
}  // namespace everstate::idl
