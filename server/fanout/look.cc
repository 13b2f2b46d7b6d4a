#include "server/fanout/look.h"

namespace everstate {
namespace {

constexpr size_t kHeaderMax = 10;  // a frame's header is written in front of its payload when the length is known

}  // namespace

absl::Status Look::ReadRow() {
  const EntityId id = views_->view(view_).def.entity;
  const EntitySchema& entity = views_->schema().entity(id);
  row_text_.clear();
  while (true) {
    RowRef row;
    if (key_.has_value()) {
      // One row at most, and never one under the empty key.
      if (row_key_.empty() && !key_->empty()) {
        row_key_ = *key_;
        auto got = snapshot_->Get(id, *key_);
        if (!got.ok()) return got.status();
        row = *std::move(got);
      }
    } else {
      std::string_view key;
      auto got = snapshot_->Next(&key);
      if (!got.ok()) return got.status();
      row = *std::move(got);
      if (row != nullptr) row_key_ = key;
    }
    if (row == nullptr) {
      at_end_ = true;
      return absl::OkStatus();
    }
    // A row without any emitted field makes no live frame either: nobody hears of it.
    if ((row->present() & entity.emitted).none()) {
      if (!key_.has_value()) continue;
      at_end_ = true;
      return absl::OkStatus();
    }
    row_text_ = "{\"key\":";
    AppendJsonString(row_key_, &row_text_);
    row_text_ += ",\"data\":";
    AppendEntityJson(views_->schema(), entity, *row, &row_text_);
    row_text_ += '}';
    return absl::OkStatus();
  }
}

Chunk Look::Next() {
  Chunk chunk;
  const ServedView& view = views_->view(view_);
  const bool first = snapshot_ == nullptr;
  if (first) {
    snapshot_ = views_->store().TakeSnapshot();
    if (!key_.has_value()) snapshot_->Seek(view.def.entity, "");
    chunk.status = ReadRow();
    if (!chunk.status.ok()) return chunk;
  }
  chunk.number = snapshot_->watermark().number;

  const size_t rows_max = first ? limits_.rows_first : limits_.rows_next;
  constexpr std::string_view kTailMax = "],\"complete\":false}";
  std::string bytes(kHeaderMax, '\0');
  bytes += view.snapshot_head;
  while (!at_end_ && chunk.rows < rows_max) {
    const size_t grown = bytes.size() + 1 + row_text_.size() + kTailMax.size();
    if (chunk.rows > 0 && grown > limits_.frame_bytes_max) break;
    if (chunk.rows > 0) bytes += ',';
    bytes += row_text_;
    ++chunk.rows;
    chunk.last_key = row_key_;
    chunk.status = ReadRow();
    if (!chunk.status.ok()) return chunk;
  }
  chunk.complete = at_end_;
  bytes += chunk.complete ? "],\"complete\":true}" : kTailMax;

  const size_t payload = bytes.size() - kHeaderMax;
  std::string header;
  AppendFrameHeader(kTextFrame, payload, &header);
  const size_t start = kHeaderMax - header.size();
  bytes.replace(start, header.size(), header);
  chunk.frame = Slice::Of(std::move(bytes), 1);
  chunk.frame.data += start;
  chunk.frame.size -= start;
  return chunk;
}

}  // namespace everstate
