// The compiler's part that turns sources and conditions into registers.
#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "server/vm/compiler.h"

namespace everstate::vm {
namespace {

using Source = stack::MappingSource;

// Base58 of a key is what a key is on the wire anyway.
absl::Status CheckTransform(stack::Transform transform, Hint hint, const Place& place) {
  if (transform == stack::Transform::kBase58Encode && hint == Hint::kKey) return absl::OkStatus();
  return place.Unsupported(Cat("the transform ", stack::Name(transform), " of this field"));
}

std::string TypeOfLiteral(const stack::Literal& literal) {
  static constexpr const char* kNames[] = {"null", "bool", "integer", "integer", "float", "text", "array", "object"};
  static_assert(std::size(kNames) == std::variant_size_v<decltype(stack::Literal::value)>);
  return kNames[literal.value.index()];
}

}  // namespace

absl::StatusOr<Compiler::SourceCode> Compiler::CompileSource(const Source& source, EventCompiler* event,
                                                             const Place& place) {
  SourceCode code;
  if (const auto* from = std::get_if<Source::FromSource>(&source.value))
    return CompileFromSource(*from, event, place.At("FromSource"));
  if (const auto* constant = std::get_if<Source::Constant>(&source.value)) {
    code.source = constants_.Add(constant->value);
    code.type = TypeOfLiteral(constant->value);
    return code;
  }
  if (const auto* context = std::get_if<Source::FromContext>(&source.value)) {
    static const std::map<std::string_view, std::pair<Reg, const char*>> kFields = {
        {"slot", {kRegSlot, "u64"}},
        {"signature", {kRegSignature, "signature"}},
        {"timestamp", {kRegTimestamp, "i64"}}};
    const auto found = kFields.find(context->field);
    if (found == kFields.end())
      return place.At("FromContext.field").Unsupported(Cat("the context field \"", context->field, "\""));
    code.source = found->second.first;
    code.type = found->second.second;
    return code;
  }
  if (const auto* as_event = std::get_if<Source::AsEvent>(&source.value))
    return CompileBuild(as_event->fields, false, event, place.At("AsEvent"));
  if (const auto* capture = std::get_if<Source::AsCapture>(&source.value)) {
    if (!capture->field_transforms.empty())
      return place.At("AsCapture.field_transforms").Unsupported("a transform inside a capture");
    return CompileBuild({}, true, event, place.At("AsCapture"));
  }
  if (std::holds_alternative<Source::WholeSource>(source.value)) {
    const auto whole = event->Load({}, place);
    if (!whole.ok()) return whole.status();
    code.source = whole->reg;
    code.type = whole->type;
    return code;
  }
  return place.Unsupported(std::holds_alternative<Source::Computed>(source.value) ? "the source Computed"
                                                                                  : "the source FromState");
}

absl::StatusOr<Compiler::SourceCode> Compiler::CompileFromSource(const Source::FromSource& source, EventCompiler* event,
                                                                 const Place& place) {
  const auto loaded = event->Load(source.path, place.At("path"));
  if (!loaded.ok()) return loaded.status();
  SourceCode code;
  if (source.transform) {
    if (absl::Status status = CheckTransform(*source.transform, loaded->hint, place); !status.ok()) return status;
    code.skip_null = true;
  }
  code.source = source.default_value ? event->WithDefault(*loaded, *source.default_value).reg : loaded->reg;
  code.type = loaded->type;
  return code;
}

absl::StatusOr<Compiler::SourceCode> Compiler::CompileBuild(const std::vector<Source::FromSource>& members,
                                                            bool capture, EventCompiler* event, const Place& place) {
  Build build;
  build.capture = capture;
  std::vector<std::string> keys = {"data", "signature", "slot", "timestamp"};
  if (capture) keys.insert(keys.begin(), "account_address");
  build.shape = shapes_.Intern(std::move(keys));
  if (members.empty()) {
    const auto whole = event->Load({}, place);
    if (!whole.ok()) return whole.status();
    build.whole = whole->reg;
  } else if (absl::Status status = CompileMembers(members, event, place, &build); !status.ok()) {
    return status;
  }
  SourceCode code;
  code.build = static_cast<int16_t>(program_->builds.size());
  code.type = capture ? "capture" : "event";
  program_->builds.push_back(std::move(build));
  return code;
}

absl::Status Compiler::CompileMembers(const std::vector<Source::FromSource>& members, EventCompiler* event,
                                      const Place& place, Build* build) {
  std::map<std::string, Reg> by_key;  // in the order of a shape's keys; of two fields with one name the later counts
  absl::Status faults;
  for (size_t i = 0; i < members.size(); ++i) {
    const Place at = place.At("fields", i).At("FromSource");
    if (members[i].path.empty()) {
      faults.Update(at.At("path").Invalid("a field of an event needs a name"));
      continue;
    }
    const auto member = CompileFromSource(members[i], event, at);
    faults.Update(member.status());
    if (member.ok()) by_key[members[i].path.back()] = member->source;
  }
  if (!faults.ok()) return faults;
  std::vector<std::string> data_keys;
  for (const auto& [key, reg] : by_key) {
    data_keys.push_back(key);
    build->members.push_back(reg);
  }
  build->data_shape = shapes_.Intern(std::move(data_keys));
  return absl::OkStatus();
}

absl::StatusOr<int16_t> Compiler::CompileCondition(const stack::Condition& condition, EventCompiler* event,
                                                   const Place& place) {
  if (place.Faulty()) return Place::Reported();
  if (std::holds_alternative<std::monostate>(condition.parsed))
    return place.Unsupported(Cat("the condition \"", condition.expression, "\", which has no parsed form,"));
  return CompileParsed(condition, event, place.At("parsed"));
}

absl::StatusOr<int16_t> Compiler::CompileParsed(const stack::Condition& condition, EventCompiler* event,
                                                const Place& place) {
  ConditionNode node;
  if (const auto* compare = std::get_if<stack::Condition::Compare>(&condition.parsed)) {
    const auto loaded = event->Load(compare->field, place.At("Comparison.field"));
    if (!loaded.ok()) return loaded.status();
    node.op = compare->op;
    node.left = loaded->reg;
    node.right = constants_.Add(compare->value, loaded->hint);
  } else {
    const auto& logical = std::get<stack::Condition::Logical>(condition.parsed);
    node.kind = logical.all ? ConditionNode::Kind::kAll : ConditionNode::Kind::kAny;
    absl::Status faults;
    for (size_t i = 0; i < logical.conditions.size(); ++i) {
      const auto child = CompileParsed(logical.conditions[i], event, place.At("Logical.conditions", i));
      faults.Update(child.status());
      if (child.ok()) node.children.push_back(static_cast<uint16_t>(*child));
    }
    if (!faults.ok()) return faults;
  }
  program_->conditions.push_back(std::move(node));
  return static_cast<int16_t>(program_->conditions.size() - 1);
}

}  // namespace everstate::vm
