#include "storage/value.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "tests/storage/value_gen.h"

namespace everstate {
namespace {

const std::vector<size_t> kShapeKeys = {0, 2, 3};

// The oracle of integers: digits in base 2^16, least significant first, in two's complement of 160 bits. It shares
// nothing with the code under test but the way in.
struct BigInt {
  std::array<uint16_t, 10> digits{};

  static BigInt Of(const Value& v) {
    BigInt big;
    Uint128 magnitude = v.magnitude;
    bool negative = v.negative;
    if (v.tag == ValueTag::kUint) magnitude = v.uint;
    if (v.tag == ValueTag::kNegInt) {
      negative = true;
      magnitude = 0 - static_cast<uint64_t>(v.neg);
    }
    for (size_t i = 0; i < 8; ++i) big.digits[i] = static_cast<uint16_t>(magnitude >> (16 * i));
    return negative ? big.Negated() : big;
  }
  static BigInt PowerOfTwo(size_t bit) {
    BigInt big;
    big.digits[bit / 16] = static_cast<uint16_t>(1u << (bit % 16));
    return big;
  }
  BigInt Plus(const BigInt& other) const {
    BigInt sum;
    uint32_t carry = 0;
    for (size_t i = 0; i < digits.size(); ++i) {
      carry += uint32_t{digits[i]} + other.digits[i];
      sum.digits[i] = static_cast<uint16_t>(carry);
      carry >>= 16;
    }
    return sum;
  }
  BigInt Negated() const {
    BigInt flipped = *this;
    for (uint16_t& digit : flipped.digits) digit = static_cast<uint16_t>(~digit);
    return flipped.Plus(PowerOfTwo(0));
  }
  bool Negative() const { return digits.back() >> 15 != 0; }
  bool Less(const BigInt& other) const { return Plus(other.Negated()).Negative(); }
  bool operator==(const BigInt&) const = default;
};

absl::StatusOr<Value> ReadOne(std::string_view bytes) { return ValueReader(bytes).Next(); }

std::string Encoded(const Value& value) {
  std::string out;
  AppendValue(value, &out);
  return out;
}

// Visits everything that the bytes claim to hold. Answers whether all of it was readable.
bool Walk(std::string_view bytes, int depth) {
  ValueReader reader(bytes);
  while (!reader.done()) {
    const auto value = reader.Next();
    if (!value.ok()) return false;
    volatile uint8_t sink = 0;
    for (uint32_t i = 0; i < value->size; ++i) sink = sink ^ value->data[i];
    if (value->tag != ValueTag::kArray && value->tag != ValueTag::kObject) continue;
    const auto inside = OpenComposite(*value);
    if (!inside.ok() || (depth > 0 && !Walk(inside->payload, depth - 1))) return false;
  }
  return true;
}

TEST(Value, EncodingsAreWhatTheHeaderSays) {
  using std::string;
  EXPECT_EQ(Encoded(Value()), string("\0", 1));
  EXPECT_EQ(Encoded(Value::Null()), "\x01");
  EXPECT_EQ(Encoded(Value::Bool(false)), "\x02");
  EXPECT_EQ(Encoded(Value::Bool(true)), "\x03");
  EXPECT_EQ(Encoded(Value::Uint(300)), "\x04\xac\x02");
  EXPECT_EQ(Encoded(Value::Int(-1)), string("\x05\x00", 2));
  EXPECT_EQ(Encoded(Value::Int(std::numeric_limits<int64_t>::min())), "\x05\xff\xff\xff\xff\xff\xff\xff\xff\x7f");
  EXPECT_EQ(Encoded(Value::Wide(false, Uint128{1} << 64)), string("\x06\0", 2) + string(8, 0) + "\x01" + string(7, 0));
  EXPECT_EQ(Encoded(Value::Decimal(true, 5)), string("\x07\x01\x05", 3) + string(15, 0));
  EXPECT_EQ(Encoded(Value::Float(1.0)), string("\x08\0\0\0\0\0\0\xf0\x3f", 9));
  EXPECT_EQ(Encoded(Value::Text("ab")),
            "\x09\x02"
            "ab");
  string array;
  AppendArray(2, Encoded(Value::Null()) + Encoded(Value::Uint(1)), &array);
  EXPECT_EQ(array, "\x0d\x03\x02\x01\x04\x01");
  EXPECT_EQ(Encoded(ValueOf(array)), array);
}

TEST(Value, ConstructorsChooseTheOneEncoding) {
  EXPECT_EQ(Value::Int(5).tag, ValueTag::kUint);
  EXPECT_EQ(Value::Wide(false, 5).tag, ValueTag::kUint);
  EXPECT_EQ(Value::Wide(true, 5).tag, ValueTag::kNegInt);
  EXPECT_EQ(Value::Wide(true, 5).neg, -5);
  EXPECT_EQ(Value::Wide(true, 0).tag, ValueTag::kUint);
  EXPECT_EQ(Value::Wide(true, Uint128{1} << 63).neg, std::numeric_limits<int64_t>::min());
  EXPECT_EQ(Value::Wide(true, (Uint128{1} << 63) + 1).tag, ValueTag::kWide);
  EXPECT_EQ(Value::Wide(false, std::numeric_limits<uint64_t>::max()).tag, ValueTag::kUint);
  EXPECT_EQ(Value::Wide(false, Uint128{1} << 64).tag, ValueTag::kWide);
  EXPECT_FALSE(Value::Decimal(true, 0).negative);
  EXPECT_EQ(Value::Float(NAN).tag, ValueTag::kNull);
  EXPECT_EQ(Value::Float(-INFINITY).tag, ValueTag::kNull);
  EXPECT_FALSE(std::signbit(Value::Float(-0.0).real));
}

TEST(ValueReader, RefusesASecondFormOfAValue) {
  using std::string;
  for (const string& bad : {
           string("\x0f"),
           string("\xff"),
           string(""),  // no tag
           string("\x04\x80\x00", 3),
           string("\x04") + string(9, '\xff') + "\x02",  // long form, beyond u64
           string("\x04\xff"),
           string("\x05") + string(9, '\xff') + "\x01",  // cut, below i64
           string("\x06\0\x05", 3) + string(15, 0),
           string("\x06\x01") + "\x05" + string(15, 0),  // fits in less
           string("\x06\x02") + string(16, '\xff'),
           string("\x07\x01") + string(16, 0),  // sign, negative zero
           string("\x08\0\0\0\0\0\0\xf8\x7f", 9),
           string("\x08\0\0\0\0\0\0\0\x80", 9),  // NaN, -0.0
           string("\x09\x03"
                  "ab"),
           string("\x0a") + string(31, 'k'),
           string("\x0b") + string(63, 's'),
           string("\x0d\x03\x02\x01"),
           string("\x0d\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01"),
       }) {
    ValueReader reader(bad);
    EXPECT_EQ(reader.Next().status().code(), absl::StatusCode::kDataLoss) << testing::PrintToString(bad);
    EXPECT_EQ(reader.offset(), 0u);
  }
}

TEST(ValueReader, StandsStillAfterAnErrorAndNamesTheOffset) {
  const std::string bytes = Encoded(Value::Uint(1)) + "\x09\x05";
  ValueReader reader(bytes);
  ASSERT_TRUE(reader.Next().ok());
  for (int i = 0; i < 2; ++i)
    EXPECT_NE(std::string(reader.Next().status().message()).find("offset 2"), std::string::npos);
  EXPECT_FALSE(reader.done());
}

TEST(ValuesEqual, GoesByKind) {
  const std::string zero_key(32, '\0'), one_text(32, '1');
  const Value key = Value::Key32(reinterpret_cast<const uint8_t*>(zero_key.data()));
  EXPECT_FALSE(ValuesEqual(key, Value::Text(one_text)));
  EXPECT_FALSE(ValuesEqual(Value::Uint(1), Value::Float(1.0)));
  EXPECT_FALSE(ValuesEqual(Value::Uint(1), Value::Decimal(false, 1)));
  EXPECT_FALSE(ValuesEqual(Value(), Value::Null()));
  EXPECT_TRUE(ValuesEqual(Value::Float(-0.0), Value::Float(0.0)));
}

TEST(CompareNumbers, FloatsAndWhatIsNoNumber) {
  EXPECT_EQ(CompareNumbers(Value::Float(0.5), Value::Uint(1)), -1);
  EXPECT_EQ(CompareNumbers(Value::Uint(1), Value::Float(1.0)), 0);
  EXPECT_EQ(CompareNumbers(Value::Int(-1), Value::Float(-1.5)), 1);
  EXPECT_EQ(CompareNumbers(Value::Wide(false, Uint128{1} << 100), Value::Float(std::ldexp(1.0, 100))), 0);
  EXPECT_EQ(CompareNumbers(Value::Null(), Value::Uint(1)), std::nullopt);
  EXPECT_EQ(CompareNumbers(Value::Uint(1), Value::Text("1")), std::nullopt);
  EXPECT_EQ(CompareNumbers(Value::Bool(true), Value::Uint(1)), std::nullopt);
}

RC_GTEST_PROP(CompareNumbers, IntegersAsTheOracle, ()) {
  const Value a = DrawInteger(), b = *rc::gen::arbitrary<bool>() ? DrawInteger() : a;
  const BigInt x = BigInt::Of(a), y = BigInt::Of(b);
  RC_ASSERT(CompareNumbers(a, b) == (x == y ? 0 : x.Less(y) ? -1 : 1));
}

RC_GTEST_PROP(AddIntegers, AsTheOracleWithinItsRange, ()) {
  const Value a = DrawInteger(), b = DrawInteger();
  const BigInt high = BigInt::PowerOfTwo(127).Plus(BigInt::PowerOfTwo(0).Negated()),
               low = BigInt::PowerOfTwo(127).Negated();
  BigInt sum = BigInt::Of(a).Plus(BigInt::Of(b));
  const bool beyond = high.Less(sum) || sum.Less(low);
  if (high.Less(sum)) sum = high;
  if (sum.Less(low)) sum = low;
  bool saturated = false;
  const Value added = AddIntegers(a, b, &saturated);
  RC_ASSERT(BigInt::Of(added) == sum);
  RC_ASSERT(saturated == beyond);
  RC_ASSERT(added.tag != ValueTag::kDecimal);
  RC_ASSERT(Encoded(added) == Encoded(ReadOne(Encoded(added)).value()));
}

RC_GTEST_PROP(ValueReader, ReadsBackWhatWasAppended, ()) {
  std::string encoded;
  DrawEncoded(4, kShapeKeys, &encoded);
  ValueReader reader(encoded);
  const auto value = reader.Next();
  RC_ASSERT(value.ok());
  RC_ASSERT(reader.done());
  RC_ASSERT(Encoded(*value) == encoded);
  RC_ASSERT(ValuesEqual(*value, *value));
  RC_ASSERT(Walk(encoded, kValueDepthMax));
}

// Equal values have equal bytes and the reverse, over everything that can be drawn.
RC_GTEST_PROP(ValuesEqual, ExactlyWhenTheBytesAreEqual, ()) {
  std::string a, b;
  DrawEncoded(1, kShapeKeys, &a);
  DrawEncoded(1, kShapeKeys, &b);
  RC_ASSERT(ValuesEqual(ValueOf(a), ValueOf(b)) == (a == b));
}

// Whatever the bytes are, reading stays inside them (they lie alone on the heap, so that a sanitizer sees one step
// beyond), and what is accepted is its own encoding.
RC_GTEST_PROP(ValueReader, IsSafeAgainstAnyBytes, ()) {
  std::string drawn;
  if (*rc::gen::arbitrary<bool>()) {
    DrawEncoded(4, kShapeKeys, &drawn);
    for (int i = *rc::gen::inRange(0, 4); i > 0 && !drawn.empty(); --i) {
      drawn[*rc::gen::inRange<size_t>(0, drawn.size())] = *rc::gen::arbitrary<char>();
    }
    drawn.resize(*rc::gen::inRange<size_t>(0, drawn.size() + 1));
  } else {
    drawn = *rc::gen::arbitrary<std::string>();
    if (!drawn.empty()) drawn[0] = *rc::gen::inRange<char>(0, 16);
  }
  const std::unique_ptr<char[]> alone(new char[drawn.size()]);
  std::copy(drawn.begin(), drawn.end(), alone.get());
  const std::string_view bytes(alone.get(), drawn.size());
  Walk(bytes, 100);
  ValueReader reader(bytes);
  if (const auto value = reader.Next(); value.ok()) RC_ASSERT(Encoded(*value) == bytes.substr(0, reader.offset()));
}

}  // namespace
}  // namespace everstate
