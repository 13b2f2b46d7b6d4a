// An entity, with its identity, its resolvers and its computed fields.
#include "server/stack/read.h"

namespace everstate::stack {
namespace {

void ReadUrl(const Node& node, ResolverSpec* spec) {
  Node source = node.At("url_source");
  auto [tag, content] = source.Tagged();
  if (tag == "FieldPath") {
    spec->url_template.push_back({true, content.NonEmptyText()});
  } else if (tag == "Template") {
    for (const Node& part : content.Items()) {
      auto [part_tag, text] = part.Tagged();
      if (part_tag != "Literal" && part_tag != "FieldRef") part.Fail("is not one of Literal, FieldRef");
      spec->url_template.push_back({part_tag == "FieldRef", text.Text()});
    }
  } else {
    source.Fail("is not one of FieldPath, Template");
  }
  if (std::optional<Node> method = node.Maybe("method")) spec->post = method->OneOfTexts({"get", "post"}) == "post";
}

std::optional<std::string> OptionalText(const Node& node, std::string_view key) {
  std::optional<Node> member = node.Maybe(key);
  if (!member) return std::nullopt;
  return member->Text();
}

}  // namespace

ResolverSpec ReadResolverSpec(const Node& node) {
  ResolverSpec spec;
  Node resolver = node.At("resolver");
  auto [tag, content] = resolver.Tagged();
  spec.token = tag == "token";
  if (tag == "url")
    ReadUrl(content, &spec);
  else if (tag != "token")
    resolver.Fail("is not one of token, url");
  spec.input_path = OptionalText(node, "input_path");
  if (std::optional<Node> value = node.Maybe("input_value")) spec.input_value = value->Constant();
  if (std::optional<Node> strategy = node.Maybe("strategy")) {
    spec.last_write = strategy->OneOfTexts({"SetOnce", "LastWrite"}) == "LastWrite";
  }
  for (const Node& extract : node.At("extracts").Items()) {
    spec.extracts.push_back({extract.At("target_path").NonEmptyText(), OptionalText(extract, "source_path"),
                             ReadTransformOf(extract, "transform")});
  }
  if (std::optional<Node> when = node.Maybe("condition")) {
    spec.condition = ResolverSpec::When{when->At("field_path").NonEmptyText(),
                                        when->At("op").OneOf<Comparison>(kComparisons), when->At("value").Constant()};
  }
  spec.schedule_at = OptionalText(node, "schedule_at");
  return spec;
}

Entity ReadEntity(const Node& node) {
  Entity entity;
  entity.name = node.At("state_name").NonEmptyText();
  Node identity = node.At("identity");
  for (const Node& key : identity.At("primary_keys").Items()) entity.primary_keys.push_back(key.NonEmptyText());
  for (const Node& index : identity.At("lookup_indexes").Items()) {
    entity.lookup_indexes.push_back({index.At("field_name").NonEmptyText(), OptionalText(index, "temporal_field")});
  }
  for (const Node& item : node.At("handlers").Items()) entity.handlers.push_back(ReadHandler(item));
  for (const Node& section : node.At("sections").Items()) {
    std::string name = section.At("name").Text();
    if (name != "root") entity.sections.push_back(std::move(name));
  }
  for (const Node& item : node.At("resolver_hooks").Items()) entity.resolver_hooks.push_back(ReadResolverHook(item));
  for (const Node& item : node.At("instruction_hooks").Items())
    entity.instruction_hooks.push_back(ReadInstructionHook(item));
  for (const Node& item : node.ItemsOf("resolver_specs")) entity.resolver_specs.push_back(ReadResolverSpec(item));
  for (const Node& item : node.ItemsOf("computed_fields")) entity.computed_fields.push_back(item.NonEmptyText());
  for (const Node& item : node.ItemsOf("computed_field_specs")) {
    entity.computed_field_specs.push_back({item.At("target_path").NonEmptyText(), ReadExpr(item.At("expression"))});
  }
  for (const Node& item : node.ItemsOf("views")) entity.views.push_back(ReadView(item));
  return entity;
}

}  // namespace everstate::stack
