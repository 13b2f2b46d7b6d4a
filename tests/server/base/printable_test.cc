#include "server/base/printable.h"

#include <gtest/gtest.h>

#include <string>

namespace everstate {
namespace {

TEST(PrintableTest, ControlCharactersAreEscapes) {
  EXPECT_EQ(Printable("a\nb\tc\r\x1b[31m\x7f"), R"(a\nb\x09c\x0d\x1b[31m\x7f)");
  EXPECT_EQ(Printable(std::string("a\0b", 3)), R"(a\x00b)");
  EXPECT_EQ(Printable("\u0080\u009b31m\u009f"), R"(\u0080\u009b31m\u009f)");
}

TEST(PrintableTest, EverythingElseStays) {
  for (const char* text : {"", "id.mint", "größer … \u00a0 \u2028 日本", "a \\n b", "\xff\xc2", "\xc2x"})
    EXPECT_EQ(Printable(text), text);
}

// What is escaped once is not escaped again.
TEST(PrintableTest, OfAllBytesNoneIsLeftThatSteersATerminal) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all.append({'\xc2', static_cast<char>(byte), static_cast<char>(byte)});
  const std::string once = Printable(all);
  for (const char c : once) EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
  for (int c1 = 0x80; c1 < 0xa0; ++c1)
    EXPECT_EQ(once.find(std::string{'\xc2', static_cast<char>(c1)}), std::string::npos) << c1;
  EXPECT_EQ(Printable(once), once);
}

}  // namespace
}  // namespace everstate
