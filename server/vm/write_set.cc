#include "server/vm/write_set.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "server/vm/key_text.h"

namespace everstate::vm {

void WriteSet::Begin(StateView* view) {
  view_ = view;
  used_ = 0;
  reached_.clear();
  // A large map gives its memory back when it is cleared; the next block will be of about the same size.
  const auto clear = [](auto& map) {
    const size_t size = map.size();
    map.clear();
    map.reserve(size);
  };
  clear(by_key32_);
  clear(by_text_);
  clear(sides_);
}

absl::StatusOr<WorkingEntity*> WriteSet::Get(EntityId entity, const Value& key) {
  if (key.tag != ValueTag::kKey32) {
    text_.clear();
    AppendKeyText(*schema_, key, &text_);
    return Get(entity, std::string_view(text_));
  }
  Key32 key32{{}, entity};
  std::memcpy(key32.bytes.data(), key.data, key32.bytes.size());
  if (const auto it = by_key32_.find(key32); it != by_key32_.end()) return it->second;
  text_.clear();
  AppendKeyText(*schema_, key, &text_);
  auto found = Get(entity, std::string_view(text_));
  if (found.ok()) by_key32_.emplace(key32, *found);
  return found;
}

absl::StatusOr<WorkingEntity*> WriteSet::Get(EntityId entity, std::string_view key) {
  if (key.empty()) return nullptr;
  if (const auto it = by_text_.find(TextKey(entity, key)); it != by_text_.end()) return it->second;
  auto before = view_->Get(entity, key);
  if (!before.ok()) return before.status();
  if (used_ == pool_.size()) pool_.push_back(std::make_unique<WorkingEntity>());
  WorkingEntity* working = pool_[used_++].get();
  working->entity = entity;
  working->key.assign(key);
  working->editor.Reset(*std::move(before), schema_->entity(entity).fields.size());
  working->reached = false;
  working->cause = {};
  by_text_.emplace(TextKey(entity, working->key), working);
  return working;
}

void WriteSet::Reach(WorkingEntity* entity, const Cause& cause) {
  entity->cause = cause;
  if (entity->reached) return;
  entity->reached = true;
  reached_.push_back(entity);
}

absl::StatusOr<WriteSet::Side*> WriteSet::GetSide(const SideKey& key) {
  if (const auto it = sides_.find(key); it != sides_.end()) return &it->second;
  auto before = view_->GetSide(key);
  if (!before.ok()) return before.status();
  Side& side = sides_[key];
  side.now = *before;
  side.before = *std::move(before);
  return &side;
}

std::vector<SideWrite> WriteSet::SideWrites() const {
  std::vector<SideWrite> writes;
  for (const auto& [key, side] : sides_) {
    if (side.now != side.before) writes.push_back({key, side.now});
  }
  std::sort(writes.begin(), writes.end(), [](const SideWrite& a, const SideWrite& b) { return a.key < b.key; });
  return writes;
}

}  // namespace everstate::vm
