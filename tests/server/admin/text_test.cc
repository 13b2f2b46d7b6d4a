#include "server/admin/text.h"

#include <gtest/gtest.h>

#include "storage/utf8.h"

namespace everstate {
namespace {

TEST(TextTest, IsAlwaysUtf8AndNeverLongerThanAsked) {
  EXPECT_EQ(ProtoText("straße"), "straße");
  EXPECT_EQ(ProtoText("a\xff\xc3"), "a\uFFFD\uFFFD");
  EXPECT_EQ(ProtoText("ßßß", 4), "ßß…");
  for (size_t max = 0; max < 40; ++max) {
    const std::string text =
        ProtoText(std::string("a\xf0\x9f\x98\x80") + "b\xfe" + "cß\xe2\x82\xac\xe2\x82 tail that is long", max);
    EXPECT_TRUE(IsUtf8(text)) << max;
    EXPECT_LE(text.size(), max + 3);
  }
}

TEST(TextTest, AStatusKeepsItsCodeAndIsCut) {
  const grpc::Status status = ToGrpc(absl::DataLossError(std::string(100000, 'x') + "\xff"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DATA_LOSS);
  EXPECT_LE(status.error_message().size(), kStatusMessageBytesMax + 3);
  EXPECT_TRUE(ToGrpc(absl::OkStatus()).ok());
}

}  // namespace
}  // namespace everstate
