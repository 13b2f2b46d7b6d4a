// LogFolder: what repeats becomes a count. Two records are alike when room, level and shape are the same; the shape of
// a text is the text with every word that holds a digit (slots, addresses, signatures) left out.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "server/base/log.h"

namespace everstate {

struct LogRecord {
  Room room = Room::kServer;
  LogLevel level = LogLevel::kInfo;
  std::string message = {};
  uint64_t more = 0;               // not 0: this stands for so many that are alike; `message` is the newest one's
  std::chrono::seconds window{0};  // in which they came
};

// "slot 17: 3 late" and "slot 18: 1 late" are both "slot #: # late".
std::string ShapeOf(std::string_view message);

// LogFolder: of records that are alike the first few of a window go out as they are, the rest are counted; the window's
// end brings the count and begins the next window, until one passes without any.
//   Thread:    one at a time.
//   Invariant: after CloseAll as many records came out as went in, a record with `more` counting that many times.
//              Memory is bounded: kShapesMax shapes are remembered; a new one then closes all of them.
class LogFolder {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kWindow{10};
  static constexpr unsigned kWholeMax = 5;
  static constexpr size_t kShapesMax = 256;

  // Appends what is to be written now, in order.
  void Add(LogRecord record, Time now, std::vector<LogRecord>* out);
  void Close(Time now, std::vector<LogRecord>* out);  // the windows that have ended
  void CloseAll(Time now, std::vector<LogRecord>* out);

 private:
  struct Fold {
    Time since;
    unsigned whole = 0;  // went out as they are in this window
    LogRecord newest;    // of those that did not; `more` counts them
  };

  static void Emit(Fold* fold, Time now, std::vector<LogRecord>* out);

  std::unordered_map<std::string, Fold> folds_;  // by level, room and shape
};

}  // namespace everstate
