// The loop from block to publication, over a real store: what is published is what a machine makes that remembers
// everything, and the store has it by then.
#include "server/projector/projector.h"

#include <gtest/gtest.h>

#include <random>

#include "absl/strings/match.h"
#include "tests/server/vm/vm_fixture.h"
#include "tests/support/temporary_folder.h"

namespace everstate {
namespace {

using vm::BlockBuilder;
using vm::DoIt;
using vm::From;
using vm::KeyText;
using vm::Mapping;

constexpr int kKeys = 12;

// Counts and arrays, a lookup index, a unique set: rows and side rows of every block depend on those before.
std::vector<vm::EntityText> Entities() {
  vm::EntityText deeds =
      vm::Deeds({Mapping("n", From("data"), "Count"), Mapping("sum", From("data.delta"), "Sum"),
                 Mapping("users", From("accounts.user"), "UniqueCount"),
                 Mapping("user", From("accounts.user"), "LastWrite"), Mapping("all", From("data.amount"), "Append")});
  deeds.indexes = {R"({"field_name":"user","temporal_field":null})"};
  deeds.handlers.push_back(
      vm::LookupHandler(vm::kThing, "__account_address", {Mapping("thing", From("amount"), "LastWrite")}));
  return {deeds};
}

BlockBuilder RandomBlock(Slot slot, std::mt19937* random) {
  const auto key = [&] { return static_cast<int>((*random)() % kKeys); };
  BlockBuilder block(slot);
  for (uint8_t i = 1; i <= 5; ++i) block.Transaction(i, {{DoIt((*random)() % 9, i), {key(), key()}}});
  block.Account(key(), vm::Thing{.amount = slot}.Bytes());
  return block;
}

// Line: a projector over a store in a folder, and what it published.
struct Line {
  Line(const std::filesystem::path& folder, size_t cache_bytes) {
    auto compiled = vm::CompileText(Entities());
    EXPECT_TRUE(compiled.ok()) << compiled.status();
    StoreOptions options;
    options.data_dir = folder;
    auto opened =
        EntityStore::Open(options, {"Mini", {}, "{}", (*compiled)->settings().Canonical(), (*compiled)->schema()});
    EXPECT_TRUE(opened.ok()) << opened.status();
    store = *std::move(opened);
    projector = std::make_unique<Projector>(ProjectorOptions{cache_bytes}, *compiled, store.get(),
                                            [this](const Applied& a) { Publish(a); });
  }

  void Publish(const Applied& applied) {
    EXPECT_EQ(applied.generation, store->generation());
    EXPECT_EQ(applied.number, store->watermark().number);
    for (const Mutation& mutation : applied.batch->mutations) {
      const auto row = store->Get(mutation.entity, mutation.key);
      ASSERT_TRUE(row.ok() && *row != nullptr) << mutation.key;
      EXPECT_EQ((*row)->bytes(), mutation.after->bytes());
    }
    for (const SideWrite& side : applied.batch->side) EXPECT_EQ(*store->GetSide(side.key), side.value);
    published.push_back(applied);
  }

  std::unique_ptr<EntityStore> store;
  std::unique_ptr<Projector> projector;
  std::vector<Applied> published;
};

class ProjectorTest : public testing::TestWithParam<size_t> {};

TEST_P(ProjectorTest, PublishesWhatAMachineMakesThatRemembersEverything) {
  kProjectorThread.Assume();
  const TemporaryFolder folder;
  vm::World world(Entities());
  std::mt19937 random(11);
  auto line = std::make_unique<Line>(folder.path(), GetParam());
  for (Slot slot = 1; slot <= 120; ++slot) {
    if (slot % 40 == 0) {  // another process
      line.reset();
      line = std::make_unique<Line>(folder.path(), GetParam());
    }
    const BlockBuilder block = RandomBlock(slot, &random);
    ASSERT_TRUE(line->projector->Project(block.block()).ok());
    ASSERT_EQ(line->published.size(), slot % 40 + (slot < 40 ? 0 : 1));
    EXPECT_EQ(line->published.back().number, slot);
    ASSERT_EQ(vm::Describe(*line->published.back().batch), vm::Describe(*world.Run(block))) << "slot " << slot;
  }
  EXPECT_GT(world.Sides(SideKind::kUniqueMember), 30u);
  const ProjectorStats stats = line->projector->stats();
  EXPECT_EQ(stats.blocks, 1u);
  EXPECT_EQ(stats.updates, 6u);
  EXPECT_EQ(stats.machine.transactions, 5u);
  uint64_t blocks = 0;
  for (size_t i = 0; i < Buckets<kBlockTimeBoundsUs>::kCount; ++i) blocks += stats.block_times.count(i);
  EXPECT_EQ(blocks, stats.blocks);
  uint64_t mutations = 0, instructions = 0;
  for (const uint64_t of_entity : stats.shares.mutations) mutations += of_entity;
  for (const auto& program : stats.shares.programs) instructions += program.instructions_matched;
  EXPECT_EQ(stats.shares.mutations.size(), Entities().size());
  EXPECT_EQ(mutations, stats.machine.mutations);
  EXPECT_EQ(instructions, stats.machine.instructions_matched);
  EXPECT_GT(mutations, 0u);
  EXPECT_GT(stats.cache.misses, 0u);
}

INSTANTIATE_TEST_SUITE_P(CacheSizes, ProjectorTest, testing::Values(size_t{1}, size_t{4000}, size_t{1} << 20));

TEST(ProjectorErrorTest, WhatTheStoreRefusesIsNeitherPublishedNorCounted) {
  kProjectorThread.Assume();
  const TemporaryFolder folder;
  Line line(folder.path(), 1 << 20);
  const auto block = [](Slot slot) {
    return std::move(BlockBuilder(slot).Transaction(1, {{DoIt(slot), {1, 2}}, {DoIt(0), {}}}));
  };
  ASSERT_TRUE(line.projector->Project(block(5).block()).ok());
  const absl::Status again = line.projector->Project(block(5).block());  // is applied already
  EXPECT_EQ(again.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(again.message(), "5")) << again;
  EXPECT_FALSE(line.projector->RecordGap({4, 9, "not from here"}).ok());
  EXPECT_EQ(line.published.size(), 1u);
  EXPECT_EQ(line.store->watermark().number, 1u);
  EXPECT_EQ(line.projector->stats().blocks, 1u);
  EXPECT_EQ(line.projector->stats().gaps, 0u);

  ASSERT_TRUE(line.projector->RecordGap({5, 9, "the provider does not reach back"}).ok());
  ASSERT_TRUE(line.projector->Project(block(9).block()).ok());
  ASSERT_EQ(line.published.size(), 3u);
  EXPECT_EQ(line.published[1].batch->kind, BatchKind::kGap);
  EXPECT_EQ(line.published[1].number, 2u);
  EXPECT_EQ(line.published[1].batch->gap->to, 9u);
  EXPECT_EQ(line.store->gaps().size(), 1u);
  EXPECT_EQ(line.projector->stats().gaps, 1u);
  // The row is what the two blocks that were applied made of it.
  const RowRef row = *line.store->Get(0, KeyText(1));
  ASSERT_NE(row, nullptr);
  EXPECT_EQ(row->Get(0).uint, 2u);
  ASSERT_FALSE(line.projector->faults().empty());
  EXPECT_EQ(line.projector->faults()[0].reason, vm::FaultReason::kKeyNull);
  EXPECT_TRUE(line.projector->SyncWal().ok());
}

}  // namespace
}  // namespace everstate
