#include "storage/records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>

namespace everstate {
namespace {

using ::testing::HasSubstr;

std::string Message(const absl::Status& status) { return std::string(status.message()); }

Hash32 DrawHash() {
  Hash32 hash;
  for (uint8_t& byte : hash) byte = *rc::gen::arbitrary<uint8_t>();
  return hash;
}

// Whatever one byte is missing or too many: it is no such record, and the error names which.
template <typename Decode>
void AssertSizeMatters(const std::string& bytes, Decode decode, const std::string& name) {
  for (const std::string& wrong : {bytes.substr(0, bytes.size() - 1), bytes + '\0', std::string()}) {
    const auto decoded = decode(wrong);
    RC_ASSERT(decoded.status().code() == absl::StatusCode::kDataLoss);
    RC_ASSERT(Message(decoded.status()).find("the " + name + " record has " + std::to_string(wrong.size())) == 0);
  }
}

RC_GTEST_PROP(Records, AWatermarkComesBack, (uint64_t slot, uint64_t last_index, uint64_t parent_slot, int64_t time)) {
  Watermark watermark;
  watermark.block = {slot, DrawHash(), parent_slot, DrawHash(), std::nullopt};
  watermark.last_index = last_index;
  if (*rc::gen::arbitrary<bool>()) watermark.block.block_time = time;
  const std::string bytes = EncodeWatermark(watermark);
  const auto decoded = DecodeWatermark(bytes);
  RC_ASSERT(decoded.ok());
  RC_ASSERT(decoded->block == watermark.block);
  RC_ASSERT(decoded->last_index == last_index);
  RC_ASSERT(EncodeWatermark(*decoded) == bytes);
  AssertSizeMatters(bytes, DecodeWatermark, "watermark");
}

// The digest is over bytes: a second form of the same watermark would be another state.
TEST(Records, AWatermarkHasOneForm) {
  Watermark watermark;
  watermark.block.slot = 7;
  const std::string without = EncodeWatermark(watermark);
  watermark.block.block_time = 1700000000;
  const std::string with = EncodeWatermark(watermark);
  ASSERT_EQ(with.size(), without.size());
  const size_t flag = with.size() - 9, time = with.size() - 8;
  ASSERT_EQ(with[flag], 1);
  ASSERT_EQ(without[flag], 0);
  ASSERT_TRUE(DecodeWatermark(with).ok() && DecodeWatermark(without).ok());

  std::string another_flag = with, hidden_time = with, left_over = without;
  another_flag[flag] = 2;
  hidden_time[flag] = 0;
  left_over[time + 7] = 1;
  for (const std::string& bytes : {another_flag, hidden_time, left_over}) {
    const auto decoded = DecodeWatermark(bytes);
    EXPECT_EQ(decoded.status().code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(Message(decoded.status()), HasSubstr("the watermark record"));
    EXPECT_THAT(Message(decoded.status()), HasSubstr("block time"));
  }
}

RC_GTEST_PROP(Records, TheOthersComeBackToo, (uint64_t a, uint64_t b, const std::string& cause)) {
  const std::string number = EncodeNumber({a, b});
  RC_ASSERT(DecodeNumber(number)->number == a);
  RC_ASSERT(DecodeNumber(number)->entities == b);
  AssertSizeMatters(number, DecodeNumber, "number");

  const auto gap = DecodeGap(EncodeGap({a, b, cause}));
  RC_ASSERT(gap.ok());
  RC_ASSERT(gap->from == a);
  RC_ASSERT(gap->to == b);
  RC_ASSERT(gap->cause == cause);
  RC_ASSERT(!DecodeGap(EncodeGap({a, b, ""}).substr(1)).ok());

  const Hash32 hash = DrawHash();
  const std::string lineage = EncodeLineage({a, hash});
  RC_ASSERT(DecodeLineage(lineage)->begins_at == a);
  RC_ASSERT(DecodeLineage(lineage)->hash == hash);
  AssertSizeMatters(lineage, DecodeLineage, "lineage");

  const std::string format = EncodeFormat(static_cast<uint32_t>(a));
  RC_ASSERT(*DecodeFormat(format) == static_cast<uint32_t>(a));
  AssertSizeMatters(format, DecodeFormat, "format");
  const auto decode_hash = [](std::string_view bytes) { return DecodeHash(bytes, "chain"); };
  RC_ASSERT(*decode_hash(BytesOf(hash)) == hash);
  AssertSizeMatters(std::string(BytesOf(hash)), decode_hash, "chain");
}

// The format on disk: a change of it must be made on purpose, together with kStoreFormat.
TEST(Records, HaveTheseBytes) {
  Watermark watermark;
  watermark.block.slot = 0x0102;
  watermark.block.blockhash.fill(0xaa);
  watermark.block.parent_slot = 3;
  watermark.block.parent_blockhash.fill(0xbb);
  watermark.block.block_time = -2;
  watermark.last_index = 5;
  const std::string zeros(7, '\0');
  EXPECT_EQ(EncodeWatermark(watermark), "\x02\x01" + zeros.substr(1) + "\x05" + zeros + std::string(32, '\xaa') +
                                            "\x03" + zeros + std::string(32, '\xbb') + "\x01\xfe" +
                                            std::string(7, '\xff'));
  EXPECT_EQ(EncodeNumber({1, 2}), "\x01" + zeros + "\x02" + zeros);
  EXPECT_EQ(EncodeGap({1, 2, "why"}), "\x01" + zeros + "\x02" + zeros + "why");
  EXPECT_EQ(EncodeFormat(2), "\x02" + zeros.substr(4));
}

}  // namespace
}  // namespace everstate
