// Lingering: the end of a connection. What is queued goes out, our side is closed, the peer's bytes are read and thrown away
// until its end comes (closing with unread bytes would make the kernel reset the connection and take our last frame with it).
#pragma once

#include "server/fanout/send_queue.h"
#include "server/fanout/state.h"

namespace everstate {

class Lane;

// Takes the socket over; on the lane's thread. It is closed within close_timeout_ms, with a reset if the peer did not end.
void StartLingering(Lane* lane, int socket, SendQueue queue);

// Closes a socket that no connection was made of, and counts it out.
void CloseAccepted(int socket, FanoutState* state);

}  // namespace everstate
