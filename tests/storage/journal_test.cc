#include "storage/journal.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <set>

#include "tests/storage/store_support.h"

namespace everstate {
namespace {

// What a reader should say of one batch.
struct Expected {
  Number number;
  BatchKind kind;
  Cursor cursor;
  std::vector<std::tuple<EntityId, uint64_t, bool, std::string>> entries;
  bool operator==(const Expected&) const = default;
};

Expected ExpectedOf(Number number, const Batch& batch, Cursor cursor) {
  Expected expected{number, batch.kind, cursor, {}};
  for (const Mutation& mutation : batch.mutations) {
    expected.entries.emplace_back(mutation.entity, mutation.cursor.index, !mutation.after, mutation.key);
  }
  return expected;
}

Expected Copy(const JournalRow& row) {
  Expected copy{row.number, row.kind, row.cursor, {}};
  for (const JournalEntry& entry : row.entries) {
    copy.entries.emplace_back(entry.entity, entry.index, entry.deleted, std::string(entry.key));
  }
  return copy;
}

Batch DrawBatch(const Watermark& watermark) {
  const bool slot = watermark.number == 0 || *rc::gen::inRange(0, 3) > 0;
  BatchMaker maker =
      slot ? BatchMaker(watermark.block.slot + static_cast<Slot>(*rc::gen::inRange(1, 3)))
           : BatchMaker(*rc::gen::element(BatchKind::kBootstrap, BatchKind::kRetention, BatchKind::kRepair), watermark);
  for (int i = *rc::gen::inRange(0, 4); i > 0; --i) {
    const EntityId entity = *rc::gen::element(kAccount, kOrder);
    const std::string key = *rc::gen::nonEmpty<std::string>();
    if (*rc::gen::arbitrary<bool>()) {
      maker.Put(entity, key, 1);
    } else {
      maker.Delete(entity, key, MakeRow({1, 1}, 1));
    }
  }
  return maker.batch();
}

RC_GTEST_PROP(JournalRow, ComesBackAndIsCutNowhere, (uint64_t number, uint64_t slot, uint64_t index)) {
  const Batch batch = DrawBatch({});
  std::string bytes;
  AppendJournalRow(batch, {slot, index}, &bytes);
  const auto row = ParseJournalRow(number, bytes);
  RC_ASSERT(row.ok());
  RC_ASSERT(Copy(*row) == ExpectedOf(number, batch, {slot, index}));
  const auto head = ParseJournalHead(number, bytes);
  RC_ASSERT(head.ok());
  RC_ASSERT((head->cursor == Cursor{slot, index}));
  for (size_t size = 0; size < bytes.size(); ++size) {
    const std::string cut = bytes.substr(0, size);  // of its own, so that reading on would be seen
    RC_ASSERT(ParseJournalRow(number, cut).status().code() == absl::StatusCode::kDataLoss);
  }
  RC_ASSERT(ParseJournalRow(number, bytes + "x").status().code() == absl::StatusCode::kDataLoss);
}

RC_GTEST_PROP(JournalRow, AnyBytesAreReadOrRefused, (const std::string& bytes)) {
  const auto row = ParseJournalRow(1, bytes);
  if (row.ok()) {
    for (const JournalEntry& entry : row->entries) RC_ASSERT(entry.key.size() <= bytes.size());
  } else {
    RC_ASSERT(row.status().code() == absl::StatusCode::kDataLoss);
  }
}

// Against all batches ever applied: the reader says of every cursor exactly what came after it, or that it cannot.
RC_GTEST_PROP(JournalReader, KnowsWhatCameAfterEveryCursorItCovers, ()) {
  TemporaryFolder folder;
  StoreOptions options = TestOptions(folder.path());
  options.journal_slots = static_cast<uint64_t>(*rc::gen::inRange(1, 6));
  OpenStore open(*EntityStore::Open(options, TestIdentity()));
  std::vector<Expected> all;
  for (int i = *rc::gen::inRange(0, 25); i > 0; --i) {
    const Batch batch = DrawBatch(open.store->watermark());
    const auto number = open.writer->Apply(batch);
    RC_ASSERT(number.ok());
    all.push_back(ExpectedOf(*number, batch, open.store->watermark().cursor()));
    if (*rc::gen::inRange(0, 12) == 0) {
      open.Close();
      open = OpenStore(*EntityStore::Open(options, TestIdentity()));
    }
  }
  // The batches of the newest journal_slots slots are held.
  std::set<Slot> slots;
  size_t oldest = all.size();
  while (oldest > 0 && (slots.contains(all[oldest - 1].cursor.slot) || slots.size() < options.journal_slots)) {
    slots.insert(all[--oldest].cursor.slot);
  }
  const auto snapshot = open.store->TakeSnapshot();
  const JournalReader journal(snapshot.get());
  const Cursor head = snapshot->watermark().cursor();
  for (Slot slot = 0; slot <= head.slot + 1; ++slot) {
    for (uint64_t index = 0; index <= 6; ++index) {
      const Cursor after{slot, index};
      const bool covers = after <= head && (oldest == 0 || all[oldest].cursor <= after);
      RC_ASSERT(*journal.Covers(after) == covers);
      if (!covers) continue;
      std::vector<Expected> expected, seen;
      for (const Expected& batch : all) {
        if (batch.cursor > after) expected.push_back(batch);
      }
      RC_ASSERT(journal
                    .VisitAfter(after,
                                [&](const JournalRow& row) {
                                  seen.push_back(Copy(row));
                                  return true;
                                })
                    .ok());
      RC_ASSERT(seen == expected);
    }
  }
}

TEST(JournalReader, StopsWhenTold) {
  TemporaryFolder folder;
  OpenStore open = OpenTestStore(folder.path());
  for (Slot slot = 1; slot <= 5; ++slot) ASSERT_TRUE(open.writer->Apply(BatchMaker(slot).batch()).ok());
  const auto snapshot = open.store->TakeSnapshot();
  ASSERT_TRUE(open.writer->Apply(BatchMaker(6).batch()).ok());
  std::vector<Number> seen;
  ASSERT_TRUE(JournalReader(snapshot.get())
                  .VisitAfter({2, 0},
                              [&](const JournalRow& row) {
                                seen.push_back(row.number);
                                return seen.size() < 2;
                              })
                  .ok());
  EXPECT_EQ(seen, (std::vector<Number>{3, 4}));
  EXPECT_FALSE(*JournalReader(snapshot.get()).Covers({6, 0})) << "the snapshot does not know slot 6";
}

}  // namespace
}  // namespace everstate
