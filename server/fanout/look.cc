#include "server/fanout/look.h"

namespace everstate {
namespace {

constexpr size_t kHeaderMax = 10;       // a frame's header is written in front of its payload when the length is known
constexpr size_t kKeysPerChunk = 2000;  // compared at most before the reader turns to the next session

}  // namespace

// A row without any emitted field makes no live frame either: nobody hears of it.
bool Look::Shown(const Row& row) const { return (row.present() & views_->schema().entity(entity()).emitted).any(); }

void Look::Open() {
  snapshot_ = stores_.store->TakeSnapshot();
  for (const StoreRef& older : stores_.older) older_.push_back(older->TakeSnapshot());
}

absl::StatusOr<bool> Look::Has(Snapshot* snapshot, std::string_view key) const {
  if (key.empty()) return false;  // there is never a row under the empty key
  absl::StatusOr<RowRef> row = snapshot->Get(entity(), key);
  if (!row.ok()) return row.status();
  return *row != nullptr && Shown(**row);
}

absl::StatusOr<bool> Look::NextKey(Snapshot* snapshot, std::string* key) const {
  while (true) {
    std::string_view next;
    absl::StatusOr<RowRef> row = snapshot->Next(&next);
    if (!row.ok()) return row.status();
    if (*row == nullptr) return false;
    if (!Shown(**row)) continue;
    *key = next;
    return true;
  }
}

absl::StatusOr<bool> Look::Outdated(std::string_view key) {
  if (key_.has_value()) {
    absl::StatusOr<bool> present = Has(snapshot_.get(), key);
    if (!present.ok() || *present) return present.ok() ? false : present;
  } else {
    while (present_.has_value() && *present_ < key) {
      absl::StatusOr<bool> more = NextKey(snapshot_.get(), &*present_);
      if (!more.ok()) return more;
      if (!*more) present_.reset();
    }
    if (present_ == key) return false;
  }
  for (size_t i = 0; i < older_at_; ++i) {
    absl::StatusOr<bool> said = Has(older_[i].get(), key);
    if (!said.ok() || *said) return said.ok() ? false : said;
  }
  return true;
}

// Goes on with the walk through the older generations, until the chunk is full or all are at their ends.
absl::Status Look::FindDeletes(Chunk* chunk, std::string* frames) {
  std::string key;
  size_t compared = 0;
  while (older_at_ < older_.size()) {
    Snapshot* const older = older_[older_at_].get();
    absl::StatusOr<bool> found;
    if (key_.has_value()) {
      key = *key_;
      found = Has(older, key);
    } else {
      if (!walking_) {
        walking_ = true;
        older->Seek(entity(), "");
        snapshot_->Seek(entity(), "");
        absl::StatusOr<bool> any = NextKey(snapshot_.get(), &present_.emplace());
        if (!any.ok()) return any.status();
        if (!*any) present_.reset();
      }
      found = NextKey(older, &key);
    }
    if (!found.ok()) return found.status();
    if (*found) {
      absl::StatusOr<bool> outdated = Outdated(key);
      if (!outdated.ok()) return outdated.status();
      if (*outdated) {
        views_->view(view_).AppendDelete(key, frames);
        ++chunk->deletes;
      }
    }
    if (!*found || key_.has_value()) {
      ++older_at_;
      walking_ = false;
    }
    if (++compared >= kKeysPerChunk || chunk->deletes >= limits_.rows_next || frames->size() >= limits_.frame_bytes_max)
      break;
  }
  return absl::OkStatus();
}

absl::Status Look::ReadRow() {
  const EntitySchema& schema = views_->schema().entity(entity());
  row_text_.clear();
  while (true) {
    RowRef row;
    if (key_.has_value()) {
      // One row at most, and never one under the empty key.
      if (row_key_.empty() && !key_->empty()) {
        row_key_ = *key_;
        auto got = snapshot_->Get(entity(), *key_);
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
    if (!Shown(*row)) continue;
    row_text_ = "{\"key\":";
    AppendJsonString(row_key_, &row_text_);
    row_text_ += ",\"data\":";
    AppendEntityJson(views_->schema(), schema, *row, &row_text_);
    row_text_ += '}';
    return absl::OkStatus();
  }
}

absl::Status Look::TakeRows(Chunk* chunk, size_t rows_max) {
  const bool reset = !older_.empty();
  const std::string_view more = reset ? "],\"complete\":false,\"reset\":true}" : "],\"complete\":false}";
  const std::string_view end = reset ? "],\"complete\":true,\"reset\":true}" : "],\"complete\":true}";
  std::string bytes(kHeaderMax, '\0');
  bytes += views_->view(view_).snapshot_head;
  while (!at_end_ && chunk->rows < rows_max) {
    const size_t grown = bytes.size() + 1 + row_text_.size() + more.size();
    if (chunk->rows > 0 && grown > limits_.frame_bytes_max) break;
    if (chunk->rows > 0) bytes += ',';
    bytes += row_text_;
    ++chunk->rows;
    chunk->last_key = row_key_;
    if (absl::Status status = ReadRow(); !status.ok()) return status;
  }
  chunk->complete = at_end_;
  bytes += chunk->complete ? end : more;

  const size_t payload = bytes.size() - kHeaderMax;
  std::string header;
  AppendFrameHeader(kTextFrame, payload, &header);
  const size_t start = kHeaderMax - header.size();
  bytes.replace(start, header.size(), header);
  chunk->frame = Slice::Of(std::move(bytes), 1);
  chunk->frame.data += start;
  chunk->frame.size -= start;
  return absl::OkStatus();
}

Chunk Look::Next() {
  Chunk chunk;
  if (snapshot_ == nullptr) Open();
  chunk.number = snapshot_->watermark().number;
  if (older_at_ < older_.size()) {
    std::string frames;
    chunk.status = FindDeletes(&chunk, &frames);
    if (!chunk.status.ok()) return chunk;
    if (!frames.empty()) chunk.frame = Slice::Of(std::move(frames), static_cast<uint32_t>(chunk.deletes));
    if (older_at_ < older_.size() || chunk.deletes > 0) return chunk;
  }
  const bool first = !reading_rows_;
  if (first) {
    reading_rows_ = true;
    if (!key_.has_value()) snapshot_->Seek(entity(), "");
    chunk.status = ReadRow();
    if (!chunk.status.ok()) return chunk;
  }
  chunk.status = TakeRows(&chunk, first ? limits_.rows_first : limits_.rows_next);
  return chunk;
}

}  // namespace everstate
