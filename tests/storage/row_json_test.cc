#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "server/base/base58.h"
#include "storage/row.h"
#include "tests/storage/value_gen.h"

namespace everstate {
namespace {

using nlohmann::json;

const std::vector<size_t> kShapeKeys = {0, 2, 3};
const std::vector<FieldDef> kFields = {{"id.key", true},        {"Upper", true},         {"state.supply", true},
                                       {"state.deep.er", true}, {"state.hidden", false}, {"all.hidden", false},
                                       {"events.list", true},   {"zebra", true}};

std::shared_ptr<const RowSchema> Schema() {
  return RowSchema::Build({{"E", kFields}}, {{{}}, {{"a", "b\n"}}, {{"", "who", "\xC3\xA9"}}}, {}).value();
}

std::string Text(const Value& value) {
  std::string out = "before";
  AppendValueJson(*Schema(), value, &out);
  EXPECT_EQ(out.substr(0, 6), "before");
  return out.substr(6);
}

std::string StringText(std::string_view text) {
  std::string out;
  AppendJsonString(text, &out);
  return out;
}

// The oracle of UTF-8: at each place the one code point whose encoding stands there, else the byte is replaced.
std::string Repaired(std::string_view text) {
  const auto encode = [](uint32_t c) -> std::string {
    if (c < 0x80) return {static_cast<char>(c)};
    if (c < 0x800) return {static_cast<char>(0xc0 | c >> 6), static_cast<char>(0x80 | (c & 0x3f))};
    if (c < 0x10000) {
      return {static_cast<char>(0xe0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 0x3f)),
              static_cast<char>(0x80 | (c & 0x3f))};
    }
    return {static_cast<char>(0xf0 | c >> 18), static_cast<char>(0x80 | (c >> 12 & 0x3f)),
            static_cast<char>(0x80 | (c >> 6 & 0x3f)), static_cast<char>(0x80 | (c & 0x3f))};
  };
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const uint8_t lead = static_cast<uint8_t>(text[i]);
    const size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    uint32_t c = length == 1 ? lead : lead & (0x7fu >> length);
    for (size_t k = 1; k < length; ++k)
      c = c << 6 | (i + k < text.size() ? static_cast<uint8_t>(text[i + k]) & 0x3fu : 0);
    const bool good = c <= 0x10ffff && (c < 0xd800 || c > 0xdfff) && text.substr(i).starts_with(encode(c));
    out += good ? text.substr(i, length) : "\xEF\xBF\xBD";
    i += good ? length : 1;
  }
  return out;
}

std::string DecimalOf(bool negative, Uint128 magnitude) {
  std::string digits;
  do digits.insert(digits.begin(), static_cast<char>('0' + static_cast<int>(magnitude % 10)));
  while ((magnitude /= 10) != 0);
  return (negative ? "-" : "") + digits;
}

// What a value is on the wire, as a document.
json DocumentOf(const RowSchema& schema, const Value& v) {
  constexpr int64_t kSafe = 9007199254740991;
  switch (v.tag) {
    case ValueTag::kAbsent:
    case ValueTag::kNull:
      return nullptr;
    case ValueTag::kFalse:
      return false;
    case ValueTag::kTrue:
      return true;
    case ValueTag::kUint:
      return v.uint <= uint64_t{kSafe} ? json(v.uint) : json(std::to_string(v.uint));
    case ValueTag::kNegInt:
      return v.neg >= -kSafe ? json(v.neg) : json(std::to_string(v.neg));
    case ValueTag::kWide:
    case ValueTag::kDecimal:
      return DecimalOf(v.negative, v.magnitude);
    case ValueTag::kFloat:
      return v.real;
    case ValueTag::kText:
      return Repaired(v.bytes());
    case ValueTag::kKey32:
    case ValueTag::kSig64:
      return EncodeBase58({v.data, v.size});
    case ValueTag::kBytes:
      return json(std::vector<uint8_t>(v.data, v.data + v.size));
    default:
      break;
  }
  const Composite inside = OpenComposite(v).value();
  ValueReader reader(inside.payload);
  json document = v.tag == ValueTag::kArray ? json::array() : json::object();
  for (size_t i = 0; !reader.done(); ++i) {
    const Value value = reader.Next().value();
    if (v.tag == ValueTag::kArray) {
      document.push_back(DocumentOf(schema, value));
    } else if (!value.absent()) {
      document[schema.shapes()[inside.count_or_shape].keys[i]] = DocumentOf(schema, value);
    }
  }
  return document;
}

json DocumentOf(const RowSchema& schema, const Row& row) {
  json document = {{"_seq", row.cursor().ToSeq()}};
  for (FieldId f = 0; f < kFields.size(); ++f) {
    if (!kFields[f].emit || !row.present()[f]) continue;
    std::string pointer = "/" + kFields[f].path;
    std::replace(pointer.begin(), pointer.end(), '.', '/');
    document[json::json_pointer(pointer)] = DocumentOf(schema, row.Get(f));
  }
  return document;
}

// The text is one JSON document whose keys ascend by bytes at every level.
json ParsedInOrder(const std::string& text) {
  const json document = json::parse(text);
  RC_ASSERT(nlohmann::ordered_json::parse(text).dump() == document.dump());
  return document;
}

// How the clients merge a patch: objects key by key, arrays of listed paths by concatenation, everything else replaced.
void Merge(json* into, const json& patch, const std::string& path, const std::vector<std::string>& append) {
  for (const auto& [key, value] : patch.items()) {
    const std::string here = path.empty() ? key : path + "." + key;
    json& target = (*into)[key];
    if (value.is_object() && target.is_object() &&
        std::none_of(kFields.begin(), kFields.end(), [&](auto& f) { return f.path == here; })) {
      Merge(&target, value, here, append);
    } else if (value.is_array() && target.is_array() && std::find(append.begin(), append.end(), here) != append.end()) {
      target.insert(target.end(), value.begin(), value.end());
    } else {
      target = value;
    }
  }
}

TEST(ValueJson, Examples) {
  EXPECT_EQ(Text(Value::Null()), "null");
  EXPECT_EQ(Text(Value()), "null");
  EXPECT_EQ(Text(Value::Bool(true)), "true");
  EXPECT_EQ(Text(Value::Uint(9007199254740991)), "9007199254740991");
  EXPECT_EQ(Text(Value::Uint(9007199254740992)), "\"9007199254740992\"");
  EXPECT_EQ(Text(Value::Int(-9007199254740991)), "-9007199254740991");
  EXPECT_EQ(Text(Value::Int(-9007199254740992)), "\"-9007199254740992\"");
  EXPECT_EQ(Text(Value::Int(std::numeric_limits<int64_t>::min())), "\"-9223372036854775808\"");
  EXPECT_EQ(Text(Value::Decimal(false, 0)), "\"0\"");
  EXPECT_EQ(Text(Value::Wide(false, ~Uint128{0})), "\"340282366920938463463374607431768211455\"");
  EXPECT_EQ(Text(Value::Wide(true, Uint128{1} << 127)), "\"-170141183460469231731687303715884105728\"");
  EXPECT_EQ(Text(Value::Float(0)), "0.0");
  EXPECT_EQ(Text(Value::Float(0.25)), "0.25");
  EXPECT_EQ(Text(Value::Float(-100000)), "-100000.0");
  EXPECT_EQ(Text(Value::Float(1e15)), "1000000000000000.0");
  EXPECT_EQ(Text(Value::Float(1e21)), "1e+21");
  EXPECT_EQ(Text(Value::Float(1e-7)), "1e-07");
  const uint8_t bytes[32] = {0, 255};
  EXPECT_EQ(Text(Value::Bytes({bytes, 2})), "[0,255]");
  EXPECT_EQ(Text(Value::Bytes({})), "[]");
}

TEST(ValueJson, WhatNoRowHoldsIsNull) {
  std::string object, deep = "\x01";
  AppendObject(99, "\x01", &object);
  EXPECT_EQ(Text(ValueOf(object)), "null");
  for (int i = 0; i <= kValueDepthMax; ++i) {
    std::string outer;
    AppendArray(1, deep, &outer);
    deep = outer;
  }
  EXPECT_EQ(Text(ValueOf(deep)), std::string(kValueDepthMax, '[') + "null" + std::string(kValueDepthMax, ']'));
}

TEST(JsonString, Escapes) {
  EXPECT_EQ(StringText(""), "\"\"");
  EXPECT_EQ(StringText("a\"b\\c/\b\f\n\r\t\x01\x1f\x7f"), "\"a\\\"b\\\\c/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\"");
  EXPECT_EQ(StringText(std::string_view("a\0b", 3)), "\"a\\u0000b\"");
  EXPECT_EQ(StringText("\xF0\x9F\x8C\x8D\xE2\x82\xAC"), "\"\xF0\x9F\x8C\x8D\xE2\x82\xAC\"");
}

TEST(JsonString, EachBadByteIsReplaced) {
  const std::string r = "\xEF\xBF\xBD";
  for (const auto& [bad, count] : std::vector<std::pair<std::string, int>>{{"\xff", 1},
                                                                           {"\x80", 1},
                                                                           {"\xC3", 1},
                                                                           {"\xC0\x80", 2},
                                                                           {"\xED\xA0\x80", 3},
                                                                           {"\xF4\x90\x80\x80", 4},
                                                                           {"\xE0\x9F\x80", 3},
                                                                           {"\xF0\x8F\x80\x80", 4},
                                                                           {"\xE2\x82", 2}}) {
    std::string replaced;
    for (int i = 0; i < count; ++i) replaced += r;
    EXPECT_EQ(StringText("x" + bad + "y"), "\"x" + replaced + "y\"");
  }
}

// Every byte at every place of the eight-byte words of the fast path.
TEST(JsonString, NoByteHidesInAWord) {
  for (int c = 0; c < 256; ++c) {
    for (size_t at = 0; at < 17; ++at) {
      std::string text(17, 'x');
      text[at] = static_cast<char>(c);
      ASSERT_EQ(json::parse(StringText(text)), json(Repaired(text))) << c << " at " << at;
    }
  }
}

RC_GTEST_PROP(JsonString, IsTheRepairedText, ()) {
  std::string text;
  for (int i = *rc::gen::inRange(0, 20); i > 0; --i) {
    text += *rc::gen::element<std::string>("\xE2\x82\xAC", "\xF0\x9F\x8C\x8D", "\xC3\xA9", "plain text", "\xED\x9F\xBF",
                                           "\"", "\xEE\x80\x80");
    text += *rc::gen::container<std::string>(2, rc::gen::arbitrary<char>());
    if (*rc::gen::arbitrary<bool>()) text.pop_back();
  }
  RC_ASSERT(json::parse(StringText(text)).get<std::string>() == Repaired(text));
}

RC_GTEST_PROP(ValueJson, FloatsReadBackAndLookLikeFloats, ()) {
  const Value value = Value::Float(DrawDouble());
  RC_PRE(value.tag == ValueTag::kFloat);
  const std::string text = Text(value);
  double back = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), back);
  RC_ASSERT(error == std::errc() && end == text.data() + text.size());
  RC_ASSERT(back == value.real);
  RC_ASSERT(text.find_first_of(".eE") != std::string::npos);
  RC_ASSERT(json::parse(text).is_number_float());
}

RC_GTEST_PROP(ValueJson, IsTheDocument, ()) {
  std::string encoded;
  DrawEncoded(4, kShapeKeys, &encoded);
  const Value value = ValueOf(encoded);
  RC_ASSERT((ParsedInOrder(Text(value)) == DocumentOf(*Schema(), value)));
}

// Random blocks of one entity: the row's text is its document, and a client that merges the patches has that document.
RC_GTEST_PROP(RowJson, PatchesAddUpToTheEntity, ()) {
  const auto schema = Schema();
  const EntitySchema& entity = schema->entity(0);
  RowEditor editor;
  RowRef before;
  json client;
  for (uint64_t block = 1; block <= 6; ++block) {
    editor.Reset(before, kFields.size());
    for (int i = *rc::gen::inRange(0, 12); i > 0; --i) {
      const FieldId f = *rc::gen::resize(rc::kNominalSize, rc::gen::inRange<FieldId>(0, kFields.size()));
      std::string encoded;
      DrawEncoded(2, kShapeKeys, &encoded);
      if (*rc::gen::resize(rc::kNominalSize, rc::gen::inRange(0, 3)) == 0) {
        editor.Set(f, ValueOf(encoded));
      } else if (!editor.Append(f, ValueOf(encoded)) && f == 6) {
        editor.Set(f, Value::Null());
      }
    }
    Mutation mutation{.entity = 0,
                      .key = "k",
                      .cursor = {block, 3},
                      .before = before,
                      .after = nullptr,
                      .changed = {},
                      .appended = {},
                      .cause = {}};
    RowEditor::Built built = editor.Build(mutation.cursor, 3);
    if (!built.after) continue;
    mutation.after = before = built.after;
    mutation.changed = built.changed;
    mutation.appended = built.appended;

    std::string text, patch;
    AppendEntityJson(*schema, entity, *built.after, &text);
    AppendPatchJson(*schema, entity, mutation, &patch);
    const json document = DocumentOf(*schema, *built.after);
    RC_ASSERT((ParsedInOrder(text) == document));
    std::vector<std::string> append;
    for (const Appended& a : mutation.appended) append.push_back(json::parse(entity.append_texts[a.field]));
    const json merged = ParsedInOrder(patch);
    RC_ASSERT(EmitsAnything(entity, mutation) == (merged.size() > 1));
    client.is_null() ? void(client = merged) : Merge(&client, merged, "", append);
    // In brackets, for RapidCheck would take documents for containers of containers to show.
    RC_ASSERT((client == document));
  }
}

TEST(RowJson, APatchHoldsWhatChangedAndOnlyNewElements) {
  const auto schema = Schema();
  const EntitySchema& entity = schema->entity(0);
  RowEditor editor;
  editor.Reset(nullptr, kFields.size());
  ASSERT_TRUE(editor.Append(6, Value::Uint(1)) && editor.Set(2, Value::Uint(5)) && editor.Set(4, Value::Uint(5)) &&
              editor.Set(7, Value::Null()));
  Mutation first{.entity = 0,
                 .key = "k",
                 .cursor = {100, 1},
                 .before = nullptr,
                 .after = nullptr,
                 .changed = {},
                 .appended = {},
                 .cause = {}};
  first.after = editor.Build(first.cursor, 100).after;
  std::string text;
  AppendPatchJson(*schema, entity, first, &text);
  EXPECT_EQ(text, R"({"_seq":"100:000000000001","events":{"list":[1]},"state":{"supply":5},"zebra":null})");

  editor.Reset(first.after, kFields.size());
  ASSERT_TRUE(editor.Append(6, Value::Uint(2)) && editor.Append(6, Value::Uint(3)) && editor.Set(1, Value::Text("x")) &&
              editor.Set(4, Value::Uint(6)));
  Mutation second{.entity = 0,
                  .key = "k",
                  .cursor = {101, 2},
                  .before = first.after,
                  .after = nullptr,
                  .changed = {},
                  .appended = {},
                  .cause = {}};
  const auto built = editor.Build(second.cursor, 100);
  second.after = built.after;
  second.changed = built.changed;
  second.appended = built.appended;
  text.clear();
  AppendPatchJson(*schema, entity, second, &text);
  EXPECT_EQ(text, R"({"Upper":"x","_seq":"101:000000000002","events":{"list":[2,3]}})");
  text.clear();
  AppendEntityJson(*schema, entity, *second.after, &text);
  EXPECT_EQ(text,
            R"({"Upper":"x","_seq":"101:000000000002","events":{"list":[1,2,3]},"state":{"supply":5},"zebra":null})");
}

TEST(EmitsAnything, NotForFieldsThatAreNeverSent) {
  const auto schema = Schema();
  const EntitySchema& entity = schema->entity(0);
  RowEditor editor;
  editor.Reset(nullptr, kFields.size());
  ASSERT_TRUE(editor.Set(4, Value::Uint(5)));
  Mutation mutation{.entity = 0,
                    .key = "k",
                    .cursor = {1, 1},
                    .before = nullptr,
                    .after = nullptr,
                    .changed = {},
                    .appended = {},
                    .cause = {}};
  mutation.after = editor.Build(mutation.cursor, 100).after;
  EXPECT_FALSE(EmitsAnything(entity, mutation));
  mutation.before = mutation.after;
  mutation.changed.set(4);
  EXPECT_FALSE(EmitsAnything(entity, mutation));
  mutation.after = nullptr;
  EXPECT_TRUE(EmitsAnything(entity, mutation));
}

}  // namespace
}  // namespace everstate
