// The console's state: what was heard of one server, and when. Everything in it is bounded.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "admin-gui/client/console_events.h"
#include "admin-gui/rates.h"

namespace everstate::console {

inline constexpr size_t kSamplesMax = 600;  // of a series: two and a half minutes at four a second; plots show two
inline constexpr size_t kSlotsMax = 240;
inline constexpr size_t kStreamStatesMax = 64;
inline constexpr size_t kNoticesMax = 50;
inline constexpr size_t kTailRowsMax = 5000;
inline constexpr size_t kTailBytesMax = 32u << 20;
inline constexpr std::chrono::seconds kRateSpan{2};    // rates are measured over this long, or over what there is
inline constexpr std::chrono::seconds kStaleAfter{2};  // a status comes four times a second

// A value over time; an absent value is a hole in the line.
struct Sample {
  Time at;
  std::optional<double> value;
};
class Series {
 public:
  void Add(Time at, std::optional<double> value);
  const std::deque<Sample>& samples() const { return samples_; }

 private:
  std::deque<Sample> samples_;
};

struct Link {
  enum class State { kConnecting, kUp, kLost };
  State state = State::kConnecting;
  Time since{};     // of the state; a lost server that is tried again stays lost until it answers
  std::string why;  // lost: what happened
  std::optional<Time> retry_at;
  uint64_t attempts = 0;  // since it was lost, or since the start
  uint64_t losses = 0;    // a server that answered and then did not
};

struct StreamState {
  Time since;
  std::string state;
};

struct TailRow {
  uint64_t id = 0;  // counts from 0, dense
  api::TailFrame frame;
};

// The newest frames of the bus: at most kTailRowsMax rows and about kTailBytesMax bytes.
class Tail {
 public:
  void Add(api::TailChunk chunk, Time at);

  const std::deque<TailRow>& rows() const { return rows_; }
  const TailRow* Find(uint64_t id) const;
  uint64_t first_id() const { return rows_.empty() ? next_id_ : rows_.front().id; }
  uint64_t next_id() const { return next_id_; }
  size_t bytes() const { return bytes_; }

  std::optional<Time> heard_at;      // the newest chunk
  uint64_t skipped_by_sampling = 0;  // as the server says
  uint64_t missed = 0;
  std::optional<bool> paused;  // what the server says it does
  std::string error;           // why there is no tail; empty while there is one

 private:
  std::deque<TailRow> rows_;
  uint64_t next_id_ = 0;
  size_t bytes_ = 0;
};

struct Notice {
  Time at;
  bool ok = true;
  std::string text;
};

// ConsoleModel
//   Thread:    one (the one that draws). Pure: no clock, no I/O; time comes with the events.
//   Invariant: what is not known is absent. The first status of another process (it started at another time, or its
//              uptime fell) begins rates, slots and stream states anew.
class ConsoleModel {
 public:
  void Apply(Event event);

  const Link& link() const { return link_; }
  const std::optional<api::Info>& info() const { return info_; }
  const std::optional<api::Status>& status() const { return status_; }
  std::optional<Time> info_at() const { return info_at_; }
  std::optional<Time> status_at() const { return status_at_; }
  // True when the values shown are no longer those of now: the server is lost, or it has been silent.
  bool stale(Time now) const {
    return link_.state != Link::State::kUp || !status_at_ || now - *status_at_ > kStaleAfter;
  }
  // Of another version than this console: in words. Empty: the same, or nothing heard yet.
  std::string version_remark() const;

  const Rates& rates() const { return rates_; }
  const Series& lag_slots() const { return lag_slots_; }
  const Series& updates_per_s() const { return updates_per_s_; }
  const Series& stream_bytes_per_s() const { return stream_bytes_per_s_; }
  const std::deque<api::SlotSeen>& slots() const { return slots_; }
  const std::deque<StreamState>& stream_states() const { return stream_states_; }

  Tail& tail() { return tail_; }
  const Tail& tail() const { return tail_; }

  const std::optional<api::Checkpoints>& checkpoints() const { return checkpoints_; }
  std::optional<Time> checkpoints_at() const { return checkpoints_at_; }
  const std::string& checkpoints_error() const { return checkpoints_error_; }
  bool under_way(const std::string& command) const { return commands_.contains(command); }
  const std::deque<Notice>& notices() const { return notices_; }

 private:
  void On(Time at, Connecting&& event);
  void On(Time at, Connected&& event);
  void On(Time at, Lost&& event);
  void On(Time at, StatusArrived&& event);
  void On(Time at, TailArrived&& event);
  void On(Time at, TailEnded&& event);
  void On(Time at, CheckpointsArrived&& event);
  void On(Time at, CheckpointsFailed&& event);
  void On(Time at, CommandStarted&& event);
  void On(Time at, CommandDone&& event);
  void TakeSlots(const api::Status& status);
  void TakeSamples(Time at, const api::Status& status);
  void Say(Time at, bool ok, std::string text);

  Link link_;
  std::optional<api::Info> info_;
  std::optional<api::Status> status_;
  std::optional<Time> info_at_, status_at_;
  bool another_process_ = false;     // answers; its first status has not come yet
  std::deque<api::Status> history_;  // as far back as rates need
  Rates rates_;
  Series lag_slots_, updates_per_s_, stream_bytes_per_s_;
  std::deque<api::SlotSeen> slots_;
  std::deque<StreamState> stream_states_;
  Tail tail_;
  std::optional<api::Checkpoints> checkpoints_;
  std::optional<Time> checkpoints_at_;
  std::string checkpoints_error_;
  std::set<std::string> commands_;
  std::deque<Notice> notices_;
};

}  // namespace everstate::console
