// The words of the stack format and what they stand for, in one place for reading them and for naming them in messages.
#pragma once

#include <span>
#include <string_view>

#include "server/stack/stack.h"

namespace everstate::stack {

template <typename T>
struct Word {
  std::string_view text;
  T value;
};

inline constexpr Word<Transform> kTransforms[] = {
    {"HexEncode", Transform::kHexEncode},       {"HexDecode", Transform::kHexDecode},
    {"Base58Encode", Transform::kBase58Encode}, {"Base58Decode", Transform::kBase58Decode},
    {"ToString", Transform::kToString},         {"ToNumber", Transform::kToNumber}};

inline constexpr Word<Population> kPopulations[] = {{"SetOnce", Population::kSetOnce},
                                                    {"LastWrite", Population::kLastWrite},
                                                    {"Append", Population::kAppend},
                                                    {"Merge", Population::kMerge},
                                                    {"Max", Population::kMax},
                                                    {"Sum", Population::kSum},
                                                    {"Count", Population::kCount},
                                                    {"Min", Population::kMin},
                                                    {"UniqueCount", Population::kUniqueCount}};

inline constexpr Word<Comparison> kComparisons[] = {{"Equal", Comparison::kEqual},
                                                    {"NotEqual", Comparison::kNotEqual},
                                                    {"GreaterThan", Comparison::kGreaterThan},
                                                    {"GreaterThanOrEqual", Comparison::kGreaterThanOrEqual},
                                                    {"LessThan", Comparison::kLessThan},
                                                    {"LessThanOrEqual", Comparison::kLessThanOrEqual}};

inline constexpr Word<Serialization> kSerializations[] = {{"borsh", Serialization::kBorsh},
                                                          {"bytemuck", Serialization::kBytemuck},
                                                          {"bytemuckunsafe", Serialization::kBytemuckUnsafe}};

inline constexpr Word<Expr::Kind> kExprKinds[] = {{"FieldRef", Expr::Kind::kFieldRef},
                                                  {"UnwrapOr", Expr::Kind::kUnwrapOr},
                                                  {"Binary", Expr::Kind::kBinary},
                                                  {"Cast", Expr::Kind::kCast},
                                                  {"MethodCall", Expr::Kind::kMethodCall},
                                                  {"ResolverComputed", Expr::Kind::kResolverComputed},
                                                  {"Literal", Expr::Kind::kLiteral},
                                                  {"Paren", Expr::Kind::kParen},
                                                  {"Var", Expr::Kind::kVar},
                                                  {"Let", Expr::Kind::kLet},
                                                  {"If", Expr::Kind::kIf},
                                                  {"None", Expr::Kind::kNone},
                                                  {"Some", Expr::Kind::kSome},
                                                  {"Slice", Expr::Kind::kSlice},
                                                  {"Index", Expr::Kind::kIndex},
                                                  {"U64FromLeBytes", Expr::Kind::kU64FromLeBytes},
                                                  {"U64FromBeBytes", Expr::Kind::kU64FromBeBytes},
                                                  {"ByteArray", Expr::Kind::kByteArray},
                                                  {"Closure", Expr::Kind::kClosure},
                                                  {"Unary", Expr::Kind::kUnary},
                                                  {"JsonToBytes", Expr::Kind::kJsonToBytes},
                                                  {"Keccak256", Expr::Kind::kKeccak256},
                                                  {"ContextSlot", Expr::Kind::kContextSlot},
                                                  {"ContextTimestamp", Expr::Kind::kContextTimestamp}};

template <typename T>
constexpr std::string_view TextOf(std::span<const Word<T>> words, T value) {
  for (const Word<T>& word : words) {
    if (word.value == value) return word.text;
  }
  return "?";
}

}  // namespace everstate::stack
