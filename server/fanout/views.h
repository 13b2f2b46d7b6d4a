// The views that fanout serves, as frames need them: ready-made text, and how many sessions listen.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/entity_store.h"
#include "storage/model.h"
#include "storage/row_schema.h"

namespace everstate {

struct ServedView {
  explicit ServedView(const ViewDef& view);

  ViewDef def;
  // The wire shapes up to where they differ. Key order is the reference's: mode, entity, op, key, data, append, seq.
  std::string patch_head;     // {"mode":M,"entity":V,"op":"patch",
  std::string delete_head;    // {"mode":M,"entity":V,"op":"delete",
  std::string snapshot_head;  // {"mode":M,"entity":V,"op":"snapshot","data":[
  std::string subscribed;     // the whole frame; lists are sorted by "_seq", newest first

  // Subscriptions that have joined, on all lanes. Joining adds with acquire-release; Publish reads with a read-modify-write
  // of the same variable. See the README, "Join, look, drop".
  mutable std::atomic<uint32_t> listeners{0};
};

// ViewTable
//   Thread:    immutable (but for the listener counts), any thread.
//   Owns:      nothing of the store, which must outlive it.
class ViewTable {
 public:
  explicit ViewTable(const EntityStore* store);

  const EntityStore& store() const { return *store_; }
  const RowSchema& schema() const { return store_->schema(); }
  const ServedView& view(uint32_t index) const { return views_[index]; }
  size_t size() const { return views_.size(); }
  std::optional<uint32_t> Find(std::string_view id) const;
  const std::vector<uint32_t>& of_entity(EntityId entity) const { return by_entity_[entity]; }  // those that can be served

 private:
  const EntityStore* store_;
  std::deque<ServedView> views_;  // position = that in RowSchema::views()
  std::vector<std::vector<uint32_t>> by_entity_;
};

}  // namespace everstate
