#include "server/stack/compact.h"

#include <gtest/gtest.h>

namespace everstate::stack {
namespace {

std::string Compact(std::string_view text) { return CompactJson(text, "content_hash"); }

TEST(CompactJson, RemovesSpaceOnlyBetweenTokens) {
  EXPECT_EQ(Compact("{ \"a b\" :\t[ 1 ,\r\n \" x  y \" , true ] }"), R"({"a b":[1," x  y ",true]})");
}

TEST(CompactJson, DropsTheMemberWhereverItStands) {
  EXPECT_EQ(Compact(R"({"content_hash": "x", "a": 1, "b": 2})"), R"({"a":1,"b":2})");
  EXPECT_EQ(Compact(R"({"a": 1, "content_hash": {"deep": [1, 2]}, "b": 2})"), R"({"a":1,"b":2})");
  EXPECT_EQ(Compact(R"({"a": 1, "b": 2, "content_hash": "x"})"), R"({"a":1,"b":2})");
  EXPECT_EQ(Compact(R"({"content_hash": "x"})"), "{}");
  EXPECT_EQ(Compact(R"({"content\u005fhash": "x"})"), "{}");
}

TEST(CompactJson, KeepsTheMemberBelowTheTopAndAsAValue) {
  EXPECT_EQ(Compact(R"({"a": {"content_hash": "x"}, "b": ["content_hash"], "c": "content_hash"})"),
            R"({"a":{"content_hash":"x"},"b":["content_hash"],"c":"content_hash"})");
}

TEST(CompactJson, KeepsNumbersAsWritten) {
  EXPECT_EQ(Compact("[1.0, 793100000000000.0, 1e16, 1E+2, -0.10, 18446744073709551616]"),
            "[1.0,793100000000000.0,1e16,1E+2,-0.10,18446744073709551616]");
}

TEST(CompactJson, WritesStringsWithTheFewestEscapes) {
  EXPECT_EQ(
      Compact(
          R"(["\u0041", "\/", "\u2019", "\ud83d\ude00", "\u001F", "\u0008\u0009\u000a\u000c\u000d", "\"\\", "\u007f"])"),
      "[\"A\",\"/\",\"\u2019\",\"\U0001F600\",\"\\u001f\",\"\\b\\t\\n\\f\\r\",\"\\\"\\\\\",\"\x7f\"]");
}

TEST(JsonDepth, CountsOutsideOfStringsForAnyBytes) {
  EXPECT_EQ(JsonDepth(R"({"a[[[": [[1], "]]{{\"{"]})"), 3u);
  EXPECT_EQ(JsonDepth("]]]][[["), 3u);
  EXPECT_EQ(JsonDepth("\"never ends \\"), 0u);
  EXPECT_EQ(JsonDepth(""), 0u);
}

}  // namespace
}  // namespace everstate::stack
