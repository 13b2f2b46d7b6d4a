#include "storage/entity_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/base/sha256.h"
#include "storage/row.h"
#include "tests/storage/store_support.h"
#include "tests/support/eventually.h"
#include "tests/support/synced_files.h"

namespace everstate {
namespace {

using ::testing::HasSubstr;

class EntityWriterTest : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
  OpenStore open_ = OpenTestStore(folder_.path());

  absl::StatusOr<Number> Apply(const BatchMaker& maker) { return open_.writer->Apply(maker.batch()); }
  Watermark watermark() const { return open_.store->watermark(); }
  // The batch is refused and nothing of it is in the store.
  void ExpectRefused(const BatchMaker& maker, const char* why) {
    const Watermark before = watermark();
    const auto number = Apply(maker);
    EXPECT_EQ(number.status().code(), absl::StatusCode::kInvalidArgument) << why;
    EXPECT_THAT(std::string(number.status().message()), HasSubstr(why));
    EXPECT_EQ(watermark().number, before.number);
    EXPECT_EQ(open_.store->TakeSnapshot()->watermark().number, before.number);
  }
};

TEST_F(EntityWriterTest, NumbersAreDenseAndOnlySlotsMoveTheChain) {
  EXPECT_EQ(*Apply(BatchMaker(10).Put(kAccount, "a", 1).Put(kAccount, "b", 2)), 1u);
  EXPECT_EQ(watermark().cursor(), (Cursor{10, 2}));
  EXPECT_EQ(*Apply(BatchMaker(BatchKind::kRetention, watermark()).Delete(kAccount, "a", MakeRow({10, 1}, 1))), 2u);
  EXPECT_EQ(watermark().cursor(), (Cursor{10, 3}));
  EXPECT_EQ(watermark().block, TestBlock(10));
  EXPECT_EQ(*Apply(BatchMaker(BatchKind::kRepair, watermark())), 3u);
  EXPECT_EQ(watermark().cursor(), (Cursor{10, 3}));
  EXPECT_EQ(*Apply(BatchMaker(12)), 4u);
  EXPECT_EQ(watermark().cursor(), (Cursor{12, 0}));
}

TEST_F(EntityWriterTest, RefusesWhatIsOutOfOrder) {
  ASSERT_TRUE(Apply(BatchMaker(10).Put(kAccount, "a", 1).Put(kAccount, "b", 2)).ok());
  ExpectRefused(BatchMaker(10), "slot 10 is not above");
  ExpectRefused(BatchMaker(9), "slot 9 is not above");
  BatchMaker falling(11);
  falling.Put(kAccount, "a", 1).Put(kAccount, "b", 2);
  std::swap(falling.batch().mutations[0], falling.batch().mutations[1]);
  ExpectRefused(falling, "cursor out of order");
  BatchMaker twice(11);
  twice.Put(kAccount, "a", 1).Put(kAccount, "b", 2);
  twice.batch().mutations[1].cursor = twice.batch().mutations[0].cursor;
  ExpectRefused(twice, "cursor out of order");
  BatchMaker other_slot(12);
  other_slot.Put(kAccount, "a", 1);
  other_slot.batch().block.slot = 11;
  ExpectRefused(other_slot, "cursor out of order");
  Watermark stale = watermark();
  stale.last_index = 0;
  ExpectRefused(BatchMaker(BatchKind::kRepair, stale).Put(kAccount, "a", 1), "cursor out of order");
}

TEST_F(EntityWriterTest, RefusesMutationsThatAreNone) {
  ExpectRefused(BatchMaker(1).Put(kEntities, "a", 1), "which the schema lacks");
  ExpectRefused(BatchMaker(1).Put(kAccount, "", 1), "empty key");
  ExpectRefused(BatchMaker(1).Delete(kAccount, "a", nullptr), "no row before and none after");
  BatchMaker other_cursor(1);
  other_cursor.Put(kAccount, "a", 1);
  other_cursor.batch().mutations[0].after = MakeRow({1, 9}, 1);
  ExpectRefused(other_cursor, "has cursor 1:000000000009");
  ExpectRefused(BatchMaker(1).Side({SideKind{77}, 0, 0, "a"}, "x"), "unknown kind of side row 77");
  BatchMaker no_kind(1);
  no_kind.batch().kind = BatchKind{9};
  ExpectRefused(no_kind, "unknown kind of batch 9");
}

TEST_F(EntityWriterTest, RefusesGapsThatAreNone) {
  ExpectRefused(BatchMaker(BatchKind::kGap, watermark()).WithGap({0, 5, "x"}), "before the first block");
  ASSERT_TRUE(Apply(BatchMaker(10)).ok());
  ExpectRefused(BatchMaker(BatchKind::kGap, watermark()), "kind gap has a gap");
  ExpectRefused(BatchMaker(11).WithGap({10, 11, "x"}), "kind gap has a gap");
  ExpectRefused(BatchMaker(BatchKind::kGap, watermark()).WithGap({9, 12, "x"}),
                "does not begin at the last applied slot");
  ExpectRefused(BatchMaker(BatchKind::kGap, watermark()).WithGap({10, 10, "x"}),
                "does not begin at the last applied slot");
}

// Recomputed here from its definition.
TEST_F(EntityWriterTest, LineageIsTheHashOfHowItBeganAndOfItsGaps) {
  ASSERT_TRUE(Apply(BatchMaker(BatchKind::kBootstrap, watermark()).Put(kAccount, "a", 1)).ok());
  EXPECT_TRUE(open_.store->lineage().empty()) << "no block was applied yet";
  ASSERT_TRUE(Apply(BatchMaker(10)).ok());
  const auto le = [](uint64_t v) {
    std::string bytes;
    for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<char>(v >> (8 * i)));
    return bytes;
  };
  const auto hash = [](const std::string& input) {
    const Sha256Digest digest = Sha256Of(input);
    return std::string(digest.begin(), digest.end());
  };
  const std::string l0 = hash(std::string(32, '\xab') + le(10) + std::string(32, '\x0a') + "append_keep=100");
  EXPECT_EQ(open_.store->lineage(), HexOf(l0));
  ASSERT_TRUE(Apply(BatchMaker(11)).ok());
  EXPECT_EQ(open_.store->lineage(), HexOf(l0));
  ASSERT_TRUE(Apply(BatchMaker(BatchKind::kGap, watermark()).WithGap({11, 15, "the provider was away"})).ok());
  const std::string l1 = hash(l0 + le(11) + le(15));
  EXPECT_EQ(open_.store->lineage(), HexOf(l1));
  ASSERT_TRUE(Apply(BatchMaker(15)).ok());

  open_.Close();
  open_ = OpenTestStore(folder_.path());
  const auto starts = open_.store->lineages();
  ASSERT_EQ(starts.size(), 2u);
  EXPECT_EQ(starts[0].lineage, HexOf(l0));
  EXPECT_EQ(starts[0].begins_at, 2u);
  EXPECT_EQ(starts[1].lineage, HexOf(l1));
  EXPECT_EQ(starts[1].begins_at, 4u);
  const auto gaps = open_.store->gaps();
  ASSERT_EQ(gaps.size(), 1u);
  EXPECT_EQ(gaps[0].from, 11u);
  EXPECT_EQ(gaps[0].to, 15u);
  EXPECT_EQ(gaps[0].cause, "the provider was away");
}

TEST_F(EntityWriterTest, ForgetsOldBlockhashes) {
  open_.Close();
  StoreOptions options = TestOptions(folder_.path());
  options.chain_slots = 3;
  for (int reopened = 0; reopened < 2; ++reopened) {
    open_ = OpenStore(*EntityStore::Open(options, TestIdentity()));
    const Slot base = open_.store->watermark().block.slot;
    for (Slot slot = base + 2; slot <= base + 10; slot += 2) {
      ASSERT_TRUE(Apply(BatchMaker(slot)).ok());
      EXPECT_EQ(open_.store->BlockhashOf(slot), HashOfByte(static_cast<uint8_t>(slot)));
      EXPECT_FALSE(open_.store->BlockhashOf(slot - 1));
      if (slot > 6) {
        EXPECT_TRUE(open_.store->BlockhashOf(slot - 4)) << slot;
        EXPECT_FALSE(open_.store->BlockhashOf(slot - 6)) << slot;
      }
    }
    open_.Close();
  }
  // A shorter tail takes effect with the next block.
  options.chain_slots = 1;
  open_ = OpenStore(*EntityStore::Open(options, TestIdentity()));
  ASSERT_TRUE(Apply(BatchMaker(30)).ok());
  EXPECT_TRUE(open_.store->BlockhashOf(30));
  EXPECT_FALSE(open_.store->BlockhashOf(20));
}

// What a power loss may take, for each setting of the interval.
class SyncTest : public EntityWriterTest {
 protected:
  void OpenWith(uint32_t wal_sync_interval_ms) {
    open_.Close();
    StoreOptions options = TestOptions(folder_.path());
    options.wal_sync_interval_ms = wal_sync_interval_ms;
    open_ = OpenStore(*EntityStore::Open(options, TestIdentity()));
  }
  void ApplyNext() { ASSERT_TRUE(Apply(BatchMaker(watermark().block.slot + 1).Put(kAccount, "a", 1)).ok()); }
  uint64_t AtRisk() const { return testing::LogBytesAtRisk(folder_ / "1"); }

  static constexpr uint32_t kNeverMs = 24 * 3600 * 1000;
};

TEST_F(SyncTest, EveryBatchWhenTheIntervalIsZero) {
  OpenWith(0);
  for (int batch = 0; batch < 5; ++batch) {
    ApplyNext();
    EXPECT_EQ(AtRisk(), 0u);
  }
}

TEST_F(SyncTest, WhenItIsToldAndWhenTheWriterGoes) {
  OpenWith(kNeverMs);
  ApplyNext();
  EXPECT_GT(AtRisk(), 0u) << "this test would see nothing";
  EXPECT_TRUE(open_.writer->SyncWal().ok());
  EXPECT_EQ(AtRisk(), 0u);
  ApplyNext();
  EXPECT_GT(AtRisk(), 0u);
  open_.writer.reset();
  EXPECT_EQ(AtRisk(), 0u);
}

TEST_F(SyncTest, ByItselfWhenTheIntervalIsOver) {
  OpenWith(1);
  ApplyNext();
  EXPECT_TRUE(Eventually([&] { return AtRisk() == 0; }));
}

// A note that grows, and a balance: rows that the editor builds, so that most are written as changes.
Mutation NextOf(const RowRef& before, const std::string& key, Cursor cursor) {
  RowEditor editor;
  editor.Reset(before, 2);
  EXPECT_TRUE(editor.Set(0, Value::Uint(cursor.slot)));
  const size_t elements = before == nullptr ? 40 : 1;
  for (size_t i = 0; i < elements; ++i) EXPECT_TRUE(editor.Append(1, Value::Text(std::string(50, 'n'))));
  RowEditor::Built built = editor.Build(cursor, 50);
  return {kAccount, key, cursor, before, built.after, built.changed, built.appended, {}};
}

// The same rows, once as changes and once whole (parsed rows are written whole), are the same state.
TEST_F(EntityWriterTest, RowsStoredAsChangesReadAsWholeOnes) {
  TemporaryFolder whole_folder;
  OpenStore whole = OpenTestStore(whole_folder.path());
  std::map<std::string, RowRef> rows;
  size_t changes = 0;
  for (Slot slot = 1; slot <= 120; ++slot) {
    Batch batch, whole_batch;
    batch.block = TestBlock(slot);
    for (const std::string key : {"a", "b", "c", "d"}) {
      if ((slot + static_cast<uint64_t>(key[0])) % 3 == 0) continue;
      RowRef& row = rows[key];
      const Cursor cursor{slot, batch.mutations.size() + 1};
      if (row != nullptr && slot % 31 == 0) {
        batch.mutations.push_back({kAccount, key, cursor, row, nullptr, row->present(), {}, {}});
      } else {
        batch.mutations.push_back(NextOf(row, key, cursor));
      }
      row = batch.mutations.back().after;
      changes += row != nullptr && row->stored_as_change() ? 1 : 0;
    }
    whole_batch = batch;
    for (Mutation& mutation : whole_batch.mutations) {
      if (mutation.after != nullptr) mutation.after = *Row::Parse(mutation.after->bytes(), 2);
    }
    ASSERT_TRUE(open_.writer->Apply(batch).ok());
    ASSERT_TRUE(whole.writer->Apply(whole_batch).ok());
    if (slot % 40 != 0) continue;
    if (slot == 80) {  // closing flushes: changes go on over rows that lie in files
      open_.Close();
      open_ = OpenTestStore(folder_.path());
    }
    const auto snapshot = open_.store->TakeSnapshot();
    snapshot->Seek(kAccount, "");
    for (const auto& [key, row] : rows) {
      const auto stored = open_.store->Get(kAccount, key);
      ASSERT_TRUE(stored.ok()) << stored.status();
      ASSERT_EQ(*stored == nullptr, row == nullptr);
      if (row == nullptr) continue;
      EXPECT_EQ((*stored)->bytes(), row->bytes());
      std::string_view scanned;
      EXPECT_EQ((*snapshot->Next(&scanned))->bytes(), row->bytes());
      EXPECT_EQ(scanned, key);
    }
    EXPECT_EQ(DigestOf(folder_.path()), DigestOf(whole_folder.path()));
  }
  EXPECT_GT(changes, 100u);
}

// A change that is not of the stored row is found, not folded.
TEST_F(EntityWriterTest, AChangeOfAnotherRowIsDataLoss) {
  Mutation first = NextOf(nullptr, "a", {1, 1}), second = NextOf(first.after, "a", {2, 1});
  ASSERT_TRUE(second.after->stored_as_change());
  Batch batch;
  batch.block = TestBlock(2);
  batch.mutations = {second};
  ASSERT_TRUE(open_.writer->Apply(batch).ok());
  EXPECT_EQ(open_.store->counters().merge_failures.value(), 0u);
  EXPECT_EQ(open_.store->Get(kAccount, "a").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(open_.store->counters().merge_failures.value(), 1u);
}

}  // namespace
}  // namespace everstate
