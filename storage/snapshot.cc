#include "storage/snapshot.h"

#include <fmt/core.h>

#include <utility>

#include "storage/store_impl.h"

namespace everstate {

Snapshot::Impl::~Impl() {
  iterator.reset();
  db->ReleaseSnapshot(snapshot);
  alive->fetch_sub(1);
}

std::unique_ptr<Snapshot> EntityStore::TakeSnapshot() const {
  auto impl = std::make_unique<Snapshot::Impl>();
  impl->db = impl_->db.get();
  impl->schema = impl_->schema;
  impl->alive = &impl_->snapshots;
  impl->alive->fetch_add(1);
  impl->snapshot = impl->db->GetSnapshot();
  impl->read_options.snapshot = impl->snapshot;
  // Read through the snapshot itself: the store's own copy may be a batch ahead of or behind it.
  const auto position = ReadPosition(impl->db, impl->read_options);
  if (position.ok()) {
    impl->watermark = position->watermark;
  } else {
    impl->failed = position.status();
  }
  return std::unique_ptr<Snapshot>(new Snapshot(std::move(impl)));
}

Snapshot::Snapshot(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Snapshot::~Snapshot() = default;

const Watermark& Snapshot::watermark() const { return impl_->watermark; }

absl::StatusOr<RowRef> Snapshot::Get(EntityId entity, std::string_view key) {
  if (!impl_->failed.ok()) return impl_->failed;
  return ReadEntity(impl_->db, impl_->read_options, *impl_->schema, entity, key);
}

void Snapshot::Seek(EntityId entity, std::string_view after) {
  KeyBuffer keys;
  impl_->iterator.reset();  // before the bound it points to changes
  impl_->entity = entity;
  impl_->upper_bound = PrefixEnd(keys.Entity(entity, ""));
  impl_->upper_bound_slice = Slice(impl_->upper_bound);
  rocksdb::ReadOptions read_options = impl_->read_options;
  read_options.iterate_upper_bound = &impl_->upper_bound_slice;
  impl_->iterator.reset(impl_->db->NewIterator(read_options));
  const std::string_view start = keys.Entity(entity, after);
  impl_->iterator->Seek(Slice(start));
  // The first key > after: a row under `after` itself is passed over.
  if (impl_->iterator->Valid() && View(impl_->iterator->key()) == start) impl_->iterator->Next();
  impl_->fresh = true;
}

absl::StatusOr<RowRef> Snapshot::Next(std::string_view* key) {
  if (!impl_->failed.ok()) return impl_->failed;
  if (!impl_->iterator) return absl::FailedPreconditionError("Next before Seek");
  if (impl_->entity >= impl_->schema->entities().size()) {
    return absl::InvalidArgumentError(fmt::format("the schema has no entity {}", impl_->entity));
  }
  rocksdb::Iterator& it = *impl_->iterator;
  if (!impl_->fresh && it.Valid()) it.Next();
  impl_->fresh = false;
  if (!it.Valid()) {
    if (!it.status().ok()) return FromRocks(it.status(), "scanning entities");
    return RowRef();
  }
  const auto parsed = ParseEntityKey(View(it.key()));
  if (!parsed) return absl::DataLossError("an entity has a key that cannot be read");
  *key = parsed->key;
  return Row::Parse(std::string(View(it.value())), impl_->schema->entity(impl_->entity).fields.size());
}

}  // namespace everstate
