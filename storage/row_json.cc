// JSON text of values, rows and patches: written once, front to back, from the schema's ready-made key texts.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <optional>

#include "server/base/base58.h"
#include "storage/row.h"
#include "storage/row_change.h"
#include "storage/utf8.h"
#include "storage/value_codec.h"

namespace everstate {
namespace {

constexpr uint64_t kSafeInteger = (uint64_t{1} << 53) - 1;  // ECMAScript's Number.MAX_SAFE_INTEGER
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";   // U+FFFD
constexpr size_t kNumberBytesMax = 48;                      // more than any number's text, quotes included

// JsonSink: the end of a string as raw memory. It takes room in large steps, so that a short piece costs a compare and
// a copy; the string gets its true size when the sink dies.
class JsonSink {
 public:
  JsonSink(std::string* out, size_t expected_bytes) : out_(out) { Grow(out->size(), expected_bytes); }
  ~JsonSink() { out_->resize(Size()); }
  JsonSink(const JsonSink&) = delete;
  JsonSink& operator=(const JsonSink&) = delete;

  // Room for `bytes` at the end; Advance says how many of them were written.
  char* Room(size_t bytes) {
    if (static_cast<size_t>(end_ - at_) < bytes) Grow(Size(), bytes);
    return at_;
  }
  void Advance(const char* to) { at_ += to - at_; }

  void Put(char c) {
    *Room(1) = c;
    ++at_;
  }
  void Put(std::string_view text) {
    if (text.empty()) return;
    std::memcpy(Room(text.size()), text.data(), text.size());
    at_ += text.size();
  }
  void PutQuoted(std::string_view text) {
    char* room = Room(text.size() + 2);
    *room = '"';
    std::copy(text.begin(), text.end(), room + 1);
    room[text.size() + 1] = '"';
    at_ += text.size() + 2;
  }
  // A member or element follows: a comma unless it is the first. Inside a JSON text no value ends with an opening
  // bracket.
  void Next() {
    if (const char last = at_[-1]; last != '{' && last != '[') Put(',');
  }

 private:
  size_t Size() const { return static_cast<size_t>(at_ - out_->data()); }
  void Grow(size_t size, size_t bytes) {
    out_->resize(size + bytes + size / 2);
    at_ = out_->data() + size;
    end_ = out_->data() + out_->size();
  }

  std::string* out_;
  char* at_;
  char* end_;
};

// True when one of eight bytes cannot be copied into a JSON string as it is: a control character, '"', '\', or no
// ASCII.
bool AnySpecial(uint64_t w) {
  constexpr uint64_t kOnes = 0x0101010101010101, kHigh = 0x8080808080808080;
  const uint64_t quote = (w ^ (kOnes * '"')) - kOnes, slash = (w ^ (kOnes * '\\')) - kOnes;
  return (((w - kOnes * 0x20) | quote | slash | w) & kHigh) != 0;
}

bool Special(char c) {
  return static_cast<uint8_t>(c) < 0x20 || c == '"' || c == '\\' || static_cast<uint8_t>(c) >= 0x80;
}

// How many bytes from the front can be copied as they are.
size_t PlainPrefix(std::string_view text) {
  const auto special_word = [&](size_t at) {
    uint64_t w;
    std::memcpy(&w, text.data() + at, 8);
    return AnySpecial(w);
  };
  size_t n = 0;
  while (n + 8 <= text.size() && !special_word(n)) n += 8;
  // The rest is shorter than a word: the last word overlaps what was seen.
  if (n > 0 && n + 8 > text.size() && !special_word(text.size() - 8)) return text.size();
  while (n < text.size() && !Special(text[n])) ++n;
  return n;
}

void PutEscaped(char c, JsonSink* sink) {
  constexpr char kHex[] = "0123456789abcdef";
  switch (c) {
    case '"':
      return sink->Put("\\\"");
    case '\\':
      return sink->Put("\\\\");
    case '\b':
      return sink->Put("\\b");
    case '\f':
      return sink->Put("\\f");
    case '\n':
      return sink->Put("\\n");
    case '\r':
      return sink->Put("\\r");
    case '\t':
      return sink->Put("\\t");
    default:
      sink->Put("\\u00");
      sink->Put(kHex[static_cast<uint8_t>(c) >> 4]);
      sink->Put(kHex[c & 0xf]);
  }
}

// Bytes that are not UTF-8 become U+FFFD, one each: a text frame with others would end the connection (RFC 6455 §8.1).
void PutString(std::string_view text, JsonSink* sink) {
  size_t plain = PlainPrefix(text);
  if (plain == text.size()) return sink->PutQuoted(text);
  sink->Put('"');
  for (;; plain = PlainPrefix(text)) {
    sink->Put(text.substr(0, plain));
    text.remove_prefix(plain);
    if (text.empty()) break;
    size_t length = 1;
    if (static_cast<uint8_t>(text[0]) < 0x80) {
      PutEscaped(text[0], sink);
    } else if (const size_t sequence = Utf8Length(text); sequence > 0) {
      length = sequence;
      sink->Put(text.substr(0, length));
    } else {
      sink->Put(kReplacement);
    }
    text.remove_prefix(length);
  }
  sink->Put('"');
}

template <typename T>
void PutDigits(T v, JsonSink* sink) {
  char* room = sink->Room(kNumberBytesMax);
  sink->Advance(std::to_chars(room, room + kNumberBytesMax, v).ptr);
}

void PutPadded(uint64_t v, size_t digits, JsonSink* sink) {
  char text[20];
  const size_t length = static_cast<size_t>(std::to_chars(text, text + sizeof text, v).ptr - text);
  for (size_t i = length; i < digits; ++i) sink->Put('0');
  sink->Put({text, length});
}

void PutDecimalText(bool negative, Uint128 magnitude, JsonSink* sink) {
  constexpr uint64_t kTen19 = 10'000'000'000'000'000'000u;
  sink->Put('"');
  if (negative) sink->Put('-');
  if (magnitude < kTen19) {
    PutDigits(static_cast<uint64_t>(magnitude), sink);
  } else {
    const Uint128 high = magnitude / kTen19;  // below 2^65
    if (high >= kTen19) PutDigits(static_cast<uint64_t>(high / kTen19), sink);
    high >= kTen19 ? PutPadded(static_cast<uint64_t>(high % kTen19), 19, sink)
                   : PutDigits(static_cast<uint64_t>(high), sink);
    PutPadded(static_cast<uint64_t>(magnitude % kTen19), 19, sink);
  }
  sink->Put('"');
}

// The shortest text that reads back as the same float: plain digits for 1e-5 <= |d| < 1e16 (as serde_json writes), else
// with an exponent.
void PutFloat(double d, JsonSink* sink) {
  if (!std::isfinite(d)) return sink->Put("null");
  const double size = std::fabs(d);
  const bool plain = d == 0 || (size >= 1e-5 && size < 1e16);
  char* room = sink->Room(kNumberBytesMax);
  char* end = std::to_chars(room, room + kNumberBytesMax - 2, d,
                            plain ? std::chars_format::fixed : std::chars_format::scientific)
                  .ptr;
  if (plain && std::memchr(room, '.', static_cast<size_t>(end - room)) == nullptr) {
    *end++ = '.';
    *end++ = '0';
  }
  sink->Advance(end);
}

template <size_t kTextMax, typename Encode>
void PutBase58(const uint8_t* bytes, Encode encode, JsonSink* sink) {
  char* room = sink->Room(kTextMax + 2);
  *room = '"';
  char* end = room + 1 + encode(bytes, room + 1);
  *end++ = '"';
  sink->Advance(end);
}

void PutBytes(const Value& value, JsonSink* sink) {
  sink->Put('[');
  for (uint32_t i = 0; i < value.size; ++i) {
    sink->Next();
    PutDigits(unsigned{value.data[i]}, sink);
  }
  sink->Put(']');
}

void PutValue(const RowSchema& schema, const Value& value, int depth, JsonSink* sink);

void PutArray(const RowSchema& schema, std::string_view payload, int depth, JsonSink* sink) {
  const char* at = payload.data();
  const char* end = at + payload.size();
  sink->Put('[');
  Value element;
  while (at != end && (at = DecodeValue(at, end, &element)) != nullptr) {
    sink->Next();
    PutValue(schema, element, depth, sink);
  }
  sink->Put(']');
}

void PutObject(const RowSchema& schema, const Composite& object, int depth, JsonSink* sink) {
  const std::vector<std::string>& keys = schema.shape_texts(static_cast<ShapeId>(object.count_or_shape));
  const char* at = object.payload.data();
  const char* end = at + object.payload.size();
  sink->Put('{');
  Value value;
  for (size_t i = 0; i < keys.size() && at != end && (at = DecodeValue(at, end, &value)) != nullptr; ++i) {
    if (value.absent()) continue;
    sink->Next();
    sink->Put(keys[i]);
    PutValue(schema, value, depth, sink);
  }
  sink->Put('}');
}

// `depth`: composites that may still open. What no row of the schema holds is written as null, so that the text stays
// JSON: deeper values, which Parse and the editor refuse, and a shape that the schema does not know, which a store
// cannot have, because it is opened only by who brings the very schema that it was written with.
void PutComposite(const RowSchema& schema, const Value& value, int depth, JsonSink* sink) {
  Composite composite;
  if (depth == 0 || !OpenFrame(value, &composite)) return sink->Put("null");
  if (value.tag == ValueTag::kArray) return PutArray(schema, composite.payload, depth - 1, sink);
  if (composite.count_or_shape >= schema.shapes().size()) return sink->Put("null");
  PutObject(schema, composite, depth - 1, sink);
}

void PutValue(const RowSchema& schema, const Value& value, int depth, JsonSink* sink) {
  switch (value.tag) {
    case ValueTag::kAbsent:
    case ValueTag::kNull:
      return sink->Put("null");
    case ValueTag::kFalse:
      return sink->Put("false");
    case ValueTag::kTrue:
      return sink->Put("true");
    case ValueTag::kUint:
      return value.uint <= kSafeInteger ? PutDigits(value.uint, sink) : PutDecimalText(false, value.uint, sink);
    case ValueTag::kNegInt:
      if (value.neg >= -static_cast<int64_t>(kSafeInteger)) return PutDigits(value.neg, sink);
      return PutDecimalText(true, 0 - static_cast<uint64_t>(value.neg), sink);
    case ValueTag::kWide:
    case ValueTag::kDecimal:
      return PutDecimalText(value.negative, value.magnitude, sink);
    case ValueTag::kFloat:
      return PutFloat(value.real, sink);
    case ValueTag::kText:
      return PutString(value.bytes(), sink);
    case ValueTag::kKey32:
      return PutBase58<kKey32TextMax>(value.data, EncodeBase58Key32, sink);
    case ValueTag::kSig64:
      return PutBase58<kSig64TextMax>(value.data, EncodeBase58Sig64, sink);
    case ValueTag::kBytes:
      return PutBytes(value, sink);
    case ValueTag::kArray:
    case ValueTag::kObject:
      return PutComposite(schema, value, depth, sink);
  }
}

void PutSeq(const Cursor& cursor, JsonSink* sink) {
  sink->Put('"');
  PutDigits(cursor.slot, sink);
  sink->Put(':');
  PutPadded(cursor.index, 12, sink);
  sink->Put('"');
}

// A field of a row; of a patch's array that was appended to only the new elements.
void PutField(const RowSchema& schema, const Row& row, FieldId field, const Mutation* patch, JsonSink* sink) {
  if (patch != nullptr) {
    for (const Appended& appended : patch->appended) {
      if (appended.field != field) continue;
      const std::optional<std::string_view> elements = AppendedElements(*patch, appended);
      if (elements) return PutArray(schema, *elements, kValueDepthMax - 1, sink);
    }
  }
  PutValue(schema, row.Get(field), kValueDepthMax, sink);
}

// The object of the `written` fields of `row`, with the cursor as "_seq".
void PutRow(const RowSchema& schema, const EntitySchema& entity, const Row* row, const Cursor& cursor,
            const FieldSet& written, const Mutation* patch, JsonSink* sink) {
  using Kind = EntitySchema::EmitStep::Kind;
  sink->Put('{');
  const std::vector<EntitySchema::EmitStep>& steps = entity.emit_steps;
  for (size_t i = 0; i < steps.size();) {
    const EntitySchema::EmitStep& step = steps[i++];
    switch (step.kind) {
      case Kind::kOpen:
        if ((step.below & written).none()) {
          i = step.skip_to;
          break;
        }
        sink->Next();
        sink->Put(step.text);
        break;
      case Kind::kClose:
        sink->Put('}');
        break;
      case Kind::kField:
        if (!written[step.field]) break;
        sink->Next();
        sink->Put(step.text);
        PutField(schema, *row, step.field, patch, sink);
        break;
      case Kind::kSeq:
        sink->Next();
        sink->Put(step.text);
        PutSeq(cursor, sink);
        break;
    }
  }
  sink->Put('}');
}

// Emitted fields of a mutation that a subscriber has to hear of.
FieldSet WrittenFields(const EntitySchema& entity, const Mutation& mutation) {
  if (mutation.after == nullptr) return {};
  const FieldSet emitted = entity.emitted & mutation.after->present();
  return mutation.before == nullptr ? emitted : emitted & mutation.changed;
}

constexpr size_t kPatchBytesExpected = 512;

}  // namespace

void AppendJsonString(std::string_view text, std::string* out) {
  JsonSink sink(out, text.size() + 16);
  PutString(text, &sink);
}

void AppendValueJson(const RowSchema& schema, const Value& value, std::string* out) {
  JsonSink sink(out, kNumberBytesMax + size_t{2} * value.size);
  PutValue(schema, value, kValueDepthMax, &sink);
}

void AppendEntityJson(const RowSchema& schema, const EntitySchema& entity, const Row& row, std::string* out) {
  JsonSink sink(out, kPatchBytesExpected + 2 * row.bytes().size());
  PutRow(schema, entity, &row, row.cursor(), entity.emitted & row.present(), nullptr, &sink);
}

void AppendPatchJson(const RowSchema& schema, const EntitySchema& entity, const Mutation& mutation, std::string* out) {
  JsonSink sink(out, kPatchBytesExpected);
  PutRow(schema, entity, mutation.after.get(), mutation.cursor, WrittenFields(entity, mutation), &mutation, &sink);
}

bool EmitsAnything(const EntitySchema& entity, const Mutation& mutation) {
  return mutation.after == nullptr || WrittenFields(entity, mutation).any();
}

}  // namespace everstate
