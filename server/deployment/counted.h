// What projectors count, over the generations of one process. Inside this room only.
#pragma once

#include <vector>

#include "server/projector/projector.h"
#include "server/vm/projection.h"

namespace everstate {

// What the projectors of earlier generations counted goes on counting: the counters of a process only rise.
struct Counted {
  ProjectorStats stats;
  std::vector<vm::Fault> faults;

  void Add(const Counted& more);
};

}  // namespace everstate
