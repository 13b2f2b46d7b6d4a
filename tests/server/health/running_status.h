// A made-up status of a server that runs, for tests.
#pragma once

#include <utility>

#include "server/health/status.h"

namespace everstate::testing {

// Of a line of which nothing is known yet.
inline ServerStatus RunningStatus() {
  ServerStatus status;
  LineStatus& line = status.line.emplace();
  line.stack_name = "Demo";
  line.stack_hash = "ab";
  line.schema =
      *RowSchema::Build({{"Thing", {{.path = "a"}}}}, {},
                        {{"Thing/list", 0, ViewMode::kList, ""}, {"Thing/top", 0, ViewMode::kList, "it is derived"}});
  line.deployment.inbox.name = "inbox";
  return status;
}

}  // namespace everstate::testing
