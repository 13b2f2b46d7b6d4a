// Publication: the frames of one batch, encoded once, on their way to all lanes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/base/counters.h"
#include "server/fanout/views.h"
#include "storage/model.h"

namespace everstate {

// Where one mutation's frame lies.
struct FrameRef {
  size_t key_offset = 0, key_size = 0;  // in Publication::keys
  size_t offset = 0, size = 0;          // in ViewFrames::bytes
  FrameOp op = FrameOp::kPatch;
};

// All frames of one view, back to back: a subscriber of the whole view queues them as one slice.
struct ViewFrames {
  uint32_t view = 0;
  std::string bytes;
  std::vector<FrameRef> frames;
};

// Publication
//   Thread:    immutable, any thread.
//   Invariant: at most one frame per (view, key).
struct Publication {
  Number number = 0;
  std::string keys;
  std::vector<ViewFrames> views;  // only those with frames

  size_t bytes() const;  // what it takes in memory, about
  std::string_view key(const FrameRef& frame) const {
    return std::string_view(keys).substr(frame.key_offset, frame.key_size);
  }
};

// Encodes the mutations for the views somebody listens to. Mutations that no subscriber has to hear of make no frame.
std::shared_ptr<const Publication> EncodePublication(const ViewTable& views, const Applied& applied,
                                                     Counter* frames_encoded);

}  // namespace everstate
