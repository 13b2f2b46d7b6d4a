// Line: one generation with its projector. Inside this room only.
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "server/projector/projector.h"
#include "server/vm/projection.h"
#include "storage/entity_store.h"

namespace everstate {

// Line
//   Thread:    the projector's, except `store`, which never changes.
//   Invariant: batches are published only while it serves; the one being filled by a rewind does not.
struct Line {
  Line(const ProjectorOptions& options, const std::shared_ptr<const vm::Projection>& projection,
       std::shared_ptr<EntityStore> s, BatchSink publish)
      : store(std::move(s)),
        projector(options, projection, store.get(), [this, publish = std::move(publish)](const Applied& applied) {
          kProjectorThread.Assume();
          if (serving) publish(applied);
        }) {}
  Line(const Line&) = delete;

  // The block's parent is the last one applied, or the hole between them was recorded. True on an empty store.
  bool Follows(const BlockId& block) const EVERSTATE_ON_PROJECTOR {
    const Watermark at = store->watermark();
    if (at.number == 0 || (block.parent_slot == at.block.slot && block.parent_blockhash == at.block.blockhash))
      return true;
    const std::optional<Gap> gap = GapBehind(at.block.slot);
    return gap.has_value() && block.slot >= gap->to;
  }
  absl::Status Project(const Block& block) EVERSTATE_ON_PROJECTOR { return projector.Project(block); }
  // Once: a process may have ended between a hole and the block behind it, and the stream tells of the hole again.
  absl::Status RecordGap(const Gap& gap) EVERSTATE_ON_PROJECTOR {
    const std::optional<Gap> known = GapBehind(gap.from);
    if (known.has_value() && known->to == gap.to) return absl::OkStatus();
    return projector.RecordGap(gap);
  }

  const std::shared_ptr<EntityStore> store;
  bool serving EVERSTATE_OF_PROJECTOR = false;
  Projector projector;  // gone before the store: it has the writer

 private:
  // The hole that was recorded last, when it begins at this slot.
  std::optional<Gap> GapBehind(Slot slot) const {
    const std::vector<Gap> gaps = store->gaps();
    return !gaps.empty() && gaps.back().from == slot ? std::optional(gaps.back()) : std::nullopt;
  }
};

}  // namespace everstate
