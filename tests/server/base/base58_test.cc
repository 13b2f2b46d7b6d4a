#include "server/base/base58.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <vector>

namespace everstate {
namespace {

using Bytes = std::vector<uint8_t>;

std::string FastText(const Bytes& bytes) {
  char text[kSig64TextMax];
  const size_t length =
      bytes.size() == 32 ? EncodeBase58Key32(bytes.data(), text) : EncodeBase58Sig64(bytes.data(), text);
  return std::string(text, length);
}

Bytes FromHex(std::string_view hex) {
  Bytes bytes;
  for (size_t i = 0; i < hex.size(); i += 2) {
    bytes.push_back(static_cast<uint8_t>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

std::string AsString(const Bytes& bytes) { return std::string(bytes.begin(), bytes.end()); }

// `size` random bytes of which the first are zero as often as not.
rc::Gen<Bytes> BytesWithZeros(size_t size) {
  return rc::gen::map(rc::gen::pair(rc::gen::container<Bytes>(size, rc::gen::arbitrary<uint8_t>()),
                                    rc::gen::inRange<size_t>(0, 2 * size)),
                      [size](std::pair<Bytes, size_t> drawn) {
                        const size_t zeros = drawn.second > size ? 0 : drawn.second;
                        std::fill_n(drawn.first.begin(), zeros, uint8_t{0});
                        return drawn.first;
                      });
}

// The vectors of the base58 draft (draft-msporny-base58, §5) and addresses every Solana cluster knows.
TEST(Base58, KnownVectors) {
  const std::string hello = "Hello World!";
  EXPECT_EQ(EncodeBase58(Bytes(hello.begin(), hello.end())), "2NEpo7TZRRrLZSi2U");
  EXPECT_EQ(EncodeBase58(FromHex("0000287fb4cd")), "11233QC4");
  EXPECT_EQ(EncodeBase58({}), "");
  EXPECT_EQ(DecodeBase58(""), "");

  const Bytes token = FromHex("06ddf6e1d765a193d9cbe146ceeb79ac1cb485ed5f5b37913a8cf5857eff00a9");
  const std::string token_text = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";
  EXPECT_EQ(FastText(token), token_text);
  EXPECT_EQ(EncodeBase58(token), token_text);
  EXPECT_EQ(DecodeBase58(token_text), AsString(token));
  EXPECT_EQ(FastText(FromHex("06a7d51718c774c928566398691d5eb68b5eb8a39b4b6d5c73555b2100000000")),
            "SysvarC1ock11111111111111111111111111111111");
}

TEST(Base58, ExtremesOfFixedSizes) {
  EXPECT_EQ(FastText(Bytes(32, 0)), std::string(32, '1'));
  EXPECT_EQ(FastText(Bytes(64, 0)), std::string(64, '1'));
  EXPECT_EQ(FastText(Bytes(32, 0xff)), "JEKNVnkbo3jma5nREBBJCDoXFVeKkD56V3xKrvRmWxFG");
  for (size_t size : {size_t{32}, size_t{64}}) {
    for (size_t zeros = 0; zeros <= size; ++zeros) {
      for (uint8_t fill : {0x01, 0x7f, 0xff}) {
        Bytes bytes(size, fill);
        std::fill_n(bytes.begin(), zeros, uint8_t{0});
        ASSERT_EQ(FastText(bytes), EncodeBase58(bytes)) << size << " bytes, " << zeros << " zero";
      }
    }
  }
}

TEST(Base58, RefusesWhatIsNoText) {
  for (std::string_view bad : {"0", "O", "I", "l", " 2", "2\n", "\xff", "2+"}) EXPECT_FALSE(DecodeBase58(bad)) << bad;
  EXPECT_FALSE(DecodeBase58(std::string_view("2\0", 2)));
}

TEST(Base58, Key32HasExactly32Bytes) {
  EXPECT_TRUE(DecodeBase58Key32(std::string(32, '1')));
  EXPECT_FALSE(DecodeBase58Key32(std::string(31, '1')));
  EXPECT_FALSE(DecodeBase58Key32(std::string(33, '1')));
  EXPECT_FALSE(DecodeBase58Key32("JEKNVnkbo3jma5nREBBJCDoXFVeKkD56V3xKrvRmWxFH"));  // 2^256
  EXPECT_FALSE(DecodeBase58Key32(""));
  EXPECT_FALSE(DecodeBase58Key32(std::string(45, 'z')));
}

RC_GTEST_PROP(Base58, FastEqualsGeneralFor32, ()) {
  const Bytes bytes = *BytesWithZeros(32);
  RC_ASSERT(FastText(bytes) == EncodeBase58(bytes));
  const auto key = DecodeBase58Key32(FastText(bytes));
  RC_ASSERT(key.has_value());
  RC_ASSERT(std::equal(key->begin(), key->end(), bytes.begin()));
}

RC_GTEST_PROP(Base58, FastEqualsGeneralFor64, ()) {
  const Bytes bytes = *BytesWithZeros(64);
  RC_ASSERT(FastText(bytes) == EncodeBase58(bytes));
}

RC_GTEST_PROP(Base58, DecodeReversesEncode, ()) {
  const Bytes bytes = *BytesWithZeros(*rc::gen::inRange<size_t>(0, 100));
  const std::string text = EncodeBase58(bytes);
  RC_ASSERT(DecodeBase58(text) == AsString(bytes));
}

}  // namespace
}  // namespace everstate
