// How each part of the format is read. All of them report into the node's Reading and answer something empty then.
#pragma once

#include <string>

#include "server/stack/node.h"
#include "server/stack/stack.h"

namespace everstate::stack {

// The whole of an IDL snapshot. `program_id` is what the stack's program_ids say for it; empty when they say nothing.
Idl ReadIdl(const Node& node, const std::string& program_id);

Path ReadPath(const Node& node);
MappingSource ReadSource(const Node& node);
std::optional<Condition> ReadConditionOf(const Node& owner, std::string_view key);
std::optional<Transform> ReadTransformOf(const Node& owner, std::string_view key);

Handler ReadHandler(const Node& node);
ResolverHook ReadResolverHook(const Node& node);
InstructionHook ReadInstructionHook(const Node& node);
ResolverSpec ReadResolverSpec(const Node& node);
Expr ReadExpr(const Node& node);
View ReadView(const Node& node);
Entity ReadEntity(const Node& node);

}  // namespace everstate::stack
