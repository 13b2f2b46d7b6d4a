// Server: builds the rooms bottom-up, joins them, stops them top-down. No logic of its own.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "server/config.h"

namespace everstate {

// Runs a server until `stopping` becomes true (looked at several times a second; set by a signal handler) or until it cannot go
// on. Prints `listening ws://…`, `health http://…`, `admin ADDR:PORT` and `ready ws://… slot=…` on stdout; everything else goes to
// the log.
//   Thread:    the caller's becomes the main thread; ingest, projector, lanes and readers are started and joined inside.
//   Errors:    an exit code other than kOrderly; the reason was logged.
ExitCode RunServer(const Config& config, const std::function<bool()>& stopping);

}  // namespace everstate
