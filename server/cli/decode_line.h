// A line that decode prints, and the values in it.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "server/base/base58.h"
#include "storage/model.h"
#include "storage/row.h"

namespace everstate::cli {

inline std::string Quoted(std::string_view text) {
  std::string out;
  AppendJsonString(text, &out);
  return out;
}
// Only for base58, base64 and decimal text, which have nothing to escape.
inline std::string Plain(std::string_view text) { return fmt::format("\"{}\"", text); }
inline std::string Key(const uint8_t* bytes) { return Plain(EncodeBase58({bytes, 32})); }
inline std::string Base64(std::span<const uint8_t> bytes) {
  return Plain(absl::Base64Escape({reinterpret_cast<const char*>(bytes.data()), bytes.size()}));
}
inline std::string_view Flag(bool value) { return value ? "true" : "false"; }

// Line: members in any order, printed ascending by key. Thread: one.
class Line {
 public:
  Line(std::string_view kind, std::optional<Slot> slot) {
    Add("kind", Plain(kind));
    Add("slot", slot.has_value() ? Plain(std::to_string(*slot)) : "null");
  }
  void Add(std::string_view key, std::string json) { members_.emplace_back(key, std::move(json)); }
  void Print() {
    std::sort(members_.begin(), members_.end());
    std::string text;
    for (const auto& [key, json] : members_) text += fmt::format("{}\"{}\":{}", text.empty() ? '{' : ',', key, json);
    text += "}\n";
    std::fwrite(text.data(), 1, text.size(), stdout);
  }

 private:
  std::vector<std::pair<std::string_view, std::string>> members_;
};

}  // namespace everstate::cli
