#include "storage/model.h"

#include <charconv>

namespace everstate {
namespace {

// All of `text` as one u64 in decimal digits.
std::optional<uint64_t> ParseDigits(std::string_view text) {
  uint64_t v = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return v;
}

}  // namespace

std::string Cursor::ToSeq() const {
  constexpr size_t kIndexDigits = 12;
  const std::string digits = std::to_string(index);
  std::string seq = std::to_string(slot);
  seq.push_back(':');
  if (digits.size() < kIndexDigits) seq.append(kIndexDigits - digits.size(), '0');
  return seq += digits;
}

std::optional<Cursor> Cursor::FromSeq(std::string_view seq) {
  const size_t colon = seq.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto slot = ParseDigits(seq.substr(0, colon));
  const auto index = ParseDigits(seq.substr(colon + 1));
  if (!slot || !index) return std::nullopt;
  return Cursor{*slot, *index};
}

std::string UniqueMemberId(std::string_view entity_key, std::string_view member) {
  const uint32_t size = static_cast<uint32_t>(entity_key.size());
  std::string id;
  id.reserve(4 + entity_key.size() + member.size());
  for (int shift = 24; shift >= 0; shift -= 8) id.push_back(static_cast<char>(size >> shift & 0xff));
  id.append(entity_key);
  id.append(member);
  return id;
}

std::string_view ViewModeName(ViewMode mode) {
  switch (mode) {
    case ViewMode::kList:
      return "list";
    case ViewMode::kState:
      return "state";
    case ViewMode::kAppend:
      return "append";
  }
  return "";
}

}  // namespace everstate
