// What is written when a process refuses to begin, or ends: apart from log.h, which every room includes.
#pragma once

#include <string_view>

#include "server/base/log.h"

namespace everstate {

// One record for each line of `text`, a fault each; before them what was folded so far. Faults are not folded, however
// alike they are: who mends one wants to see the others. Any thread.
void LogErrorLines(Room room, std::string_view text);

// Writes all that was folded so far, so that what is written next is the last that is read. Any thread.
void FlushLog();

}  // namespace everstate
