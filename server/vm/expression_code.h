// The codes inside expression nodes, shared by the expressions' compiler and evaluator.
#pragma once

#include <cstdint>

#include "storage/value.h"

namespace everstate::vm {

__extension__ typedef __int128 Int128;

// Arithmetic before kGt.
enum class BinaryOp : uint8_t { kAdd, kSub, kMul, kDiv, kMod, kGt, kLt, kGte, kLte, kEq, kNe, kAnd, kOr };
enum class ResolverMethod : uint8_t { kUiAmount, kRawAmount };

inline constexpr size_t kVariablesMax = 8;  // `Let`s within each other

struct CastType {
  const char* name;
  uint8_t bits;
  bool is_signed, is_float;
};
inline constexpr CastType kCastTypes[] = {
    {"u8", 8, false, false},     {"u16", 16, false, false},  {"u32", 32, false, false},   {"u64", 64, false, false},
    {"u128", 128, false, false}, {"i8", 8, true, false},     {"i16", 16, true, false},    {"i32", 32, true, false},
    {"i64", 64, true, false},    {"i128", 128, true, false}, {"usize", 64, false, false}, {"isize", 64, true, false},
    {"f32", 32, true, true},     {"f64", 64, true, true},
};
inline const CastType& CastTypeOf(uint8_t code) { return kCastTypes[code]; }

}  // namespace everstate::vm
