#include "storage/keys.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <set>
#include <tuple>

namespace everstate {
namespace {

SideKind DrawSideKind() { return SideKind{static_cast<uint8_t>(*rc::gen::inRange(1, 10))}; }
// Small numbers and few letters, so that neighbours and prefixes of each other are drawn often.
uint16_t DrawSmall() { return *rc::gen::element<uint16_t>(0, 1, 2, 255, 256, 257, 65535); }
std::string DrawText() {
  return *rc::gen::container<std::string>(rc::gen::element<char>('\0', 'a', 'b', '\x7f', '\x80', '\xff'));
}

std::string Copy(std::string_view key) { return std::string(key); }

RC_GTEST_PROP(Keys, EntityKeysComeBack, ()) {
  KeyBuffer keys;
  const uint16_t entity = DrawSmall();
  const std::string text = DrawText() + "k";
  const std::string bytes = Copy(keys.Entity(entity, text));
  const auto parsed = ParseEntityKey(bytes);
  RC_ASSERT(parsed.has_value());
  RC_ASSERT(parsed->entity == entity);
  RC_ASSERT(parsed->key == text);
  RC_ASSERT(!ParseSideKey(bytes));
  RC_ASSERT(!ParseNumberedKey(RowKind::kJournal, bytes));
  RC_ASSERT(RowKindName(bytes) == "entity");
  RC_ASSERT(IsStateKey(bytes));
}

RC_GTEST_PROP(Keys, SideKeysComeBack, ()) {
  KeyBuffer keys;
  const SideKey key{DrawSideKind(), DrawSmall(), DrawSmall(), DrawText()};
  const std::string bytes = Copy(keys.Side(key));
  const auto parsed = ParseSideKey(bytes);
  RC_ASSERT(parsed.has_value());
  RC_ASSERT((SideKey{parsed->kind, parsed->entity, parsed->name, std::string(parsed->id)}) == key);
  RC_ASSERT(!ParseEntityKey(bytes));
  RC_ASSERT(IsStateKey(bytes));
}

RC_GTEST_PROP(Keys, OrderOfEntityKeysIsOrderOfEntityAndText, ()) {
  KeyBuffer keys;
  const auto a = std::make_tuple(DrawSmall(), DrawText());
  const auto b = std::make_tuple(DrawSmall(), DrawText());
  const std::string key_a = Copy(keys.Entity(std::get<0>(a), std::get<1>(a)));
  const std::string key_b = Copy(keys.Entity(std::get<0>(b), std::get<1>(b)));
  RC_ASSERT((key_a < key_b) == (a < b));
  RC_ASSERT((key_a == key_b) == (a == b));
}

RC_GTEST_PROP(Keys, OrderOfSideKeysIsOrderOfKindEntityNameId, ()) {
  KeyBuffer keys;
  const SideKey a{DrawSideKind(), DrawSmall(), DrawSmall(), DrawText()};
  const SideKey b{DrawSideKind(), DrawSmall(), DrawSmall(), DrawText()};
  const std::string key_a = Copy(keys.Side(a)), key_b = Copy(keys.Side(b));
  RC_ASSERT((key_a < key_b) == (a < b));
  RC_ASSERT((key_a == key_b) == (a == b));
}

RC_GTEST_PROP(Keys, NumberedKeysComeBackInOrder, (uint64_t a, uint64_t b)) {
  const RowKind kind = *rc::gen::element(RowKind::kJournal, RowKind::kGap, RowKind::kChain, RowKind::kLineage);
  KeyBuffer keys;
  const std::string key_a = Copy(keys.Numbered(kind, a)), key_b = Copy(keys.Numbered(kind, b));
  RC_ASSERT(ParseNumberedKey(kind, key_a) == a);
  RC_ASSERT((key_a < key_b) == (a < b));
  RC_ASSERT(!IsStateKey(key_a));
}

RC_GTEST_PROP(Keys, PrefixEndIsTheSmallestKeyAboveThePrefix, ()) {
  const std::string prefix = DrawText(), other = DrawText();
  const std::string end = PrefixEnd(prefix);
  if (end.empty()) {
    RC_ASSERT(prefix.find_first_not_of('\xff') == std::string::npos);
    RC_ASSERT(other < prefix || other.starts_with(prefix));
  } else {
    RC_ASSERT(prefix + other < end);
    if (other > prefix && !other.starts_with(prefix)) RC_ASSERT(other >= end);
  }
}

TEST(Keys, RowsOfStateComeFirstInOrderOfKinds) {
  KeyBuffer keys;
  std::vector<std::string> all{Copy(keys.Entity(65535, "\xff\xff"))};
  for (uint8_t kind = 1; kind <= 9; ++kind) all.push_back(Copy(keys.Side(SideKind{kind}, 65535, 65535, "\xff\xff")));
  all.push_back(Copy(keys.Single(RowKind::kWatermark)));
  const size_t states = all.size();
  all.push_back(Copy(keys.Single(RowKind::kNumber)));
  for (RowKind kind : {RowKind::kJournal, RowKind::kGap, RowKind::kChain, RowKind::kLineage}) {
    all.push_back(Copy(keys.Numbered(kind, UINT64_MAX)));
  }
  for (RowKind kind : {RowKind::kFormat, RowKind::kStackName, RowKind::kStackHash, RowKind::kStackText,
                       RowKind::kSettings, RowKind::kSchema}) {
    all.push_back(Copy(keys.Single(kind)));
  }
  std::set<std::string_view> names;
  for (size_t i = 0; i < all.size(); ++i) {
    if (i > 0) {
      EXPECT_LT(all[i - 1], all[i]) << RowKindName(all[i]);
    }
    EXPECT_EQ(IsStateKey(all[i]), i < states) << RowKindName(all[i]);
    EXPECT_NE(RowKindName(all[i]), "unknown");
    EXPECT_TRUE(names.insert(RowKindName(all[i])).second) << RowKindName(all[i]);
  }
}

TEST(Keys, RefuseWhatIsNoKey) {
  EXPECT_FALSE(ParseEntityKey(""));
  EXPECT_FALSE(ParseEntityKey(std::string_view("\x10\0\0", 3)));  // the key text is never empty
  EXPECT_FALSE(ParseSideKey(std::string_view("\x21\0\0\0", 4)));
  EXPECT_FALSE(ParseSideKey(std::string_view("\x20\0\0\0\0", 5)));
  EXPECT_FALSE(ParseSideKey(std::string_view("\x2a\0\0\0\0", 5)));
  EXPECT_FALSE(ParseNumberedKey(RowKind::kJournal, std::string_view("\x81\0\0\0\0\0\0\0", 8)));
  EXPECT_EQ(RowKindName(""), "unknown");
  EXPECT_EQ(RowKindName("\x05"), "unknown");
  EXPECT_EQ(RowKindName("\x20"), "unknown");
}

// The format on disk: a change of it must be made on purpose, together with kStoreFormat.
TEST(Keys, HaveTheseBytes) {
  KeyBuffer keys;
  EXPECT_EQ(keys.Entity(0x0102, "ab"), std::string_view("\x10\x01\x02"
                                                        "ab",
                                                        5));
  EXPECT_EQ(keys.Side(SideKind::kPda, 0, 0x0304, "x"), std::string_view("\x23\0\0\x03\x04"
                                                                        "x",
                                                                        6));
  EXPECT_EQ(keys.Single(RowKind::kWatermark), std::string_view("\x7f", 1));
  EXPECT_EQ(keys.Numbered(RowKind::kJournal, 0x0102), std::string_view("\x81\0\0\0\0\0\0\x01\x02", 9));
}

}  // namespace
}  // namespace everstate
