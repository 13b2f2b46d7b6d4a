#include "server/vm/executor.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "server/vm/key_text.h"

namespace everstate::vm {
namespace {

constexpr int kPdaHopsMax = 5;  // as the reference follows a chain

std::array<uint8_t, 32> KeyOf(const uint8_t* bytes) {
  std::array<uint8_t, 32> key;
  std::memcpy(key.data(), bytes, key.size());
  return key;
}

bool Ordered(stack::Comparison op, int order) {
  switch (op) {
    case stack::Comparison::kGreaterThan:
      return order > 0;
    case stack::Comparison::kGreaterThanOrEqual:
      return order >= 0;
    case stack::Comparison::kLessThan:
      return order < 0;
    default:
      return order <= 0;
  }
}

}  // namespace

Executor::Executor(const Program* program, WriteSet* write_set, Faults* faults)
    : program_(program),
      write_set_(write_set),
      faults_(faults),
      registers_(program->registers_end),
      allowed_(program->when_count) {}

void Executor::Begin(const BlockId& block) {
  slot_ = block.slot;
  registers_[kRegSlot] = Value::Uint(block.slot);
  registers_[kRegTimestamp] = block.block_time ? Value::Int(*block.block_time) : Value::Null();
  for (auto& accounts : allowed_) accounts.clear();
}

void Executor::BeginTransaction(const uint8_t* signature, std::optional<uint64_t> index) {
  registers_[kRegSignature] = signature != nullptr ? Value::Sig64(signature) : Value();
  cause_.signature.reset();
  if (signature != nullptr) std::memcpy(cause_.signature.emplace().data(), signature, sizeof(Signature));
  cause_.transaction_index = index;
}

void Executor::Allow(int16_t when, const uint8_t* account) {
  allowed_[static_cast<size_t>(when)].insert(KeyOf(account));
}

Value* Executor::BeginEvent(const EventCode& event) {
  event_ = &event;
  arena_.Clear();
  std::fill(registers_.begin() + kRegAddress, registers_.begin() + event.registers_end, Value());
  return registers_.data();
}

idl::DecodeResult Executor::Decode(std::span<const uint8_t> body, bool pad_with_zeros) {
  if (!event_->plan) return {};
  return event_->plan->Run(body, pad_with_zeros, &arena_, registers_.data());
}

absl::Status Executor::Run() {
  for (const EventCode::ObjectLoad& load : event_->objects) {
    payload_.clear();
    for (Reg member : load.members) AppendValue(At(member), &payload_);
    object_.clear();
    AppendObject(load.shape, payload_, &object_);
    const std::string_view kept = arena_.Copy(object_);
    Value& value = registers_[load.reg];
    value.tag = ValueTag::kObject;
    value.data = reinterpret_cast<const uint8_t*>(kept.data());
    value.size = static_cast<uint32_t>(kept.size());
  }
  for (const EventCode::DefaultLoad& load : event_->defaults)
    registers_[load.reg] = At(At(load.source).absent() ? load.constant : load.source);

  reached_.assign(event_->handlers.size(), nullptr);
  for (size_t i = 0; i < event_->handlers.size(); ++i) {
    if (absl::Status status = RunHandler(event_->handlers[i], &reached_[i]); !status.ok()) return status;
  }
  for (const HookCode& hook : event_->hooks) {
    if (absl::Status status = RunHook(hook); !status.ok()) return status;
  }
  return absl::OkStatus();
}

void Executor::Count(const Op& op, FaultReason reason, EntityId entity) {
  faults_->Count({entity, event_->name}, reason, slot_,
                 [&] { return write_set_->schema().entity(entity).fields[op.field].path; });
}

absl::StatusOr<WriteSet::Side*> Executor::Side(SideKind kind, EntityId entity, uint16_t name, std::string_view id) {
  side_key_.kind = kind;
  side_key_.entity = entity;
  side_key_.name = name;
  side_key_.id.assign(id);
  return write_set_->GetSide(side_key_);
}

absl::Status Executor::RunHandler(const HandlerCode& handler, WorkingEntity** reached) {
  const Value& key = At(handler.key);
  WorkingEntity* entity = nullptr;
  if (!key.null_or_absent()) {
    auto found = write_set_->Get(handler.entity, key);
    if (!found.ok()) return found.status();
    entity = *found;
  }
  if (entity == nullptr) {
    faults_->Count({handler.entity, event_->name}, FaultReason::kKeyNull, slot_, [&] {
      std::string address;
      if (!registers_[kRegAddress].absent()) AppendKeyText(write_set_->schema(), registers_[kRegAddress], &address);
      return address;
    });
    return absl::OkStatus();
  }
  write_set_->Reach(entity, cause_);
  *reached = entity;
  for (const IndexWrite& index : handler.indexes) {
    const Value& value = At(index.value);
    if (value.null_or_absent()) continue;
    encoded_.clear();
    AppendKeyText(write_set_->schema(), value, &encoded_);
    auto side = Side(SideKind::kLookupIndex, handler.entity, index.index, encoded_);
    if (!side.ok()) return side.status();
    (*side)->now = entity->key;
  }
  for (const Op& op : handler.ops) {
    if (absl::Status status = RunOp(op, entity); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Executor::RunHook(const HookCode& hook) {
  WorkingEntity* entity = nullptr;
  if (hook.lookup == kNoReg) {
    entity = reached_[hook.handler];
  } else {
    auto found = Lookup(hook.entity, At(hook.lookup));
    if (!found.ok()) return found.status();
    entity = *found;
  }
  if (entity == nullptr) {
    faults_->Count({hook.entity, event_->name}, FaultReason::kUnresolvedLookup, slot_, [&] {
      std::string text;
      if (hook.lookup != kNoReg && !At(hook.lookup).null_or_absent())
        AppendKeyText(write_set_->schema(), At(hook.lookup), &text);
      return text;
    });
    return absl::OkStatus();
  }
  write_set_->Reach(entity, cause_);
  for (const Op& op : hook.ops) {
    if (absl::Status status = RunOp(op, entity); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<WorkingEntity*> Executor::Existing(EntityId entity, std::string_view key) {
  auto found = write_set_->Get(entity, key);
  if (!found.ok() || *found == nullptr || (*found)->Exists()) return found;
  return nullptr;
}

// A key of this entity, else what its lookup indexes know, else what the address is said to lead to, and so on from
// there.
absl::StatusOr<WorkingEntity*> Executor::Lookup(EntityId entity, const Value& value) {
  if (value.null_or_absent()) return nullptr;
  std::string text;
  AppendKeyText(write_set_->schema(), value, &text);
  for (int hop = 0; hop <= kPdaHopsMax; ++hop) {
    auto existing = Existing(entity, text);
    if (!existing.ok() || *existing != nullptr) return existing;
    for (uint16_t index = 0; index < program_->entities[entity].index_count; ++index) {
      auto side = Side(SideKind::kLookupIndex, entity, index, text);
      if (!side.ok()) return side.status();
      if ((*side)->now) return write_set_->Get(entity, std::string_view(*(*side)->now));
    }
    auto pda = Side(SideKind::kPda, 0, 0, text);
    if (!pda.ok()) return pda.status();
    if (!(*pda)->now) return nullptr;
    text = *(*pda)->now;
  }
  return nullptr;
}

bool Executor::Holds(const ConditionNode& condition, EntityId entity) {
  if (condition.kind != ConditionNode::Kind::kCompare) {
    const bool all = condition.kind == ConditionNode::Kind::kAll;
    for (uint16_t child : condition.children) {
      if (Holds(program_->conditions[child], entity) != all) return !all;
    }
    return all;
  }
  const Value left = AtOrNull(condition.left), right = At(condition.right);
  if (condition.op == stack::Comparison::kEqual) return ValuesEqual(left, right);
  if (condition.op == stack::Comparison::kNotEqual) return !ValuesEqual(left, right);
  const auto order = CompareNumbers(left, right);
  if (order) return Ordered(condition.op, *order);
  faults_->Count({entity, event_->name}, FaultReason::kConditionType, slot_, [] { return std::string(); });
  return false;
}

absl::StatusOr<bool> Executor::Passes(const Op& op, const WorkingEntity& entity) {
  if (op.condition >= 0 && !Holds(program_->conditions[static_cast<size_t>(op.condition)], entity.entity)) return false;
  if (op.when >= 0 && !allowed_[static_cast<size_t>(op.when)].contains(KeyOf(registers_[kRegAddress].data)))
    return false;
  if (op.stoppable) {
    auto side = Side(SideKind::kStopFlag, entity.entity, op.field, entity.key);
    if (!side.ok()) return side.status();
    return !(*side)->before.has_value();  // a flag counts from the block after the one that set it
  }
  return true;
}

absl::Status Executor::RunOp(const Op& op, WorkingEntity* entity) {
  if (op.condition >= 0 || op.when >= 0 || op.stoppable) {
    auto passes = Passes(op, *entity);
    if (!passes.ok()) return passes.status();
    if (!*passes) return absl::OkStatus();
  }
  const Value value = op.build >= 0         ? MakeObject(program_->builds[static_cast<size_t>(op.build)])
                      : op.source == kNoReg ? Value::Null()
                                            : AtOrNull(op.source);
  if (op.skip_null && value.null_or_absent()) {
    Count(op, FaultReason::kTransformNull, entity->entity);
    return absl::OkStatus();
  }
  if (op.code == OpCode::kUnique) return Unique(op, value, entity);
  if (op.code == OpCode::kSetStopFlag) {
    auto side = Side(SideKind::kStopFlag, entity->entity, op.field, entity->key);
    if (!side.ok()) return side.status();
    (*side)->now = value.tag == ValueTag::kTrue ? std::optional<std::string>(std::in_place) : std::nullopt;
    return absl::OkStatus();
  }
  Apply(op, value, entity);
  return absl::OkStatus();
}

void Executor::Apply(const Op& op, const Value& value, WorkingEntity* entity) {
  RowEditor& row = entity->editor;
  switch (op.code) {
    case OpCode::kSetOnce:
      if (value.null_or_absent() || !row.Get(op.field).null_or_absent()) return;
      break;
    case OpCode::kMax:
    case OpCode::kMin: {
      if (value.null_or_absent()) return;
      const Value current = row.Get(op.field);
      const bool first = current.null_or_absent();
      const auto order = CompareNumbers(value, first ? value : current);
      if (!order) return Count(op, FaultReason::kMaxMinType, entity->entity);
      if (!first && (op.code == OpCode::kMax ? *order <= 0 : *order >= 0)) return;
      break;
    }
    case OpCode::kSum:
      if (!value.integer()) return Count(op, FaultReason::kSumType, entity->entity);
      return Add(op, value, entity);
    case OpCode::kCount:
      return Add(op, Value::Uint(1), entity);
    case OpCode::kAppend:
      if (!row.Append(op.field, value)) Count(op, FaultReason::kAppendType, entity->entity);
      return;
    case OpCode::kSet:
    case OpCode::kUnique:
    case OpCode::kSetStopFlag:
      break;
  }
  if (!row.Set(op.field, value)) Count(op, FaultReason::kValueDepth, entity->entity);
}

// What is no integer counts as nothing, as in the reference.
void Executor::Add(const Op& op, const Value& amount, WorkingEntity* entity) {
  const Value current = entity->editor.Get(op.field);
  bool saturated = false;
  const Value sum = AddIntegers(current.integer() ? current : Value::Uint(0), amount, &saturated);
  if (saturated) Count(op, FaultReason::kSumSaturated, entity->entity);
  entity->editor.Set(op.field, sum);
}

absl::Status Executor::Unique(const Op& op, const Value& value, WorkingEntity* entity) {
  if (value.null_or_absent()) return absl::OkStatus();  // null is a member of nothing
  encoded_.clear();
  AppendValue(value, &encoded_);
  auto side = Side(SideKind::kUniqueMember, entity->entity, op.field, UniqueMemberId(entity->key, encoded_));
  if (!side.ok()) return side.status();
  if ((*side)->now) return absl::OkStatus();
  (*side)->now.emplace();
  Add(op, Value::Uint(1), entity);
  return absl::OkStatus();
}

Value Executor::MakeObject(const Build& build) {
  payload_.clear();
  if (build.capture) {
    const Value& address = registers_[kRegAddress];
    AppendValue(address.absent() ? Value::Text("") : address, &payload_);
  }
  if (build.whole != kNoReg) {
    AppendValue(AtOrNull(build.whole), &payload_);
  } else {
    data_.clear();
    for (Reg member : build.members) AppendValue(AtOrNull(member), &data_);
    AppendObject(build.data_shape, data_, &payload_);
  }
  AppendValue(registers_[kRegSignature], &payload_);  // absent: the object has no such key
  AppendValue(registers_[kRegSlot], &payload_);
  AppendValue(registers_[kRegTimestamp], &payload_);
  object_.clear();
  AppendObject(build.shape, payload_, &object_);
  Value value;
  value.tag = ValueTag::kObject;
  value.data = reinterpret_cast<const uint8_t*>(object_.data());
  value.size = static_cast<uint32_t>(object_.size());
  return value;
}

}  // namespace everstate::vm
