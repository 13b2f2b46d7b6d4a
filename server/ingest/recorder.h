// Recorder: puts a live feed into a recording, in the order in which it came, so that the file ends with a whole slot.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/ingest/ledger.h"
#include "server/ingest/recording.h"

namespace everstate::ingest {

// Recorder
//   Thread:    one.
//   Owns:      the recording, and the messages that are not in it yet: those that came behind the first one of a slot
//              that is not whole. They are bounded as the ledger bounds its open slots.
//   Errors:    those of the ledger (the feed) and of the file; both are final.
//   Invariant: the file begins with the first slot whose beginning was heard (FIRST_SHRED or CREATED_BANK). Of a slot
//              that may still become whole it holds statuses at most, and when Finish was called, nothing. It is
//              flushed after each whole slot: a process that dies leaves whole messages and perhaps one that is torn
//              off, which a RecordingReader names. When the file takes no more, it ends as the last flush left it, and
//              the blocks that are not in it whole are counted no longer.
class Recorder {
 public:
  Recorder(LedgerOptions options, RecordingWriter file)
      : ledger_(std::move(options), &counters_), file_(std::move(file)) {}

  // One SubscribeUpdate message; pings and what is no part of a slot are passed over.
  absl::Status Add(std::string message, std::chrono::steady_clock::time_point now);
  // Time passes: blocks that wait for a parent may go on without it.
  absl::Status Tick(std::chrono::steady_clock::time_point now);
  // The rest of the whole slots, and no more. written() says how that went.
  void Finish();

  uint64_t blocks() const { return blocks_; }                 // whole ones
  std::optional<Slot> first() const { return first_block_; }  // of them
  std::optional<Slot> last() const { return last_block_; }
  const std::vector<Gap>& gaps() const { return gaps_; }    // between them
  const absl::Status& written() const { return written_; }  // the first error of the file; nothing is written after it

 private:
  struct Message {
    Slot slot;
    std::string bytes;
  };
  absl::Status Take(const std::vector<LedgerEvent>& events);
  void Write(const Message& message);
  void Flushed(const absl::Status& status);

  LedgerCounters counters_;
  Ledger ledger_;  // knows which slots are whole
  RecordingWriter file_;
  std::deque<Message> held_;
  std::optional<Slot> begin_, first_block_, last_block_, last_written_;
  std::deque<Slot> unwritten_;  // blocks that are whole, and a message of them is not in the file yet
  uint64_t blocks_ = 0;
  absl::Status written_;
  std::vector<Gap> gaps_;
};

}  // namespace everstate::ingest
