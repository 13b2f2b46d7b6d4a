// The write set of one block: the entities and side rows that it reached, over a StateView.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "server/vm/state_view.h"
#include "storage/model.h"
#include "storage/row.h"

namespace everstate::vm {

// One entity inside one block.
struct WorkingEntity {
  EntityId entity = 0;
  std::string key;
  RowEditor editor;
  bool reached = false;  // by a handler or a hook; else it was only looked for
  Cause cause;           // of the last one

  bool Exists() const { return editor.before() != nullptr || editor.Changed().any(); }
};

// WriteSet
//   Thread:    one.
//   Owns:      its working entities, kept for the next block so that their buffers are.
//   Errors:    those of the StateView.
//   Invariant: a pointer to a working entity lives until Begin. `reached` is in order of first touch.
class WriteSet {
 public:
  explicit WriteSet(std::shared_ptr<const RowSchema> schema) : schema_(std::move(schema)) {}

  void Begin(StateView* view);

  // The entity of this key, read from the view when it is met first. Null when the key's text is empty. Not reached
  // yet.
  absl::StatusOr<WorkingEntity*> Get(EntityId entity, const Value& key);
  absl::StatusOr<WorkingEntity*> Get(EntityId entity, std::string_view key);
  void Reach(WorkingEntity* entity, const Cause& cause);
  const std::vector<WorkingEntity*>& reached() const { return reached_; }

  // A side row: before this block, and now.
  struct Side {
    std::optional<std::string> before, now;
  };
  absl::StatusOr<Side*> GetSide(const SideKey& key);  // the pointer lives until the next GetSide
  std::vector<SideWrite> SideWrites() const;          // those that differ from before, ascending by key

  const RowSchema& schema() const { return *schema_; }

 private:
  struct Key32 {
    std::array<uint8_t, 32> bytes;
    EntityId entity;
    bool operator==(const Key32&) const = default;
    template <typename H>
    friend H AbslHashValue(H h, const Key32& k) {
      return H::combine(H::combine_contiguous(std::move(h), k.bytes.data(), k.bytes.size()), k.entity);
    }
  };
  using TextKey = std::pair<EntityId, std::string_view>;  // the text is the working entity's own
  struct SideHash {
    size_t operator()(const SideKey& k) const { return absl::HashOf(k.kind, k.entity, k.name, k.id); }
  };

  std::shared_ptr<const RowSchema> schema_;
  StateView* view_ = nullptr;
  std::vector<std::unique_ptr<WorkingEntity>> pool_;
  size_t used_ = 0;                                      // of the pool
  absl::flat_hash_map<Key32, WorkingEntity*> by_key32_;  // saves the base58 of a key that was met before
  absl::flat_hash_map<TextKey, WorkingEntity*> by_text_;
  std::vector<WorkingEntity*> reached_;
  absl::flat_hash_map<SideKey, Side, SideHash> sides_;
  std::string text_;
};

}  // namespace everstate::vm
