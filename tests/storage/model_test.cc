#include "storage/model.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace everstate {
namespace {

constexpr uint64_t kMax = 18446744073709551615u;

TEST(Cursor, IsWrittenWithATwelveDigitIndex) {
  EXPECT_EQ((Cursor{250000000, 7}).ToSeq(), "250000000:000000000007");
  EXPECT_EQ((Cursor{0, 0}).ToSeq(), "0:000000000000");
  EXPECT_EQ((Cursor{1, 999999999999}).ToSeq(), "1:999999999999");
  EXPECT_EQ((Cursor{1, 1000000000000}).ToSeq(), "1:1000000000000");
  EXPECT_EQ((Cursor{kMax, kMax}).ToSeq(), "18446744073709551615:18446744073709551615");
}

TEST(Cursor, ReadsOnlyDigitsColonDigits) {
  EXPECT_EQ(Cursor::FromSeq("5:6"), (Cursor{5, 6}));
  EXPECT_EQ(Cursor::FromSeq("005:0006"), (Cursor{5, 6}));
  for (std::string_view bad :
       {"", ":", "5", "5:", ":6", "5:6:7", " 5:6", "5: 6", "5:6 ", "+5:6", "-5:6", "5:-6", "5:+6", "5.0:6", "0x5:6",
        "5:6\n", "18446744073709551616:0", "0:18446744073709551616", "a:b"}) {
    EXPECT_FALSE(Cursor::FromSeq(bad)) << bad;
  }
  EXPECT_FALSE(Cursor::FromSeq(std::string_view("5:6\0", 4)));
}

RC_GTEST_PROP(Cursor, ComesBackFromItsText, (uint64_t slot, uint64_t index)) {
  const Cursor cursor{slot, index};
  RC_ASSERT(Cursor::FromSeq(cursor.ToSeq()) == cursor);
}

RC_GTEST_PROP(UniqueMemberId, MembersOfOneKeyShareAPrefixThatNoOtherKeyHas,
              (const std::string& a, const std::string& b, const std::string& member)) {
  const std::string prefix = UniqueMemberId(a, "");
  RC_ASSERT(UniqueMemberId(a, member) == prefix + member);
  if (a != b) RC_ASSERT(!UniqueMemberId(b, member).starts_with(prefix));
}

TEST(UniqueMemberId, BeginsWithTheKeyLengthBigEndian) {
  EXPECT_EQ(UniqueMemberId(std::string(258, 'k'), "m"), std::string("\0\0\1\2", 4) + std::string(258, 'k') + "m");
}

TEST(ViewMode, Names) {
  EXPECT_EQ(ViewModeName(ViewMode::kList), "list");
  EXPECT_EQ(ViewModeName(ViewMode::kState), "state");
  EXPECT_EQ(ViewModeName(ViewMode::kAppend), "append");
}

}  // namespace
}  // namespace everstate
