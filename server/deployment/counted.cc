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

// All are of one stack; those that never projected have none.
void AddShares(const vm::MachineShares& more, vm::MachineShares* to) {
  to->programs.resize(std::max(to->programs.size(), more.programs.size()));
  to->mutations.resize(std::max(to->mutations.size(), more.mutations.size()));
  for (size_t i = 0; i < more.programs.size(); ++i) {
    to->programs[i].accounts_matched += more.programs[i].accounts_matched;
    to->programs[i].instructions_matched += more.programs[i].instructions_matched;
    to->programs[i].events_logged += more.programs[i].events_logged;
  }
  for (size_t i = 0; i < more.mutations.size(); ++i) to->mutations[i] += more.mutations[i];
}

}  // namespace

void Counted::Add(const Counted& more) {
  AddCounters(kProjectorStats, more.stats, &stats);
  AddCounters(vm::kMachineCounters, more.stats.machine, &stats.machine);
  AddCounters(kStateCacheStats, more.stats.cache, &stats.cache);
  AddShares(more.stats.shares, &stats.shares);
  stats.block_times.Add(more.stats.block_times);
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
