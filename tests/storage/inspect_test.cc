#include "storage/inspect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <rocksdb/db.h>

#include "server/base/sha256.h"
#include "storage/keys.h"
#include "tests/storage/store_support.h"
#include "tests/support/temporary_place.h"

namespace everstate {
namespace {

// One batch that has a row of every kind of state.
BatchMaker EveryKind(Slot slot) {
  BatchMaker maker(slot);
  maker.Put(kAccount, "a", 1).Put(kAccount, "b", 2, nullptr, "note").Put(kOrder, "a", 3);
  for (uint8_t kind = 1; kind <= 9; ++kind) maker.Side({SideKind{kind}, kAccount, 1, "id"}, "value");
  return maker;
}

TEST(Inspect, SaysThatThereIsNoStore) {
  TemporaryFolder folder;
  for (const auto& path : {folder.path(), folder / "nowhere"}) {
    const auto inspector = StoreInspector::Open(path);
    EXPECT_EQ(inspector.status().code(), absl::StatusCode::kNotFound);
    EXPECT_THAT(std::string(inspector.status().message()), ::testing::HasSubstr(path.string()));
  }
}

TEST(Inspect, KnowsAStoreFromAnotherFolder) {
  TemporaryFolder folder;
  EXPECT_EQ(CheckStoreIn(folder.path()).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(LineagesIn(folder.path()).status(), CheckStoreIn(folder.path()));
  OpenTestStore(folder.path()).Close();
  EXPECT_TRUE(CheckStoreIn(folder.path()).ok());
}

// Nothing is written on the way, so that it is also for a full disk.
TEST(Inspect, TellsTheLineagesThatLedToAStore) {
  const TemporaryFolder folder, temporary;
  OpenStore open = OpenTestStore(folder.path());
  EXPECT_TRUE(LineagesIn(folder.path())->empty());
  ASSERT_TRUE(open.writer->Apply(EveryKind(10).batch()).ok());
  const std::string first = open.store->lineage();
  ASSERT_TRUE(
      open.writer->Apply(BatchMaker(BatchKind::kGap, open.store->watermark()).WithGap({10, 20, "why"}).batch()).ok());
  const std::string second = open.store->lineage();
  open.Close();
  const TemporaryPlace nowhere(temporary / "nowhere");
  const auto lineages = LineagesIn(folder.path());
  ASSERT_TRUE(lineages.ok()) << lineages.status();
  EXPECT_EQ(*lineages, (std::vector<std::string>{first, second}));
}

TEST(Inspect, ReportsALiveStoreAsOfOneMoment) {
  TemporaryFolder folder;
  OpenStore open = OpenTestStore(folder.path());
  ASSERT_TRUE(open.writer->Apply(EveryKind(10).batch()).ok());
  ASSERT_TRUE(
      open.writer->Apply(BatchMaker(BatchKind::kGap, open.store->watermark()).WithGap({10, 20, "why"}).batch()).ok());
  const auto inspector = StoreInspector::Open(folder.path());
  ASSERT_TRUE(inspector.ok()) << inspector.status();
  ASSERT_TRUE(open.writer->Apply(BatchMaker(20).Put(kAccount, "c", 9).batch()).ok());

  const auto report = (*inspector)->Report();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->stack_name, "bank");
  EXPECT_EQ(report->stack_hash_hex, HexOf(std::string(32, '\xab')));
  EXPECT_EQ(report->lineage_hex, open.store->lineage());
  EXPECT_EQ(report->generation, 1u);
  EXPECT_EQ(report->watermark.number, 2u);
  EXPECT_EQ(report->watermark.block, TestBlock(10));
  EXPECT_EQ(report->watermark.last_index, 3u);
  EXPECT_EQ(report->entities, (std::map<std::string, uint64_t>{{"Account", 2}, {"Order", 1}}));
  ASSERT_EQ(report->gaps.size(), 1u);
  EXPECT_EQ(report->gaps[0].cause, "why");
  for (const char* kind : {"entity",     "lookup_index", "temporal_index",  "pda",       "waiting",   "unique_member",
                           "stop_flag",  "schedule",     "resolver_answer", "slot_hash", "watermark", "number",
                           "journal",    "gap",          "chain",           "lineage",   "format",    "stack_name",
                           "stack_hash", "stack_text",   "settings",        "schema",    "sst_bytes", "wal_bytes"}) {
    EXPECT_TRUE(report->sizes.contains(kind)) << kind;
  }
  EXPECT_EQ(report->sizes.size(), 24u);
  EXPECT_EQ(report->sizes.at("pda"), 5u + 2 + 5);
  EXPECT_GT(report->sizes.at("wal_bytes"), 0u);

  std::vector<std::string> keys;
  const auto collect = [&](std::string_view key, const Row&) {
    keys.emplace_back(key);
    return true;
  };
  ASSERT_TRUE((*inspector)->Scan(kAccount, collect).ok());
  ASSERT_TRUE((*inspector)->Scan(kOrder, collect).ok());
  EXPECT_EQ(keys, (std::vector<std::string>{"a", "b", "a"}));
  EXPECT_FALSE((*inspector)->Scan(kEntities, collect).ok());
  EXPECT_EQ(FirstField(**(*inspector)->Get(kAccount, "b")), 2u);
  EXPECT_EQ(*(*inspector)->Get(kAccount, "c"), nullptr);
  EXPECT_EQ((*inspector)->schema().Serialize(), TestIdentity().schema->Serialize());
}

TEST(Inspect, AStoreIsOpenedWithTheIdentityThatItTells) {
  TemporaryFolder folder;
  OpenStore open = OpenTestStore(folder.path());
  ASSERT_TRUE(open.writer->Apply(EveryKind(10).batch()).ok());
  open.Close();
  const std::string digest = DigestOf(folder.path());
  {
    const auto identity = (*StoreInspector::Open(folder.path()))->Identity();
    ASSERT_TRUE(identity.ok()) << identity.status();
    EXPECT_EQ(identity->stack_text, TestIdentity().stack_text);
    StoreOptions options;
    options.data_dir = folder.path();
    const auto store = EntityStore::Open(options, *identity);
    ASSERT_TRUE(store.ok()) << store.status();
    EXPECT_EQ((*store)->watermark().block.slot, 10u);
    EXPECT_TRUE((*store)->CreateCheckpoint().ok());
  }
  EXPECT_EQ(DigestOf(folder.path()), digest);
}

TEST(Inspect, LeavesNothingBehind) {
  const TemporaryFolder folder, temporary;
  OpenTestStore(folder.path()).Close();
  const TemporaryPlace place(temporary.path());
  {
    const auto inspector = StoreInspector::Open(folder.path());
    ASSERT_TRUE(inspector.ok());
    EXPECT_FALSE(std::filesystem::is_empty(temporary.path())) << "this test would see nothing";
  }
  EXPECT_TRUE(std::filesystem::is_empty(temporary.path()));
}

// ---- digest ----

class DigestTest : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
  OpenStore open_ = OpenTestStore(folder_.path());
  std::string Digest() const { return DigestOf(folder_.path()); }
};

TEST_F(DigestTest, IsWhatItsDefinitionSays) {
  ASSERT_TRUE(
      open_.writer->Apply(BatchMaker(1).Put(kAccount, "a", 5).Side({SideKind::kPda, 0, 0, "x"}, "y").batch()).ok());
  const auto le32 = [](size_t v) {
    std::string bytes;
    for (int i = 0; i < 4; ++i) bytes.push_back(static_cast<char>(v >> (8 * i)));
    return bytes;
  };
  const std::string zeros(7, '\0');
  const std::vector<std::pair<std::string, std::string>> rows{
      {std::string("\x10\0\0", 3) + "a", MakeRow({1, 1}, 5)->bytes()},
      {std::string("\x23\0\0\0\0", 5) + "x", "y"},
      {"\x7f", "\x01" + zeros + "\x01" + zeros + std::string(32, '\x01') + std::string(8, '\0') +
                   std::string(32, '\0') + "\x01" +
                   std::string("\x01\xf1\x53\x65\0\0\0\0", 8)},  // 1700000001 = 0x6553f101
  };
  std::string text = le32(2);  // the format version
  for (const auto& [key, value] : rows) text += le32(key.size()) + key + le32(value.size()) + value;
  const Sha256Digest sha = Sha256Of(text);
  EXPECT_EQ(Digest(), HexOf({reinterpret_cast<const char*>(sha.data()), sha.size()}));
}

TEST_F(DigestTest, ChangesWithEveryRowOfState) {
  ASSERT_TRUE(open_.writer->Apply(EveryKind(10).batch()).ok());
  const auto apply = [&](BatchMaker maker) { ASSERT_TRUE(open_.writer->Apply(maker.batch()).ok()); };
  const auto repair = [&] { return BatchMaker(BatchKind::kRepair, open_.store->watermark()); };
  std::string last = Digest();
  const auto expect_change = [&](const std::string& what) {
    const std::string digest = Digest();
    EXPECT_EQ(digest.size(), 64u) << digest;
    EXPECT_NE(digest, last) << what;
    last = digest;
  };
  // Side rows do not move the cursor: the watermark stays, so that it is these rows alone that make the difference.
  for (uint8_t kind = 1; kind <= 9; ++kind) {
    const std::string what = "side kind " + std::to_string(kind);
    const SideKey key{SideKind{kind}, kAccount, 1, "id"};
    apply(repair().Side(key, "other value"));
    expect_change(what + " changed");
    apply(repair().Side({SideKind{kind}, kOrder, 1, "id"}, ""));
    expect_change(what + " added");
    const std::string without = last;
    apply(repair().Side(key, std::nullopt));
    expect_change(what + " removed");
    apply(repair().Side(key, "other value"));
    expect_change(what + " put back");
    EXPECT_EQ(last, without);
  }
  apply(BatchMaker(11));
  expect_change("watermark");
}

// The watermark moves with every mutation; that the entity rows count too is seen from two stores that differ in one
// row only.
TEST_F(DigestTest, DiffersWhenOneEntityDiffers) {
  TemporaryFolder other_folder;
  OpenStore other = OpenTestStore(other_folder.path());
  ASSERT_TRUE(open_.writer->Apply(BatchMaker(1).Put(kAccount, "a", 5).batch()).ok());
  ASSERT_TRUE(other.writer->Apply(BatchMaker(1).Put(kAccount, "a", 6).batch()).ok());
  EXPECT_NE(Digest(), DigestOf(other_folder.path()));
}

TEST_F(DigestTest, DoesNotSeeNumbersJournalGapsAndLineage) {
  TemporaryFolder other_folder;
  StoreIdentity identity = TestIdentity();
  identity.stack_text = "another text";
  identity.settings = "other settings";
  StoreOptions options = TestOptions(other_folder.path());
  options.journal_slots = options.chain_slots = 1;
  OpenStore other(*EntityStore::Open(options, identity));
  for (const Slot slot : {1, 5, 9}) {
    const BatchMaker maker = BatchMaker(slot).Put(kAccount, "a", slot);
    ASSERT_TRUE(open_.writer->Apply(maker.batch()).ok());
    ASSERT_TRUE(other.writer->Apply(BatchMaker(slot).Put(kAccount, "a", slot).batch()).ok());
    ASSERT_TRUE(other.writer->Apply(BatchMaker(BatchKind::kRepair, other.store->watermark()).batch()).ok());
    ASSERT_TRUE(
        other.writer
            ->Apply(BatchMaker(BatchKind::kGap, other.store->watermark()).WithGap({slot, slot + 4, "x"}).batch())
            .ok());
  }
  EXPECT_NE(open_.store->watermark().number, other.store->watermark().number);
  EXPECT_NE(open_.store->lineage(), other.store->lineage());
  EXPECT_EQ(Digest(), DigestOf(other_folder.path()));
}

TEST_F(DigestTest, DoesNotSeeHowRowsLieInFiles) {
  for (Slot slot = 1; slot <= 50; ++slot) {
    BatchMaker maker = EveryKind(slot);
    for (int i = 0; i < 20; ++i)
      maker.Put(kAccount, "k" + std::to_string((slot * 7 + static_cast<Slot>(i)) % 90), slot);
    ASSERT_TRUE(open_.writer->Apply(maker.batch()).ok());
  }
  const std::string digest = Digest();
  EXPECT_EQ(digest.size(), 64u) << digest;
  open_.Close();
  EXPECT_EQ(Digest(), digest) << "closed, that is flushed";
  rocksdb::DB* db = nullptr;
  ASSERT_TRUE(rocksdb::DB::Open({}, (folder_ / "1").string(), &db).ok());
  ASSERT_TRUE(db->CompactRange({}, nullptr, nullptr).ok());
  delete db;
  EXPECT_EQ(Digest(), digest) << "compacted";
  open_ = OpenTestStore(folder_.path());
  EXPECT_EQ(Digest(), digest) << "open again";
}

}  // namespace
}  // namespace everstate
