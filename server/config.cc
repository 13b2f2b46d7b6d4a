#include "server/config.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <limits>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace everstate {
namespace {

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

}  // namespace

absl::StatusOr<CheckpointSchedule> ParseCheckpointEvery(const std::string& text) {
  constexpr std::array<std::pair<std::string_view, uint64_t>, 4> kUnitSeconds = {{{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}}};
  constexpr uint64_t kSecondsMax = 366 * 86400;
  CheckpointSchedule schedule;
  if (text == "off") return schedule;
  const auto refuse = [&text](const char* why) {
    return absl::InvalidArgumentError(absl::StrCat("--checkpoint-every \"", text, "\" ", why));
  };
  const std::optional<Amount> amount = SplitAmount(text);
  if (!amount.has_value()) return refuse("is neither a time (90s, 10m, 6h, 1d), nor a number of slots (5000slots), nor off");
  if (amount->number == 0) return refuse("would never end: say off for no schedule");
  if (amount->unit == "slots") {
    schedule.every_slots = amount->number;
    return schedule;
  }
  for (const auto& [unit, seconds] : kUnitSeconds) {
    if (amount->unit != unit) continue;
    if (amount->number > kSecondsMax / seconds) return refuse("is more than a year");
    schedule.every = std::chrono::seconds(amount->number * seconds);
    return schedule;
  }
  return refuse("has no unit that is known here: s, m, h, d or slots");
}

absl::StatusOr<uint64_t> ParseBytes(const std::string& flag, const std::string& text) {
  constexpr std::array<std::pair<std::string_view, int>, 6> kUnitShift = {{{"", 0}, {"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}}};
  const std::optional<Amount> amount = SplitAmount(text);
  if (!amount.has_value()) return absl::InvalidArgumentError(absl::StrCat(flag, " \"", text, "\" is no number of bytes (8GiB, 512MiB, 0)"));
  for (const auto& [unit, shift] : kUnitShift) {
    if (amount->unit != unit) continue;
    if (amount->number > std::numeric_limits<uint64_t>::max() >> shift) return absl::InvalidArgumentError(absl::StrCat(flag, " \"", text, "\" is more than 2^64 bytes"));
    return amount->number << shift;
  }
  return absl::InvalidArgumentError(absl::StrCat(flag, " \"", text, "\" has no unit that is known here: B, KiB, MiB, GiB or TiB"));
}

absl::StatusOr<Commitment> ParseCommitment(const std::string& text) {
  if (text == "confirmed") return Commitment::kConfirmed;
  if (text == "finalized") return Commitment::kFinalized;
  if (text == "processed") {
    return absl::InvalidArgumentError(
        "--commitment processed is not supported: blocks at that level can be abandoned, and nothing here takes them back. Use confirmed or finalized");
  }
  return absl::InvalidArgumentError(absl::StrCat("--commitment \"", text, "\" is not one of confirmed, finalized"));
}

absl::StatusOr<std::string> ReadTokenFile(const std::string& file) {
  std::ifstream in(file);
  if (!in) return absl::InvalidArgumentError(absl::StrCat("--x-token-file ", file, ": cannot be read"));
  std::string token;
  std::getline(in, token);
  if (!token.empty() && token.back() == '\r') token.pop_back();
  if (token.empty()) return absl::InvalidArgumentError(absl::StrCat("--x-token-file ", file, ": its first line is empty"));
  return token;
}

}  // namespace everstate
