// Handlers, their mappings, and hooks.
#include "server/stack/read.h"

namespace everstate::stack {
namespace {

MappingSource::FromSource ReadFromSource(const Node& node) {
  MappingSource::FromSource source;
  source.path = ReadPath(node.At("path"));
  if (std::optional<Node> fallback = node.Maybe("default")) source.default_value = fallback->Constant();
  source.transform = ReadTransformOf(node, "transform");
  return source;
}

MappingSource::Computed ReadComputed(const Node& node) {
  MappingSource::Computed computed;
  for (const Node& input : node.At("inputs").Items()) computed.inputs.push_back(ReadPath(input));
  auto [tag, content] = node.At("function").Tagged();
  computed.function = tag;
  if (tag == "Format" || tag == "Custom")
    computed.argument = content.Text();
  else if (tag != "Sum" && tag != "Concat")
    node.At("function").Fail("is not one of Sum, Concat, Format, Custom");
  return computed;
}

MappingSource::AsEvent ReadAsEvent(const Node& node) {
  MappingSource::AsEvent event;
  for (const Node& item : node.At("fields").Items()) {
    auto [tag, content] = item.Tagged();
    if (tag == "FromSource")
      event.fields.push_back(ReadFromSource(content));
    else
      item.Fail("a field of AsEvent must be a FromSource");
  }
  return event;
}

MappingSource::AsCapture ReadAsCapture(const Node& node) {
  MappingSource::AsCapture capture;
  if (std::optional<Node> transforms = node.Maybe("field_transforms")) {
    for (const auto& [field, transform] : transforms->Members()) {
      capture.field_transforms.emplace_back(field, transform.OneOf<Transform>(kTransforms));
    }
  }
  return capture;
}

Condition ReadParsed(const Node& node, std::string expression) {
  Condition condition;
  condition.expression = std::move(expression);
  auto [tag, content] = node.Tagged();
  if (tag == "Comparison") {
    condition.parsed =
        Condition::Compare{ReadPath(content.At("field")), content.At("op").OneOf<Comparison>(kComparisons),
                           content.At("value").Constant()};
  } else if (tag == "Logical") {
    Condition::Logical logical;
    logical.all = content.At("op").OneOfTexts({"And", "Or"}) == "And";
    for (const Node& part : content.At("conditions").Items()) {
      logical.conditions.push_back(ReadParsed(part, condition.expression));
    }
    condition.parsed = std::move(logical);
  } else {
    node.Fail("is not one of Comparison, Logical");
  }
  return condition;
}

KeyResolution ReadKeyResolution(const Node& node) {
  KeyResolution key;
  auto [tag, content] = node.Tagged();
  if (tag == "Embedded")
    key.kind = KeyResolution::Kind::kEmbedded;
  else if (tag == "Lookup")
    key.kind = KeyResolution::Kind::kLookup;
  else if (tag == "Computed")
    key.kind = KeyResolution::Kind::kComputed;
  else if (tag == "TemporalLookup")
    key.kind = KeyResolution::Kind::kTemporalLookup;
  else
    node.Fail("is not one of Embedded, Lookup, Computed, TemporalLookup");
  if (key.kind == KeyResolution::Kind::kTemporalLookup) {
    key.field = ReadPath(content.At("lookup_field"));
    key.timestamp_field = ReadPath(content.At("timestamp_field"));
    key.index_name = content.At("index_name").NonEmptyText();
  } else {
    key.field = ReadPath(content.At("primary_field"));
  }
  return key;
}

Mapping ReadMapping(const Node& node) {
  Mapping mapping;
  mapping.target_path = node.At("target_path").NonEmptyText();
  mapping.source = ReadSource(node.At("source"));
  mapping.transform = ReadTransformOf(node, "transform");
  mapping.population = node.At("population").OneOf<Population>(kPopulations);
  mapping.condition = ReadConditionOf(node, "condition");
  mapping.when = node.TextOr("when", "");
  mapping.stop = node.TextOr("stop", "");
  mapping.emit = node.FlagOr("emit", true);
  return mapping;
}

HookAction ReadAction(const Node& node) {
  auto [tag, content] = node.Tagged();
  if (tag == "RegisterPdaMapping") {
    return {HookAction::RegisterPdaMapping{ReadPath(content.At("pda_field")), ReadPath(content.At("seed_field")),
                                           content.At("lookup_name").Text()}};
  }
  if (tag == "SetField") {
    return {HookAction::SetField{content.At("target_field").NonEmptyText(), ReadSource(content.At("source")),
                                 ReadConditionOf(content, "condition")}};
  }
  if (tag == "IncrementField") {
    return {HookAction::IncrementField{content.At("target_field").NonEmptyText(), content.At("increment_by").Integer(),
                                       ReadConditionOf(content, "condition")}};
  }
  node.Fail("is not one of RegisterPdaMapping, SetField, IncrementField");
  return {};
}

}  // namespace

Path ReadPath(const Node& node) {
  Path path;
  for (const Node& segment : node.At("segments").Items()) {
    path.push_back(segment.Text());
    if (segment.IsText() && HasEmptySegment(path.back()))
      segment.Fail(fmt::format("\"{}\" has an empty part: it names no field", path.back()));
  }
  return path;
}

std::optional<Transform> ReadTransformOf(const Node& owner, std::string_view key) {
  std::optional<Node> node = owner.Maybe(key);
  if (!node) return std::nullopt;
  return node->OneOf<Transform>(kTransforms);
}

std::optional<Condition> ReadConditionOf(const Node& owner, std::string_view key) {
  std::optional<Node> node = owner.Maybe(key);
  if (!node) return std::nullopt;
  std::string expression = node->At("expression").Text();
  if (std::optional<Node> parsed = node->Maybe("parsed")) return ReadParsed(*parsed, std::move(expression));
  return Condition{std::move(expression), std::monostate{}};
}

MappingSource ReadSource(const Node& node) {
  auto [tag, content] = node.Tagged();
  if (tag == "FromSource") return {ReadFromSource(content)};
  if (tag == "Constant") return {MappingSource::Constant{content.Constant()}};
  if (tag == "Computed") return {ReadComputed(content)};
  if (tag == "FromState") return {MappingSource::FromState{content.At("path").NonEmptyText()}};
  if (tag == "AsEvent") return {ReadAsEvent(content)};
  if (tag == "WholeSource") return {MappingSource::WholeSource{}};
  if (tag == "AsCapture") return {ReadAsCapture(content)};
  if (tag == "FromContext")
    return {MappingSource::FromContext{content.At("field").OneOfTexts({"slot", "signature", "timestamp"})}};
  node.Fail("is not one of FromSource, Constant, Computed, FromState, AsEvent, WholeSource, AsCapture, FromContext");
  return {};
}

Handler ReadHandler(const Node& node) {
  Handler handler;
  Node source = node.At("source").At("Source");
  handler.event_type = source.At("type_name").NonEmptyText();
  handler.is_account = source.FlagOr("is_account", false);
  handler.key = ReadKeyResolution(node.At("key_resolution"));
  for (const Node& mapping : node.At("mappings").Items()) handler.mappings.push_back(ReadMapping(mapping));
  handler.has_conditions = !node.At("conditions").Items().empty();
  handler.emit = node.At("emit").Flag();
  return handler;
}

ResolverHook ReadResolverHook(const Node& node) {
  ResolverHook hook;
  hook.account_type = node.At("account_type").NonEmptyText();
  Node strategy = node.At("strategy");
  auto [tag, content] = strategy.Tagged();
  if (tag == "PdaReverseLookup") {
    ResolverHook::PdaReverseLookup lookup;
    lookup.lookup_name = content.At("lookup_name").Text();
    for (const Node& bytes : content.At("queue_discriminators").Items())
      lookup.queue_discriminators.push_back(bytes.Bytes());
    hook.strategy = std::move(lookup);
  } else if (tag == "DirectField") {
    hook.strategy = ResolverHook::DirectField{ReadPath(content.At("field_path"))};
  } else {
    strategy.Fail("is not one of PdaReverseLookup, DirectField");
  }
  return hook;
}

InstructionHook ReadInstructionHook(const Node& node) {
  InstructionHook hook;
  hook.instruction_type = node.At("instruction_type").NonEmptyText();
  for (const Node& action : node.At("actions").Items()) hook.actions.push_back(ReadAction(action));
  if (std::optional<Node> path = node.Maybe("lookup_by")) hook.lookup_by = ReadPath(*path);
  return hook;
}

}  // namespace everstate::stack
