// Opening, identity, generations, and the whole store against a model.
#include "storage/entity_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <rocksdb/db.h>

#include "storage/change_merger.h"
#include "storage/keys.h"
#include "storage/records.h"
#include "tests/storage/store_support.h"
#include "tests/support/temporary_place.h"

namespace everstate {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string Message(const absl::Status& status) { return std::string(status.message()); }

// Changes rows behind the store's back.
void WithRawRocks(const std::filesystem::path& data_dir, const std::function<void(rocksdb::DB*)>& change) {
  rocksdb::DB* db = nullptr;
  rocksdb::Options options;
  options.merge_operator = NewChangeMerger(std::make_shared<StoreCounters>());
  ASSERT_TRUE(rocksdb::DB::Open(options, (data_dir / "1").string(), &db).ok());
  change(db);
  delete db;
}

// RocksDB's own error says no more than that a merge failed.
TEST(EntityStore, ARowThatDoesNotFitItsChangesIsNamedLoggedAndCounted) {
  TemporaryFolder folder;
  FillSlots(folder.path(), 3);
  WithRawRocks(folder.path(), [](rocksdb::DB* db) {
    std::string change;  // of a row that is not the one before it
    for (const uint64_t part : {7, 1, 8, 1}) AppendVarint(part, &change);
    KeyBuffer keys;
    const std::string_view key = keys.Entity(kAccount, "a");
    ASSERT_TRUE(db->Merge({}, {key.data(), key.size()}, change).ok());
  });
  ::testing::internal::CaptureStderr();
  OpenStore open = OpenTestStore(folder.path());
  for (int i = 0; i < 5; ++i) {
    const auto row = open.store->Get(kAccount, "a");
    EXPECT_EQ(row.status().code(), absl::StatusCode::kDataLoss) << row.status();
    EXPECT_THAT(Message(row.status()), HasSubstr("key `a`"));
  }
  EXPECT_EQ(open.store->counters().merge_failures.value(), 5u);
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(text, HasSubstr("row of entity 0, key `a`: row change: it is of the row 7:000000000001"));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3) << "the first, second and fourth time: " << text;
}

TEST(EntityStore, IsEmptyWhenItIsNew) {
  TemporaryFolder folder;
  OpenStore open = OpenTestStore(folder / "deep/data");
  EXPECT_EQ(open.store->generation(), 1u);
  EXPECT_EQ(open.store->watermark().number, 0u);
  EXPECT_TRUE(open.store->gaps().empty());
  EXPECT_TRUE(open.store->lineage().empty());
  EXPECT_FALSE(open.store->BlockhashOf(0));
  EXPECT_EQ(*open.store->Get(kAccount, "a"), nullptr);
  EXPECT_EQ(open.store->Get(kEntities, "a").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(open.store->TakeWriter(), nullptr) << "the right to write is given once";
}

TEST(EntityStore, RefusesAnotherStackNamingBoth) {
  TemporaryFolder folder;
  FillSlots(folder.path(), 1);
  StoreIdentity other = TestIdentity();
  other.stack_name = "casino";
  other.stack_hash = HashOfByte(0xcd);
  const auto opened = EntityStore::Open(TestOptions(folder.path()), other);
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(
      Message(opened.status()),
      AllOf(HasSubstr("bank"), HasSubstr("abababab"), HasSubstr("casino"), HasSubstr("cdcdcdcd"),
            HasSubstr("say another data directory, or remove " + folder.path().string() + " when nothing in it")));
  EXPECT_TRUE(EntityStore::Open(TestOptions(folder.path()), TestIdentity()).ok()) << "a refusal gives the lock back";
}

TEST(EntityStore, RefusesOtherSettingsNamingBoth) {
  TemporaryFolder folder;
  FillSlots(folder.path(), 1);
  StoreIdentity other = TestIdentity();
  other.settings = "append_keep=7";
  const auto opened = EntityStore::Open(TestOptions(folder.path()), other);
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(
      Message(opened.status()),
      HasSubstr("was made with projection.append_keep=100, and not projection.append_keep=7: give it the stored "
                "values"));
}

// Of many settings those that differ are named, also where one side has more of them.
TEST(EntityStore, RefusesOtherSettingsNamingThoseThatDiffer) {
  TemporaryFolder folder;
  StoreIdentity made = TestIdentity(), other = made;
  made.settings = "append_keep=5,gone=1,waiting_slots_max=750";
  other.settings = "append_keep=100,new=2,waiting_slots_max=750";
  ASSERT_TRUE(EntityStore::Open(TestOptions(folder.path()), made).ok());
  const auto opened = EntityStore::Open(TestOptions(folder.path()), other);
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(opened.status()),
              HasSubstr("made with projection.append_keep=5, and not projection.append_keep=100; projection.gone=1, "
                        "which this program does not know; nothing for projection.new, which is 2 here. It stays"));
}

TEST(EntityStore, RefusesAnotherSchema) {
  TemporaryFolder folder;
  FillSlots(folder.path(), 1);
  StoreIdentity other = TestIdentity();
  other.schema = *RowSchema::Build({{"Account", {{"balance", true}}}}, {}, {});
  const auto opened = EntityStore::Open(TestOptions(folder.path()), other);
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(opened.status()), HasSubstr("schema"));
}

TEST(EntityStore, RefusesAnotherFormatNamingBoth) {
  TemporaryFolder folder;
  FillSlots(folder.path(), 1);
  WithRawRocks(folder.path(), [](rocksdb::DB* db) {
    KeyBuffer keys;
    const std::string key(keys.Single(RowKind::kFormat));
    ASSERT_TRUE(db->Put({}, key, EncodeFormat(99)).ok());
  });
  for (const auto& status : {EntityStore::Open(TestOptions(folder.path()), TestIdentity()).status(),
                             StoreInspector::Open(folder.path()).status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(Message(status), AllOf(HasSubstr("99"), HasSubstr(std::to_string(kStoreFormat))));
  }
}

// Each journal row taken away once: in the middle it is a hole, at the end the watermark is ahead. Only the oldest may
// go (that is what trimming does).
TEST(EntityStore, FindsAHoleInTheNumbers) {
  for (Number lost = 2; lost <= 5; ++lost) {
    TemporaryFolder folder;
    FillSlots(folder.path(), 5);
    WithRawRocks(folder.path(), [&](rocksdb::DB* db) {
      KeyBuffer keys;
      const std::string key(keys.Numbered(RowKind::kJournal, lost));
      ASSERT_TRUE(db->Delete({}, key).ok());
    });
    const auto opened = EntityStore::Open(TestOptions(folder.path()), TestIdentity());
    EXPECT_EQ(opened.status().code(), absl::StatusCode::kDataLoss) << lost;
    EXPECT_THAT(Message(opened.status()), HasSubstr(std::to_string(lost - 1)));
  }
}

TEST(EntityStore, FindsAWatermarkWithoutNumber) {
  TemporaryFolder folder;
  FillSlots(folder.path(), 1);
  WithRawRocks(folder.path(), [](rocksdb::DB* db) {
    KeyBuffer keys;
    const std::string key(keys.Single(RowKind::kNumber));
    ASSERT_TRUE(db->Delete({}, key).ok());
  });
  EXPECT_EQ(EntityStore::Open(TestOptions(folder.path()), TestIdentity()).status().code(), absl::StatusCode::kDataLoss);
}

TEST(EntityStore, RefusesOptionsThatKeepNothing) {
  TemporaryFolder folder;
  StoreOptions options = TestOptions(folder.path());
  options.journal_slots = 0;
  EXPECT_EQ(EntityStore::Open(options, TestIdentity()).status().code(), absl::StatusCode::kInvalidArgument);
  options = TestOptions(folder.path());
  options.chain_slots = 0;
  EXPECT_EQ(EntityStore::Open(options, TestIdentity()).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(EntityStoreDeathTest, SaysWhoOutlivesIt) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  // Who dies removes nothing: the folders of the processes that die below lie in one that is removed.
  const TemporaryFolder folder_of_the_dead;
  const TemporaryPlace place(folder_of_the_dead.path());
  EXPECT_DEATH(
      {
        TemporaryFolder folder;
        OpenStore open = OpenTestStore(folder.path());
        const auto snapshot = open.store->TakeSnapshot();
        open.Close();
      },
      "is closed while 1 Snapshot");
  EXPECT_DEATH(
      {
        TemporaryFolder folder;
        OpenStore open = OpenTestStore(folder.path());
        open.store.reset();
      },
      "is closed while its EntityWriter");
}

TEST(EntityStore, CountsItsSizes) {
  TemporaryFolder folder;
  OpenStore open = OpenTestStore(folder.path());
  ASSERT_TRUE(open.writer->Apply(BatchMaker(1).Put(kAccount, "a", 1).Put(kAccount, "b", 2).batch()).ok());
  auto sizes = open.store->sizes();
  EXPECT_EQ(sizes.entities_estimate, 2u);
  EXPECT_GT(sizes.memtable_bytes, 0u);
  EXPECT_GT(sizes.wal_bytes, 0u);
  ASSERT_TRUE(open.writer->Apply(BatchMaker(2).Delete(kAccount, "a", MakeRow({1, 1}, 1)).batch()).ok());
  EXPECT_EQ(open.store->sizes().entities_estimate, 1u);
  open.Close();
  open = OpenTestStore(folder.path());
  sizes = open.store->sizes();
  EXPECT_EQ(sizes.entities_estimate, 1u);
  EXPECT_GT(sizes.sst_bytes, 0u);
}

// ---- against a model ----

struct Model {
  std::map<std::pair<EntityId, std::string>, RowRef> entities;
  std::map<SideKey, std::string> side;
  Watermark watermark;
  std::vector<Gap> gaps;
  std::map<Slot, Hash32> chain;
};

// Draws a batch that fits the model, and plays it there.
Batch DrawBatch(Model* model) {
  static const std::vector<std::string> kKeys{"a", "ab", "b", std::string("b\0c", 3), "\xff", "\xff\xff"};
  const bool first = model->watermark.block.slot == 0;
  const auto kind = first ? BatchKind::kSlot
                          : *rc::gen::weightedElement<BatchKind>({{6, BatchKind::kSlot},
                                                                  {1, BatchKind::kBootstrap},
                                                                  {1, BatchKind::kRetention},
                                                                  {1, BatchKind::kRepair},
                                                                  {1, BatchKind::kGap}});
  const Slot slot = model->watermark.block.slot + static_cast<Slot>(*rc::gen::inRange(1, 4));
  BatchMaker maker = kind == BatchKind::kSlot ? BatchMaker(slot) : BatchMaker(kind, model->watermark);
  if (kind == BatchKind::kGap) {
    maker.WithGap({model->watermark.block.slot, slot, "drawn"});
    model->gaps.push_back(*maker.batch().gap);
  }
  for (int i = *rc::gen::inRange(0, 5); i > 0; --i) {
    const EntityId entity = *rc::gen::element(kAccount, kOrder);
    const std::string key = *rc::gen::elementOf(kKeys);
    auto& row = model->entities[{entity, key}];
    if (row && *rc::gen::inRange(0, 3) == 0) {
      maker.Delete(entity, key, row);
      model->entities.erase({entity, key});
    } else {
      // Order has one field: no note.
      maker.Put(entity, key, *rc::gen::arbitrary<uint64_t>(), row);
      row = maker.batch().mutations.back().after;
    }
  }
  std::map<SideKey, std::optional<std::string>> side;
  for (int i = *rc::gen::inRange(0, 5); i > 0; --i) {
    const SideKey key{SideKind{static_cast<uint8_t>(*rc::gen::inRange(1, 10))}, *rc::gen::element(kAccount, kOrder),
                      *rc::gen::element<uint16_t>(0, 1), *rc::gen::elementOf(kKeys)};
    side[key] = *rc::gen::arbitrary<bool>() ? std::optional(*rc::gen::arbitrary<std::string>()) : std::nullopt;
  }
  for (const auto& [key, value] : side) {
    maker.Side(key, value);
    if (value) {
      model->side[key] = *value;
    } else {
      model->side.erase(key);
    }
  }
  const Batch& batch = maker.batch();
  ++model->watermark.number;
  if (kind == BatchKind::kSlot) {
    model->watermark.block = batch.block;
    model->watermark.last_index = 0;
    model->chain[slot] = batch.block.blockhash;
  }
  model->watermark.last_index += batch.mutations.size();
  return batch;
}

void AssertEqual(const EntityStore& store, const Model& model) {
  const Watermark watermark = store.watermark();
  RC_ASSERT(watermark.number == model.watermark.number);
  RC_ASSERT(watermark.block == model.watermark.block);
  RC_ASSERT(watermark.last_index == model.watermark.last_index);
  RC_ASSERT(store.sizes().entities_estimate == model.entities.size());
  RC_ASSERT(store.gaps().size() == model.gaps.size());
  RC_ASSERT(store.lineages().size() == (model.watermark.number == 0 ? 0 : model.gaps.size() + 1));
  for (Slot slot = 0; slot <= watermark.block.slot + 1; ++slot) {
    const auto it = model.chain.find(slot);
    RC_ASSERT(store.BlockhashOf(slot) == (it == model.chain.end() ? std::nullopt : std::optional(it->second)));
  }
  auto snapshot = store.TakeSnapshot();
  RC_ASSERT(snapshot->watermark().number == model.watermark.number);
  RC_ASSERT(snapshot->watermark().block == model.watermark.block);
  auto expected = model.entities.begin();
  for (const EntityId entity : {kAccount, kOrder}) {
    snapshot->Seek(entity, "");
    std::string_view key;
    for (;;) {
      const auto row = snapshot->Next(&key);
      RC_ASSERT(row.ok());
      if (!*row) break;
      RC_ASSERT(expected != model.entities.end());
      RC_ASSERT(expected->first == std::make_pair(entity, std::string(key)));
      RC_ASSERT((*row)->bytes() == expected->second->bytes());
      RC_ASSERT((*store.Get(entity, key))->bytes() == expected->second->bytes());
      RC_ASSERT((*snapshot->Get(entity, key))->bytes() == expected->second->bytes());
      ++expected;
    }
    RC_ASSERT(expected == model.entities.end() || expected->first.first > entity);
  }
  auto side = model.side.begin();
  for (uint8_t kind = 1; kind <= 9; ++kind) {
    for (const EntityId entity : {kAccount, kOrder}) {
      for (const uint16_t name : {0, 1}) {
        const auto status =
            store.ScanSide(SideKind{kind}, entity, name, "", [&](std::string_view id, std::string_view value) {
              RC_ASSERT(side != model.side.end());
              RC_ASSERT(side->first == (SideKey{SideKind{kind}, entity, name, std::string(id)}));
              RC_ASSERT(side->second == value);
              RC_ASSERT(**store.GetSide(side->first) == value);
              ++side;
              return true;
            });
        RC_ASSERT(status.ok());
      }
    }
  }
  RC_ASSERT(side == model.side.end());
}

RC_GTEST_PROP(EntityStore, HoldsWhatAModelHoldsAcrossReopens, ()) {
  TemporaryFolder folder;
  Model model;
  OpenStore open = OpenTestStore(folder.path());
  for (int round = *rc::gen::inRange(1, 4); round > 0; --round) {
    for (int i = *rc::gen::inRange(0, 8); i > 0; --i) {
      const auto number = open.writer->Apply(DrawBatch(&model));
      RC_ASSERT(number.ok());
      RC_ASSERT(*number == model.watermark.number);
    }
    AssertEqual(*open.store, model);
    open.Close();
    open = OpenTestStore(folder.path());
    AssertEqual(*open.store, model);
  }
}

TEST(EntityStore, ScansSideRowsByPrefixUntilToldToStop) {
  TemporaryFolder folder;
  OpenStore open = OpenTestStore(folder.path());
  BatchMaker maker(1);
  for (const char* id : {"a", "aa", "ab", "b", "\xff", "\xff\x01"}) maker.Side({SideKind::kPda, 0, 0, id}, id);
  maker.Side({SideKind::kPda, 0, 1, "aa"}, "of another name");
  ASSERT_TRUE(open.writer->Apply(maker.batch()).ok());
  const auto scan = [&](std::string_view prefix, size_t limit) {
    std::vector<std::string> ids;
    EXPECT_TRUE(open.store
                    ->ScanSide(SideKind::kPda, 0, 0, prefix,
                               [&](std::string_view id, std::string_view) {
                                 ids.emplace_back(id);
                                 return ids.size() < limit;
                               })
                    .ok());
    return ids;
  };
  using Ids = std::vector<std::string>;
  EXPECT_EQ(scan("a", 99), (Ids{"a", "aa", "ab"}));
  EXPECT_EQ(scan("a", 2), (Ids{"a", "aa"}));
  EXPECT_EQ(scan("\xff", 99), (Ids{"\xff", "\xff\x01"}));
  EXPECT_EQ(scan("c", 99), Ids{});
  EXPECT_FALSE(open.store->ScanSide(SideKind{0}, 0, 0, "", [](auto, auto) { return true; }).ok());
  EXPECT_FALSE(open.store->GetSide({SideKind{10}, 0, 0, "a"}).ok());
}

}  // namespace
}  // namespace everstate
