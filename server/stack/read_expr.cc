// Expressions of computed fields.
#include "server/stack/read.h"

namespace everstate::stack {
namespace {

// What a node of the format holds: at most one text, its operands in order, and perhaps a list of arguments.
struct Form {
  Expr::Kind kind;
  std::string_view text;  // member with Expr::text
  std::initializer_list<std::string_view> operands;
  bool arguments = false;  // a member "args" follows
};

const Form kForms[] = {
    {Expr::Kind::kFieldRef, "path", {}},
    {Expr::Kind::kUnwrapOr, "", {"expr"}},
    {Expr::Kind::kBinary, "op", {"left", "right"}},
    {Expr::Kind::kCast, "to_type", {"expr"}},
    {Expr::Kind::kMethodCall, "method", {"expr"}, true},
    {Expr::Kind::kResolverComputed, "method", {}, true},
    {Expr::Kind::kLiteral, "", {}},
    {Expr::Kind::kParen, "", {"expr"}},
    {Expr::Kind::kVar, "name", {}},
    {Expr::Kind::kLet, "name", {"value", "body"}},
    {Expr::Kind::kIf, "", {"condition", "then_branch", "else_branch"}},
    {Expr::Kind::kNone, "", {}},
    {Expr::Kind::kSome, "", {"value"}},
    {Expr::Kind::kSlice, "", {"expr"}},
    {Expr::Kind::kIndex, "", {"expr"}},
    {Expr::Kind::kU64FromLeBytes, "", {"bytes"}},
    {Expr::Kind::kU64FromBeBytes, "", {"bytes"}},
    {Expr::Kind::kByteArray, "", {}},
    {Expr::Kind::kClosure, "param", {"body"}},
    {Expr::Kind::kUnary, "op", {"expr"}},
    {Expr::Kind::kJsonToBytes, "", {"expr"}},
    {Expr::Kind::kKeccak256, "", {"expr"}},
    {Expr::Kind::kContextSlot, "", {}},
    {Expr::Kind::kContextTimestamp, "", {}},
};

const Form& FormOf(Expr::Kind kind) {
  for (const Form& form : kForms) {
    if (form.kind == kind) return form;
  }
  return kForms[0];  // every kind has its form
}

// The members that only one kind of node has.
void ReadParticulars(const Node& content, Expr* expr) {
  switch (expr->kind) {
    case Expr::Kind::kBinary:
      content.At("op").OneOfTexts({"Add", "Sub", "Mul", "Div", "Mod", "Gt", "Lt", "Gte", "Lte", "Eq", "Ne", "And", "Or",
                                   "Xor", "BitAnd", "BitOr", "Shl", "Shr"});
      break;
    case Expr::Kind::kUnary:
      content.At("op").OneOfTexts({"Not", "ReverseBits"});
      break;
    case Expr::Kind::kResolverComputed:
      expr->text = fmt::format("{}.{}", content.At("resolver").Text(), expr->text);
      break;
    case Expr::Kind::kUnwrapOr:
      expr->literal = content.At("default").Constant();
      break;
    case Expr::Kind::kLiteral:
      expr->literal = content.At("value").Constant();
      break;
    case Expr::Kind::kSlice:
      expr->start = content.At("start").Natural(UINT64_MAX);
      expr->end = content.At("end").Natural(UINT64_MAX);
      break;
    case Expr::Kind::kIndex:
      expr->start = content.At("index").Natural(UINT64_MAX);
      break;
    case Expr::Kind::kByteArray:
      expr->bytes = content.At("bytes").Bytes();
      break;
    default:
      break;
  }
}

}  // namespace

Expr ReadExpr(const Node& node) {
  Expr expr;
  auto [tag, content] = node.Tagged();
  bool known = false;
  for (const auto& word : kExprKinds) {
    if (word.text != tag) continue;
    expr.kind = word.value;
    known = true;
  }
  if (!known) {
    node.Fail(fmt::format("\"{}\" is not a node of an expression", tag));
    return expr;
  }
  const Form& form = FormOf(expr.kind);
  if (!form.text.empty()) expr.text = content.At(form.text).Text();
  for (std::string_view operand : form.operands) expr.args.push_back(ReadExpr(content.At(operand)));
  if (form.arguments) {
    for (const Node& argument : content.At("args").Items()) expr.args.push_back(ReadExpr(argument));
  }
  ReadParticulars(content, &expr);
  return expr;
}

}  // namespace everstate::stack
