// The executor's operations: what one line of a handler or a hook does to one field.
#include <utility>

#include "server/vm/executor.h"

namespace everstate::vm {
namespace {

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

// Why an array field took no element.
FaultReason AppendFault(const Value& field) {
  return field.null_or_absent() || field.tag == ValueTag::kArray ? FaultReason::kValueDepth : FaultReason::kAppendType;
}

}  // namespace

void Executor::Count(const Op& op, FaultReason reason, EntityId entity) {
  faults_->Count({entity, event_->name}, reason, slot_,
                 [&] { return write_set_->schema().entity(entity).fields[op.field].path; });
}

bool Executor::Holds(const ConditionNode& condition, const Op& op, EntityId entity) {
  if (condition.kind != ConditionNode::Kind::kCompare) {
    const bool all = condition.kind == ConditionNode::Kind::kAll;
    for (uint16_t child : condition.children) {
      if (Holds(program_->conditions[child], op, entity) != all) return !all;
    }
    return all;
  }
  const Value left = AtOrNull(condition.left), right = At(condition.right);
  if (condition.op == stack::Comparison::kEqual) return ValuesEqual(left, right);
  if (condition.op == stack::Comparison::kNotEqual) return !ValuesEqual(left, right);
  const auto order = CompareNumbers(left, right);
  if (order) return Ordered(condition.op, *order);
  Count(op, FaultReason::kConditionType, entity);
  return false;
}

absl::StatusOr<bool> Executor::Passes(const Op& op, const WorkingEntity& entity) {
  if (op.condition >= 0 && !Holds(program_->conditions[static_cast<size_t>(op.condition)], op, entity.entity))
    return false;
  if (op.when >= 0 && !WhenHolds(op.when)) return false;
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
      if (row.Append(op.field, value)) return;
      return Count(op, AppendFault(row.Get(op.field)), entity->entity);
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
