#include "storage/row_schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace everstate {
namespace {

using testing::HasSubstr;
using Entities = std::vector<std::pair<std::string, std::vector<FieldDef>>>;

std::string ErrorOf(Entities entities, std::vector<Shape> shapes = {}, std::vector<ViewDef> views = {}) {
  const auto schema = RowSchema::Build(std::move(entities), std::move(shapes), std::move(views));
  EXPECT_EQ(schema.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(schema.status().message());
}

std::shared_ptr<const RowSchema> Example() {
  return RowSchema::Build(
             {{"Mint", {{"id.address", true}, {"state.supply", true}, {"state.hidden", false}, {"Top", true}}},
              {"Round", {{"a.b.c", true}, {"secret.x", false}}}},
             {{{"amount", "who"}}, {{}}},
             {{"Mint/list", 0, ViewMode::kList, ""},
              {"Round/latest", 1, ViewMode::kState, "sorted views are not built"}})
      .value();
}

// The texts of the steps one after the other: the skeleton of the JSON.
std::string Skeleton(const EntitySchema& entity) {
  std::string text;
  for (const auto& step : entity.emit_steps) text += step.text;
  return text;
}

TEST(RowSchema, StepsAreInByteOrderWithSeqAmongTheRootKeys) {
  const auto schema = Example();
  EXPECT_EQ(Skeleton(schema->entity(0)), R"("Top":"_seq":"id":{"address":}"state":{"supply":})");
  EXPECT_EQ(Skeleton(schema->entity(1)), R"("_seq":"a":{"b":{"c":}})");
  const auto upper =
      RowSchema::Build({{"E", {{"Z", true}, {"^", true}, {"_a", true}, {"_sf", true}, {"a", true}}}}, {}, {}).value();
  EXPECT_EQ(Skeleton(upper->entity(0)), R"("Z":"^":"_a":"_seq":"_sf":"a":)");
}

TEST(RowSchema, KeysAreEscapedAndOrderedByUnsignedBytes) {
  const auto schema = RowSchema::Build({{"E", {{"\xC3\xA9", true}, {"z", true}, {"q\"", true}}}}, {}, {}).value();
  EXPECT_EQ(Skeleton(schema->entity(0)), "\"_seq\":\"q\\\"\":\"z\":\"\xC3\xA9\":");
  EXPECT_EQ(schema->entity(0).append_texts[2], R"("q\"")");
}

TEST(RowSchema, OpenStepsKnowWhatLiesBelowAndWhereTheyEnd) {
  const auto schema = Example();
  using Kind = EntitySchema::EmitStep::Kind;
  const auto& steps = schema->entity(0).emit_steps;
  for (size_t i = 0; i < steps.size(); ++i) {
    if (steps[i].kind != Kind::kOpen) continue;
    EXPECT_EQ(steps[steps[i].skip_to - 1].kind, Kind::kClose);
    EXPECT_TRUE(steps[i].below[steps[i + 1].field]);
    EXPECT_EQ(steps[i].below.count(), 1u);  // the hidden field of "state" is not among them
  }
}

TEST(RowSchema, Finds) {
  const auto schema = Example();
  EXPECT_EQ(schema->FindEntity("Round")->id, 1);
  EXPECT_EQ(schema->FindEntity("round"), nullptr);
  EXPECT_EQ(schema->FindView("Mint/list")->mode, ViewMode::kList);
  EXPECT_EQ(schema->FindView("Mint"), nullptr);
  EXPECT_EQ(schema->entity(0).FieldAt("state.hidden"), FieldId{2});
  EXPECT_EQ(schema->entity(0).FieldAt("state"), std::nullopt);
  EXPECT_EQ(schema->shape_texts(0)[1], "\"who\":");
  EXPECT_FALSE(schema->entity(0).emitted[2]);
  EXPECT_TRUE(schema->entity(0).emitted[3]);
}

TEST(RowSchema, ComesBackFromItsText) {
  const auto schema = Example();
  const auto parsed = RowSchema::Parse(schema->Serialize());
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ((*parsed)->Serialize(), schema->Serialize());
  EXPECT_EQ(Skeleton((*parsed)->entity(0)), Skeleton(schema->entity(0)));
  EXPECT_EQ((*parsed)->shapes()[0].keys, schema->shapes()[0].keys);
  EXPECT_EQ((*parsed)->views()[1].unsupported, "sorted views are not built");
  EXPECT_EQ((*parsed)->views()[1].mode, ViewMode::kState);
  EXPECT_EQ((*parsed)->views()[1].entity, 1);
}

TEST(RowSchema, RefusesByNameAndRule) {
  EXPECT_THAT(ErrorOf({{"E", {{"a.b", true}, {"a.b", true}}}}), HasSubstr("\"a.b\""));
  EXPECT_THAT(ErrorOf({{"E", {{"a.b", true}, {"a.b.c", true}}}}), HasSubstr("\"a.b.c\""));
  EXPECT_THAT(ErrorOf({{"E", {{"a.b.c", true}, {"a.b", true}}}}), HasSubstr("below this path"));
  for (const char* path : {"", ".", "a.", ".a", "a..b"})
    EXPECT_THAT(ErrorOf({{"E", {{path, true}}}}), HasSubstr("empty path segment"));
  EXPECT_THAT(ErrorOf({{"E", {{"_seq", true}}}}), HasSubstr("reserved"));
  EXPECT_THAT(ErrorOf({{"E", {{"\xff", true}}}}), HasSubstr("UTF-8"));
  EXPECT_THAT(ErrorOf({{"E", {}}, {"E", {}}}), HasSubstr("two entities"));
  EXPECT_THAT(ErrorOf({{"E", {}}}, {{{"b", "a"}}}), HasSubstr("must ascend"));
  EXPECT_THAT(ErrorOf({{"E", {}}}, {{{"a", "a"}}}), HasSubstr("must ascend"));
  EXPECT_THAT(ErrorOf({{"E", {}}}, {}, {{"E/list", 1, ViewMode::kList, ""}}), HasSubstr("no entity 1"));
  EXPECT_THAT(ErrorOf({{"E", {}}}, {}, {{"E/list", 0, ViewMode::kList, ""}, {"E/list", 0, ViewMode::kState, ""}}),
              HasSubstr("two views"));
  std::vector<FieldDef> fields;
  for (size_t i = 0; i <= kFieldsMax; ++i) fields.push_back({"f" + std::to_string(i), true});
  EXPECT_THAT(ErrorOf({{"E", fields}}), HasSubstr("257 fields"));
  fields.pop_back();
  EXPECT_TRUE(RowSchema::Build({{"E", fields}}, {}, {}).ok());
}

TEST(RowSchema, ParseRefusesWhatIsNoSchema) {
  for (
      const char* bad :
      {"", "{", "[]", "{}", R"({"entities":[],"shapes":[]})",
       R"({"entities":[{"name":1,"fields":[]}],"shapes":[],"views":[]})",
       R"({"entities":[],"shapes":[["b","a"]],"views":[]})", R"({"entities":5,"shapes":[],"views":[]})",
       R"({"entities":[{"name":"E","fields":[]}],"shapes":[],"views":[{"id":"v","entity":0,"mode":"x","unsupported":""}]})"}) {
    EXPECT_EQ(RowSchema::Parse(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

}  // namespace
}  // namespace everstate
