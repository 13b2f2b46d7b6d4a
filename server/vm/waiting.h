// What waits: events whose key leads to no entity yet. They lie in side rows and are applied when their key becomes
// known.
//
// Side rows of kWaiting, numbers as varints:
//   entity E, name 0, id = address   the events that wait for this address in this entity, oldest slot first
//   entity 0, name 1, id empty       the book: oldest and newest slot that name 2 has, and the bytes of all that waits
//   entity 0, name 2, id = slot      (u64 big-endian) where events of this slot began to wait: (entity, length,
//   address)…
// An event: length of the rest, kind, IDL, layout, unit, slot, a byte of flags (1 block time, 2 signature, 4 address),
// then those that are there (8 little-endian, 64 and 32 bytes), number of accounts and 32 bytes each, number of `when`
// types that held and (IDL, layout) each, and the body to the end.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/vm/faults.h"
#include "server/vm/machine.h"
#include "server/vm/program.h"
#include "server/vm/projection.h"
#include "server/vm/write_set.h"

namespace everstate::vm {

// One event with all that running it later needs. It owns nothing but its lists.
struct WaitingEvent {
  EventId event;
  uint16_t unit = 0;  // which handler or hook of the event
  Slot slot = 0;
  std::optional<int64_t> block_time;
  const uint8_t* signature = nullptr;    // 64 bytes
  const uint8_t* address = nullptr;      // of an account, 32 bytes
  std::vector<const uint8_t*> accounts;  // of an instruction, 32 bytes each
  std::vector<EventId> when;             // the `when` types that held for the account
  std::span<const uint8_t> body;
};

// Waiting
//   Thread:    one.
//   Errors:    those of the StateView; DataLoss when a side row is none of the above.
//   Invariant: of an account only the newest write waits for one address in one unit; instructions and events all do.
class Waiting {
 public:
  Waiting(const Program* program, const Settings& settings, WriteSet* write_set, Faults* faults,
          MachineCounters* counters);

  void Begin(Slot slot);
  absl::Status Add(EntityId entity, std::string_view address, const WaitingEvent& event);
  // All that waits for this address, and from now on waits no more.
  absl::StatusOr<std::string> Take(EntityId entity, std::string_view address);
  // The next of those that Take gave; false at the end.
  static absl::StatusOr<bool> Next(std::string_view* events, WaitingEvent* event);
  // What is older or more than the settings allow falls out, the oldest first.
  absl::Status Seal();

 private:
  struct Book {
    uint64_t oldest = 1, newest = 0;  // none: oldest > newest
    uint64_t bytes = 0;
    bool operator==(const Book&) const = default;
  };
  absl::Status OpenBook();
  absl::StatusOr<WriteSet::Side*> Events(EntityId entity, std::string_view address);
  absl::StatusOr<WriteSet::Side*> Slots(Slot slot);
  absl::StatusOr<size_t> Insert(std::string_view before, const WaitingEvent& event);
  absl::Status NoteSlot(Slot slot, EntityId entity, std::string_view address);
  absl::Status DropSlot(Slot slot, bool expired);
  absl::Status DropEvents(EntityId entity, std::string_view address, Slot slot, bool expired);
  void Drop(EntityId entity, std::string_view address, const WaitingEvent& event, bool expired);

  const Program* program_;
  const Settings settings_;
  WriteSet* write_set_;
  Faults* faults_;
  MachineCounters* counters_;
  Slot slot_ = 0;
  std::optional<Book> book_, book_before_;  // of this block, once it was read
  SideKey key_;
  std::string encoded_, rest_;
  WaitingEvent other_;
};

}  // namespace everstate::vm
