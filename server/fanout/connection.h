// Connection: an accepted socket until we know what it wants: a WebSocket (then it becomes a session) or one HTTP answer.
#pragma once

namespace everstate {

class Lane;

// Takes the socket over; on the lane's thread. It has handshake_timeout_ms for its request's head.
void StartConnection(Lane* lane, int socket);

}  // namespace everstate
