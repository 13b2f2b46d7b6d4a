#include "server/ingest/recorder.h"

#include <algorithm>
#include <utility>

#include "server/ingest/wire.h"

namespace everstate::ingest {

absl::Status Recorder::Add(std::string message, std::chrono::steady_clock::time_point now) {
  const absl::StatusOr<WalkedMessage> walked = WalkMessage(message);
  if (!walked.ok()) return walked.status();
  using Kind = WalkedMessage::Kind;
  if (walked->kind == Kind::kUnknown || walked->kind == Kind::kPing || walked->kind == Kind::kPong)
    return absl::OkStatus();
  if (!begin_.has_value() && walked->kind == Kind::kSlot &&
      (walked->status.status == SlotStatus::kFirstShredReceived || walked->status.status == SlotStatus::kCreatedBank)) {
    begin_ = walked->slot;
  }
  if (!begin_.has_value() || walked->slot < *begin_) return absl::OkStatus();  // its beginning was not heard
  held_.push_back({walked->slot, message});
  std::vector<LedgerEvent> events;
  if (absl::Status status = ledger_.Add(std::move(message), now, &events); !status.ok()) return status;
  return Take(events);
}

absl::Status Recorder::Tick(std::chrono::steady_clock::time_point now) {
  std::vector<LedgerEvent> events;
  if (absl::Status status = ledger_.Tick(now, &events); !status.ok()) return status;
  return Take(events);
}

absl::Status Recorder::Take(const std::vector<LedgerEvent>& events) {
  for (const LedgerEvent& event : events) {
    if (const auto* gap = std::get_if<Gap>(&event)) gaps_.push_back(*gap);
    const auto* block = std::get_if<BlockRef>(&event);
    if (block == nullptr) continue;
    last_block_ = (*block)->id.slot;
    if (!first_block_.has_value()) first_block_ = last_block_;
    ++blocks_;
    unwritten_.push_back(*last_block_);
  }
  if (events.empty()) return absl::OkStatus();
  for (; !held_.empty() && last_block_.has_value() && held_.front().slot <= *last_block_; held_.pop_front())
    Write(held_.front());
  Flushed(file_.Flush());
  return written_;
}

void Recorder::Write(const Message& message) {
  if (written_.ok()) written_ = file_.Append(message.bytes);
}

void Recorder::Flushed(const absl::Status& status) {
  if (written_.ok()) written_ = status;
  if (written_.ok()) {
    const auto is_held = [this](Slot slot) { return std::ranges::find(held_, slot, &Message::slot) != held_.end(); };
    for (; !unwritten_.empty() && !is_held(unwritten_.front()); unwritten_.pop_front())
      last_written_ = unwritten_.front();
    return;
  }
  blocks_ -= unwritten_.size();
  unwritten_.clear();
  last_block_ = last_written_;
  if (!last_block_.has_value()) first_block_.reset();
  std::erase_if(gaps_, [this](const Gap& gap) { return !last_block_.has_value() || gap.to > *last_block_; });
}

void Recorder::Finish() {
  for (const Message& message : held_) {
    if (last_block_.has_value() && message.slot <= *last_block_) Write(message);
  }
  held_.clear();
  Flushed(file_.Close());
}

}  // namespace everstate::ingest
