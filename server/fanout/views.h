// The views that fanout serves, as frames need them: ready-made text, and how many sessions listen.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/base/counters.h"
#include "storage/model.h"
#include "storage/row_schema.h"

namespace everstate {

// What a live frame does: kUpsert carries the whole entity, where a patch could not say what is gone.
enum class FrameOp : uint8_t { kPatch, kUpsert, kDelete };
std::string_view FrameOpName(FrameOp op);  // as on the wire

struct ServedView {
  explicit ServedView(const ViewDef& view);
  // The whole frame of a delete that no mutation made: the shape of a live one, without "seq".
  void AppendDelete(std::string_view key, std::string* out) const;

  const std::string& head(FrameOp op) const { return live_heads[static_cast<size_t>(op)]; }

  ViewDef def;
  // The wire shapes up to where they differ. Key order is the reference's: mode, entity, op, key, data, append, seq.
  std::array<std::string, 3> live_heads;  // per FrameOp: {"mode":M,"entity":V,"op":O,
  std::string snapshot_head;              // {"mode":M,"entity":V,"op":"snapshot","data":[
  std::string subscribed;                 // the whole frame; lists are sorted by "_seq", newest first

  // Subscriptions that have joined, on all lanes, and taps. Joining adds with acquire-release; Publish reads with a
  // read-modify-write of the same variable. See the README, "Join, look, drop".
  mutable std::atomic<uint32_t> listeners{0};
  mutable Counter frames, bytes;  // live ones that were encoded, WebSocket headers included
};

// ViewTable
//   Thread:    immutable (but for the counts), any thread.
//   Owns:      a copy of the schema: it outlives every store that is served by it.
class ViewTable {
 public:
  explicit ViewTable(const RowSchema& schema);

  const RowSchema& schema() const { return schema_; }
  const ServedView& view(uint32_t index) const { return views_[index]; }
  size_t size() const { return views_.size(); }
  std::optional<uint32_t> Find(std::string_view id) const;
  // Those that can be served
  const std::vector<uint32_t>& of_entity(EntityId entity) const { return by_entity_[entity]; }

 private:
  const RowSchema schema_;
  std::deque<ServedView> views_;  // position = that in RowSchema::views()
  std::vector<std::vector<uint32_t>> by_entity_;
};

}  // namespace everstate
