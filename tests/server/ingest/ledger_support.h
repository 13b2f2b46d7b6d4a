// A ledger with a time of its own, and what its tests begin with.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "server/ingest/ledger.h"
#include "tests/support/geyser_builder.h"

namespace everstate::ingest {

inline BlockId IdOf(const testing::BlockSpec& spec) {
  return {spec.slot, testing::BlockhashOf(spec.slot, spec.fork), spec.parent,
          testing::BlockhashOf(spec.parent, spec.parent_fork), spec.time};
}

inline LedgerOptions After(const testing::BlockSpec& spec) {
  LedgerOptions options;
  options.position = IdOf(spec);
  return options;
}

inline LedgerOptions From(Slot slot) {
  LedgerOptions options;
  options.from_slot = slot;
  return options;
}

// A ledger with its own time; what comes out is kept as text: "block 5", "gap 5 9".
struct Rig {
  explicit Rig(LedgerOptions options = {}) : ledger(std::move(options), &counters) {}

  absl::Status Add(const std::string& message) {
    return Take([&](auto* out) { return ledger.Add(message, now, out); });
  }
  absl::Status Add(const geyser::SubscribeUpdate& update) { return Add(update.SerializeAsString()); }
  absl::Status AddAll(const std::vector<std::string>& messages) {
    for (const std::string& message : messages) {
      if (absl::Status status = Add(message); !status.ok()) return status;
    }
    return absl::OkStatus();
  }
  absl::Status Wait(std::chrono::milliseconds time) {
    now += time;
    return Take([&](auto* out) { return ledger.Tick(now, out); });
  }
  template <typename F>
  absl::Status Take(F call) {
    std::vector<LedgerEvent> out;
    absl::Status status = call(&out);
    for (const LedgerEvent& event : out) {
      if (const auto* gap = std::get_if<Gap>(&event)) {
        events.push_back("gap " + std::to_string(gap->from) + " " + std::to_string(gap->to));
      } else {
        blocks.push_back(std::get<BlockRef>(event));
        events.push_back("block " + std::to_string(blocks.back()->id.slot));
      }
    }
    return status;
  }

  LedgerCounters counters;
  Ledger ledger;
  std::chrono::steady_clock::time_point now{};
  std::vector<std::string> events;
  std::vector<BlockRef> blocks;
};

inline std::string TextOfOnly(const std::vector<std::string>& messages) {
  Rig rig(After({.slot = 9, .parent = 8}));
  EXPECT_TRUE(rig.AddAll(messages).ok());
  EXPECT_EQ(rig.blocks.size(), 1u);
  return rig.blocks.empty() ? "" : testing::TextOf(*rig.blocks.front());
}

}  // namespace everstate::ingest
