// The compiler's part that turns sources and conditions into registers.
#include <algorithm>
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

}  // namespace

absl::Status Compiler::CompileSource(const Source& source, EventCompiler* event, const Place& place, Op* op) {
  if (const auto* from = std::get_if<Source::FromSource>(&source.value))
    return CompileFromSource(*from, event, place.At("FromSource"), op);
  if (const auto* constant = std::get_if<Source::Constant>(&source.value)) {
    op->source = constants_.Add(constant->value);
    return absl::OkStatus();
  }
  if (const auto* context = std::get_if<Source::FromContext>(&source.value)) {
    static const std::map<std::string_view, Reg> kFields = {
        {"slot", kRegSlot}, {"signature", kRegSignature}, {"timestamp", kRegTimestamp}};
    const auto found = kFields.find(context->field);
    if (found == kFields.end())
      return place.At("FromContext.field").Unsupported(Cat("the context field \"", context->field, "\""));
    op->source = found->second;
    return absl::OkStatus();
  }
  if (const auto* as_event = std::get_if<Source::AsEvent>(&source.value)) {
    return CompileBuild(as_event->fields, false, event, place.At("AsEvent"), op);
  }
  if (const auto* capture = std::get_if<Source::AsCapture>(&source.value)) {
    if (!capture->field_transforms.empty())
      return place.At("AsCapture.field_transforms").Unsupported("a transform inside a capture");
    return CompileBuild({}, true, event, place.At("AsCapture"), op);
  }
  if (std::holds_alternative<Source::WholeSource>(source.value)) {
    auto whole = event->Load({}, place);
    if (!whole.ok()) return whole.status();
    op->source = whole->reg;
    return absl::OkStatus();
  }
  return place.Unsupported(std::holds_alternative<Source::Computed>(source.value) ? "the source Computed"
                                                                                  : "the source FromState");
}

absl::Status Compiler::CompileFromSource(const Source::FromSource& source, EventCompiler* event, const Place& place,
                                         Op* op) {
  auto loaded = event->Load(source.path, place.At("path"));
  if (!loaded.ok()) return loaded.status();
  if (source.transform) {
    if (absl::Status status = CheckTransform(*source.transform, loaded->hint, place); !status.ok()) return status;
    op->skip_null = true;
  }
  op->source = source.default_value ? event->WithDefault(*loaded, *source.default_value).reg : loaded->reg;
  return absl::OkStatus();
}

absl::Status Compiler::CompileBuild(const std::vector<Source::FromSource>& members, bool capture, EventCompiler* event,
                                    const Place& place, Op* op) {
  Build build;
  build.capture = capture;
  std::vector<std::string> keys = {"data", "signature", "slot", "timestamp"};
  if (capture) keys.insert(keys.begin(), "account_address");
  build.shape = shapes_.Intern(std::move(keys));
  if (members.empty()) {
    auto whole = event->Load({}, place);
    if (!whole.ok()) return whole.status();
    build.whole = whole->reg;
  } else {
    std::map<std::string, Reg> by_key;  // in the order of a shape's keys; of two fields with one name the later counts
    for (size_t i = 0; i < members.size(); ++i) {
      const Place at = place.At(Cat("fields[", i, "].FromSource"));
      if (members[i].path.empty()) return at.At("path").Invalid("a field of an event needs a name");
      Op member;
      if (absl::Status status = CompileFromSource(members[i], event, at, &member); !status.ok()) return status;
      by_key[members[i].path.back()] = member.source;
    }
    std::vector<std::string> data_keys;
    for (const auto& [key, reg] : by_key) {
      data_keys.push_back(key);
      build.members.push_back(reg);
    }
    build.data_shape = shapes_.Intern(std::move(data_keys));
  }
  op->build = static_cast<int16_t>(program_->builds.size());
  program_->builds.push_back(std::move(build));
  return absl::OkStatus();
}

absl::StatusOr<int16_t> Compiler::CompileCondition(const stack::Condition& condition, EventCompiler* event,
                                                   const Place& place) {
  ConditionNode node;
  if (const auto* compare = std::get_if<stack::Condition::Compare>(&condition.parsed)) {
    auto loaded = event->Load(compare->field, place.At("field"));
    if (!loaded.ok()) return loaded.status();
    node.op = compare->op;
    node.left = loaded->reg;
    node.right = constants_.Add(compare->value, loaded->hint);
  } else if (const auto* logical = std::get_if<stack::Condition::Logical>(&condition.parsed)) {
    node.kind = logical->all ? ConditionNode::Kind::kAll : ConditionNode::Kind::kAny;
    for (size_t i = 0; i < logical->conditions.size(); ++i) {
      auto child = CompileCondition(logical->conditions[i], event, place.At(Cat("conditions[", i, "]")));
      if (!child.ok()) return child;
      node.children.push_back(static_cast<uint16_t>(*child));
    }
  } else {
    return place.Unsupported(Cat("the condition \"", condition.expression, "\", which has no parsed form,"));
  }
  program_->conditions.push_back(std::move(node));
  return static_cast<int16_t>(program_->conditions.size() - 1);
}

}  // namespace everstate::vm
