#include "server/idl/program_log.h"

#include <gtest/gtest.h>

#include <random>
#include <tuple>

#include "absl/strings/escaping.h"
#include "server/base/base58.h"

namespace everstate::idl {
namespace {

const std::string kOne = "11111111111111111111111111111111", kTwo = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";

using Found = std::vector<std::tuple<std::string, std::string, uint32_t, uint32_t>>;  // program, data, line, invocation

Found Walk(const std::vector<std::string>& lines, ProgramLog* log) {
  const std::vector<std::string_view> views(lines.begin(), lines.end());
  Found found;
  log->Begin(views);
  for (ProgramLog::Data data; log->Next(&data);) {
    found.emplace_back(EncodeBase58(data.program),
                       std::string(reinterpret_cast<const char*>(data.bytes.data()), data.bytes.size()), data.line,
                       data.invocation);
  }
  return found;
}

TEST(ProgramLog, DataBelongsToTheProgramThatRuns) {
  const std::vector<std::string> lines = {"Program " + kOne + " invoke [1]",
                                          "Program log: Program " + kTwo + " invoke [2]",
                                          "Program data: " + absl::Base64Escape("first"),
                                          "Program " + kTwo + " invoke [2]",
                                          "Program data: " + absl::Base64Escape("in") + " " + absl::Base64Escape("ner"),
                                          "Program " + kTwo + " consumed 5 of 10 compute units",
                                          "Program " + kTwo + " success",
                                          "Program data: " + absl::Base64Escape("again"),
                                          "Program " + kOne + " failed: custom program error: 0x1",
                                          "Program data: " + absl::Base64Escape("nobody"),
                                          "Program " + kTwo + " invoke [1]",
                                          "Program data: not base64!",
                                          "Program data: ",
                                          "Program data: " + absl::Base64Escape("last")};
  ProgramLog log;
  const Found expected = {{kOne, "first", 2, 0}, {kTwo, "inner", 4, 1}, {kOne, "again", 7, 0}, {kTwo, "last", 13, 2}};
  EXPECT_EQ(Walk(lines, &log), expected);
  EXPECT_EQ(Walk(lines, &log), expected);  // nothing is left of the log before
  EXPECT_EQ(Walk({}, &log), Found());
}

TEST(ProgramLog, AnyLinesDoNoHarm) {
  const std::string parts[] = {"Program ",
                               "data: ",
                               "log: ",
                               kOne,
                               kTwo,
                               " invoke [",
                               "1",
                               "2",
                               "65",
                               "4294967296",
                               "]",
                               " success",
                               " failed: x",
                               absl::Base64Escape("x"),
                               "\xff\xfe",
                               " ",
                               ""};
  std::mt19937_64 random(1);
  ProgramLog log;
  for (int i = 0; i < 2000; ++i) {
    std::vector<std::string> lines(random() % 8);
    for (std::string& line : lines) {
      for (uint64_t n = random() % 7; n > 0; --n) line += parts[random() % std::size(parts)];
    }
    for (const auto& [program, data, line, invocation] : Walk(lines, &log)) {
      ASSERT_LT(line, lines.size());
      ASSERT_TRUE(lines[line].starts_with("Program data: "));
      ASSERT_FALSE(data.empty());
    }
  }
}

}  // namespace
}  // namespace everstate::idl
