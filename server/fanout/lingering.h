// Lingering: the end of a connection. What is queued goes out, our side is closed, the peer's bytes are read and thrown
// away until its end comes (closing with unread bytes would make the kernel reset the connection and take our last
// frame with it).
#pragma once

#include "server/fanout/send_queue.h"
#include "server/fanout/state.h"
#include "server/fanout/threads.h"

namespace everstate {

class Lane;

// Takes the socket over; on the lane's thread. When the peer takes nothing for close_timeout_ms (slow_close_timeout_ms
// when it was slow: it is to read why it was closed when it comes back) it is closed: with a reset if something of ours
// is still queued here, else so that the kernel delivers what it has.
void StartLingering(Lane* lane, int socket, SendQueue queue, bool slow) EVERSTATE_ON_LANE;

// Closes a socket that no connection was made of, and counts it out.
void CloseAccepted(int socket, FanoutState* state);

}  // namespace everstate
