// Look: one read of the store for one subscription, at one number, made in chunks as the client takes them.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/fanout/send_queue.h"
#include "server/fanout/threads.h"
#include "server/fanout/views.h"
#include "storage/entity_store.h"
#include "storage/row.h"
#include "storage/snapshot.h"

namespace everstate {

using StoreRef = std::shared_ptr<const EntityStore>;

struct LookLimits {
  size_t rows_first = 50, rows_next = 100;  // rows of the first and of later frames; rows_next deletes go out at once
  size_t frame_bytes_max = 512u << 10;      // a frame of several rows never grows beyond
};

// What a look reads. With `older`, the client may hold rows of those generations (as these stores have them at their
// ends): first goes a `delete` for each row that `store` lacks, then the snapshot with "reset":true.
struct LookStores {
  StoreRef store;
  std::vector<StoreRef> older;
};

// One snapshot frame, or some `delete` frames before the first one, or nothing yet.
struct Chunk {
  absl::Status status;
  Number number = 0;  // everything up to this batch is in the look
  Slice frame;        // empty: much was read, and there was nothing to say
  size_t rows = 0, deletes = 0;
  std::string last_key;  // of its last row; empty when it has none
  bool complete = false;
};

// Look
//   Thread:    a reader, one at a time. Also destroyed there, because that gives the stores' snapshots back.
//   Invariant: all chunks show the store at the same number; rows come in key order, and so do the deletes for one
//              older generation.
class Look {
 public:
  // No key: all rows of the view's entity.
  Look(const ViewTable* views, uint32_t view, std::optional<std::string> key, const LookLimits& limits,
       LookStores stores)
      : views_(views), view_(view), key_(std::move(key)), limits_(limits), stores_(std::move(stores)) {}

  Chunk Next() EVERSTATE_ON_READER;

 private:
  EntityId entity() const { return views_->view(view_).def.entity; }
  bool Shown(const Row& row) const;  // clients hear of it
  void Open();
  absl::StatusOr<bool> Has(Snapshot* snapshot, std::string_view key) const;
  absl::StatusOr<bool> NextKey(Snapshot* snapshot, std::string* key) const;  // of a row that is shown; false at the end
  // An older row's: the store lacks it, and no generation before said so
  absl::StatusOr<bool> Outdated(std::string_view key);
  absl::Status FindDeletes(Chunk* chunk, std::string* frames);
  absl::Status ReadRow();  // fills row_text_ and row_key_, or sets at_end_
  absl::Status TakeRows(Chunk* chunk, size_t rows_max);

  const ViewTable* views_;
  const uint32_t view_;
  const std::optional<std::string> key_;
  const LookLimits limits_;
  const LookStores stores_;
  std::unique_ptr<Snapshot> snapshot_;  // taken by the first Next, and so are those of the older ones
  std::vector<std::unique_ptr<Snapshot>> older_;

  // Where the search for deletes stands: older_[older_at_] is walked beside snapshot_.
  size_t older_at_ = 0;
  bool walking_ = false;
  std::optional<std::string> present_;  // the next key of snapshot_

  bool reading_rows_ = false;
  std::string row_text_, row_key_;  // the row read ahead
  bool at_end_ = false;
};

}  // namespace everstate
