#include "server/idl/layout.h"

#include <cstring>
#include <iterator>

namespace everstate::idl {

std::string SnakeCase(std::string_view idl_name) {
  std::string out;
  for (const char c : idl_name) {
    if (c >= 'A' && c <= 'Z') {
      if (!out.empty()) out += '_';
      out += static_cast<char>(c - 'A' + 'a');
    } else {
      out += c;
    }
  }
  return out;
}

std::string PascalCase(std::string_view idl_name) {
  std::string out;
  bool upper = true;
  for (const char c : idl_name) {
    if (c == '_') {
      upper = true;
      continue;
    }
    out += upper && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    upper = false;
  }
  return out;
}

std::string TypeName(const std::vector<Type>& types, TypeId id) {
  static constexpr const char* kSimple[] = {"u8",   "u16",    "u32",    "u64",   "u128",   "i8",
                                            "i16",  "i32",    "i64",    "i128",  "f32",    "f64",
                                            "bool", "pubkey", "string", "bytes", "string", "bytes"};
  const Type& type = types[id];
  if (static_cast<size_t>(type.kind) < std::size(kSimple)) return kSimple[static_cast<size_t>(type.kind)];
  const auto element = [&] { return TypeName(types, type.element); };
  switch (type.kind) {
    case Kind::kByteArray:
      return "[u8; " + std::to_string(type.count) + "]";
    case Kind::kArray:
      return "[" + element() + "; " + std::to_string(type.count) + "]";
    case Kind::kVec:
      return "vec<" + element() + ">";
    case Kind::kOption:
    case Kind::kFixedOption:
      return "option<" + element() + ">";
    case Kind::kMap:
      return "map<" + element() + ", " + TypeName(types, type.map_value) + ">";
    case Kind::kTuple:
      return "tuple";
    case Kind::kEnum:
      return "enum";
    default:
      return "object";
  }
}

ShapeId ShapeTable::Intern(std::vector<std::string> sorted_keys) {
  const auto [it, inserted] = ids_.try_emplace(std::move(sorted_keys), static_cast<ShapeId>(shapes_.size()));
  if (inserted) shapes_.push_back({it->first});
  return it->second;
}

int Program::Match(const std::vector<Matcher>& matchers, std::span<const uint8_t> data) {
  for (const Matcher& matcher : matchers) {
    if (data.size() < matcher.length) continue;
    const absl::string_view bytes(reinterpret_cast<const char*>(data.data()), matcher.length);
    if (const auto it = matcher.by_bytes.find(bytes); it != matcher.by_bytes.end()) return it->second;
  }
  return -1;
}

int Program::MatchAccount(std::span<const uint8_t> data) const {
  if (const int index = Match(account_matchers_, data); index >= 0) return index;
  const auto it = account_by_length_.find(data.size());
  return it == account_by_length_.end() ? -1 : it->second;
}

int Program::MatchInstruction(std::span<const uint8_t> data) const { return Match(instruction_matchers_, data); }

int Program::MatchCpiEvent(std::span<const uint8_t> data) const {
  constexpr size_t kTagBytes = kCpiEventTag.size();
  if (data.size() < kTagBytes || std::memcmp(data.data(), kCpiEventTag.data(), kTagBytes) != 0) return -1;
  return Match(event_matchers_, data.subspan(kTagBytes));
}

EventMatch Program::FindCpiEvent(std::span<const uint8_t> data) const {
  const int event = MatchCpiEvent(data);
  if (event < 0) return {};
  return {event, static_cast<uint32_t>(kCpiEventTag.size() + events_[static_cast<size_t>(event)].discriminator.size())};
}

EventMatch Program::FindLogEvent(std::span<const uint8_t> data) const {
  const int event = Match(event_matchers_, data);
  if (event < 0) return {};
  return {event, static_cast<uint32_t>(events_[static_cast<size_t>(event)].discriminator.size())};
}

EventMatch Program::FindLoggedEvent(std::span<const uint8_t> data) const {
  if (log_instruction_ < 0 || MatchInstruction(data) != log_instruction_) return {};
  EventMatch match = FindLogEvent(data.subspan(1));
  if (match.event < 0) return {};
  const Type& body = types_[events_[static_cast<size_t>(match.event)].body];
  const bool own_field = body.kind == Kind::kStruct && !body.fields.empty() && body.fields[0].written == "disc";
  match.body_at = 1 + (own_field ? 0 : match.body_at);
  return data.size() - match.body_at < body.min_size ? EventMatch{} : match;
}

}  // namespace everstate::idl
