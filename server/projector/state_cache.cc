#include "server/projector/state_cache.h"

#include <utility>

namespace everstate {
namespace {

size_t WeightOf(const RowRef& row) { return row == nullptr ? 0 : row->MemoryBytes(); }
size_t WeightOf(const std::optional<std::string>& value) { return value.has_value() ? value->size() : 0; }

void AppendU16(uint16_t v, std::string* out) {
  out->push_back(static_cast<char>(v >> 8));
  out->push_back(static_cast<char>(v));
}

}  // namespace

std::string_view StateCache::EntityKeyBytes(EntityId entity, std::string_view key) {
  key_.clear();
  AppendU16(entity, &key_);
  key_.append(key);
  return key_;
}

std::string_view StateCache::SideKeyBytes(const SideKey& key) {
  key_.clear();
  key_.push_back(static_cast<char>(key.kind));
  AppendU16(key.entity, &key_);
  AppendU16(key.name, &key_);
  key_.append(key.id);
  return key_;
}

absl::StatusOr<RowRef> StateCache::Get(EntityId entity, std::string_view key) {
  if (const RowRef* row = entities_.Find(EntityKeyBytes(entity, key))) {
    ++hits_;
    return *row;
  }
  ++misses_;
  absl::StatusOr<RowRef> row = store_->Get(entity, key);
  if (row.ok()) entities_.Put(EntityKeyBytes(entity, key), *row, WeightOf(*row));
  return row;
}

absl::StatusOr<std::optional<std::string>> StateCache::GetSide(const SideKey& key) {
  if (const auto* value = sides_.Find(SideKeyBytes(key))) {
    ++hits_;
    return *value;
  }
  ++misses_;
  auto value = store_->GetSide(key);
  if (value.ok()) sides_.Put(SideKeyBytes(key), *value, WeightOf(*value));
  return value;
}

void StateCache::Applied(const Batch& batch) {
  for (const Mutation& mutation : batch.mutations) {
    entities_.Put(EntityKeyBytes(mutation.entity, mutation.key), mutation.after, WeightOf(mutation.after));
  }
  for (const SideWrite& side : batch.side) sides_.Put(SideKeyBytes(side.key), side.value, WeightOf(side.value));
}

StateCacheStats StateCache::stats() const {
  return {hits_, misses_, entities_.bytes() + sides_.bytes(), entities_.size() + sides_.size()};
}

}  // namespace everstate
