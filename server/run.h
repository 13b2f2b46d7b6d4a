// Running a server: builds the rooms bottom-up, joins them, stops them top-down. No logic of its own.
#pragma once

#include <functional>

#include "server/config.h"
#include "server/server.h"

namespace everstate {

struct RunHooks {
  std::function<bool()> stopping;  // asked several times a second
  std::function<void(const Event&)> on_event;
};

// Runs a server until `stopping` answers true or until it cannot go on. Why it could not go on was logged.
//   Thread:    the caller's becomes the main thread, and both hooks are called on it; ingest, projector, lanes and
//              readers are started and joined inside.
Outcome RunServer(const Config& config, const RunHooks& hooks);

}  // namespace everstate
