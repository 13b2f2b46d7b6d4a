// Executor: runs the handlers and hooks of one event after the other over the registers and the write set.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "server/vm/faults.h"
#include "server/vm/machine.h"
#include "server/vm/program.h"
#include "server/vm/projection.h"
#include "server/vm/waiting.h"
#include "server/vm/write_set.h"

namespace everstate::vm {

// One event as it came: all that its registers are filled from.
struct EventInput {
  std::span<const uint8_t> body;             // behind the discriminator
  const uint8_t* address = nullptr;          // of an account, 32 bytes
  std::span<const uint8_t* const> accounts;  // of an instruction, 32 bytes each, no more than the IDL names
};

// Executor
//   Thread: one.
//   Owns:   the registers, and the arena that their values may point into until the next event.
//   Errors: those of the StateView; everything else is a counted fault.
class Executor {
 public:
  Executor(const Program* program, const Settings& settings, WriteSet* write_set, Faults* faults,
           MachineCounters* counters);

  void Begin(const BlockId& block);
  // What the next events belong to; a null signature: no transaction.
  void BeginTransaction(const uint8_t* signature, std::optional<uint64_t> index);
  // From now on a mapping that waits for this `when` type writes for this account.
  void Allow(int16_t when, const uint8_t* account);
  // One event with all that follows from it, those that waited for what it makes known included.
  absl::Status Run(const EventCode& event, const EventInput& input);
  // After the last event of the block.
  absl::Status Seal() { return waiting_.Seal(); }

 private:
  const Value& At(Reg reg) const {
    return (reg & kConstantBit) != 0 ? program_->constants[reg & ~kConstantBit] : registers_[reg];
  }
  Value AtOrNull(Reg reg) const { return At(reg).absent() ? Value::Null() : At(reg); }

  // Filling the registers.
  void SetContext(Slot slot, std::optional<int64_t> block_time, const uint8_t* signature);
  bool Fill(const EventCode& event, const EventInput& input, bool first);
  bool Decode(const EventCode& event, const EventInput& input, bool first);
  void MakeObjects(const EventCode& event);

  // Units: handlers and hooks.
  absl::StatusOr<WriteSet::Side*> Side(SideKind kind, EntityId entity, uint16_t name, std::string_view id);
  absl::Status RunUnits();
  absl::Status RunHandler(uint16_t position);
  absl::Status WriteIndexes(const HandlerCode& handler, const WorkingEntity& entity);
  absl::Status RunHook(uint16_t position);
  absl::Status RunOps(const std::vector<Op>& ops, WorkingEntity* entity);
  absl::Status Register(const Registration& registration);

  // Keys that lead to entities, and what waits for them.
  bool StartOf(const Value& value);  // what a look-up begins with, into lookup_
  absl::StatusOr<WorkingEntity*> Lookup(EntityId entity);
  absl::StatusOr<WorkingEntity*> Existing(EntityId entity, std::string_view key);
  absl::Status Wait(EntityId entity, size_t unit);
  void BecameKnown(EntityId entity, std::string_view address);
  absl::Status Resume();
  absl::Status Resume(std::string_view address, const WaitingEvent& event);

  // Operations.
  absl::Status RunOp(const Op& op, WorkingEntity* entity);
  absl::StatusOr<bool> Passes(const Op& op, const WorkingEntity& entity);
  bool WhenHolds(int16_t when) const;
  bool Holds(const ConditionNode& condition, const Op& op, EntityId entity);
  void Apply(const Op& op, const Value& value, WorkingEntity* entity);
  absl::Status Unique(const Op& op, const Value& value, WorkingEntity* entity);
  Value MakeObject(const Build& build);
  void Add(const Op& op, const Value& amount, WorkingEntity* entity);
  void Count(const Op& op, FaultReason reason, EntityId entity);
  void CountNoKey(EntityId entity, const Value& key);

  const Program* program_;
  WriteSet* write_set_;
  Faults* faults_;
  MachineCounters* counters_;
  Waiting waiting_;

  // The block and the transaction at hand.
  Slot slot_ = 0;
  std::optional<int64_t> block_time_;
  const uint8_t* signature_ = nullptr;
  Cause cause_;
  using Key32 = std::array<uint8_t, 32>;
  std::vector<absl::flat_hash_set<Key32>> allowed_;  // by number of a `when` type

  // The event at hand.
  const EventCode* event_ = nullptr;
  EventInput input_;
  const WaitingEvent* resumed_ = nullptr;  // it waited, and this is where it comes from
  std::vector<Value> registers_;
  idl::Arena arena_;
  std::vector<WorkingEntity*> reached_;  // by handler of the event; null: none
  struct Known {
    EntityId entity;
    std::string address;
  };
  std::vector<Known> known_;  // what events may wait for, and became known since the last Resume

  // Kept for their buffers.
  SideKey side_key_;
  WaitingEvent waiting_event_, resumed_event_;
  std::string lookup_, payload_, data_, object_, encoded_;
};

}  // namespace everstate::vm
