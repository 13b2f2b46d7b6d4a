#include "server/stack/compact.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace everstate::stack {
namespace {

// The string token that begins at text[at], quotes included; cut at the end of the text when it does not end.
std::string_view StringToken(std::string_view text, size_t at) {
  size_t end = at + 1;
  while (end < text.size() && text[end] != '"') end += text[end] == '\\' ? 2 : 1;
  return text.substr(at, std::min(end + 1, text.size()) - at);
}

std::string WithFewestEscapes(std::string_view token) {
  if (token.find('\\') == std::string_view::npos) return std::string(token);
  return nlohmann::json::parse(token).dump();
}

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

}  // namespace

std::string CompactJson(std::string_view text, std::string_view dropped) {
  std::string out;
  out.reserve(text.size());
  const std::string dropped_token = nlohmann::json(dropped).dump();
  size_t depth = 0;
  size_t member_start = 0;  // in `out`: where the present member of the top level began
  bool dropping = false;    // the present member of the top level is the one to leave out
  bool at_key = false;      // the next string is a key of the top level
  for (size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (IsSpace(c)) {
      ++at;
      continue;
    }
    if (c == '"') {
      std::string_view token = StringToken(text, at);
      std::string string = WithFewestEscapes(token);
      dropping |= at_key && string == dropped_token;
      at_key = false;
      out += string;
      at += token.size();
      continue;
    }
    const bool ends_member = depth == 1 && (c == ',' || c == '}');
    if (ends_member && dropping) {
      out.resize(member_start);
      dropping = false;
      // The comma that parted it from its neighbour goes as well: the one before it, or, when it was the first, the one
      // after.
      if (out.back() == ',')
        out.pop_back();
      else if (c == ',') {
        at_key = true;
        ++at;
        continue;
      }
    }
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
    out += c;
    ++at;
    if (depth == 1 && (c == '{' || c == ',')) {
      at_key = true;
      member_start = out.size();
    }
  }
  return out;
}

size_t JsonDepth(std::string_view text) {
  size_t depth = 0, most = 0;
  for (size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c == '"') {
      at += StringToken(text, at).size();
      continue;
    }
    if (c == '{' || c == '[') most = std::max(most, ++depth);
    if ((c == '}' || c == ']') && depth > 0) --depth;
    ++at;
  }
  return most;
}

}  // namespace everstate::stack
