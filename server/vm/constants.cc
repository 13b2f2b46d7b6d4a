#include "server/vm/constants.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "server/base/base58.h"

namespace everstate::vm {
namespace {

// Scalars only; arrays and objects are encoded by the pool.
Value Scalar(const stack::Literal& literal) {
  if (const auto* b = std::get_if<bool>(&literal.value)) return Value::Bool(*b);
  if (const auto* u = std::get_if<uint64_t>(&literal.value)) return Value::Uint(*u);
  if (const auto* i = std::get_if<int64_t>(&literal.value)) return Value::Int(*i);
  if (const auto* d = std::get_if<double>(&literal.value)) return Value::Float(*d);
  if (const auto* s = std::get_if<std::string>(&literal.value)) return Value::Text(*s);
  return Value::Null();
}

std::optional<Value> DecimalFromText(std::string_view text) {
  bool negative = !text.empty() && text.front() == '-';
  if (negative) text.remove_prefix(1);
  if (text.empty() || text.size() > 39) return std::nullopt;
  Uint128 magnitude = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    Uint128 next = magnitude * 10 + static_cast<unsigned>(c - '0');
    if (next / 10 != magnitude) return std::nullopt;  // beyond 128 bits
    magnitude = next;
  }
  return Value::Decimal(negative, magnitude);
}

std::optional<std::string> BytesFromArray(const stack::Literal::Array& array) {
  std::string bytes;
  for (const stack::Literal& element : array) {
    const auto* u = std::get_if<uint64_t>(&element.value);
    if (u == nullptr || *u > 255) return std::nullopt;
    bytes.push_back(static_cast<char>(*u));
  }
  return bytes;
}

Value BytesOf(const std::string& bytes) {
  return Value::Bytes({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

}  // namespace

const std::string& ConstantPool::Keep(std::string text) { return program_->texts.emplace_back(std::move(text)); }

Reg ConstantPool::Add(const Value& value) {
  program_->constants.push_back(value);
  return static_cast<Reg>(kConstantBit | (program_->constants.size() - 1));
}

Reg ConstantPool::Add(const stack::Literal& literal, Hint hint) {
  if (const auto* text = std::get_if<std::string>(&literal.value)) {
    if (hint == Hint::kKey) {
      if (auto key = DecodeBase58Key32(*text)) {
        const std::string& kept = Keep(std::string(key->begin(), key->end()));
        return Add(Value::Key32(reinterpret_cast<const uint8_t*>(kept.data())));
      }
    }
    if (hint == Hint::kDecimal) {
      if (auto decimal = DecimalFromText(*text)) return Add(*decimal);
    }
    return Add(Value::Text(Keep(*text)));
  }
  const auto* natural = std::get_if<uint64_t>(&literal.value);
  const auto* negative = std::get_if<int64_t>(&literal.value);
  if (hint == Hint::kDecimal && natural != nullptr) return Add(Value::Decimal(false, *natural));
  if (hint == Hint::kDecimal && negative != nullptr)
    return Add(Value::Decimal(true, Uint128{0} - static_cast<Uint128>(*negative)));
  const auto* array = std::get_if<stack::Literal::Array>(&literal.value);
  if (array != nullptr && hint == Hint::kBytes) {
    if (auto bytes = BytesFromArray(*array)) return Add(BytesOf(Keep(std::move(*bytes))));
  }
  if (array == nullptr && !std::holds_alternative<stack::Literal::Object>(literal.value)) return Add(Scalar(literal));

  std::string encoded;
  Encode(literal, &encoded);
  const std::string& kept = Keep(std::move(encoded));
  Value value;
  value.tag = array != nullptr ? ValueTag::kArray : ValueTag::kObject;
  value.data = reinterpret_cast<const uint8_t*>(kept.data());
  value.size = static_cast<uint32_t>(kept.size());
  return Add(value);
}

void ConstantPool::Encode(const stack::Literal& literal, std::string* out) {
  std::string payload;
  if (const auto* array = std::get_if<stack::Literal::Array>(&literal.value)) {
    for (const stack::Literal& element : *array) Encode(element, &payload);
    AppendArray(array->size(), payload, out);
  } else if (const auto* object = std::get_if<stack::Literal::Object>(&literal.value)) {
    std::vector<std::string> keys;
    for (const auto& [key, member] : *object) {
      keys.push_back(key);
      Encode(member, &payload);
    }
    AppendObject(shapes_->Intern(std::move(keys)), payload, out);
  } else {
    AppendValue(Scalar(literal), out);
  }
}

}  // namespace everstate::vm
