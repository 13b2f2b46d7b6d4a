// Text for people, on stderr. Everything a program should read is a counter, a status or an exit code instead.
//
// Each record names the room that wrote it. A record whose level is off costs one load and one comparison. What repeats
// is folded (log_fold.h): nothing is lost, it is counted.
#pragma once

#include <fmt/core.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <string_view>
#include <utility>

namespace everstate {

enum class LogLevel : uint8_t { kTrace, kDebug, kInfo, kWarn, kError, kOff };
enum class LogFormat : uint8_t { kText, kJson };

// The rooms that write records, by the names of their folders.
enum class Room : uint8_t { kAdmin, kCli, kDeployment, kFanout, kHealth, kIngest, kProjector, kServer, kStorage };

inline constexpr std::array<std::string_view, 6> kLogLevelNames = {"trace", "debug", "info", "warn", "error", "off"};
inline constexpr std::array<std::string_view, 2> kLogFormatNames = {"text", "json"};
inline constexpr std::array<std::string_view, 9> kRoomNames = {"admin",  "cli",       "deployment", "fanout", "health",
                                                               "ingest", "projector", "server",     "storage"};

struct LogOptions {
  LogFormat format = LogFormat::kText;
  LogLevel level = LogLevel::kInfo;
  std::map<Room, LogLevel> levels = {};  // of rooms that have one of their own
};

// What is written from here on, and how: UTC, one line per record, whatever stands in it.
//   kText   2026-01-31T12:00:00.000Z info ingest: connected to …
//   kJson   {"time":"2026-01-31T12:00:00.000Z","level":"info","room":"ingest","message":"connected to …"}; a
//           record that stands for several has "more" (how many) and "window_s" (in how many
//           seconds).
// Any thread. Before the first call: text, info.
void InitLog(const LogOptions& options);

// Writes what was folded and whose time is up: to be called now and then by whoever waits, so that a count does not
// wait for the next record. At the end of the process all of it is written without being asked for. Any thread.
void TickLog();

namespace log_internal {

extern std::array<std::atomic<LogLevel>, kRoomNames.size()> levels;

void Write(Room room, LogLevel level, fmt::string_view text, fmt::format_args arguments);

template <class... Arguments>
void WriteIfOn(Room room, LogLevel level, fmt::format_string<Arguments...> text, Arguments&&... arguments) {
  if (level < levels[static_cast<size_t>(room)].load(std::memory_order_relaxed)) return;
  Write(room, level, text, fmt::make_format_args(arguments...));
}

}  // namespace log_internal

// LogInfo(Room::kIngest, "connected to {}", endpoint). Any thread; no secret may be among the arguments, at any level.
template <class... Arguments>
void LogTrace(Room room, fmt::format_string<Arguments...> text, Arguments&&... arguments) {
  log_internal::WriteIfOn(room, LogLevel::kTrace, text, std::forward<Arguments>(arguments)...);
}
template <class... Arguments>
void LogDebug(Room room, fmt::format_string<Arguments...> text, Arguments&&... arguments) {
  log_internal::WriteIfOn(room, LogLevel::kDebug, text, std::forward<Arguments>(arguments)...);
}
template <class... Arguments>
void LogInfo(Room room, fmt::format_string<Arguments...> text, Arguments&&... arguments) {
  log_internal::WriteIfOn(room, LogLevel::kInfo, text, std::forward<Arguments>(arguments)...);
}
template <class... Arguments>
void LogWarn(Room room, fmt::format_string<Arguments...> text, Arguments&&... arguments) {
  log_internal::WriteIfOn(room, LogLevel::kWarn, text, std::forward<Arguments>(arguments)...);
}
template <class... Arguments>
void LogError(Room room, fmt::format_string<Arguments...> text, Arguments&&... arguments) {
  log_internal::WriteIfOn(room, LogLevel::kError, text, std::forward<Arguments>(arguments)...);
}

}  // namespace everstate
