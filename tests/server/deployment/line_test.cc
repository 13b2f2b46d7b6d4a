#include "server/deployment/line.h"

#include <gtest/gtest.h>

#include "tests/server/deployment/deployment_support.h"

namespace everstate::testing {
namespace {

BlockId At(Slot slot, Slot parent) {
  BlockId id;
  id.slot = slot;
  id.parent_slot = parent;
  id.blockhash.fill(static_cast<uint8_t>(slot));
  id.parent_blockhash.fill(static_cast<uint8_t>(parent));
  return id;
}

class LineTest : public DeploymentTest {
 protected:
  // The line of a process that begins: whatever an earlier one knew besides its store is gone.
  std::unique_ptr<Line> Begin() {
    const stack::Stack& stack = projection_->stack();
    auto store = EntityStore::Open(
        {.data_dir = folder_.path(), .block_cache_bytes = 8 << 20},
        {stack.name, stack.hash, stack.text, projection_->settings().Canonical(), projection_->schema()});
    if (!store.ok()) {
      ADD_FAILURE() << store.status();
      return nullptr;
    }
    return std::make_unique<Line>(ProjectorOptions{}, projection_, *std::move(store), [](const Applied&) {});
  }
  static absl::Status Project(Line* line, const BlockId& id) {
    kProjectorThread.Assume();
    Block block;
    block.id = id;
    return line->Project(block);
  }
};

TEST_F(LineTest, FollowsItsLastBlockOnly) {
  kProjectorThread.Assume();
  auto line = Begin();
  EXPECT_TRUE(line->Follows(At(10, 9))) << "an empty store follows everything";
  ASSERT_TRUE(Project(line.get(), At(10, 9)).ok());
  EXPECT_TRUE(line->Follows(At(12, 10)));
  EXPECT_FALSE(line->Follows(At(12, 11)));
  BlockId fork = At(12, 10);
  fork.parent_blockhash.fill(7);
  EXPECT_FALSE(line->Follows(fork));
}

// The process ends between a recorded hole and the block behind it: the next one goes on behind the hole, and does not
// record it again when the stream tells of it again.
TEST_F(LineTest, AHoleIsRecordedOnceWhateverHappensBehindIt) {
  kProjectorThread.Assume();
  auto line = Begin();
  ASSERT_TRUE(Project(line.get(), At(10, 9)).ok());
  ASSERT_TRUE(line->RecordGap({10, 20, "the provider does not have them"}).ok());
  line.reset();
  line = Begin();
  EXPECT_TRUE(line->Follows(At(20, 19)));
  EXPECT_FALSE(line->Follows(At(15, 14))) << "it lies in the hole";
  ASSERT_TRUE(line->RecordGap({10, 20, "the archive does not have them"}).ok());
  EXPECT_EQ(line->store->gaps().size(), 1u);
  EXPECT_EQ(line->store->lineages().size(), 2u);
  ASSERT_TRUE(line->RecordGap({10, 30, "the provider has even less now"}).ok());
  EXPECT_EQ(line->store->gaps().size(), 2u) << "another hole is another hole";
  ASSERT_TRUE(Project(line.get(), At(30, 29)).ok());
  EXPECT_FALSE(line->Follows(At(40, 39)));
}

}  // namespace
}  // namespace everstate::testing
