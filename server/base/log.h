// Text for people, on stderr. Everything a program should read is a counter, a status or an exit code instead.
#pragma once

#include <spdlog/spdlog.h>

#include <string_view>

namespace everstate {

// Sets up the default logger: stderr, UTC time stamps, one line per record. `level` is one of trace, debug, info, warn,
// error, off. False when it is none of them.
bool InitLog(std::string_view level);

}  // namespace everstate
