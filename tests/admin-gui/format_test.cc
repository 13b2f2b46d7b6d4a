#include "admin-gui/format.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <nlohmann/json.hpp>

namespace everstate::console {
namespace {

TEST(Format, NumbersHaveUnits) {
  EXPECT_EQ(Count(0), "0");
  EXPECT_EQ(Count(999), "999");
  EXPECT_EQ(Count(1000), "1,000");
  EXPECT_EQ(Count(18446744073709551615u), "18,446,744,073,709,551,615");
  EXPECT_EQ(Bytes(999), "999 B");
  EXPECT_EQ(Bytes(1000), "1.0 kB");
  EXPECT_EQ(Bytes(999950), "1.0 MB");
  EXPECT_EQ(Bytes(123456789), "123 MB");
  EXPECT_EQ(PerSecond(12.34), "12.3 /s");
  EXPECT_EQ(PerSecond(0), "0 /s");
  EXPECT_EQ(Number(2), "2");
  EXPECT_EQ(Number(0.5), "0.50");
  EXPECT_EQ(BytesPerSecond(1250000), "1.2 MB/s");
  EXPECT_EQ(Percent(0.5), "50 %");
  EXPECT_EQ(Percent(0.012), "1.2 %");
  EXPECT_EQ(Seconds(0.42), "0.4 s");
  EXPECT_EQ(Seconds(200), "3 min 20 s");
  EXPECT_EQ(Seconds(7380), "2 h 3 min");
  EXPECT_EQ(Seconds(5 * 86400 + 7200), "5 d 2 h");
  EXPECT_EQ(Seconds(-3), "-3.0 s");
  EXPECT_EQ(Milliseconds(280), "280 ms");
}

TEST(Format, ClipCutsBetweenCodePoints) {
  EXPECT_EQ(Clip("abc", 3), "abc");
  EXPECT_EQ(Clip("abcd", 3), "ab…");
  EXPECT_EQ(Clip("äöüß", 3), "äö…");
  EXPECT_EQ(Clip("a\nb\tc", 9), "a b c");
  EXPECT_EQ(Clip("", 3), "");
  EXPECT_EQ(Clip(std::string(5000, 'x'), 40).size(), 39 + std::string("…").size());
}

RC_GTEST_PROP(Format, ClipIsBoundedForAnyBytes, (const std::string& text, uint8_t chars_max)) {
  RC_PRE(chars_max > 0);
  const std::string clipped = Clip(text, chars_max);
  size_t chars = 0;
  for (const char c : clipped) chars += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  RC_ASSERT(chars <= chars_max);
  RC_ASSERT(clipped.size() <= 4u * chars_max);
  for (const char c : clipped) RC_ASSERT(static_cast<unsigned char>(c) >= 0x20);
}

// Whatever it lays out says the same: an independent parser reads the same value.
nlohmann::json AnyJson(int depth) {
  switch (*rc::gen::inRange(0, depth > 3 ? 4 : 6)) {
    case 0:
      return *rc::gen::arbitrary<int64_t>();
    case 1:
      return *rc::gen::string<std::string>();
    case 2:
      return *rc::gen::arbitrary<bool>();
    case 3:
      return nullptr;
    case 4: {
      nlohmann::json array = nlohmann::json::array();
      for (int i = *rc::gen::inRange(0, 4); i > 0; --i) array.push_back(AnyJson(depth + 1));
      return array;
    }
    default: {
      nlohmann::json object = nlohmann::json::object();
      for (int i = *rc::gen::inRange(0, 4); i > 0; --i)
        object[*rc::gen::nonEmpty(rc::gen::container<std::string>(rc::gen::inRange('!', '~')))] = AnyJson(depth + 1);
      return object;
    }
  }
}

RC_GTEST_PROP(PrettyJson, KeepsTheMeaning, ()) {
  const nlohmann::json json = AnyJson(0);
  const std::string text = json.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  RC_ASSERT(nlohmann::json::parse(PrettyJson(text)) == nlohmann::json::parse(text));
}

TEST(PrettyJson, LaysOut) {
  EXPECT_EQ(PrettyJson(R"({"a":[1,{"b":"x, {y}"}],"c":{},"d":[ ]})"),
            "{\n  \"a\": [\n    1,\n    {\n      \"b\": \"x, {y}\"\n    }\n  ],\n  \"c\": {},\n  \"d\": []\n}");
}

TEST(PrettyJson, TakesWhatIsNoJson) {
  EXPECT_EQ(PrettyJson("plain"), "plain");
  EXPECT_EQ(PrettyJson("\"never closed \\"), "\"never closed \\");
  const std::string deep(200000, '[');
  EXPECT_LT(PrettyJson(deep).size(), deep.size() * 100);
  EXPECT_FALSE(PrettyJson(std::string(1000, '}')).empty());
}

TEST(Format, AGapIsWhatLiesBetweenItsEnds) {
  EXPECT_EQ(GapSlots(100, 105), "slots 101 to 104");
  EXPECT_EQ(SlotsMissing(100, 105), 4u);
  EXPECT_EQ(GapSlots(100, 102), "slot 101");
  EXPECT_EQ(SlotsMissing(100, 102), 1u);
  EXPECT_EQ(GapSlots(100, 101), "between slots 100 and 101");
  EXPECT_EQ(SlotsMissing(100, 101), 0u);
  EXPECT_EQ(SlotsMissing(UINT64_MAX, 0), 0u);
}

TEST(Format, CountsTheirThing) {
  EXPECT_EQ(Counted(1, "slot"), "1 slot");
  EXPECT_EQ(Counted(0, "slot"), "0 slots");
  EXPECT_EQ(Counted(1234, "slot"), "1,234 slots");
}

}  // namespace
}  // namespace everstate::console
