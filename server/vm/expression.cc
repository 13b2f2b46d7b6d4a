#include "server/vm/expression.h"

#include <array>
#include <charconv>
#include <cmath>

#include "server/vm/expression_code.h"

namespace everstate::vm {
namespace {

using Kind = stack::Expr::Kind;

constexpr Uint128 kInt128MagnitudeMax = (Uint128{1} << 127) - 1;

std::optional<Int128> ToInt128(const Value& v) {
  if (v.tag == ValueTag::kUint) return static_cast<Int128>(v.uint);
  if (v.tag == ValueTag::kNegInt) return static_cast<Int128>(v.neg);
  if (v.tag != ValueTag::kWide && v.tag != ValueTag::kDecimal) return std::nullopt;
  if (v.negative && v.magnitude == kInt128MagnitudeMax + 1) return static_cast<Int128>(v.magnitude);
  if (v.magnitude > kInt128MagnitudeMax) return std::nullopt;
  return v.negative ? -static_cast<Int128>(v.magnitude) : static_cast<Int128>(v.magnitude);
}

Value FromInt128(Int128 i) {
  return Value::Wide(i < 0, i < 0 ? Uint128{0} - static_cast<Uint128>(i) : static_cast<Uint128>(i));
}

std::optional<double> ToDouble(const Value& v) {
  if (v.tag == ValueTag::kFloat) return v.real;
  if (v.tag == ValueTag::kUint) return static_cast<double>(v.uint);
  if (v.tag == ValueTag::kNegInt) return static_cast<double>(v.neg);
  if (!v.integer()) return std::nullopt;
  const double magnitude = static_cast<double>(v.magnitude);
  return v.negative ? -magnitude : magnitude;
}

bool IsBool(const Value& v) { return v.tag == ValueTag::kTrue || v.tag == ValueTag::kFalse; }
bool IsNaN(const Value& v) { return v.tag == ValueTag::kFloat && std::isnan(v.real); }

// Rust's `as` for integers: the low bits, then the sign of the width.
Int128 Wrap(Uint128 bits, const CastType& type) {
  if (type.bits == 128) return static_cast<Int128>(bits);
  const Uint128 mask = (Uint128{1} << type.bits) - 1;
  bits &= mask;
  if (type.is_signed && (bits >> (type.bits - 1)) != 0) bits |= ~mask;
  return static_cast<Int128>(bits);
}

Value CastInteger(const Value& v, const CastType& type) {
  Uint128 bits = v.magnitude;
  if (v.tag == ValueTag::kUint) {
    bits = v.uint;
  } else if (v.tag == ValueTag::kNegInt) {
    bits = static_cast<Uint128>(static_cast<Int128>(v.neg));
  } else if (v.negative) {
    bits = Uint128{0} - bits;
  }
  if (type.bits == 128 && !type.is_signed) return Value::Wide(false, bits);
  return FromInt128(Wrap(bits, type));
}

// What arithmetic gives, infinities and NaN included; Value::Float has finite numbers only.
Value AnyFloat(double d) {
  Value v;
  v.tag = ValueTag::kFloat;
  v.real = d;
  return v;
}

// Rust's `as` from a float: toward zero, saturating, NaN is 0.
Value CastFloat(double d, const CastType& type) {
  d = std::trunc(d);
  if (std::isnan(d)) return Value::Uint(0);
  const double top = std::ldexp(1.0, type.is_signed ? type.bits - 1 : type.bits);  // the first value above the range
  const Uint128 highest = type.bits == 128 && !type.is_signed
                              ? ~Uint128{0}
                              : (Uint128{1} << (type.is_signed ? type.bits - 1 : type.bits)) - 1;
  if (d >= top) return Value::Wide(false, highest);
  if (d >= 0) return Value::Wide(false, static_cast<Uint128>(d));
  if (!type.is_signed) return Value::Uint(0);
  return d <= -top ? Value::Wide(true, highest + 1) : Value::Wide(true, static_cast<Uint128>(-d));
}

// 10^0 … 10^255 as the nearest doubles.
double PowerOfTen(uint64_t exponent) {
  static const std::array<double, 256> kPowers = [] {
    std::array<double, 256> powers{};
    for (int e = 0; e < 256; ++e) {
      const std::string text = "1e" + std::to_string(e);
      std::from_chars(text.data(), text.data() + text.size(), powers[static_cast<size_t>(e)]);
    }
    return powers;
  }();
  return kPowers[exponent];
}

// A number, or text that is one.
std::optional<double> NumericArgument(const Value& v) {
  if (v.tag != ValueTag::kText) return ToDouble(v);
  const std::string_view text = v.bytes();
  double d = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), d);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return d;
}

std::optional<uint64_t> DecimalsArgument(const Value& v) {
  uint64_t decimals = v.uint;
  if (v.tag == ValueTag::kText) {
    const std::string_view text = v.bytes();
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), decimals);
    if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  } else if (v.tag != ValueTag::kUint) {
    return std::nullopt;
  }
  if (decimals > 255) return std::nullopt;
  return decimals;
}

Value UiAmount(const Value& raw, const Value& decimals) {
  const auto amount = NumericArgument(raw);
  const auto exponent = DecimalsArgument(decimals);
  return amount && exponent ? Value::Float(*amount / PowerOfTen(*exponent)) : Value::Null();
}

Value RawAmount(const Value& ui, const Value& decimals) {
  const auto amount = NumericArgument(ui);
  const auto exponent = DecimalsArgument(decimals);
  if (!amount || !exponent) return Value::Null();
  const double raw = std::round(*amount * PowerOfTen(*exponent));
  if (!(raw >= 0) || raw >= 18446744073709551616.0) return Value::Null();
  return Value::Uint(static_cast<uint64_t>(raw));
}

// Evaluator: one walk down the tree, so that branches not taken cost and fault nothing.
class Evaluator {
 public:
  Evaluator(const std::vector<ExprNode>& nodes, const ExpressionContext& context, bool* fault)
      : nodes_(nodes), context_(context), fault_(fault) {}

  Value At(uint16_t index) {
    const ExprNode& node = nodes_[index];
    switch (node.kind) {
      case Kind::kFieldRef:
        return context_.row->Get(node.field);
      case Kind::kLiteral:
        return (*context_.constants)[node.constant & ~kConstantBit];
      case Kind::kNone:
        return Value::Null();
      case Kind::kContextSlot:
        return context_.slot;
      case Kind::kContextTimestamp:
        return context_.timestamp;
      case Kind::kUnwrapOr: {
        const Value v = At(node.args[0]);
        return v.integer() ? v : (*context_.constants)[node.constant & ~kConstantBit];
      }
      case Kind::kCast:
        return Cast(At(node.args[0]), CastTypeOf(node.code));
      case Kind::kUnary: {
        const Value v = At(node.args[0]);
        return IsBool(v) ? Value::Bool(v.tag == ValueTag::kFalse) : Fault();
      }
      case Kind::kIf: {
        const Value condition = At(node.args[0]);
        if (!IsBool(condition)) return Fault();
        return At(condition.tag == ValueTag::kTrue ? node.args[1] : node.args[2]);
      }
      case Kind::kResolverComputed: {
        const Value a = At(node.args[0]), b = At(node.args[1]);
        return static_cast<ResolverMethod>(node.code) == ResolverMethod::kUiAmount ? UiAmount(a, b) : RawAmount(a, b);
      }
      case Kind::kLet:
        variables_[node.code] = At(node.args[0]);
        return At(node.args[1]);
      case Kind::kVar:
        return variables_[node.code];
      case Kind::kBinary:
        return Binary(static_cast<BinaryOp>(node.code), node.args[0], node.args[1]);
      default:
        return Fault();  // the compiler makes no other nodes
    }
  }

 private:
  Value Fault() {
    *fault_ = true;
    return Value::Null();
  }

  Value Cast(const Value& v, const CastType& type) {
    if (type.is_float) {
      const auto d = IsBool(v) ? std::optional<double>(v.tag == ValueTag::kTrue) : ToDouble(v);
      if (!d) return Fault();
      return AnyFloat(type.bits == 32 ? static_cast<double>(static_cast<float>(*d)) : *d);
    }
    if (IsBool(v)) return Value::Uint(v.tag == ValueTag::kTrue);
    if (v.tag == ValueTag::kFloat) return CastFloat(v.real, type);
    return v.integer() ? CastInteger(v, type) : Fault();
  }

  Value Binary(BinaryOp op, uint16_t left, uint16_t right) {
    const Value a = At(left);
    if (op == BinaryOp::kAnd || op == BinaryOp::kOr) {
      if (!IsBool(a)) return Fault();
      if ((a.tag == ValueTag::kTrue) == (op == BinaryOp::kOr)) return a;
      const Value b = At(right);
      return IsBool(b) ? b : Fault();
    }
    const Value b = At(right);
    if (op >= BinaryOp::kGt) return Compare(op, a, b);
    if (a.integer() && b.integer()) return Integers(op, ToInt128(a), ToInt128(b));
    if (a.tag == ValueTag::kFloat && b.tag == ValueTag::kFloat) return Floats(op, a.real, b.real);
    return Fault();
  }

  Value Compare(BinaryOp op, const Value& a, const Value& b) {
    if (IsNaN(a) || IsNaN(b)) return Value::Bool(op == BinaryOp::kNe);
    if (op == BinaryOp::kEq || op == BinaryOp::kNe) {
      const auto order = CompareNumbers(a, b);
      const bool equal = order ? *order == 0 : (a.null_or_absent() && b.null_or_absent()) || ValuesEqual(a, b);
      return Value::Bool(equal == (op == BinaryOp::kEq));
    }
    const auto order = CompareNumbers(a, b);
    if (!order) return Fault();
    switch (op) {
      case BinaryOp::kGt:
        return Value::Bool(*order > 0);
      case BinaryOp::kLt:
        return Value::Bool(*order < 0);
      case BinaryOp::kGte:
        return Value::Bool(*order >= 0);
      default:
        return Value::Bool(*order <= 0);
    }
  }

  Value Integers(BinaryOp op, std::optional<Int128> a, std::optional<Int128> b) {
    if (!a || !b) return Fault();
    Int128 result = 0;
    bool overflow = false;
    switch (op) {
      case BinaryOp::kAdd:
        overflow = __builtin_add_overflow(*a, *b, &result);
        break;
      case BinaryOp::kSub:
        overflow = __builtin_sub_overflow(*a, *b, &result);
        break;
      case BinaryOp::kMul:
        overflow = __builtin_mul_overflow(*a, *b, &result);
        break;
      default:
        if (*b == 0) return Fault();
        if (*b == -1) {  // the one quotient that 128 bits may not hold
          if (op == BinaryOp::kDiv) overflow = __builtin_sub_overflow(Int128{0}, *a, &result);
        } else {
          result = op == BinaryOp::kDiv ? *a / *b : *a % *b;
        }
    }
    return overflow ? Fault() : FromInt128(result);
  }

  Value Floats(BinaryOp op, double a, double b) {
    switch (op) {
      case BinaryOp::kAdd:
        return AnyFloat(a + b);
      case BinaryOp::kSub:
        return AnyFloat(a - b);
      case BinaryOp::kMul:
        return AnyFloat(a * b);
      case BinaryOp::kDiv:
        return AnyFloat(a / b);
      default:
        return AnyFloat(std::fmod(a, b));
    }
  }

  const std::vector<ExprNode>& nodes_;
  const ExpressionContext& context_;
  bool* fault_;
  std::array<Value, kVariablesMax> variables_;
};

}  // namespace

Value Evaluate(const std::vector<ExprNode>& nodes, const ExpressionContext& context, bool* fault) {
  const Value v = Evaluator(nodes, context, fault).At(static_cast<uint16_t>(nodes.size() - 1));
  if (v.tag == ValueTag::kFloat) return Value::Float(v.real);
  return v.absent() ? Value::Null() : v;
}

}  // namespace everstate::vm
