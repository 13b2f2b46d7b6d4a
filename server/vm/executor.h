// Executor: runs the handlers and hooks of one event after the other over the registers and the write set.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "server/vm/faults.h"
#include "server/vm/program.h"
#include "server/vm/write_set.h"

namespace everstate::vm {

// Executor
//   Thread: one.
//   Owns:   the registers, and the arena that their values may point into until the next event.
//   Errors: those of the StateView; everything else is a counted fault.
class Executor {
 public:
  Executor(const Program* program, WriteSet* write_set, Faults* faults);

  void Begin(const BlockId& block);
  // What the next events belong to; a null signature: no transaction.
  void BeginTransaction(const uint8_t* signature, std::optional<uint64_t> index);
  // From now on a mapping that waits for this `when` type writes for this account.
  void Allow(int16_t when, const uint8_t* account);

  // One event: BeginEvent empties its registers, the caller fills the accounts (or the address), Decode fills the rest,
  // Run runs.
  Value* BeginEvent(const EventCode& event);
  idl::DecodeResult Decode(std::span<const uint8_t> body, bool pad_with_zeros);
  absl::Status Run();

 private:
  const Value& At(Reg reg) const {
    return (reg & kConstantBit) != 0 ? program_->constants[reg & ~kConstantBit] : registers_[reg];
  }
  Value AtOrNull(Reg reg) const { return At(reg).absent() ? Value::Null() : At(reg); }

  absl::StatusOr<WriteSet::Side*> Side(SideKind kind, EntityId entity, uint16_t name, std::string_view id);
  absl::Status RunHandler(const HandlerCode& handler, WorkingEntity** reached);
  absl::Status RunHook(const HookCode& hook);
  absl::StatusOr<WorkingEntity*> Lookup(EntityId entity, const Value& value);
  absl::StatusOr<WorkingEntity*> Existing(EntityId entity, std::string_view key);
  absl::Status RunOp(const Op& op, WorkingEntity* entity);
  absl::StatusOr<bool> Passes(const Op& op, const WorkingEntity& entity);
  bool Holds(const ConditionNode& condition, EntityId entity);
  void Apply(const Op& op, const Value& value, WorkingEntity* entity);
  absl::Status Unique(const Op& op, const Value& value, WorkingEntity* entity);
  Value MakeObject(const Build& build);
  void Add(const Op& op, const Value& amount, WorkingEntity* entity);
  void Count(const Op& op, FaultReason reason, EntityId entity);

  const Program* program_;
  WriteSet* write_set_;
  Faults* faults_;
  Slot slot_ = 0;
  Cause cause_;
  const EventCode* event_ = nullptr;
  std::vector<Value> registers_;
  idl::Arena arena_;
  std::vector<WorkingEntity*> reached_;  // by handler of the event; null: none
  using Key32 = std::array<uint8_t, 32>;
  std::vector<absl::flat_hash_set<Key32>> allowed_;  // by number of a `when` type
  // Kept for their buffers.
  SideKey side_key_;
  std::string payload_, data_, object_, encoded_;
};

}  // namespace everstate::vm
