#include "server/vm/key_text.h"

#include <charconv>

#include "server/base/base58.h"
#include "storage/row.h"

namespace everstate::vm {
namespace {

void AppendDecimal(bool negative, Uint128 magnitude, std::string* out) {
  char digits[40];
  size_t size = 0;
  do {
    digits[size++] = static_cast<char>('0' + static_cast<int>(magnitude % 10));
    magnitude /= 10;
  } while (magnitude != 0);
  if (negative) out->push_back('-');
  while (size > 0) out->push_back(digits[--size]);
}

void AppendHex(std::string_view bytes, std::string* out) {
  constexpr char kDigits[] = "0123456789abcdef";
  for (char c : bytes) {
    const auto byte = static_cast<uint8_t>(c);
    out->push_back(kDigits[byte >> 4]);
    out->push_back(kDigits[byte & 15]);
  }
}

// Whether the JSON text of a value says all that is in it.
bool Whole(const RowSchema& schema, const Value& value, int depth) {
  if (value.tag != ValueTag::kArray && value.tag != ValueTag::kObject) return true;
  auto composite = OpenComposite(value);
  if (depth == 0 || !composite.ok()) return false;
  if (value.tag == ValueTag::kObject && composite->count_or_shape >= schema.shapes().size()) return false;
  ValueReader reader(composite->payload);
  while (!reader.done()) {
    auto inside = reader.Next();
    if (!inside.ok() || !Whole(schema, *inside, depth - 1)) return false;
  }
  return true;
}

}  // namespace

bool AppendKeyText(const RowSchema& schema, const Value& value, std::string* out) {
  char text[kSig64TextMax];
  switch (value.tag) {
    case ValueTag::kAbsent:
    case ValueTag::kNull:
      return false;
    case ValueTag::kText:
      out->append(value.bytes());
      return true;
    case ValueTag::kKey32:
      out->append(text, EncodeBase58Key32(value.data, text));
      return true;
    case ValueTag::kSig64:
      out->append(text, EncodeBase58Sig64(value.data, text));
      return true;
    case ValueTag::kBytes:
      AppendHex(value.bytes(), out);
      return true;
    case ValueTag::kUint:
    case ValueTag::kNegInt: {
      const auto end = value.tag == ValueTag::kUint ? std::to_chars(text, text + sizeof text, value.uint)
                                                    : std::to_chars(text, text + sizeof text, value.neg);
      out->append(text, static_cast<size_t>(end.ptr - text));
      return true;
    }
    case ValueTag::kWide:
    case ValueTag::kDecimal:
      AppendDecimal(value.negative, value.magnitude, out);
      return true;
    default:
      if (!Whole(schema, value, kValueDepthMax)) return false;
      AppendValueJson(schema, value, out);
      return true;
  }
}

}  // namespace everstate::vm
