#include "admin-gui/format.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ctime>

namespace everstate::console {
namespace {

constexpr int kIndentMax = 40;  // deeper levels are not indented further

std::tm Local(int64_t unix_seconds) {
  const std::time_t time = unix_seconds;
  std::tm local{};
  localtime_r(&time, &local);
  return local;
}

}  // namespace

std::string Count(uint64_t count) {
  std::string text = std::to_string(count);
  for (int at = static_cast<int>(text.size()) - 3; at > 0; at -= 3) text.insert(static_cast<size_t>(at), ",");
  return text;
}

std::string Counted(uint64_t count, std::string_view one) {
  std::string text = Count(count);
  text.append(" ").append(one);
  if (count != 1) text.append("s");
  return text;
}

std::string Number(double number) {
  if (!std::isfinite(number)) return "?";
  const double size = std::fabs(number);
  if (size < 1e-9) return "0";
  if (size < 1e15 && size == std::floor(size)) return (number < 0 ? "-" : "") + Count(static_cast<uint64_t>(size));
  if (size < 9.995) return fmt::format("{:.2f}", number);
  if (size < 99.95) return fmt::format("{:.1f}", number);
  if (size < 1e15) return (number < 0 ? "-" : "") + Count(static_cast<uint64_t>(std::llround(size)));
  return fmt::format("{:.3g}", number);
}

std::string Bytes(double bytes) {
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  size_t unit = 0;
  while (bytes >= 999.5 && unit + 1 < std::size(kUnits)) {
    bytes /= 1000;
    ++unit;
  }
  if (unit == 0) return fmt::format("{:.0f} B", bytes);
  return fmt::format("{:.{}f} {}", bytes, bytes < 99.95 ? 1 : 0, kUnits[unit]);
}

std::string PerSecond(double rate) { return Number(rate) + " /s"; }
std::string BytesPerSecond(double rate) { return Bytes(rate) + "/s"; }
std::string Percent(double share) { return fmt::format("{:.{}f} %", share * 100, share < 0.0995 ? 1 : 0); }

std::string Seconds(double seconds) {
  if (!std::isfinite(seconds)) return "?";
  const bool negative = seconds < 0;
  seconds = std::fabs(seconds);
  std::string text;
  if (seconds < 9.95) {
    text = fmt::format("{:.1f} s", seconds);
  } else if (seconds < 119.5) {
    text = fmt::format("{:.0f} s", seconds);
  } else {
    const uint64_t whole = static_cast<uint64_t>(std::min(std::round(seconds), 9e15));
    if (whole < 7200) {
      text = fmt::format("{} min {} s", whole / 60, whole % 60);
    } else if (whole < 48 * 3600) {
      text = fmt::format("{} h {} min", whole / 3600, whole / 60 % 60);
    } else {
      text = fmt::format("{} d {} h", whole / 86400, whole / 3600 % 24);
    }
  }
  return negative ? "-" + text : text;
}

std::string Milliseconds(double milliseconds) { return Number(milliseconds) + " ms"; }

std::string DateAndTime(int64_t unix_seconds) {
  const std::tm local = Local(unix_seconds);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}", local.tm_year + 1900, local.tm_mon + 1, local.tm_mday,
                     local.tm_hour, local.tm_min, local.tm_sec);
}

std::string TimeOfDay(int64_t unix_milliseconds) {
  const std::tm local = Local(unix_milliseconds / 1000);
  return fmt::format("{:02}:{:02}:{:02}.{:03}", local.tm_hour, local.tm_min, local.tm_sec,
                     std::abs(unix_milliseconds % 1000));
}

uint64_t SlotsMissing(uint64_t from, uint64_t to) { return to > from ? to - from - 1 : 0; }

std::string GapSlots(uint64_t from, uint64_t to) {
  const uint64_t missing = SlotsMissing(from, to);
  if (missing == 1) return "slot " + std::to_string(from + 1);
  if (missing > 1) return "slots " + std::to_string(from + 1) + " to " + std::to_string(to - 1);
  return "between slots " + std::to_string(from) + " and " + std::to_string(to);
}

std::string Clip(std::string_view text, size_t chars_max) {
  std::string out;
  size_t chars = 0;
  size_t last_start = 0;  // where the last code point that was kept begins
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte & 0xC0) != 0x80) {
      if (chars == chars_max) {
        out.resize(last_start);
        return out + "…";
      }
      last_start = out.size();
      ++chars;
    } else if (chars == 0 || out.size() - last_start >= 4) {
      continue;  // a continuation byte that continues nothing
    }
    out.push_back(byte < 0x20 || byte == 0x7F ? ' ' : c);
  }
  return out;
}

std::string PrettyJson(std::string_view json) {
  std::string out;
  out.reserve(json.size() * 2);
  int depth = 0;
  bool in_string = false;
  auto new_line = [&] { out.append(1, '\n').append(static_cast<size_t>(std::clamp(depth, 0, kIndentMax)) * 2, ' '); };
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string) {
      out.push_back(c);
      if (c == '\\' && i + 1 < json.size()) {
        out.push_back(json[++i]);
      } else if (c == '"') {
        in_string = false;
      }
      continue;
    }
    switch (c) {
      case '"':
        in_string = true;
        out.push_back(c);
        break;
      case '{':
      case '[': {
        out.push_back(c);
        size_t next = i + 1;
        while (next < json.size() && std::isspace(static_cast<unsigned char>(json[next]))) ++next;
        if (next < json.size() && json[next] == (c == '{' ? '}' : ']')) {
          out.push_back(json[next]);
          i = next;
        } else {
          ++depth;
          new_line();
        }
        break;
      }
      case '}':
      case ']':
        --depth;
        new_line();
        out.push_back(c);
        break;
      case ',':
        out.push_back(c);
        new_line();
        break;
      case ':':
        out.append(": ");
        break;
      case ' ':
      case '\t':
      case '\r':
      case '\n':
        break;
      default:
        out.push_back(c);
    }
  }
  return out;
}

}  // namespace everstate::console
