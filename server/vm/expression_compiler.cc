#include <algorithm>
#include <array>
#include <iterator>
#include <limits>
#include <utility>

#include "absl/strings/str_join.h"
#include "server/vm/expression.h"
#include "server/vm/expression_code.h"

namespace everstate::vm {
namespace {

using Kind = stack::Expr::Kind;

constexpr std::array<std::pair<std::string_view, BinaryOp>, 13> kBinaryOps = {{
    {"Add", BinaryOp::kAdd},
    {"Sub", BinaryOp::kSub},
    {"Mul", BinaryOp::kMul},
    {"Div", BinaryOp::kDiv},
    {"Mod", BinaryOp::kMod},
    {"Gt", BinaryOp::kGt},
    {"Lt", BinaryOp::kLt},
    {"Gte", BinaryOp::kGte},
    {"Lte", BinaryOp::kLte},
    {"Eq", BinaryOp::kEq},
    {"Ne", BinaryOp::kNe},
    {"And", BinaryOp::kAnd},
    {"Or", BinaryOp::kOr},
}};

// The member of the format that holds an operand.
std::string_view OperandName(Kind kind, size_t i) {
  static constexpr std::string_view kOfLet[] = {"value", "body"}, kOfBinary[] = {"left", "right"},
                                    kOfIf[] = {"condition", "then_branch", "else_branch"};
  switch (kind) {
    case Kind::kLet:
      return kOfLet[i];
    case Kind::kBinary:
      return kOfBinary[i];
    case Kind::kIf:
      return kOfIf[i];
    case Kind::kSome:
      return "value";
    default:
      return "expr";
  }
}

class ExpressionCompiler {
 public:
  ExpressionCompiler(const FieldFinder& find, ConstantPool* constants) : find_(find), constants_(constants) {}

  absl::StatusOr<uint16_t> Compile(const stack::Expr& expr, const Place& place) {
    if (expr.kind == Kind::kParen || expr.kind == Kind::kSome) return Operand(expr, 0, place);
    if (expr.kind == Kind::kLet) return Let(expr, place);
    ExprNode node;
    node.kind = expr.kind;
    if (absl::Status status = Own(expr, place, &node); !status.ok()) return status;
    absl::Status faults;
    for (size_t i = 0; i < expr.args.size(); ++i) {
      const auto operand = Operand(expr, i, place);
      faults.Update(operand.status());
      if (operand.ok()) node.args[i] = *operand;
    }
    if (!faults.ok()) return faults;
    return Add(node, place);
  }

  std::vector<ExprNode> nodes;

 private:
  absl::StatusOr<uint16_t> Operand(const stack::Expr& expr, size_t i, const Place& place) {
    const Place content = place.At(stack::Name(expr.kind));
    return Compile(expr.args[i], expr.kind == Kind::kResolverComputed ? content.At("args", i)
                                                                      : content.At(OperandName(expr.kind, i)));
  }

  // A variable is known in the body, where it hides an outer one of the same name.
  absl::StatusOr<uint16_t> Let(const stack::Expr& expr, const Place& place) {
    if (variables_.size() == kVariablesMax)
      return place.Unsupported(Cat("more than ", kVariablesMax, " variables within each other"));
    ExprNode node;
    node.kind = Kind::kLet;
    node.code = static_cast<uint8_t>(variables_.size());
    const auto value = Operand(expr, 0, place);
    variables_.push_back(expr.text);
    const auto body = Operand(expr, 1, place);
    variables_.pop_back();
    if (!value.ok() || !body.ok()) return Place::Reported();
    node.args[0] = *value;
    node.args[1] = *body;
    return Add(node, place);
  }

  absl::StatusOr<uint16_t> Add(const ExprNode& node, const Place& place) {
    if (nodes.size() > std::numeric_limits<uint16_t>::max())
      return place.Unsupported("an expression of more than 65,535 nodes");
    nodes.push_back(node);
    return static_cast<uint16_t>(nodes.size() - 1);
  }

  // What the node has besides its operands.
  absl::Status Own(const stack::Expr& expr, const Place& place, ExprNode* node) {
    switch (expr.kind) {
      case Kind::kFieldRef: {
        const auto field = find_(expr.text);
        if (!field) return NoField(expr.text, place);
        node->field = *field;
        return absl::OkStatus();
      }
      case Kind::kLiteral:
        if (std::holds_alternative<std::string>(expr.literal.value)) return place.Unsupported("a text literal");
        if (std::holds_alternative<stack::Literal::Array>(expr.literal.value) ||
            std::holds_alternative<stack::Literal::Object>(expr.literal.value)) {
          return place.Unsupported("a literal array or object");
        }
        node->constant = constants_->Add(expr.literal);
        return absl::OkStatus();
      case Kind::kUnwrapOr:
        return Default(expr.literal, place, node);
      case Kind::kBinary:
        return Code(kBinaryOps, expr.text, "the operator", place, node);
      case Kind::kCast: {
        const auto* type = std::find_if(std::begin(kCastTypes), std::end(kCastTypes),
                                        [&](const auto& t) { return expr.text == t.name; });
        if (type == std::end(kCastTypes)) return place.Unsupported(Cat("a cast to ", expr.text));
        node->code = static_cast<uint8_t>(type - std::begin(kCastTypes));
        return absl::OkStatus();
      }
      case Kind::kResolverComputed:
        return Resolver(expr, place, node);
      case Kind::kVar: {
        const auto known = std::find(variables_.rbegin(), variables_.rend(), expr.text);
        if (known == variables_.rend()) return place.Invalid(Cat("there is no variable \"", expr.text, "\" here"));
        node->code = static_cast<uint8_t>(variables_.rend() - known - 1);
        return absl::OkStatus();
      }
      case Kind::kUnary:
        return expr.text == "Not" ? absl::OkStatus() : place.Unsupported(Cat("the operator ", expr.text));
      case Kind::kIf:
      case Kind::kNone:
      case Kind::kContextSlot:
      case Kind::kContextTimestamp:
        return absl::OkStatus();
      default:
        return place.Unsupported(Cat("the expression ", stack::Name(expr.kind)));
    }
  }

  absl::Status NoField(std::string_view path, const Place& place) const {
    for (size_t dot = path.rfind('.'); dot != std::string_view::npos && dot > 0; dot = path.rfind('.', dot - 1)) {
      const std::string_view outer = path.substr(0, dot);
      if (find_(outer)) return place.Unsupported(Cat("the path \"", path, "\" into the field \"", outer, "\""));
    }
    return place.Invalid(Cat("\"", path, "\" is no field of this entity"));
  }

  template <typename Table>
  static absl::Status Code(const Table& table, std::string_view text, std::string_view what, const Place& place,
                           ExprNode* node) {
    const auto found = std::find_if(table.begin(), table.end(), [&](const auto& entry) { return entry.first == text; });
    if (found == table.end()) return place.Unsupported(Cat(what, " ", text));
    node->code = static_cast<uint8_t>(found->second);
    return absl::OkStatus();
  }

  absl::Status Resolver(const stack::Expr& expr, const Place& place, ExprNode* node) {
    static constexpr std::array<std::pair<std::string_view, ResolverMethod>, 2> kMethods = {
        {{"TokenMetadata.ui_amount", ResolverMethod::kUiAmount},
         {"TokenMetadata.raw_amount", ResolverMethod::kRawAmount}}};
    if (absl::Status status = Code(kMethods, expr.text, "the resolver method", place, node); !status.ok())
      return status;
    if (expr.args.size() != 2) return place.Invalid(Cat(expr.text, " takes 2 arguments, not ", expr.args.size()));
    return absl::OkStatus();
  }

  // The default counts as an integer whatever it is written as: true is 1; what is no number is 0.
  absl::Status Default(const stack::Literal& literal, const Place& place, ExprNode* node) {
    if (std::holds_alternative<double>(literal.value)) return place.Unsupported("unwrap_or with a float");
    const auto* u = std::get_if<uint64_t>(&literal.value);
    const auto* i = std::get_if<int64_t>(&literal.value);
    const auto* b = std::get_if<bool>(&literal.value);
    node->constant = constants_->Add(u   ? Value::Uint(*u)
                                     : i ? Value::Int(*i)
                                         : Value::Uint(b != nullptr && *b ? 1 : 0));
    return absl::OkStatus();
  }

  const FieldFinder& find_;
  ConstantPool* constants_;
  std::vector<std::string> variables_;  // those known here, the innermost last
};

}  // namespace

absl::StatusOr<std::vector<ExprNode>> CompileExpression(const stack::Expr& expr, const FieldFinder& find,
                                                        ConstantPool* constants, const Place& place) {
  ExpressionCompiler compiler(find, constants);
  auto result = compiler.Compile(expr, place);
  if (!result.ok()) return result.status();
  return std::move(compiler.nodes);
}

std::string ExpressionType(const std::vector<ExprNode>& nodes, const std::function<std::string(FieldId)>& field_type) {
  if (nodes.empty()) return "null";
  std::function<std::string(uint16_t)> at = [&](uint16_t index) -> std::string {
    const ExprNode& node = nodes[index];
    switch (node.kind) {
      case Kind::kFieldRef:
        return field_type(node.field);
      case Kind::kUnwrapOr:
        return at(node.args[0]);
      case Kind::kLiteral:
        return "number";
      case Kind::kUnary:
        return "bool";
      case Kind::kBinary: {
        const auto op = static_cast<BinaryOp>(node.code);
        return op < BinaryOp::kGt ? at(node.args[0]) : "bool";
      }
      case Kind::kCast:
        return CastTypeOf(node.code).name;
      case Kind::kIf:
      case Kind::kLet:
        return at(node.args[1]);
      case Kind::kResolverComputed:
        return static_cast<ResolverMethod>(node.code) == ResolverMethod::kUiAmount ? "f64" : "u64";
      case Kind::kContextSlot:
        return "u64";
      case Kind::kContextTimestamp:
        return "i64";
      default:
        return "computed";
    }
  };
  return at(static_cast<uint16_t>(nodes.size() - 1));
}

absl::StatusOr<std::vector<ComputedCode>> OrderByDependency(std::vector<ComputedCode> computed,
                                                            const std::vector<std::string>& names, const Place& place) {
  FieldSet pending;
  for (const ComputedCode& code : computed) pending.set(code.field);
  std::vector<ComputedCode> ordered;
  std::vector<bool> done(computed.size(), false);
  while (ordered.size() < computed.size()) {
    const size_t before = ordered.size();
    for (size_t i = 0; i < computed.size(); ++i) {
      if (done[i]) continue;
      const bool waits = std::any_of(computed[i].nodes.begin(), computed[i].nodes.end(),
                                     [&](const ExprNode& n) { return n.kind == Kind::kFieldRef && pending[n.field]; });
      if (waits) continue;
      done[i] = true;
      pending.reset(computed[i].field);
      ordered.push_back(std::move(computed[i]));
      break;  // from the beginning again: the first in order of declaration that is free
    }
    if (ordered.size() > before) continue;
    std::vector<std::string> cycle;
    for (size_t i = 0; i < computed.size(); ++i) {
      if (!done[i]) cycle.push_back(names[computed[i].name]);
    }
    return place.Invalid(Cat("these fields wait for each other: ", absl::StrJoin(cycle, ", ")));
  }
  return ordered;
}

}  // namespace everstate::vm
