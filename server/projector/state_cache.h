// StateCache: recently used rows of state in memory, over the store. A cache is a cache: the store is the truth, an
// evicted row is read again.
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "absl/status/statusor.h"
#include "server/base/counters.h"
#include "server/vm/state_view.h"
#include "storage/entity_store.h"
#include "storage/model.h"

namespace everstate {

// LruCache: values by a byte-string key, the least recently used ones leave when the weight passes the limit.   Thread:
// one.
template <typename T>
class LruCache {
 public:
  explicit LruCache(size_t bytes_max) : bytes_max_(bytes_max) {}

  const T* Find(std::string_view key) {
    const auto it = index_.find(key);
    if (it == index_.end()) return nullptr;
    order_.splice(order_.begin(), order_, it->second);
    return &it->second->value;
  }

  // `bytes`: what the value weighs besides its key.
  void Put(std::string_view key, T value, size_t bytes) {
    if (const auto it = index_.find(key); it != index_.end()) {
      bytes_ += bytes - it->second->bytes;
      it->second->value = std::move(value);
      it->second->bytes = bytes;
      order_.splice(order_.begin(), order_, it->second);
    } else {
      order_.push_front({std::string(key), std::move(value), bytes});
      index_.emplace(order_.front().key, order_.begin());
      bytes_ += bytes + key.size() + kOverheadBytes;
    }
    while (bytes_ > bytes_max_ && order_.size() > 1) EvictOldest();
  }

  size_t bytes() const { return bytes_; }
  size_t size() const { return order_.size(); }

 private:
  static constexpr size_t kOverheadBytes = 128;  // list node, hash node and the two string headers, about
  struct Entry {
    std::string key;
    T value;
    size_t bytes;
  };

  void EvictOldest() {
    const Entry& oldest = order_.back();
    bytes_ -= oldest.bytes + oldest.key.size() + kOverheadBytes;
    index_.erase(oldest.key);
    order_.pop_back();
  }

  const size_t bytes_max_;
  size_t bytes_ = 0;
  std::list<Entry> order_;  // newest first; keys of index_ point into it
  std::unordered_map<std::string_view, typename std::list<Entry>::iterator> index_;
};

struct StateCacheStats {
  uint64_t hits = 0, misses = 0;
  uint64_t bytes = 0, rows = 0;
};

inline constexpr auto kStateCacheStats = std::to_array<Described<StateCacheStats>>({
    {"hits", &StateCacheStats::hits, "Rows and side rows that were asked for and in memory"},
    {"misses", &StateCacheStats::misses, "Rows and side rows that were asked for and had to be read from the store"},
    {"bytes", &StateCacheStats::bytes, "Bytes of the rows in memory", CountKind::kGauge},
    {"rows", &StateCacheStats::rows, "Rows and side rows in memory", CountKind::kGauge},
});
static_assert(DescribesAll(kStateCacheStats));

// StateCache
//   Thread:    the projector's.
//   Errors:    those of the store.
//   Invariant: answers what the store would answer: Applied must be told of every batch, after the store has it.
class StateCache : public vm::StateView {
 public:
  StateCache(const EntityStore* store, size_t bytes_max)
      : store_(store), entities_(bytes_max / 2), sides_(bytes_max / 2) {}

  absl::StatusOr<RowRef> Get(EntityId entity, std::string_view key) override;
  absl::StatusOr<std::optional<std::string>> GetSide(const SideKey& key) override;
  void Applied(const Batch& batch);
  StateCacheStats stats() const;

 private:
  std::string_view EntityKeyBytes(EntityId entity, std::string_view key);
  std::string_view SideKeyBytes(const SideKey& key);

  const EntityStore* store_;
  LruCache<RowRef> entities_;                   // null: known not to exist
  LruCache<std::optional<std::string>> sides_;  // empty: known not to exist
  std::string key_;                             // scratch
  uint64_t hits_ = 0, misses_ = 0;
};

}  // namespace everstate
