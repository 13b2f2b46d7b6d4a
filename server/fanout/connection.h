// Connection: an accepted socket until we know what it wants: a WebSocket (then it becomes a session) or one HTTP
// answer.
#pragma once

#include "server/fanout/threads.h"

namespace everstate {

class Lane;

// Takes the socket over; on the lane's thread. It has handshake_timeout_ms for its request's head.
void StartConnection(Lane* lane, int socket) EVERSTATE_ON_LANE;

}  // namespace everstate
