// Look: one read of the store for one subscription, at one number, made in chunks as the client takes them.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "server/fanout/send_queue.h"
#include "server/fanout/views.h"
#include "storage/row.h"
#include "storage/snapshot.h"

namespace everstate {

struct LookLimits {
  size_t rows_first = 50, rows_next = 100;  // rows of the first and of later frames
  size_t frame_bytes_max = 512u << 10;      // a frame of several rows never grows beyond
};

// One snapshot frame.
struct Chunk {
  absl::Status status;
  Number number = 0;     // everything up to this batch is in the look
  Slice frame;
  size_t rows = 0;
  std::string last_key;  // of its last row; empty when it has none
  bool complete = false;
};

// Look
//   Thread:    a reader, one at a time. Also destroyed there, because that gives the store's snapshot back.
//   Invariant: all chunks show the store at the same number; rows come in key order.
class Look {
 public:
  // No key: all rows of the view's entity.
  Look(const ViewTable* views, uint32_t view, std::optional<std::string> key, const LookLimits& limits)
      : views_(views), view_(view), key_(std::move(key)), limits_(limits) {}

  Chunk Next();

 private:
  absl::Status ReadRow();  // fills row_text_ and row_key_, or sets at_end_

  const ViewTable* views_;
  const uint32_t view_;
  const std::optional<std::string> key_;
  const LookLimits limits_;
  std::unique_ptr<Snapshot> snapshot_;  // taken by the first Next
  std::string row_text_, row_key_;      // the row read ahead
  bool at_end_ = false;
};

}  // namespace everstate
