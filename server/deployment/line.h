// Line: one generation with its projector. Inside this room only.
#pragma once

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "server/projector/projector.h"
#include "server/vm/projection.h"
#include "storage/entity_store.h"

namespace everstate {

// Line
//   Thread:    the projector's, except `store`, which never changes.
//   Invariant: batches are published only while it serves; the one being filled by a rewind does not.
struct Line {
  Line(const std::shared_ptr<const vm::Projection>& projection, std::shared_ptr<EntityStore> s, BatchSink publish)
      : store(std::move(s)), projector({}, projection, store.get(), [this, publish = std::move(publish)](const Applied& applied) {
          kProjectorThread.Assume();
          if (serving) publish(applied);
        }) {}
  Line(const Line&) = delete;

  // The block's parent is the last one applied, or the hole between them was recorded. True on an empty store.
  bool Follows(const BlockId& block) const EVERSTATE_ON_PROJECTOR {
    const Watermark at = store->watermark();
    return at.number == 0 || after_gap || (block.parent_slot == at.block.slot && block.parent_blockhash == at.block.blockhash);
  }
  absl::Status Project(const Block& block) EVERSTATE_ON_PROJECTOR {
    after_gap = false;
    return projector.Project(block);
  }
  absl::Status RecordGap(const Gap& gap) EVERSTATE_ON_PROJECTOR {
    after_gap = true;
    return projector.RecordGap(gap);
  }

  const std::shared_ptr<EntityStore> store;
  bool serving EVERSTATE_OF_PROJECTOR = false;
  bool after_gap EVERSTATE_OF_PROJECTOR = false;  // the last batch recorded a hole
  Projector projector;  // gone before the store: it has the writer
};

}  // namespace everstate
