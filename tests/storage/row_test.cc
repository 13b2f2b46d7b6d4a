#include "storage/row.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <vector>

#include "tests/storage/value_gen.h"

namespace everstate {
namespace {

using testing::HasSubstr;

constexpr size_t kFields = 20;
const std::vector<size_t> kShapeKeys = {0, 2, 3};

std::string Encoded(const Value& value) {
  std::string out;
  AppendValue(value, &out);
  return out;
}

std::string ArrayOf(const std::vector<std::string>& elements) {
  std::string payload, out;
  for (const std::string& element : elements) payload += element;
  AppendArray(elements.size(), payload, &out);
  return out;
}

std::vector<std::string> ElementsOf(const std::string& encoded) {
  std::vector<std::string> elements;
  const Value array = ValueOf(encoded);
  if (array.tag != ValueTag::kArray) return elements;
  ValueReader reader(OpenComposite(array)->payload);
  while (!reader.done()) elements.push_back(Encoded(reader.Next().value()));
  return elements;
}

std::string Nested(int depth) {
  std::string value = ArrayOf({});
  for (int i = 1; i < depth; ++i) value = ArrayOf({value});
  return value;
}

// The bytes of a row as the header describes them, from scratch.
std::string RowBytes(Cursor cursor, const std::map<size_t, std::string>& fields) {
  std::string out, bitmap;
  for (const auto& [f, encoded] : fields) {
    bitmap.resize(std::max(bitmap.size(), f / 8 + 1));
    bitmap[f / 8] = static_cast<char>(bitmap[f / 8] | 1 << (f % 8));
  }
  AppendVarint(cursor.slot, &out);
  AppendVarint(cursor.index, &out);
  AppendVarint(bitmap.size(), &out);
  out += bitmap;
  for (const auto& [f, encoded] : fields) out += encoded;
  return out;
}

RowRef RowOf(const std::map<size_t, std::string>& fields) {
  return Row::Parse(RowBytes({1, 1}, fields), kFieldsMax).value();
}

// What the editor promises, in the plainest way: whole values, copied at every call.
struct Model {
  struct Field {
    std::string before, now;  // encodings; empty when absent
    bool replaced = false;
    uint32_t appended = 0;
  };
  std::map<size_t, Field> fields;

  void Reset(const Row* row) {
    fields.clear();
    for (FieldId f = 0; row != nullptr && f < kFields; ++f) {
      if (row->present()[f]) fields[f].before = fields[f].now = std::string(row->Encoded(f));
    }
  }
  void Set(size_t f, const std::string& encoded) {
    Field& field = fields[f];
    field.now = encoded;
    field.replaced = encoded != field.before;
    field.appended = 0;
  }
  bool Append(size_t f, const std::string& element) {
    Field& field = fields[f];
    if (!field.now.empty() && ValueOf(field.now).tag != ValueTag::kArray && ValueOf(field.now).tag != ValueTag::kNull)
      return false;
    std::vector<std::string> elements;
    if (!field.now.empty()) elements = ElementsOf(field.now);
    elements.push_back(element);
    field.now = ArrayOf(elements);
    ++field.appended;
    return true;
  }
};

void CheckBuild(RowEditor* editor, const Model& model, Cursor cursor, uint32_t keep) {
  std::map<size_t, std::string> expected;
  FieldSet changed, changed_uncut;
  std::vector<std::pair<size_t, uint32_t>> appended;
  for (const auto& [f, field] : model.fields) {
    std::string now = field.now;
    changed_uncut[f] = now != field.before;
    std::vector<std::string> elements;
    if (field.appended > 0) elements = ElementsOf(now);
    const bool cut = field.appended > 0 && elements.size() >= size_t{2} * keep;
    if (cut) now = ArrayOf({elements.end() - keep, elements.end()});
    changed[f] = now != field.before;
    if (changed[f] && field.appended > 0 && !field.replaced && !cut) appended.emplace_back(f, field.appended);
    if (!now.empty()) expected[f] = now;
  }
  RC_ASSERT(editor->Changed() == changed_uncut);
  const RowEditor::Built built = editor->Build(cursor, keep);
  RC_ASSERT(built.changed == changed);
  RC_ASSERT((built.after != nullptr) == changed.any());
  if (!built.after) return;
  RC_ASSERT(built.appended.size() == appended.size());
  for (size_t i = 0; i < appended.size(); ++i) {
    RC_ASSERT(built.appended[i].field == appended[i].first);
    RC_ASSERT(built.appended[i].count == appended[i].second);
  }
  RC_ASSERT(built.after->bytes() == RowBytes(cursor, expected));
  RC_ASSERT(built.after->cursor() == cursor);
  const auto parsed = Row::Parse(built.after->bytes(), kFields);
  RC_ASSERT(parsed.ok());
  for (FieldId f = 0; f < kFields; ++f) {
    const std::string encoded = expected.contains(f) ? expected[f] : std::string();
    RC_ASSERT(built.after->present()[f] == expected.contains(f));
    RC_ASSERT((*parsed)->present()[f] == expected.contains(f));
    RC_ASSERT(built.after->Encoded(f) == encoded);
    RC_ASSERT((*parsed)->Encoded(f) == encoded);
    RC_ASSERT(built.after->Get(f).absent() == encoded.empty());
    if (!encoded.empty()) RC_ASSERT(Encoded((*parsed)->Get(f)) == encoded);
  }
}

// Random calls over several blocks, with one editor, against the model.
RC_GTEST_PROP(RowEditor, EqualsApplyingTheCallsInOrder, ()) {
  RowEditor editor;
  Model model;
  RowRef before;
  for (uint64_t block = 1; block <= 4; ++block) {
    editor.Reset(before, kFields);
    model.Reset(before.get());
    const int calls = *rc::gen::inRange(0, 30);
    for (int i = 0; i < calls; ++i) {
      const FieldId f =
          *rc::gen::resize(rc::kNominalSize, rc::gen::element<FieldId>(0, 1, 2, 7, 8, 15, 16, kFields - 1));
      std::string encoded;
      switch (*rc::gen::resize(rc::kNominalSize, rc::gen::inRange(0, 6))) {
        case 0:
          DrawEncoded(2, kShapeKeys, &encoded);
          break;
        case 1:
          encoded = model.fields[f].before;
          break;
        case 2:
          encoded = *rc::gen::element(Encoded(Value::Null()), ArrayOf({}), Encoded(Value::Uint(7)));
          break;
        default:
          DrawEncoded(1, kShapeKeys, &encoded);
          RC_ASSERT(editor.Append(f, ValueOf(encoded)) == model.Append(f, encoded));
          continue;
      }
      if (encoded.empty()) continue;
      RC_ASSERT(editor.Set(f, ValueOf(encoded)));
      model.Set(f, encoded);
      const Value now = editor.Get(f);
      RC_ASSERT(Encoded(now) == encoded);
    }
    for (auto& [f, field] : model.fields) {
      const Value now = editor.Get(static_cast<FieldId>(f));
      RC_ASSERT((now.absent() ? field.now.empty() : Encoded(now) == field.now));
    }
    const uint32_t keep = *rc::gen::element<uint32_t>(1, 2, 3, 100);
    CheckBuild(&editor, model, {block, 9}, keep);
    CheckBuild(&editor, model, {block << 40, block}, keep);  // building changes nothing in the editor
    if (RowRef after = editor.Build({block, 1}, keep).after) before = after;
  }
}

TEST(RowEditor, AValueMayComeFromTheFieldItGoesTo) {
  RowEditor editor;
  editor.Reset(nullptr, kFields);
  ASSERT_TRUE(editor.Set(3, Value::Text("some text that lies on the heap, being long")));
  ASSERT_TRUE(editor.Set(3, editor.Get(3)));
  EXPECT_EQ(editor.Get(3).bytes(), "some text that lies on the heap, being long");
  ASSERT_TRUE(editor.Append(4, Value::Text("an element that lies on the heap, being long")));
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(editor.Append(4, editor.Get(4)));
  EXPECT_EQ(OpenComposite(editor.Get(4))->count_or_shape, 5u);
}

TEST(RowEditor, ValuesOfOtherFieldsOutliveASet) {
  RowEditor editor;
  editor.Reset(RowOf({{0, Encoded(Value::Text("from the row before"))}}), kFields);
  ASSERT_TRUE(editor.Set(1, Value::Text("short")));
  const Value before = editor.Get(0), small = editor.Get(1);
  for (FieldId f = 2; f < kFields; ++f) ASSERT_TRUE(editor.Set(f, Value::Text(std::string(f * 10, 'x'))));
  EXPECT_EQ(before.bytes(), "from the row before");
  EXPECT_EQ(small.bytes(), "short");
}

TEST(RowEditor, AppendsToArraysOnly) {
  RowEditor editor;
  editor.Reset(
      RowOf({{0, Encoded(Value::Uint(1))}, {1, Encoded(Value::Null())}, {2, ArrayOf({Encoded(Value::Uint(1))})}}),
      kFields);
  EXPECT_FALSE(editor.Append(0, Value::Uint(2)));
  EXPECT_FALSE(editor.Append(2, Value()));
  EXPECT_FALSE(editor.Set(2, Value()));
  EXPECT_TRUE(editor.Changed().none());
  EXPECT_TRUE(editor.Append(1, Value::Uint(2)));
  EXPECT_TRUE(editor.Append(2, Value::Uint(2)));
  EXPECT_TRUE(editor.Append(5, Value::Uint(2)));
  EXPECT_EQ(editor.Build({2, 1}, 100).appended.size(), 3u);
}

TEST(RowEditor, CutsAnArrayThatReachesTwiceItsKeep) {
  RowEditor editor;
  const auto numbers = [](uint64_t from, uint64_t to) {
    std::vector<std::string> elements;
    for (uint64_t i = from; i < to; ++i) elements.push_back(Encoded(Value::Uint(i)));
    return ArrayOf(elements);
  };
  editor.Reset(RowOf({{0, numbers(0, 198)}}), kFields);
  ASSERT_TRUE(editor.Append(0, Value::Uint(198)));
  const auto grown = editor.Build({2, 1}, 100);
  EXPECT_EQ(grown.after->Encoded(0), numbers(0, 199));
  ASSERT_EQ(grown.appended.size(), 1u);
  editor.Reset(grown.after, kFields);
  ASSERT_TRUE(editor.Append(0, Value::Uint(199)));
  const auto cut = editor.Build({3, 1}, 100);
  EXPECT_EQ(cut.after->Encoded(0), numbers(100, 200));
  EXPECT_TRUE(cut.appended.empty());
  EXPECT_TRUE(cut.changed[0]);
}

TEST(Row, DepthIsLimited) {
  const std::string deepest = Nested(kValueDepthMax), deeper = Nested(kValueDepthMax + 1);
  EXPECT_TRUE(Row::Parse(RowBytes({1, 1}, {{0, deepest}}), 1).ok());
  EXPECT_EQ(Row::Parse(RowBytes({1, 1}, {{0, deeper}}), 1).status().code(), absl::StatusCode::kDataLoss);
  RowEditor editor;
  editor.Reset(nullptr, kFields);
  EXPECT_TRUE(editor.Set(0, ValueOf(deepest)));
  EXPECT_FALSE(editor.Set(0, ValueOf(deeper)));
  EXPECT_FALSE(editor.Append(1, ValueOf(deepest)));
  EXPECT_TRUE(editor.Append(1, ValueOf(Nested(kValueDepthMax - 1))));
  EXPECT_EQ(editor.Get(0).bytes(), deepest);
}

TEST(Row, ParseNamesWhatIsWrong) {
  const auto error = [](std::string bytes, size_t fields = kFields) {
    const auto row = Row::Parse(std::move(bytes), fields);
    EXPECT_EQ(row.status().code(), absl::StatusCode::kDataLoss);
    return std::string(row.status().message());
  };
  const std::string good = RowBytes({5, 6}, {{2, Encoded(Value::Uint(1))}, {9, Encoded(Value::Text("abc"))}});
  ASSERT_TRUE(Row::Parse(good, 10).ok());
  EXPECT_THAT(error(good, 9), HasSubstr("field 9 is present"));
  EXPECT_THAT(error(good.substr(0, good.size() - 1)), HasSubstr("field 9"));
  EXPECT_THAT(error(good + '\0'), HasSubstr("1 bytes behind"));
  EXPECT_THAT(error(RowBytes({5, 6}, {{3, Encoded(Value())}})), HasSubstr("field 3"));
  EXPECT_THAT(error(RowBytes({5, 6}, {{3, ArrayOf({Encoded(Value())})}})), HasSubstr("field 3"));
  EXPECT_THAT(error(RowBytes({5, 6}, {{3, "\x0d\x03\x02\x01\x01\x01"}})), HasSubstr("field 3"));  // three, not two
  EXPECT_THAT(error(std::string("\x05\x06\x02\x04\x00\x04\x01", 7)), HasSubstr("zero byte"));
  EXPECT_THAT(error(""), HasSubstr("cursor"));
  EXPECT_THAT(error(std::string("\x05\x06\x21", 3)), HasSubstr("bitmap"));
}

TEST(Row, MayHoldNothingAndAllFields) {
  const auto empty = Row::Parse(RowBytes({5, 6}, {}), 0);
  ASSERT_TRUE(empty.ok());
  EXPECT_TRUE((*empty)->Get(0).absent());
  std::map<size_t, std::string> all;
  for (size_t f = 0; f < kFieldsMax; ++f) all[f] = Encoded(Value::Uint(f));
  const RowRef full = RowOf(all);
  EXPECT_TRUE(full->present().all());
  EXPECT_EQ(full->Get(kFieldsMax - 1).uint, kFieldsMax - 1);
  EXPECT_GE(full->MemoryBytes(), full->bytes().size() + kFieldsMax * sizeof(uint32_t));
  RowEditor editor;
  editor.Reset(full, kFieldsMax);
  ASSERT_TRUE(editor.Set(255, Value::Uint(1)));
  all[255] = Encoded(Value::Uint(1));
  EXPECT_EQ(editor.Build({1, 1}, 100).after->bytes(), RowBytes({1, 1}, all));
}

RC_GTEST_PROP(Row, ParseIsSafeAgainstAnyBytes, ()) {
  std::map<size_t, std::string> fields;
  for (int i = 0; i < 3; ++i) {
    std::string& encoded = fields[*rc::gen::resize(rc::kNominalSize, rc::gen::inRange<size_t>(0, kFields))];
    encoded.clear();
    DrawEncoded(3, kShapeKeys, &encoded);
  }
  const std::string good = RowBytes({*rc::gen::arbitrary<uint64_t>(), 1}, fields);
  RC_ASSERT(Row::Parse(good, kFields).ok());
  for (int round = 0; round < 20; ++round) {
    std::string bytes = good;
    for (int i = *rc::gen::inRange(0, 4); i > 0; --i) {
      bytes[*rc::gen::inRange<size_t>(0, bytes.size())] = *rc::gen::arbitrary<char>();
    }
    bytes.resize(*rc::gen::inRange<size_t>(bytes.size() / 2, bytes.size() + 1));
    const auto row = Row::Parse(bytes, kFields);
    if (!row.ok()) continue;
    std::map<size_t, std::string> read;  // what is accepted is the one encoding of what was read
    for (FieldId f = 0; f < kFields; ++f) {
      if ((*row)->present()[f]) read[f] = Encoded((*row)->Get(f));
    }
    RC_ASSERT(RowBytes((*row)->cursor(), read) == bytes);
  }
}

}  // namespace
}  // namespace everstate
