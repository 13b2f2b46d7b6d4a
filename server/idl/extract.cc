#include "server/idl/extract.h"

#include <algorithm>
#include <cstring>

#include "server/idl/body_reader.h"

namespace everstate::idl {

std::string_view Name(DecodeError e) {
  switch (e) {
    case DecodeError::kNone:
      return "none";
    case DecodeError::kTooShort:
      return "too short";
    case DecodeError::kBadBool:
      return "a bool that is neither 0 nor 1";
    case DecodeError::kBadOptionTag:
      return "an option tag that is neither 0 nor 1";
    case DecodeError::kBadEnumIndex:
      return "an enum index out of range";
    case DecodeError::kBadUtf8:
      return "a string that is not UTF-8";
    case DecodeError::kTooLarge:
      return "elements without bytes, nesting too deep, or more than 64 MiB of values";
  }
  return "unknown";
}

namespace {

// In zeros every length is 0 and every option is none, so what the layout needs at least is enough, unless a length or
// a variant asks for more; then it stays too short.
size_t ZerosFor(uint32_t min_size) {
  constexpr size_t kZerosMin = 256;
  return std::max<size_t>(kZerosMin, min_size);
}

// One value into a register. Composites are encoded in `scratch` and kept in the arena; what else a value points to is
// in the body or in the program.
bool ReadValue(const std::vector<Type>& types, Kind kind, TypeId id, const BodyReader::Shapes& shapes,
               BodyReader* reader, Arena* arena, std::string* scratch, Value* out) {
  while (kind == Kind::kOption || kind == Kind::kFixedOption) {
    bool some = false;
    if (!reader->ReadOptionTag(types[id], &some)) return false;
    if (!some) {
      if (kind == Kind::kFixedOption && !reader->Pass(types[id].element)) return false;
      *out = Value::Null();
      return true;
    }
    id = types[id].element;
    kind = types[id].kind;
  }
  if (BodyReader::IsSimple(kind)) return reader->ReadSimple(kind, id, out);
  if (kind == Kind::kEnum) {
    BodyReader ahead = *reader;
    const Type::Variant* variant = nullptr;
    if (ahead.ReadVariant(types[id], &variant) && variant->unit) {
      *reader = ahead;
      *out = Value::Text(variant->name);
      return true;
    }
  }
  scratch->clear();
  if (!reader->Encode(id, shapes, scratch)) return false;
  const std::string_view kept = arena->Copy(*scratch);
  *out = Value();
  out->tag = static_cast<ValueTag>(kept[0]);
  out->data = reinterpret_cast<const uint8_t*>(kept.data());
  out->size = static_cast<uint32_t>(kept.size());
  return true;
}

}  // namespace

std::vector<uint8_t> PaddedWithZeros(std::span<const uint8_t> body, uint32_t min_size) {
  std::vector<uint8_t> padded(body.begin(), body.end());
  padded.resize(body.size() + ZerosFor(min_size));
  return padded;
}

DecodeResult Plan::RunOnce(std::span<const uint8_t> body, Arena* arena, Value* registers) const {
  const std::vector<Type>& types = program_->types();
  const BodyReader::Shapes shapes{struct_shapes_, payload_shapes_};
  BodyReader reader(types, body);
  const auto read = [&](const Step& step, BodyReader* from) {
    return ReadValue(types, step.kind, step.type, shapes, from, arena, &arena->scratch_, &registers[step.reg]);
  };
  for (const Step& step : steps_) {
    bool ok = reader.PassBytes(step.skip);
    if (!ok) return {reader.error(), reader.offset(), false};
    switch (step.op) {
      case Step::Op::kReadSimple:
        ok = reader.ReadSimple(step.kind, step.type, &registers[step.reg]);
        break;
      case Step::Op::kRead:
        ok = read(step, &reader);
        break;
      case Step::Op::kPass:
        ok = reader.Pass(step.type);
        break;
      case Step::Op::kEnd:
        break;
      case Step::Op::kPeek: {
        BodyReader ahead = reader;
        if (!read(step, &ahead)) return {ahead.error(), ahead.offset(), false};
        break;
      }
    }
    if (!ok) return {reader.error(), reader.offset(), false};
  }
  return {};
}

DecodeResult Plan::Run(std::span<const uint8_t> body, bool pad_with_zeros, Arena* arena, Value* registers) const {
  const DecodeResult result = RunOnce(body, arena, registers);
  const Type& type = program_->types()[body_];
  if (result.error != DecodeError::kTooShort || !pad_with_zeros || !MayBePadded(type)) return result;
  const size_t zeros = ZerosFor(type.min_size);
  uint8_t* padded = arena->Allocate(body.size() + zeros);
  if (!body.empty()) std::memcpy(padded, body.data(), body.size());
  std::memset(padded + body.size(), 0, zeros);
  DecodeResult again = RunOnce({padded, body.size() + zeros}, arena, registers);
  again.zeros_padded = again.error == DecodeError::kNone;
  return again;
}

}  // namespace everstate::idl
