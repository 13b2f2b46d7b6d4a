#include "server/vm/faults.h"

#include <algorithm>
#include <utility>

namespace everstate::vm {

std::string_view Name(FaultReason reason) {
  switch (reason) {
    case FaultReason::kAccountDecode:
      return "an account's bytes do not fit its layout";
    case FaultReason::kInstructionDecode:
      return "an instruction's bytes do not fit its layout";
    case FaultReason::kArgumentsPadded:
      return "arguments ended early and were filled up with zeros";
    case FaultReason::kKeyNull:
      return "the key is null or empty";
    case FaultReason::kConditionType:
      return "a condition orders something that is no number";
    case FaultReason::kSumType:
      return "a sum of something that is no integer";
    case FaultReason::kSumSaturated:
      return "a sum beyond 128 bits";
    case FaultReason::kMaxMinType:
      return "a maximum or minimum of something that is no number";
    case FaultReason::kAppendType:
      return "an append to something that is no array";
    case FaultReason::kComputedType:
      return "a computed field divides by zero, overflows or mixes types";
    case FaultReason::kTransformNull:
      return "a transform of null";
    case FaultReason::kValueDepth:
      return "a value nested too deeply";
    case FaultReason::kEventDecode:
      return "an event's bytes do not fit its layout";
    case FaultReason::kWaitingExpired:
      return "an event waited too long for its key";
    case FaultReason::kWaitingFull:
      return "an event fell out because too many wait for their keys";
  }
  return "unknown";
}

Fault Faults::First(At at, FaultReason reason, Slot slot, std::string sample) const {
  Fault fault;
  if (at.entity >= 0) fault.entity = program_->entities[static_cast<size_t>(at.entity)].name;
  fault.handler = program_->names[at.handler];
  fault.reason = reason;
  fault.sample_slot = slot;
  fault.sample = std::move(sample);
  return fault;
}

std::vector<Fault> Faults::All() const {
  std::vector<std::pair<uint64_t, const Fault*>> sorted;
  for (const auto& [key, fault] : faults_) sorted.emplace_back(key, &fault);
  std::sort(sorted.begin(), sorted.end());
  std::vector<Fault> all;
  all.reserve(sorted.size());
  for (const auto& [key, fault] : sorted) all.push_back(*fault);
  return all;
}

}  // namespace everstate::vm
