#include "storage/row_merge.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "storage/row.h"
#include "tests/storage/value_gen.h"

namespace everstate {
namespace {

using nlohmann::json;

const std::vector<size_t> kShapeKeys = {0, 2, 3, 2};

std::shared_ptr<const RowSchema> Schema() {
  return RowSchema::Build({{"E", {{"a", true}, {"hidden", false}, {"list", true}, {"s.x", true}, {"s.y", true}}}},
                          {{{}}, {{"a", "c"}}, {{"a", "b", "c"}}, {{"c", "d"}}}, {})
      .value();
}

// The merge of every client of the reference.
json Merged(const json& held, const json& patch, const json& append, const std::string& path = "") {
  if (held.is_object() && patch.is_object()) {
    json merged = held;
    for (const auto& [name, value] : patch.items()) {
      merged[name] =
          held.contains(name) ? Merged(held[name], value, append, path.empty() ? name : path + "." + name) : value;
    }
    return merged;
  }
  if (held.is_array() && patch.is_array() && std::find(append.begin(), append.end(), path) != append.end()) {
    json merged = held;
    merged.insert(merged.end(), patch.begin(), patch.end());
    return merged;
  }
  return patch;
}

json EntityOf(const RowSchema& schema, const Row& row) {
  std::string text;
  AppendEntityJson(schema, schema.entity(0), row, &text);
  return json::parse(text);
}

// Objects within objects, some of whose keys are missing.
void DrawObject(int depth, std::string* out) {
  const size_t shape = *rc::gen::inRange<size_t>(1, kShapeKeys.size());
  std::string payload;
  for (size_t i = 0; i < kShapeKeys[shape]; ++i) {
    const int kind = *rc::gen::inRange(0, depth > 0 ? 4 : 3);
    kind == 0   ? AppendValue(Value(), &payload)
    : kind == 3 ? DrawObject(depth - 1, &payload)
                : AppendValue(Value::Uint(7), &payload);
  }
  AppendObject(static_cast<ShapeId>(shape), payload, out);
}

RC_GTEST_PROP(RowMergeTest, APatchIsEnoughUnlessItTakesKeysAway, ()) {
  const auto schema = Schema();
  const size_t fields = schema->entity(0).fields.size();
  std::vector<std::string> kept;  // what is Set points into these
  kept.reserve(2 * fields);
  RowEditor editor;
  const auto draw = [&](FieldId field) {
    std::string& encoded = kept.emplace_back();
    *rc::gen::inRange(0, 3) > 0 ? DrawObject(2, &encoded) : DrawEncoded(3, kShapeKeys, &encoded);
    RC_ASSERT(editor.Set(field, ValueOf(kept.back())));
  };
  editor.Reset(nullptr, fields);
  editor.Set(0, Value::Null());
  for (FieldId field = 0; field < fields; ++field) {
    if (*rc::gen::arbitrary<bool>()) draw(field);
  }
  Mutation mutation;
  mutation.before = editor.Build({1, 1}, 100).after;
  editor.Reset(mutation.before, fields);
  for (FieldId field = 0; field < fields; ++field) {
    if (*rc::gen::arbitrary<bool>()) draw(field);
  }
  const Value list = editor.Get(2);
  if (*rc::gen::arbitrary<bool>() && (list.null_or_absent() || list.tag == ValueTag::kArray)) {
    RC_ASSERT(editor.Append(2, Value::Uint(7)));
  }
  mutation.cursor = {2, 1};
  RowEditor::Built built = editor.Build(mutation.cursor, 100);
  RC_PRE(static_cast<bool>(built.after));
  mutation.after = built.after;
  mutation.changed = built.changed;
  mutation.appended = built.appended;

  std::string patch;
  AppendPatchJson(*schema, schema->entity(0), mutation, &patch);
  const json append = mutation.appended.empty() ? json::array() : json::array({"list"});
  const bool same =
      Merged(EntityOf(*schema, *mutation.before), json::parse(patch), append) == EntityOf(*schema, *mutation.after);
  const bool takes = TakesKeysAway(*schema, schema->entity(0), mutation);
  RC_CLASSIFY(takes);
  // Nothing emitted changed: there is no patch, and what is held keeps its cursor.
  if (EmitsAnything(schema->entity(0), mutation)) RC_ASSERT(same == !takes);
}

class TakesKeysAwayTest : public ::testing::Test {
 protected:
  // An object of shape {a, b, c} with these numbers; 0 is absent.
  static std::string Object(uint64_t a, uint64_t b, uint64_t c) {
    std::string payload, object;
    for (const uint64_t value : {a, b, c}) AppendValue(value == 0 ? Value() : Value::Uint(value), &payload);
    AppendObject(2, payload, &object);
    return object;
  }
  static std::string Within(const std::string& inner) {  // {"c": inner, "d": 1}
    std::string object;
    AppendObject(
        3,
        inner +
            [] {
              std::string one;
              AppendValue(Value::Uint(1), &one);
              return one;
            }(),
        &object);
    return object;
  }
  bool Takes(FieldId field, const std::string& before, const std::string& after) {
    const size_t fields = schema_->entity(0).fields.size();
    RowEditor editor;
    Mutation mutation;
    editor.Reset(nullptr, fields);
    editor.Set(field, ValueOf(before));
    mutation.before = editor.Build({1, 1}, 100).after;
    editor.Reset(mutation.before, fields);
    editor.Set(field, ValueOf(after));
    RowEditor::Built built = editor.Build({2, 1}, 100);
    mutation.after = built.after;
    mutation.changed = built.changed;
    return TakesKeysAway(*schema_, schema_->entity(0), mutation);
  }

  const std::shared_ptr<const RowSchema> schema_ = Schema();
};

TEST_F(TakesKeysAwayTest, AKeyThatIsGone) {
  EXPECT_TRUE(Takes(0, Object(1, 2, 3), Object(1, 0, 3)));
  EXPECT_TRUE(Takes(0, Object(1, 2, 3), Object(1, 2, 0)));
  EXPECT_FALSE(Takes(0, Object(1, 0, 3), Object(1, 2, 3)));
  EXPECT_FALSE(Takes(0, Object(1, 2, 3), Object(4, 5, 6)));
  EXPECT_TRUE(Takes(4, Within(Object(1, 2, 3)), Within(Object(1, 0, 3)))) << "deeper down";
  EXPECT_FALSE(Takes(1, Object(1, 2, 3), Object(1, 0, 3))) << "nobody was sent it";
}

TEST_F(TakesKeysAwayTest, WhatIsReplacedAsAWhole) {
  const auto array_of = [](const std::string& element) {
    std::string array;
    AppendArray(1, element, &array);
    return array;
  };
  std::string null;
  AppendValue(Value::Null(), &null);
  EXPECT_FALSE(Takes(2, array_of(Object(1, 2, 3)), array_of(Object(1, 0, 3))));
  EXPECT_FALSE(Takes(0, Object(1, 2, 3), null));
  EXPECT_FALSE(Takes(0, null, Object(1, 2, 3)));
}

TEST_F(TakesKeysAwayTest, AFieldThatIsGone) {
  const size_t fields = schema_->entity(0).fields.size();
  RowEditor editor;
  Mutation mutation;
  editor.Reset(nullptr, fields);
  editor.Set(0, Value::Uint(1));
  editor.Set(4, Value::Uint(1));
  mutation.before = editor.Build({1, 1}, 100).after;
  editor.Reset(nullptr, fields);  // deleted and made again within a block
  editor.Set(0, Value::Uint(1));
  mutation.after = editor.Build({2, 1}, 100).after;
  mutation.changed.set(4);
  EXPECT_TRUE(TakesKeysAway(*schema_, schema_->entity(0), mutation));
}

}  // namespace
}  // namespace everstate
