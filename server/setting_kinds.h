// The kinds of settings that most of the table consists of. Inside settings.cc only.
#pragma once

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/listen_address.h"
#include "server/settings.h"

namespace everstate {

template <class At>
using FieldOf = std::remove_reference_t<decltype(std::declval<At>()(std::declval<Config&>()))>;

inline absl::Status Refuse(const std::string& text, const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" ", why));
}

template <class Value, class At>
absl::Status Put(absl::StatusOr<Value> value, At at, Config* config) {
  if (!value.ok()) return value.status();
  at(*config) = *std::move(value);
  return absl::OkStatus();
}

template <class At>
Setting TextSetting(std::string_view name, std::string_view unit, At at, std::string_view help) {
  return {.name = name,
          .kind = SettingKind::kText,
          .unit = unit,
          .help = help,
          .parse =
              [at](const std::string& text, Config* config) {
                if (text.empty()) return absl::InvalidArgumentError("\"\" is empty");
                at(*config) = text;
                return absl::OkStatus();
              },
          .format = [at](const Config& config) { return at(config); }};
}

template <class At>
Setting AddressSetting(std::string_view name, At at, std::string_view help) {
  Setting setting = TextSetting(name, "ADDR:PORT", at, help);
  setting.parse = [at](const std::string& text, Config* config) {
    absl::Status status = ParseListenAddress(text).status();
    if (status.ok()) at(*config) = text;
    return status;
  };
  return setting;
}

template <class At>
Setting AddressOrOffSetting(std::string_view name, At at, std::string_view help) {
  Setting setting = TextSetting(name, "ADDR:PORT|off", at, help);
  setting.parse = [at](const std::string& text, Config* config) {
    const absl::Status status = text == "off" ? absl::OkStatus() : ParseListenAddress(text).status();
    if (!status.ok()) return absl::InvalidArgumentError(absl::StrCat(status.message(), "; off = none"));
    at(*config) = text;
    return absl::OkStatus();
  };
  return setting;
}

// The largest integer of TOML is an int64's.
inline constexpr uint64_t kNumberMax = std::numeric_limits<int64_t>::max();

template <class At>
Setting NumberSetting(std::string_view name, At at, uint64_t min, uint64_t max, std::string_view help) {
  static_assert(std::is_integral_v<FieldOf<At>>);
  max = std::min<uint64_t>({max, kNumberMax, uint64_t{std::numeric_limits<FieldOf<At>>::max()}});
  return {.name = name,
          .kind = SettingKind::kNumber,
          .unit = "N",
          .help = help,
          .parse =
              [=](const std::string& text, Config* config) {
                const auto value = ParseNumber(text, min, max);
                if (value.ok()) at(*config) = static_cast<FieldOf<At>>(*value);
                return value.status();
              },
          .format = [at](const Config& config) { return absl::StrCat(at(config)); }};
}

template <class At>
Setting BytesSetting(std::string_view name, At at, uint64_t min, uint64_t max, std::string_view help) {
  max = std::min<uint64_t>({max, kNumberMax, uint64_t{std::numeric_limits<FieldOf<At>>::max()}});
  return {.name = name,
          .kind = SettingKind::kBytes,
          .unit = "BYTES",
          .help = help,
          .parse =
              [=](const std::string& text, Config* config) {
                const auto value = ParseBytes(text);
                if (!value.ok()) return value.status();
                if (*value < min || *value > max) {
                  return Refuse(text,
                                absl::StrCat("does not lie between ", FormatBytes(min), " and ", FormatBytes(max)));
                }
                at(*config) = static_cast<FieldOf<At>>(*value);
                return absl::OkStatus();
              },
          .format = [at](const Config& config) { return FormatBytes(at(config)); }};
}

// Of rooms some count milliseconds in a uint32_t, some have a duration.
inline std::chrono::milliseconds TimeIn(uint32_t ms) { return std::chrono::milliseconds(ms); }
inline std::chrono::milliseconds TimeIn(std::chrono::milliseconds time) { return time; }
inline void PutTime(std::chrono::milliseconds time, uint32_t* ms) { *ms = static_cast<uint32_t>(time.count()); }
inline void PutTime(std::chrono::milliseconds time, std::chrono::milliseconds* at) { *at = time; }

// What the smallest of these types holds.
inline constexpr std::chrono::milliseconds kTimeMax = std::chrono::hours(24 * 49);

template <class At>
Setting TimeSetting(std::string_view name, At at, std::string_view help,
                    std::chrono::milliseconds min = std::chrono::milliseconds(1)) {
  return {.name = name,
          .kind = SettingKind::kTime,
          .unit = "TIME",
          .help = help,
          .parse =
              [at, min](const std::string& text, Config* config) {
                const auto value = ParseTime(text);
                if (!value.ok()) return value.status();
                if (*value < min || *value > kTimeMax) {
                  return Refuse(text,
                                absl::StrCat("does not lie between ", FormatTime(min), " and ", FormatTime(kTimeMax)));
                }
                PutTime(*value, &at(*config));
                return absl::OkStatus();
              },
          .format = [at](const Config& config) { return FormatTime(TimeIn(at(config))); }};
}

inline absl::StatusOr<bool> ParseSwitch(const std::string& text) {
  if (text == "true" || text == "1") return true;
  if (text == "false" || text == "0") return false;
  return Refuse(text, "is neither true nor false");
}

template <class At>
Setting SwitchSetting(std::string_view name, At at, std::string_view help) {
  return {.name = name,
          .kind = SettingKind::kSwitch,
          .unit = "",
          .help = help,
          .parse = [at](const std::string& text, Config* config) { return Put(ParseSwitch(text), at, config); },
          .format = [at](const Config& config) -> std::string { return at(config) ? "true" : "false"; }};
}

template <class At, size_t N>
Setting ChoiceSetting(std::string_view name, At at, const std::array<std::string_view, N>& names,
                      std::string_view help) {
  static const std::string unit =
      absl::StrJoin(names, "|", [](std::string* out, std::string_view n) { out->append(n); });
  return {.name = name,
          .kind = SettingKind::kText,
          .unit = unit,
          .help = help,
          .parse =
              [at, &names](const std::string& text, Config* config) {
                const auto found = std::ranges::find(names, text);
                if (found == names.end()) return Refuse(text, absl::StrCat("is not one of ", unit));
                at(*config) = static_cast<FieldOf<At>>(found - names.begin());
                return absl::OkStatus();
              },
          .format = [at, &names](const Config& config) { return std::string(names[static_cast<size_t>(at(config))]); }};
}

}  // namespace everstate
