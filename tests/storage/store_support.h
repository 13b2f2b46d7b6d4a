// What the tests of the store share: a schema, rows, batches, and a store with its writer.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "storage/entity_store.h"
#include "storage/entity_writer.h"
#include "storage/inspect.h"
#include "storage/journal.h"
#include "storage/snapshot.h"
#include "storage/value.h"
#include "tests/support/temporary_folder.h"

namespace everstate {

inline constexpr EntityId kAccount = 0, kOrder = 1;
inline constexpr EntityId kEntities = 2;

inline Hash32 HashOfByte(uint8_t byte) {
  Hash32 hash;
  hash.fill(byte);
  return hash;
}

// Entities `Account` (balance, note) and `Order` (amount).
inline StoreIdentity TestIdentity() {
  auto schema =
      RowSchema::Build({{"Account", {{"balance", true}, {"note", false}}}, {"Order", {{"amount", true}}}}, {}, {});
  if (!schema.ok()) std::abort();
  return {"bank", HashOfByte(0xab), "{\"name\":\"bank\"}", "append_keep=100", *schema};
}

inline StoreOptions TestOptions(const std::filesystem::path& data_dir) {
  StoreOptions options;
  options.data_dir = data_dir;
  options.block_cache_bytes = 8 << 20;
  return options;
}

// A row whose first field is `value`; `note` fills the second when it is not empty.
inline RowRef MakeRow(Cursor cursor, uint64_t value, std::string_view note = "") {
  std::string bytes;
  AppendVarint(cursor.slot, &bytes);
  AppendVarint(cursor.index, &bytes);
  AppendVarint(1, &bytes);
  bytes.push_back(note.empty() ? 1 : 3);
  AppendValue(Value::Uint(value), &bytes);
  if (!note.empty()) AppendValue(Value::Text(note), &bytes);
  auto row = Row::Parse(std::move(bytes), 2);
  if (!row.ok()) std::abort();
  return *row;
}

inline uint64_t FirstField(const Row& row) { return row.Get(0).uint; }

inline BlockId TestBlock(Slot slot) {
  BlockId block;
  block.slot = slot;
  block.blockhash = HashOfByte(static_cast<uint8_t>(slot));
  block.parent_slot = slot - 1;
  block.parent_blockhash = HashOfByte(static_cast<uint8_t>(slot - 1));
  block.block_time = static_cast<int64_t>(1700000000 + slot);
  return block;
}

// Adds mutations one after the other, counting the cursor on from where the batch's kind makes it start.
class BatchMaker {
 public:
  explicit BatchMaker(Slot slot) : next_{slot, 1} { batch_.block = TestBlock(slot); }
  BatchMaker(BatchKind kind, const Watermark& watermark) : next_{watermark.block.slot, watermark.last_index + 1} {
    batch_.kind = kind;
  }
  BatchMaker& Put(EntityId entity, std::string key, uint64_t value, RowRef before = nullptr,
                  std::string_view note = "") {
    return Add(entity, std::move(key), std::move(before), MakeRow(next_, value, note));
  }
  BatchMaker& Delete(EntityId entity, std::string key, RowRef before) {
    return Add(entity, std::move(key), std::move(before), nullptr);
  }
  BatchMaker& Side(SideKey key, std::optional<std::string> value) {
    batch_.side.push_back({std::move(key), std::move(value)});
    return *this;
  }
  BatchMaker& WithGap(Gap gap) {
    batch_.gap = std::move(gap);
    return *this;
  }
  const Batch& batch() const { return batch_; }
  Batch& batch() { return batch_; }

 private:
  BatchMaker& Add(EntityId entity, std::string key, RowRef before, RowRef after) {
    Mutation mutation;
    mutation.entity = entity;
    mutation.key = std::move(key);
    mutation.cursor = next_;
    mutation.before = std::move(before);
    mutation.after = std::move(after);
    mutation.changed.set(0);
    batch_.mutations.push_back(std::move(mutation));
    ++next_.index;
    return *this;
  }
  Batch batch_;
  Cursor next_;
};

// The store and its writer, closed in the right order.
struct OpenStore {
  std::unique_ptr<EntityStore> store;
  std::unique_ptr<EntityWriter> writer;
  ~OpenStore() { Close(); }
  OpenStore(std::unique_ptr<EntityStore> opened) : store(std::move(opened)), writer(store->TakeWriter()) {}
  OpenStore(OpenStore&&) = default;
  OpenStore& operator=(OpenStore&& other) {
    Close();
    store = std::move(other.store);
    writer = std::move(other.writer);
    return *this;
  }
  void Close() {
    writer.reset();
    store.reset();
  }
};

inline OpenStore OpenTestStore(const std::filesystem::path& data_dir) {
  auto store = EntityStore::Open(TestOptions(data_dir), TestIdentity());
  if (!store.ok()) {
    ADD_FAILURE() << store.status();
    std::abort();
  }
  return OpenStore(*std::move(store));
}

// One batch each for slots 1 to `count`, and an orderly close.
inline void FillSlots(const std::filesystem::path& data_dir, Slot count) {
  OpenStore open = OpenTestStore(data_dir);
  for (Slot slot = 1; slot <= count; ++slot)
    ASSERT_TRUE(open.writer->Apply(BatchMaker(slot).Put(kAccount, "a", slot).batch()).ok());
}

inline std::string DigestOf(const std::filesystem::path& data_dir) {
  auto inspector = StoreInspector::Open(data_dir);
  if (!inspector.ok()) return "no inspector: " + inspector.status().ToString();
  const auto digest = (*inspector)->Digest();
  return digest.ok() ? *digest : "no digest: " + digest.status().ToString();
}

}  // namespace everstate
