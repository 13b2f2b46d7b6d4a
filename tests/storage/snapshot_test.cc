#include "storage/snapshot.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <atomic>
#include <set>
#include <thread>

#include "tests/storage/store_support.h"

namespace everstate {
namespace {

std::vector<std::string> KeysAfter(Snapshot* snapshot, EntityId entity, std::string_view after) {
  std::vector<std::string> keys;
  snapshot->Seek(entity, after);
  std::string_view key;
  for (;;) {
    const auto row = snapshot->Next(&key);
    EXPECT_TRUE(row.ok()) << row.status();
    if (!row.ok() || !*row) return keys;
    keys.emplace_back(key);
  }
}

TEST(Snapshot, SeekStandsOnTheFirstKeyAfter) {
  TemporaryFolder folder;
  OpenStore open = OpenTestStore(folder.path());
  std::map<std::string, RowRef> present;
  const bool holds = rc::check([&](std::set<std::string> drawn, const std::string& after) {
    drawn.erase("");
    BatchMaker maker(open.store->watermark().block.slot + 1);
    for (const auto& [key, row] : std::exchange(present, {})) maker.Delete(kAccount, key, row);
    for (const std::string& key : drawn) {
      maker.Put(kAccount, key, 1);
      present[key] = maker.batch().mutations.back().after;
    }
    maker.Put(kOrder, "of another entity", 1);
    RC_ASSERT(open.writer->Apply(maker.batch()).ok());
    const auto snapshot = open.store->TakeSnapshot();
    using Keys = std::vector<std::string>;
    for (const std::string& start : drawn) {
      RC_ASSERT(KeysAfter(snapshot.get(), kAccount, start) == Keys(drawn.upper_bound(start), drawn.end()));
    }
    RC_ASSERT(KeysAfter(snapshot.get(), kAccount, after) == Keys(drawn.upper_bound(after), drawn.end()));
    RC_ASSERT(KeysAfter(snapshot.get(), kAccount, "") == Keys(drawn.begin(), drawn.end()));
  });
  EXPECT_TRUE(holds);
}

TEST(Snapshot, StaysWhereItWasTaken) {
  TemporaryFolder folder;
  OpenStore open = OpenTestStore(folder.path());
  ASSERT_TRUE(open.writer->Apply(BatchMaker(1).Put(kAccount, "a", 1).Put(kAccount, "b", 1).batch()).ok());
  auto snapshot = open.store->TakeSnapshot();
  snapshot->Seek(kAccount, "");
  ASSERT_TRUE(open.writer->Apply(BatchMaker(2).Put(kAccount, "a", 2).Put(kAccount, "c", 2).batch()).ok());
  ASSERT_TRUE(open.writer->Apply(BatchMaker(3).Delete(kAccount, "b", MakeRow({1, 2}, 1)).batch()).ok());
  EXPECT_EQ(snapshot->watermark().number, 1u);
  EXPECT_EQ(FirstField(**snapshot->Get(kAccount, "a")), 1u);
  EXPECT_EQ(*snapshot->Get(kAccount, "c"), nullptr);
  EXPECT_EQ(KeysAfter(snapshot.get(), kAccount, ""), (std::vector<std::string>{"a", "b"}));
  snapshot = open.store->TakeSnapshot();
  EXPECT_EQ(snapshot->watermark().number, 3u);
  EXPECT_EQ(KeysAfter(snapshot.get(), kAccount, ""), (std::vector<std::string>{"a", "c"}));
}

TEST(Snapshot, SaysWhatCannotBeRead) {
  TemporaryFolder folder;
  OpenStore open = OpenTestStore(folder.path());
  const auto snapshot = open.store->TakeSnapshot();
  std::string_view key;
  EXPECT_EQ(snapshot->Next(&key).status().code(), absl::StatusCode::kFailedPrecondition);
  snapshot->Seek(kEntities, "");
  EXPECT_EQ(snapshot->Next(&key).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(snapshot->Get(kEntities, "a").status().code(), absl::StatusCode::kInvalidArgument);
}

// Every batch writes its own number into all rows. Whatever moment a snapshot is taken at, all its rows and its
// watermark say the same number.
TEST(Snapshot, IsOfOneBatchWhileAnotherThreadWrites) {
  constexpr Number kBatches = 2000;
  constexpr int kReaders = 3;
  TemporaryFolder folder;
  OpenStore open = OpenTestStore(folder.path());
  std::atomic<bool> done{false};
  std::atomic<int> looks{0};
  const auto read = [&] {
    Number newest = 0;
    while (!done) {
      const auto snapshot = open.store->TakeSnapshot();
      const Number number = snapshot->watermark().number;
      ASSERT_GE(number, newest);
      newest = number;
      snapshot->Seek(kAccount, "");
      std::string_view key;
      int rows = 0;
      for (;;) {
        const auto row = snapshot->Next(&key);
        ASSERT_TRUE(row.ok());
        if (!*row) break;
        ASSERT_EQ(FirstField(**row), number);
        ASSERT_EQ((*row)->cursor().slot, snapshot->watermark().block.slot);
        ++rows;
      }
      ASSERT_EQ(rows, number == 0 ? 0 : 10);
      ASSERT_GE(open.store->watermark().block.slot, 0u);
      ++looks;
    }
  };
  std::vector<std::thread> readers;
  for (int i = 0; i < kReaders; ++i) readers.emplace_back(read);
  for (Number number = 1; number <= kBatches; ++number) {
    BatchMaker maker(number * 2);
    for (int row = 0; row < 10; ++row) maker.Put(kAccount, "key" + std::to_string(row), number);
    ASSERT_TRUE(open.writer->Apply(maker.batch()).ok());
  }
  while (looks < kReaders) std::this_thread::yield();
  done = true;
  for (std::thread& reader : readers) reader.join();
}

}  // namespace
}  // namespace everstate
