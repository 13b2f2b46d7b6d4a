// Types with generics, and what they become when the generics stand for something.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/stack/idl.h"

namespace everstate::idl {

// A type as a word, the same for equal types.
std::string TypeText(const stack::IdlType& type);

// About how much memory a definition takes.
size_t BytesOf(const stack::IdlTypeDef& def);

// `def` with its generics replaced by `args`. Errors: InvalidArgument with the rule alone: another number of arguments,
// a number where a type is asked for or the other way round, a name that is no generic of the type, a type that grows
// beyond 4096 parts.
absl::StatusOr<stack::IdlTypeDef> BindGenerics(const stack::IdlTypeDef& def, const std::vector<stack::IdlType>& args);

}  // namespace everstate::idl
