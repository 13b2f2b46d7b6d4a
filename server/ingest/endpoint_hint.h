// What a person can do when a provider does not serve: words behind its own.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "server/ingest/yellowstone.h"

namespace everstate::ingest {

// Against this end of a call, as the server or gRPC says it; begins with "; ", or is empty when nothing is known to
// help.
std::string HintFor(const absl::Status& status, const YellowstoneOptions& options);

// When no connection comes about; `text` is gRPC's.
std::string HintForNoConnection(const std::string& text, bool tls);

}  // namespace everstate::ingest
