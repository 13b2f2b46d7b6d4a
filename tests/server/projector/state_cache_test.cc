#include "server/projector/state_cache.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <random>
#include <string>

#include "storage/entity_store.h"
#include "storage/entity_writer.h"

namespace everstate {
namespace {

TEST(LruCacheTest, KeepsTheNewestWithinItsBytes) {
  LruCache<std::string> cache(10 * 1000);
  for (int i = 0; i < 1000; ++i) {
    cache.Put("key" + std::to_string(i), std::string(100, 'x'), 100);
    ASSERT_LE(cache.bytes(), 10 * 1000u);
    if (i > 0) {
      ASSERT_NE(cache.Find("key" + std::to_string(i - 1)), nullptr) << i;
    }
  }
  EXPECT_EQ(cache.Find("key0"), nullptr);
  EXPECT_NE(cache.Find("key999"), nullptr);
}

TEST(LruCacheTest, AnUsedValueStaysWhileOthersLeave) {
  LruCache<int> cache(2000);
  cache.Put("used", 7, 10);
  for (int i = 0; i < 200; ++i) {
    ASSERT_NE(cache.Find("used"), nullptr) << i;
    cache.Put("other" + std::to_string(i), i, 10);
  }
  EXPECT_EQ(*cache.Find("used"), 7);
}

TEST(LruCacheTest, AReplacedValueWeighsOnce) {
  LruCache<int> cache(1 << 20);
  cache.Put("a", 1, 100);
  const size_t before = cache.bytes();
  cache.Put("a", 2, 300);
  EXPECT_EQ(cache.bytes(), before + 200);
  cache.Put("a", 3, 100);
  EXPECT_EQ(cache.bytes(), before);
  EXPECT_EQ(*cache.Find("a"), 3);
}

// The cache over a real store answers what the store answers, whatever its size, over random batches.
class StateCacheTest : public testing::TestWithParam<size_t> {};

TEST_P(StateCacheTest, AnswersWhatTheStoreAnswers) {
  const std::filesystem::path dir =
      std::filesystem::temp_directory_path() /
      ("state_cache_test_" + std::to_string(::getpid()) + "_" + std::to_string(GetParam()));
  std::filesystem::remove_all(dir);
  auto schema = RowSchema::Build({{"Thing", {{"n", true}}}}, {}, {});
  ASSERT_TRUE(schema.ok());
  StoreOptions options;
  options.data_dir = dir;
  auto store = EntityStore::Open(options, {"Test", {}, "{}", "", *schema});
  ASSERT_TRUE(store.ok()) << store.status();
  {
    auto writer = (*store)->TakeWriter();
    StateCache cache(store->get(), GetParam());
    std::mt19937 random(7);
    for (Slot slot = 1; slot <= 200; ++slot) {
      Batch batch;
      batch.block.slot = slot;
      const std::string key = "k" + std::to_string(random() % 20);
      auto before = cache.Get(0, key);
      ASSERT_TRUE(before.ok());
      RowEditor editor;
      editor.Reset(*before, 1);
      editor.Set(0, Value::Uint(slot));
      Mutation mutation;
      mutation.key = key;
      mutation.cursor = {slot, 1};
      mutation.before = *before;
      RowEditor::Built built = editor.Build(mutation.cursor, 100);
      mutation.after = built.after;
      mutation.changed = built.changed;
      batch.mutations.push_back(mutation);
      const SideKey side{SideKind::kStopFlag, 0, 0, key};
      batch.side.push_back({side, random() % 3 == 0 ? std::nullopt : std::optional<std::string>(std::to_string(slot))});
      ASSERT_TRUE(writer->Apply(batch).ok());
      cache.Applied(batch);
      for (int i = 0; i < 20; ++i) {
        const std::string probe = "k" + std::to_string(i);
        auto cached = cache.Get(0, probe);
        auto stored = (*store)->Get(0, probe);
        ASSERT_EQ(*cached == nullptr, *stored == nullptr);
        if (*cached != nullptr) {
          ASSERT_EQ((*cached)->bytes(), (*stored)->bytes());
        }
        ASSERT_EQ(*cache.GetSide({SideKind::kStopFlag, 0, 0, probe}),
                  *(*store)->GetSide({SideKind::kStopFlag, 0, 0, probe}));
      }
    }
    EXPECT_GT(cache.stats().misses, 0u);
  }
  store->reset();
  std::filesystem::remove_all(dir);
}

INSTANTIATE_TEST_SUITE_P(Sizes, StateCacheTest, testing::Values(size_t{1}, size_t{2000}, size_t{1} << 20));

}  // namespace
}  // namespace everstate
