// What all parts of one Fanout share.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "server/fanout/fanout.h"
#include "server/fanout/readers.h"
#include "server/fanout/tap.h"
#include "server/fanout/views.h"

namespace everstate {

class Lane;

struct FanoutState {
  FanoutState(const FanoutOptions& the_options, HttpHandler the_http)
      : options(the_options),
        http(std::move(the_http)),
        taps(the_options.tap_batches_max, the_options.tap_bytes_max, &counters.tap_batches_dropped),
        readers(the_options.readers) {}

  const FanoutOptions options;
  const HttpHandler http;
  FanoutCounters counters;
  std::atomic<int64_t> connections{0};           // accepted sockets, sessions included
  std::atomic<size_t> sessions{0};               // upgraded or about to be; the gauge follows
  std::atomic<const ViewTable*> views{nullptr};  // null until a store is attached; then for ever
  std::unique_ptr<const ViewTable> views_owner;
  Taps taps;
  Readers readers;
  std::vector<std::unique_ptr<Lane>> lanes;
  // Of health_listen: no sessions, nothing is published to it; null when there is none
  std::unique_ptr<Lane> health_lane;
};

}  // namespace everstate
