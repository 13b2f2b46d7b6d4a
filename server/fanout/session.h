// The birth of a session: one WebSocket with its subscriptions, on one lane until it ends.
#pragma once

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <string>

#include "server/fanout/lane.h"
#include "server/fanout/sockets.h"

namespace everstate {

// Answers the upgrade request and goes on from there. The caller has counted the session in FanoutState::sessions.
void StartSession(Lane* lane, Socket socket, boost::beast::http::request<boost::beast::http::empty_body> request,
                  std::string leftover) EVERSTATE_ON_LANE;

}  // namespace everstate
