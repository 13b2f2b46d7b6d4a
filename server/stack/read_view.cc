// Derived views.
#include "server/stack/read.h"

namespace everstate::stack {
namespace {

Predicate ReadPredicate(const Node& node) {
  Predicate predicate;
  auto [tag, content] = node.Tagged();
  if (tag == "Compare") {
    predicate.kind = Predicate::Kind::kCompare;
    predicate.field = ReadPath(content.At("field"));
    predicate.op = content.At("op").OneOfTexts({"Eq", "Ne", "Gt", "Gte", "Lt", "Lte"});
    Node value_node = content.At("value");
    auto [value_tag, value] = value_node.Tagged();
    if (value_tag == "Literal")
      predicate.value = value.Constant();
    else if (value_tag == "Dynamic")
      predicate.value = value.Text();
    else if (value_tag == "Field")
      predicate.value = ReadPath(value);
    else
      value_node.Fail("is not one of Literal, Dynamic, Field");
  } else if (tag == "And" || tag == "Or") {
    predicate.kind = tag == "And" ? Predicate::Kind::kAnd : Predicate::Kind::kOr;
    for (const Node& part : content.Items()) predicate.args.push_back(ReadPredicate(part));
  } else if (tag == "Not") {
    predicate.kind = Predicate::Kind::kNot;
    predicate.args.push_back(ReadPredicate(content));
  } else if (tag == "Exists") {
    predicate.kind = Predicate::Kind::kExists;
    predicate.field = ReadPath(content.At("field"));
  } else {
    node.Fail("is not one of Compare, And, Or, Not, Exists");
  }
  return predicate;
}

ViewStep ReadStep(const Node& node) {
  ViewStep step;
  auto [tag, content] = node.Tagged();
  if (tag == "Filter") {
    step.kind = ViewStep::Kind::kFilter;
    step.predicate = ReadPredicate(content.At("predicate"));
  } else if (tag == "Sort") {
    step.kind = ViewStep::Kind::kSort;
    step.key = ReadPath(content.At("key"));
    if (std::optional<Node> order = content.Maybe("order"))
      step.descending = order->OneOfTexts({"asc", "desc"}) == "desc";
  } else if (tag == "Take" || tag == "Skip") {
    step.kind = tag == "Take" ? ViewStep::Kind::kTake : ViewStep::Kind::kSkip;
    step.count = content.At("count").Natural(UINT64_MAX);
  } else if (tag == "First" || tag == "Last") {
    step.kind = tag == "First" ? ViewStep::Kind::kFirst : ViewStep::Kind::kLast;
  } else if (tag == "MaxBy" || tag == "MinBy") {
    step.kind = tag == "MaxBy" ? ViewStep::Kind::kMaxBy : ViewStep::Kind::kMinBy;
    step.key = ReadPath(content.At("key"));
  } else {
    node.Fail("is not one of Filter, Sort, Take, Skip, First, Last, MaxBy, MinBy");
  }
  return step;
}

}  // namespace

View ReadView(const Node& node) {
  View view;
  view.id = node.At("id").NonEmptyText();
  Node source = node.At("source");
  auto [source_tag, source_content] = source.Tagged();
  if (source_tag == "Entity")
    view.source_entity = source_content.At("name").NonEmptyText();
  else if (source_tag == "View")
    view.source_view = source_content.At("id").NonEmptyText();
  else
    source.Fail("is not one of Entity, View");
  for (const Node& step : node.ItemsOf("pipeline")) view.pipeline.push_back(ReadStep(step));
  if (std::optional<Node> output = node.Maybe("output")) {
    auto [tag, content] = output->Tagged();
    view.output = tag;
    if (tag == "Keyed")
      view.output_key = ReadPath(content.At("key_field"));
    else if (tag != "Collection" && tag != "Single")
      output->Fail("is not one of Collection, Single, Keyed");
  }
  return view;
}

}  // namespace everstate::stack
