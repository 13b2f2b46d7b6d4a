// The roles of fanout's threads, so that Clang rejects a call from the wrong one (server/base/thread_role.h). Which of
// the lanes a thread runs is not said: a session never leaves its lane, and nobody hands its parts to another.
#pragma once

#include "server/base/thread_role.h"

namespace everstate {

inline constexpr ThreadRole kLaneThread, kReaderThread;

}  // namespace everstate

#define EVERSTATE_ON_LANE EVERSTATE_REQUIRES(::everstate::kLaneThread)
#define EVERSTATE_OF_LANE EVERSTATE_GUARDED_BY(::everstate::kLaneThread)
#define EVERSTATE_ON_READER EVERSTATE_REQUIRES(::everstate::kReaderThread)
