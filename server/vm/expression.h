// Computed fields: expressions over the entity's own fields, the slot and the block time.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/vm/constants.h"
#include "server/vm/place.h"
#include "server/vm/program.h"
#include "storage/row.h"

namespace everstate::vm {

using FieldFinder = std::function<std::optional<FieldId>(std::string_view path)>;

// Compiles one expression; the last node is its result.
//   Errors: findings naming the node, or the field that does not exist.
absl::StatusOr<std::vector<ExprNode>> CompileExpression(const stack::Expr& expr, const FieldFinder& find,
                                                        ConstantPool* constants, const Place& place);

// Orders computed fields so that each comes after those that it reads; among the free ones the order of declaration
// stays.
//   Errors: a finding naming the fields of a cycle.
absl::StatusOr<std::vector<ComputedCode>> OrderByDependency(std::vector<ComputedCode> computed,
                                                            const std::vector<std::string>& names, const Place& place);

// What an expression gives, for people; `field_type` says it of the fields that it reads.
std::string ExpressionType(const std::vector<ExprNode>& nodes, const std::function<std::string(FieldId)>& field_type);

// ExpressionContext: what an expression may read.
struct ExpressionContext {
  const RowEditor* row = nullptr;
  const std::vector<Value>* constants = nullptr;
  Value slot, timestamp;
};

// Null means that there is no value. *fault is set when an integer division by zero, an overflow of 128 bits or
// operands of the wrong type were met on the way. Floats are IEEE 754's on the way; a result that is not finite is
// null. The result lives as long as the row's field that it may come from.
Value Evaluate(const std::vector<ExprNode>& nodes, const ExpressionContext& context, bool* fault);

}  // namespace everstate::vm
