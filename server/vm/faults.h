// Faults: what was skipped and why, counted by (entity, handler, reason) with one sample each.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "server/vm/machine.h"
#include "server/vm/program.h"

namespace everstate::vm {

// Faults
//   Thread: one.
class Faults {
 public:
  // Where an operation runs. entity -1: none was reached yet.
  struct At {
    int32_t entity = -1;
    uint16_t handler = 0;  // in Program::names
  };

  explicit Faults(const Program* program) : program_(program) {}

  // `sample` makes the text of the sample; it is called for the first fault of its kind only.
  template <typename MakeSample>
  void Count(At at, FaultReason reason, Slot slot, MakeSample sample) {
    const uint64_t key = static_cast<uint64_t>(static_cast<uint32_t>(at.entity + 1)) << 32 |
                         static_cast<uint64_t>(at.handler) << 8 | static_cast<uint64_t>(reason);
    auto [it, added] = faults_.try_emplace(key);
    if (added) it->second = First(at, reason, slot, sample());
    ++it->second.count;
  }

  std::vector<Fault> All() const;  // ordered by entity, handler, reason

 private:
  Fault First(At at, FaultReason reason, Slot slot, std::string sample) const;
  const Program* program_;
  absl::flat_hash_map<uint64_t, Fault> faults_;
};

}  // namespace everstate::vm
