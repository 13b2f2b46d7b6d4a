#include "server/deployment/counted.h"

#include <algorithm>
#include <array>

#include "server/base/counters.h"

namespace everstate {
namespace {

template <typename S, size_t N>
void AddCounters(const std::array<Described<S>, N>& list, const S& more, S* to) {
  for (const Described<S>& counter : list) counter.Add(more, to);
}

}  // namespace

void Counted::Add(const Counted& more) {
  AddCounters(kProjectorStats, more.stats, &stats);
  AddCounters(vm::kMachineCounters, more.stats.machine, &stats.machine);
  AddCounters(kStateCacheStats, more.stats.cache, &stats.cache);
  for (const vm::Fault& fault : more.faults) {
    const auto same = std::ranges::find_if(faults, [&](const vm::Fault& f) {
      return f.entity == fault.entity && f.handler == fault.handler && f.reason == fault.reason;
    });
    if (same == faults.end()) {
      faults.push_back(fault);
    } else {
      same->count += fault.count;
    }
  }
}

}  // namespace everstate
