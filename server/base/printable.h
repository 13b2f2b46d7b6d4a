// Text of somebody else for a terminal or a line of the log.
#pragma once

#include <string>
#include <string_view>

namespace everstate {

// The text with every control character as an escape, so that it stays on its line and steers no terminal: those of
// ASCII as "\n" or "\x1b", those of Unicode's C1 block (U+0080 to U+009F; U+009B alone begins what ESC [ begins) as
// "\u009b". Everything else stays as it is, also bytes that are no UTF-8.
std::string Printable(std::string_view text);

}  // namespace everstate
