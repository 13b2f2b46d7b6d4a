#include "admin-gui/console_model.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace everstate::console {
namespace {

constexpr size_t kHistoryMax = 256;  // statuses; a server may send them faster than it was asked to
constexpr size_t kRowBytes = 200;    // what a row costs beside its texts, about
constexpr size_t kNoticeBytesMax = 4000;

template <typename T>
void PushBounded(std::deque<T>* ring, T item, size_t size_max) {
  ring->push_back(std::move(item));
  while (ring->size() > size_max) ring->pop_front();
}

size_t SizeOf(const api::TailFrame& frame) {
  return frame.view().size() + frame.key().size() + frame.op().size() + frame.json().size() + kRowBytes;
}

}  // namespace

void Series::Add(Time at, std::optional<double> value) { PushBounded(&samples_, Sample{at, value}, kSamplesMax); }

void Tail::Add(api::TailChunk chunk, Time at) {
  heard_at = at;
  skipped_by_sampling = chunk.skipped_by_sampling();
  missed = chunk.missed();
  paused = chunk.paused();
  error.clear();
  for (api::TailFrame& frame : *chunk.mutable_frames()) {
    bytes_ += SizeOf(frame);
    rows_.push_back({next_id_++, std::move(frame)});
  }
  while (rows_.size() > kTailRowsMax || (bytes_ > kTailBytesMax && !rows_.empty())) {
    bytes_ -= SizeOf(rows_.front().frame);
    rows_.pop_front();
  }
}

const TailRow* Tail::Find(uint64_t id) const {
  if (id < first_id() || id >= next_id_) return nullptr;
  return &rows_[id - first_id()];
}

void ConsoleModel::Apply(Event event) {
  std::visit([&](auto& what) { On(event.at, std::move(what)); }, event.what);
}

std::string ConsoleModel::version_remark() const {
  if (!info_)
    return link_.state == Link::State::kUp
               ? "the server does not say which interface it speaks; what both know is shown"
               : "";
  if (info_->interface_version() == kInterfaceVersion) return "";
  return absl::StrCat("the server speaks interface ", info_->interface_version(), ", this console ", kInterfaceVersion,
                      "; what both know is shown");
}

void ConsoleModel::On(Time at, Connecting&& event) {
  link_.attempts = event.attempt;
  link_.retry_at.reset();
  if (link_.since == Time{}) link_.since = at;
}

void ConsoleModel::On(Time at, Connected&& event) {
  link_ = {.state = Link::State::kUp, .since = at, .why = {}, .retry_at = {}, .attempts = 0, .losses = link_.losses};
  // Uptime alone does not tell: the new one may have run for longer than the old one had when it was last heard.
  another_process_ |= info_ && event.info && info_->started_at() != event.info->started_at();
  info_ = std::move(event.info);
  info_at_ = at;
}

void ConsoleModel::On(Time at, Lost&& event) {
  if (link_.state == Link::State::kUp) {
    ++link_.losses;
    Say(at, false, absl::StrCat("the server was lost: ", event.why));
  }
  if (link_.state != Link::State::kLost) link_.since = at;
  link_.state = Link::State::kLost;
  link_.why = std::move(event.why);
  link_.retry_at = event.retry_at;
  tail_.paused.reset();
  history_.clear();  // a rate over the time that was lost is none of now
  // A line that went on would claim that the values in between are known.
  for (Series* series : {&lag_slots_, &updates_per_s_, &stream_bytes_per_s_}) series->Add(at, std::nullopt);
}

void ConsoleModel::On(Time at, StatusArrived&& event) {
  api::Status& status = event.status;
  if (std::exchange(another_process_, false) || (status_ && status.uptime_us() < status_->uptime_us())) {
    Say(at, true, "the server was started again: rates begin anew");
    history_.clear();
    slots_.clear();
    stream_states_.clear();
  }
  PushBounded(&history_, status, kHistoryMax);
  const uint64_t span_us = std::chrono::microseconds(kRateSpan).count();
  while (history_.size() > 2 && history_[1].uptime_us() + span_us <= status.uptime_us()) history_.pop_front();
  rates_ = RatesBetween(history_.size() > 1 ? &history_.front() : nullptr, status);

  if (status.has_stream() && (stream_states_.empty() || stream_states_.back().state != status.stream().state())) {
    PushBounded(&stream_states_, StreamState{at, status.stream().state()}, kStreamStatesMax);
  }
  TakeSlots(status);
  TakeSamples(at, status);
  status_ = std::move(status);
  status_at_ = at;
}

void ConsoleModel::TakeSlots(const api::Status& status) {
  if (status.slots().empty()) return;
  // A rewind or another recording goes back: what was there before is no longer this server's past.
  if (!slots_.empty() && status.slots().rbegin()->slot() < slots_.back().slot()) slots_.clear();
  const uint64_t after = slots_.empty() ? 0 : slots_.back().slot();
  const bool all = slots_.empty();
  for (const api::SlotSeen& slot : status.slots()) {
    if (all || slot.slot() > after) PushBounded(&slots_, slot, kSlotsMax);
  }
}

void ConsoleModel::TakeSamples(Time at, const api::Status& status) {
  std::optional<double> lag_slots;
  if (status.store().has_lag_slots()) lag_slots = static_cast<double>(status.store().lag_slots());
  lag_slots_.Add(at, lag_slots);
  updates_per_s_.Add(at, rates_.updates_per_s);
  stream_bytes_per_s_.Add(at, rates_.bytes_per_s);
}

void ConsoleModel::On(Time at, TailArrived&& event) { tail_.Add(std::move(event.chunk), at); }

void ConsoleModel::On(Time, TailEnded&& event) {
  tail_.error = std::move(event.why);
  tail_.paused.reset();
}

void ConsoleModel::On(Time at, CheckpointsArrived&& event) {
  checkpoints_ = std::move(event.checkpoints);
  checkpoints_at_ = at;
  checkpoints_error_.clear();
}

void ConsoleModel::On(Time, CheckpointsFailed&& event) { checkpoints_error_ = std::move(event.why); }

void ConsoleModel::On(Time, CommandStarted&& event) { commands_.insert(std::move(event.command)); }

void ConsoleModel::On(Time at, CommandDone&& event) {
  commands_.erase(event.command);
  Say(at, event.ok, absl::StrCat(event.command, ": ", event.text));
}

void ConsoleModel::Say(Time at, bool ok, std::string text) {
  if (text.size() > kNoticeBytesMax) text.resize(kNoticeBytesMax);
  PushBounded(&notices_, Notice{at, ok, std::move(text)}, kNoticesMax);
}

}  // namespace everstate::console
