#include "server/base/log.h"

#include <fmt/format.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "server/base/last_words.h"
#include "server/base/log_fold.h"
#include "server/base/printable.h"

namespace everstate {
namespace {

constexpr char kTextPattern[] = "%Y-%m-%dT%H:%M:%S.%eZ %^%l%$ %n: %v";
// The message comes as the rest of the object, from its key on.
constexpr char kJsonPattern[] = R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","room":"%n",%v})";

// A record is one line, whatever a provider or a file put into it.
std::string TextOf(const LogRecord& record) {
  if (record.more == 0) return Printable(record.message);
  return fmt::format("{} (… {} more in {} s)", Printable(record.message), record.more, record.window.count());
}

std::string JsonOf(const LogRecord& record) {
  using Json = nlohmann::json;
  std::string rest = "\"message\":" + Json(record.message).dump(-1, ' ', false, Json::error_handler_t::replace);
  if (record.more > 0) rest += fmt::format(",\"more\":{},\"window_s\":{}", record.more, record.window.count());
  return rest;
}

// Log: the one of the process. It is never destroyed, because statics may write records on their way out.
//   Thread:    any.
class Log {
 public:
  static Log& Get() {
    static Log* const log = [] {
      auto* made = new Log;
      std::atexit([] { Get().Flush(); });
      return made;
    }();
    return *log;
  }

  void Configure(const LogOptions& options) {
    std::lock_guard lock(mutex_);
    format_ = options.format;
    sink_.set_formatter(std::make_unique<spdlog::pattern_formatter>(
        format_ == LogFormat::kJson ? kJsonPattern : kTextPattern, spdlog::pattern_time_type::utc));
    for (size_t room = 0; room < kRoomNames.size(); ++room) {
      const auto own = options.levels.find(static_cast<Room>(room));
      log_internal::levels[room] = own == options.levels.end() ? options.level : own->second;
    }
  }

  void Add(LogRecord record) {
    std::lock_guard lock(mutex_);
    folder_.Add(std::move(record), std::chrono::steady_clock::now(), &out_);
    WriteOut();
  }

  void Tick() {
    std::lock_guard lock(mutex_);
    folder_.Close(std::chrono::steady_clock::now(), &out_);
    WriteOut();
  }

  void Flush() {
    std::lock_guard lock(mutex_);
    folder_.CloseAll(std::chrono::steady_clock::now(), &out_);
    WriteOut();
  }

 private:
  Log() { Configure(LogOptions()); }

  void WriteOut() {
    for (const LogRecord& record : out_) {
      const std::string text = format_ == LogFormat::kJson ? JsonOf(record) : TextOf(record);
      const std::string_view room = kRoomNames[static_cast<size_t>(record.room)];
      sink_.log(spdlog::details::log_msg(spdlog::string_view_t(room.data(), room.size()),
                                         static_cast<spdlog::level::level_enum>(record.level), text));
    }
    if (!out_.empty()) sink_.flush();
    out_.clear();
  }

  std::mutex mutex_;  // guards all
  LogFormat format_ = LogFormat::kText;
  spdlog::sinks::stderr_color_sink_st sink_;
  LogFolder folder_;
  std::vector<LogRecord> out_;
};

static_assert(static_cast<int>(LogLevel::kTrace) == SPDLOG_LEVEL_TRACE);
static_assert(static_cast<int>(LogLevel::kError) == SPDLOG_LEVEL_ERROR);

}  // namespace

namespace log_internal {

std::array<std::atomic<LogLevel>, kRoomNames.size()> levels = {LogLevel::kInfo, LogLevel::kInfo, LogLevel::kInfo,
                                                               LogLevel::kInfo, LogLevel::kInfo, LogLevel::kInfo,
                                                               LogLevel::kInfo, LogLevel::kInfo, LogLevel::kInfo};

void Write(Room room, LogLevel level, fmt::string_view text, fmt::format_args arguments) {
  Log::Get().Add({.room = room, .level = level, .message = fmt::vformat(text, arguments)});
}

}  // namespace log_internal

void InitLog(const LogOptions& options) { Log::Get().Configure(options); }

void TickLog() { Log::Get().Tick(); }

void FlushLog() { Log::Get().Flush(); }

void LogErrorLines(Room room, std::string_view text) {
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    FlushLog();
    LogError(room, "{}", text.substr(begin, end - begin));
    begin = end + 1;
  }
}

}  // namespace everstate
