#include "server/config.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <limits>
#include <system_error>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace everstate {
namespace {

constexpr std::array<std::pair<std::string_view, uint64_t>, 5> kTimeUnits = {
    {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}};
constexpr std::array<std::pair<std::string_view, int>, 5> kByteUnits = {
    {{"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}}};

struct Amount {
  uint64_t number = 0;
  std::string_view unit;  // what follows the digits
};

// Digits, then a unit; empty when it does not begin with a digit or the number needs more than 64 bits.
std::optional<Amount> SplitAmount(std::string_view text) {
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  Amount amount{0, text.substr(digits)};
  if (digits == 0 || !absl::SimpleAtoi(absl::string_view(text.data(), digits), &amount.number)) return std::nullopt;
  return amount;
}

absl::Status Refuse(const std::string& text, const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" ", why));
}

template <size_t N>
std::optional<size_t> Find(const std::array<std::string_view, N>& names, std::string_view name) {
  const auto found = std::ranges::find(names, name);
  if (found == names.end()) return std::nullopt;
  return static_cast<size_t>(found - names.begin());
}

template <size_t N>
std::string Listed(const std::array<std::string_view, N>& names) {
  return absl::StrJoin(names, ", ", [](std::string* out, std::string_view name) { out->append(name); });
}

}  // namespace

size_t SessionQueueBytesMin(const FanoutOptions& fanout) { return 2 * fanout.snapshot_frame_bytes_max; }

absl::StatusOr<std::chrono::milliseconds> ParseTime(const std::string& text) {
  const std::optional<Amount> amount = SplitAmount(text);
  if (!amount.has_value()) return Refuse(text, "is no time (500ms, 90s, 10m, 6h, 1d)");
  for (const auto& [unit, ms] : kTimeUnits) {
    if (amount->unit != unit) continue;
    if (amount->number > static_cast<uint64_t>(kSaidTimeMax.count()) / ms) return Refuse(text, "is more than a year");
    return std::chrono::milliseconds(amount->number * ms);
  }
  return Refuse(text, "has no unit that is known here: ms, s, m, h or d");
}

std::string FormatTime(std::chrono::milliseconds time) {
  const uint64_t ms = static_cast<uint64_t>(time.count());
  const auto unit =
      std::find_if(kTimeUnits.rbegin(), kTimeUnits.rend(), [ms](const auto& u) { return ms % u.second == 0; });
  return ms == 0 ? "0ms" : absl::StrCat(ms / unit->second, std::string(unit->first));
}

absl::StatusOr<CheckpointSchedule> ParseCheckpointEvery(const std::string& text) {
  CheckpointSchedule schedule;
  if (text == "off") return schedule;
  const std::optional<Amount> amount = SplitAmount(text);
  if (!amount.has_value())
    return Refuse(text, "is neither a time (90s, 10m, 6h, 1d), nor a number of slots (5000slots), nor off");
  if (amount->number == 0) return Refuse(text, "would never end: say off for no schedule");
  if (amount->unit == "slots") {
    schedule.every_slots = amount->number;
    return schedule;
  }
  const auto time = ParseTime(text);
  if (!time.ok())
    return absl::InvalidArgumentError(
        absl::StrCat(time.status().message(), "; slots (5000slots) and off can be said, too"));
  if (*time % std::chrono::seconds(1) != std::chrono::milliseconds(0))
    return Refuse(text, "is no whole number of seconds");
  schedule.every = std::chrono::duration_cast<std::chrono::seconds>(*time);
  return schedule;
}

std::string FormatCheckpointEvery(const CheckpointSchedule& schedule) {
  if (schedule.every_slots.has_value()) return absl::StrCat(*schedule.every_slots, "slots");
  return schedule.every.has_value() ? FormatTime(*schedule.every) : "off";
}

absl::StatusOr<uint64_t> ParseNumber(const std::string& text, uint64_t min, uint64_t max) {
  if (text.empty() || text.find_first_not_of("0123456789") != std::string::npos)
    return Refuse(text, "is no whole number");
  uint64_t value = 0;  // what 64 bits cannot hold is above every max
  if (!absl::SimpleAtoi(text, &value) || value < min || value > max)
    return Refuse(text, absl::StrCat("does not lie between ", min, " and ", max));
  return value;
}

absl::StatusOr<uint64_t> ParseBytes(const std::string& text) {
  const std::optional<Amount> amount = SplitAmount(text);
  if (!amount.has_value()) return Refuse(text, "is no number of bytes (8GiB, 512MiB, 0)");
  if (amount->unit.empty()) return amount->number;
  for (const auto& [unit, shift] : kByteUnits) {
    if (amount->unit != unit) continue;
    if (amount->number > std::numeric_limits<uint64_t>::max() >> shift) return Refuse(text, "is more than 2^64 bytes");
    return amount->number << shift;
  }
  return Refuse(text, "has no unit that is known here: B, KiB, MiB, GiB or TiB");
}

std::string FormatBytes(uint64_t bytes) {
  if (bytes == 0) return "0";
  const auto unit = std::find_if(kByteUnits.rbegin(), kByteUnits.rend(),
                                 [bytes](const auto& u) { return bytes % (uint64_t{1} << u.second) == 0; });
  return absl::StrCat(bytes >> unit->second, std::string(unit->first));
}

absl::StatusOr<Commitment> ParseCommitment(const std::string& text) {
  if (text == "confirmed") return Commitment::kConfirmed;
  if (text == "finalized") return Commitment::kFinalized;
  if (text == "processed") {
    return Refuse(text,
                  "is not supported: blocks at that level can be abandoned, and nothing here takes them back. Use "
                  "confirmed or finalized");
  }
  return Refuse(text, "is not one of confirmed, finalized");
}

absl::StatusOr<std::map<Room, LogLevel>> ParseLogLevels(const std::string& text) {
  std::map<Room, LogLevel> levels;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    const std::pair<std::string, std::string> pair = absl::StrSplit(part, absl::MaxSplits('=', 1));
    const auto room = Find(kRoomNames, pair.first);
    if (!room.has_value())
      return Refuse(std::string(part), absl::StrCat("is no ROOM=LEVEL; the rooms are ", Listed(kRoomNames)));
    const auto level = Find(kLogLevelNames, pair.second);
    if (!level.has_value())
      return Refuse(std::string(part), absl::StrCat("is no ROOM=LEVEL; the levels are ", Listed(kLogLevelNames)));
    if (!levels.emplace(static_cast<Room>(*room), static_cast<LogLevel>(*level)).second)
      return Refuse(text, absl::StrCat("says ", pair.first, " twice"));
  }
  return levels;
}

std::string FormatLogLevels(const std::map<Room, LogLevel>& levels) {
  return absl::StrJoin(levels, ",", [](std::string* out, const auto& level) {
    absl::StrAppend(out, std::string(kRoomNames[static_cast<size_t>(level.first)]), "=",
                    std::string(kLogLevelNames[static_cast<size_t>(level.second)]));
  });
}

absl::StatusOr<std::string> ReadTokenFile(const std::string& file) {
  errno = 0;
  std::ifstream in(file);
  std::string token;
  if (!std::getline(in, token) && !in.eof())  // of a folder only the reading fails
    return Refuse(file, absl::StrCat("cannot be read: ", std::generic_category().message(errno)));
  if (!token.empty() && token.back() == '\r') token.pop_back();
  if (token.empty()) return Refuse(file, "holds no token: its first line is empty");
  if (const absl::Status status = ingest::CheckToken(token); !status.ok())
    return Refuse(file, absl::StrCat("holds no token: its first line ", status.message()));
  return token;
}

}  // namespace everstate
