// How each part of the format is read. All of them make findings of the node's place and answer something empty then.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/stack/node.h"
#include "server/stack/stack.h"

namespace everstate::stack {

// Types, fields and type definitions of Anchor's IDLs and of those in stacks. Fields are named ({name, type} each) or,
// in tuples, bare types; `is_tuple` says which.
IdlType ReadType(const Node& node);
std::vector<IdlField> ReadFields(const std::vector<Node>& nodes, bool* is_tuple);
std::vector<IdlField> ReadNamedFields(const std::vector<Node>& nodes);
IdlTypeDef ReadTypeDef(const Node& node);
Serialization ReadSerialization(const Node& node);

// An IDL file of its own: Anchor's and Steel's form, and Codama's.
Idl ReadAnchorIdl(const Node& root);
Idl ReadCodamaIdl(const Node& root);

// What both files of stacks and of IDLs are made of. `what` is the word for messages: "a stack", "an IDL".
absl::StatusOr<std::string> ReadText(const std::string& file);
absl::StatusOr<Json> ParseJson(const std::string& text, const std::string& file, std::string_view what);

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
