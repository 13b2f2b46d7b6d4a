// --once: one look at a server for a script, without a display. Pure.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "admin-gui/client/probe.h"

namespace everstate::console {

// What `everstate-console --once` exits with.
enum class OnceExit { kHealthy = 0, kUnhealthy = 1, kUnreachable = 2, kUsage = 64 };

// Healthy: the server is ready and its stream is live, both in the second status.
bool Healthy(const Probe& probe);

std::string OnceText(const std::string& address, const Probe& probe);
// Keys with their units in their names; null is unknown.
std::string OnceJson(const std::string& address, const Probe& probe);

}  // namespace everstate::console
