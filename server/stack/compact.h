// The text whose SHA-256 is a stack's content hash.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace everstate::stack {

// JSON text without the whitespace between its tokens and without the member `dropped` of its top level: keys in the
// order of the file, numbers as written, strings with the fewest escapes (RFC 8259 §7: only '"', '\\' and control
// characters; those with a short form use it, the others lower-case \u00xx). `text` must be valid JSON.
std::string CompactJson(std::string_view text, std::string_view dropped);

// The greatest number of arrays and objects within each other. For any bytes.
size_t JsonDepth(std::string_view text);

}  // namespace everstate::stack
