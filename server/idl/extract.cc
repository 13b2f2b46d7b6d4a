#include "server/idl/extract.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace everstate::idl {
namespace {

constexpr size_t kChunkBytes = 64u << 10;
constexpr int kDepthMax = 64;

template <typename T>
T Load(const uint8_t* p) {
  T v;
  std::memcpy(&v, p, sizeof(T));
  return v;
}

bool ValidUtf8(std::string_view text) {
  const auto* p = reinterpret_cast<const uint8_t*>(text.data());
  const uint8_t* end = p + text.size();
  while (p < end) {
    if (*p < 0x80) {
      ++p;
      continue;
    }
    const int extra = *p >= 0xf0 && *p <= 0xf4 ? 3 : *p >= 0xe0 && *p < 0xf0 ? 2 : *p >= 0xc2 && *p < 0xe0 ? 1 : 0;
    if (extra == 0 || end - p <= extra) return false;
    const uint8_t second = p[1];
    if ((*p == 0xe0 && second < 0xa0) || (*p == 0xed && second > 0x9f) || (*p == 0xf0 && second < 0x90) || (*p == 0xf4 && second > 0x8f)) return false;
    for (int i = 1; i <= extra; ++i) {
      if ((p[i] & 0xc0) != 0x80) return false;
    }
    p += extra + 1;
  }
  return true;
}

}  // namespace

std::string_view Name(DecodeError e) {
  switch (e) {
    case DecodeError::kNone: return "none";
    case DecodeError::kTooShort: return "too short";
    case DecodeError::kBadBool: return "a bool that is neither 0 nor 1";
    case DecodeError::kBadOptionTag: return "an option tag that is neither 0 nor 1";
    case DecodeError::kBadEnumIndex: return "an enum index out of range";
    case DecodeError::kBadUtf8: return "a string that is not UTF-8";
    case DecodeError::kTooLarge: return "a length beyond the data, or nesting too deep";
  }
  return "unknown";
}

uint8_t* Arena::Allocate(size_t bytes) {
  while (chunk_ < chunks_.size() && chunks_[chunk_].size - used_ < bytes) {
    ++chunk_;
    used_ = 0;
  }
  if (chunk_ == chunks_.size()) {
    const size_t size = std::max(bytes, kChunkBytes);
    chunks_.push_back({std::make_unique<uint8_t[]>(size), size});
  }
  uint8_t* out = chunks_[chunk_].bytes.get() + used_;
  used_ += bytes;
  return out;
}

std::string_view Arena::Copy(std::string_view bytes) {
  if (bytes.empty()) return {};
  uint8_t* out = Allocate(bytes.size());
  std::memcpy(out, bytes.data(), bytes.size());
  return {reinterpret_cast<const char*>(out), bytes.size()};
}

void Arena::Clear() {
  chunk_ = 0;
  used_ = 0;
}

namespace {

// Walker: stands at one place of a body and reads or skips values there.
class Walker {
 public:
  Walker(const std::vector<Type>& types, const std::vector<ShapeId>& shapes, std::span<const uint8_t> body, Arena* arena)
      : types_(types), shapes_(shapes), begin_(body.data()), at_(body.data()), end_(body.data() + body.size()), arena_(arena) {}

  bool Skip(TypeId id, int depth = 0);
  bool SkipBytes(uint64_t size) {
    if (size > static_cast<uint64_t>(end_ - at_)) return Fail(DecodeError::kTooShort);
    at_ += size;
    return true;
  }
  bool Read(TypeId id, Value* out, int depth = 0);
  DecodeError error() const { return error_; }
  uint32_t offset() const { return static_cast<uint32_t>(at_ - begin_); }

 private:
  bool Fail(DecodeError e) {
    error_ = e;
    return false;
  }
  size_t left() const { return static_cast<size_t>(end_ - at_); }
  bool ReadLength(uint32_t* length) {
    if (left() < 4) return Fail(DecodeError::kTooShort);
    *length = Load<uint32_t>(at_);
    at_ += 4;
    return true;
  }
  // A count of elements must leave room for at least a byte each; elements without size are refused, they could be any number.
  bool ReadCount(uint32_t* count, const Type& element) {
    if (!ReadLength(count)) return false;
    const uint64_t least = element.fixed_size.value_or(1);
    if (*count > 0 && (least == 0 || *count > left() / least)) return Fail(DecodeError::kTooLarge);
    return true;
  }
  bool ReadSequence(TypeId element, uint64_t count, Value* out, int depth);
  bool ReadFields(TypeId id, Value* out, int depth);
  bool ReadEnum(TypeId id, Value* out, int depth);
  void Finish(std::string_view encoded, ValueTag tag, Value* out) {
    const std::string_view kept = arena_->Copy(encoded);
    *out = Value();
    out->tag = tag;
    out->data = reinterpret_cast<const uint8_t*>(kept.data());
    out->size = static_cast<uint32_t>(kept.size());
  }

  const std::vector<Type>& types_;
  const std::vector<ShapeId>& shapes_;
  const uint8_t *begin_, *at_, *end_;
  Arena* arena_;
  DecodeError error_ = DecodeError::kNone;
};

bool Walker::Skip(TypeId id, int depth) {
  if (depth > kDepthMax) return Fail(DecodeError::kTooLarge);
  const Type& type = types_[id];
  if (type.fixed_size.has_value() && type.kind != Kind::kStruct && type.kind != Kind::kTuple) return SkipBytes(*type.fixed_size);
  uint32_t n = 0;
  switch (type.kind) {
    case Kind::kString:
    case Kind::kBytes:
      return ReadLength(&n) && SkipBytes(n);
    case Kind::kOption: {
      if (left() < 1) return Fail(DecodeError::kTooShort);
      if (*at_ > 1) return Fail(DecodeError::kBadOptionTag);
      return *at_++ == 0 || Skip(type.element, depth + 1);
    }
    case Kind::kVec:
    case Kind::kArray: {
      n = type.count;
      if (type.kind == Kind::kVec && !ReadCount(&n, types_[type.element])) return false;
      for (uint32_t i = 0; i < n; ++i) {
        if (!Skip(type.element, depth + 1)) return false;
      }
      return true;
    }
    case Kind::kMap: {
      if (!ReadCount(&n, types_[type.element])) return false;
      for (uint32_t i = 0; i < n; ++i) {
        if (!Skip(type.element, depth + 1) || !Skip(type.map_value, depth + 1)) return false;
      }
      return true;
    }
    case Kind::kStruct:
    case Kind::kTuple:
      for (const Type::Field& field : type.fields) {
        if (!Skip(field.type, depth + 1)) return false;
      }
      return true;
    case Kind::kEnum: {
      if (left() < 1) return Fail(DecodeError::kTooShort);
      const uint8_t index = *at_;
      if (index >= type.variants.size()) return Fail(DecodeError::kBadEnumIndex);
      ++at_;
      return type.variants[index].unit || Skip(type.variants[index].payload, depth + 1);
    }
    default:
      return SkipBytes(type.fixed_size.value_or(0));
  }
}

bool Walker::ReadSequence(TypeId element, uint64_t count, Value* out, int depth) {
  std::string payload, encoded;
  for (uint64_t i = 0; i < count; ++i) {
    Value value;
    if (!Read(element, &value, depth + 1)) return false;
    AppendValue(value, &payload);
  }
  AppendArray(count, payload, &encoded);
  Finish(encoded, ValueTag::kArray, out);
  return true;
}

// Fields come in the order of declaration and leave in the order of the shape's keys.
bool Walker::ReadFields(TypeId id, Value* out, int depth) {
  const Type& type = types_[id];
  std::vector<std::pair<std::string_view, Value>> values;
  for (const Type::Field& field : type.fields) {
    if (types_[field.type].kind == Kind::kPad) {
      if (!Skip(field.type, depth + 1)) return false;
      continue;
    }
    Value value;
    if (!Read(field.type, &value, depth + 1)) return false;
    values.emplace_back(field.name, value);
  }
  std::string payload, encoded;
  if (type.kind == Kind::kStruct) std::sort(values.begin(), values.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [name, value] : values) AppendValue(value, &payload);
  if (type.kind == Kind::kStruct) {
    AppendObject(shapes_[id], payload, &encoded);
    Finish(encoded, ValueTag::kObject, out);
  } else {
    AppendArray(values.size(), payload, &encoded);
    Finish(encoded, ValueTag::kArray, out);
  }
  return true;
}

bool Walker::ReadEnum(TypeId id, Value* out, int depth) {
  const Type& type = types_[id];
  if (left() < 1) return Fail(DecodeError::kTooShort);
  const uint8_t index = *at_;
  if (index >= type.variants.size()) return Fail(DecodeError::kBadEnumIndex);
  ++at_;
  const Type::Variant& variant = type.variants[index];
  if (variant.unit) {
    *out = Value::Text(variant.name);
    return true;
  }
  Value payload;
  if (!Read(variant.payload, &payload, depth + 1)) return false;
  // {"Variant": payload}: the shape of the enum's one key per variant is that of the payload's type id, see PlanCompiler.
  std::string bytes, encoded;
  AppendValue(payload, &bytes);
  AppendObject(shapes_[types_.size() + variant.payload], bytes, &encoded);
  Finish(encoded, ValueTag::kObject, out);
  return true;
}

bool Walker::Read(TypeId id, Value* out, int depth) {
  if (depth > kDepthMax) return Fail(DecodeError::kTooLarge);
  const Type& type = types_[id];
  const uint8_t* p = at_;
  switch (type.kind) {
    case Kind::kU8: case Kind::kI8: case Kind::kU16: case Kind::kI16: case Kind::kU32: case Kind::kI32: case Kind::kU64: case Kind::kI64:
    case Kind::kF32: case Kind::kF64: case Kind::kU128: case Kind::kI128: case Kind::kBool: case Kind::kPubkey: case Kind::kByteArray:
      if (left() < *type.fixed_size) return Fail(DecodeError::kTooShort);
      at_ += *type.fixed_size;
      break;
    default:
      break;
  }
  uint32_t n = 0;
  switch (type.kind) {
    case Kind::kU8: *out = Value::Uint(*p); return true;
    case Kind::kI8: *out = Value::Int(static_cast<int8_t>(*p)); return true;
    case Kind::kU16: *out = Value::Uint(Load<uint16_t>(p)); return true;
    case Kind::kI16: *out = Value::Int(Load<int16_t>(p)); return true;
    case Kind::kU32: *out = Value::Uint(Load<uint32_t>(p)); return true;
    case Kind::kI32: *out = Value::Int(Load<int32_t>(p)); return true;
    case Kind::kU64: *out = Value::Uint(Load<uint64_t>(p)); return true;
    case Kind::kI64: *out = Value::Int(Load<int64_t>(p)); return true;
    case Kind::kF32: *out = Value::Float(Load<float>(p)); return true;
    case Kind::kF64: *out = Value::Float(Load<double>(p)); return true;
    case Kind::kU128: *out = Value::Decimal(false, Load<Uint128>(p)); return true;
    case Kind::kI128: {
      const auto v = Load<__int128>(p);
      *out = v < 0 ? Value::Decimal(true, -static_cast<Uint128>(v)) : Value::Decimal(false, static_cast<Uint128>(v));
      return true;
    }
    case Kind::kBool:
      if (*p > 1) {
        at_ = p;
        return Fail(DecodeError::kBadBool);
      }
      *out = Value::Bool(*p == 1);
      return true;
    case Kind::kPubkey: *out = Value::Key32(p); return true;
    case Kind::kByteArray: *out = Value::Bytes({p, *type.fixed_size}); return true;
    case Kind::kString:
    case Kind::kBytes: {
      if (!ReadLength(&n)) return false;
      if (n > left()) return Fail(DecodeError::kTooShort);
      const std::string_view text(reinterpret_cast<const char*>(at_), n);
      if (type.kind == Kind::kString && !ValidUtf8(text)) return Fail(DecodeError::kBadUtf8);
      *out = type.kind == Kind::kString ? Value::Text(text) : Value::Bytes({at_, n});
      at_ += n;
      return true;
    }
    case Kind::kOption:
      if (left() < 1) return Fail(DecodeError::kTooShort);
      if (*at_ > 1) return Fail(DecodeError::kBadOptionTag);
      if (*at_++ == 0) {
        *out = Value::Null();
        return true;
      }
      return Read(type.element, out, depth + 1);
    case Kind::kArray: return ReadSequence(type.element, type.count, out, depth);
    case Kind::kVec: return ReadCount(&n, types_[type.element]) && ReadSequence(type.element, n, out, depth);
    case Kind::kStruct:
    case Kind::kTuple: return ReadFields(id, out, depth);
    case Kind::kEnum: return ReadEnum(id, out, depth);
    case Kind::kMap:
    case Kind::kPad: return Fail(DecodeError::kTooLarge);  // PlanCompiler lets no plan read these
  }
  return Fail(DecodeError::kTooLarge);
}

}  // namespace

// PlanCompiler: turns wanted paths into one walk.
class PlanCompiler {
 public:
  PlanCompiler(std::shared_ptr<const Program> program, ShapeTable* shapes) : program_(std::move(program)), shapes_(shapes) {}

  absl::StatusOr<Plan> Compile(TypeId body, std::vector<Plan::Wanted> wanted) {
    plan_.program_ = program_;
    plan_.shape_of_type_.resize(program_->types().size() * 2, 0);
    if (absl::Status status = Walk(body, std::move(wanted), 0); !status.ok()) return status;
    while (!plan_.steps_.empty() && plan_.steps_.back().op != Plan::Step::Op::kRead) plan_.steps_.pop_back();
    return std::move(plan_);
  }

 private:
  const Type& At(TypeId id) const { return program_->types()[id]; }
  static absl::Status NoSuchField(const Plan::Wanted& wanted) {
    return absl::NotFoundError(absl::StrCat("there is no field ", absl::StrJoin(wanted.path, ".")));
  }

  // Every wanted path begins at `level` inside `id`. Emits the steps that pass over the whole value.
  absl::Status Walk(TypeId id, std::vector<Plan::Wanted> wanted, size_t level) {
    const auto whole = std::stable_partition(wanted.begin(), wanted.end(), [&](const auto& w) { return w.path.size() == level; });
    const Type& type = At(id);
    if (wanted.begin() == wanted.end()) {
      Skip(id);
      return absl::OkStatus();
    }
    if (whole == wanted.end()) {
      // All of them want the value itself: it is read once for each.
      for (size_t i = 0; i < wanted.size(); ++i) {
        if (absl::Status status = GiveShapes(id, wanted[i], 0); !status.ok()) return status;
        plan_.steps_.push_back({i + 1 < wanted.size() ? Plan::Step::Op::kPeek : Plan::Step::Op::kRead, 0, id, wanted[i].reg});
      }
      return absl::OkStatus();
    }
    if (type.kind != Kind::kStruct && type.kind != Kind::kTuple) return NoSuchField(*whole);
    for (auto it = wanted.begin(); it != whole; ++it) {
      if (absl::Status status = GiveShapes(id, *it, 0); !status.ok()) return status;
      plan_.steps_.push_back({Plan::Step::Op::kPeek, 0, id, it->reg});
    }
    std::vector<std::vector<Plan::Wanted>> by_field(type.fields.size());
    for (auto it = whole; it != wanted.end(); ++it) {
      const int field = FieldAt(type, it->path[level]);
      if (field < 0) return NoSuchField(*it);
      by_field[static_cast<size_t>(field)].push_back(std::move(*it));
    }
    for (size_t f = 0; f < type.fields.size(); ++f) {
      if (absl::Status status = Walk(type.fields[f].type, std::move(by_field[f]), level + 1); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  static int FieldAt(const Type& type, const std::string& segment) {
    for (const std::string& name : {segment, SnakeCase(segment)}) {
      for (size_t f = 0; f < type.fields.size(); ++f) {
        if (type.kind == Kind::kStruct ? type.fields[f].name == name : std::to_string(f) == name) return static_cast<int>(f);
      }
    }
    return -1;
  }

  void Skip(TypeId id) {
    const std::optional<uint32_t> size = At(id).fixed_size;
    if (!size.has_value()) {
      plan_.steps_.push_back({Plan::Step::Op::kSkip, 0, id, 0});
    } else if (*size > 0) {
      if (!plan_.steps_.empty() && plan_.steps_.back().op == Plan::Step::Op::kSkipFixed) {
        plan_.steps_.back().size += *size;
      } else {
        plan_.steps_.push_back({Plan::Step::Op::kSkipFixed, *size, 0, 0});
      }
    }
  }

  // Interns the shapes that a read of this type needs. A map would need keys that are not known here.
  absl::Status GiveShapes(TypeId id, const Plan::Wanted& wanted, int depth) {
    const Type& type = At(id);
    if (depth > kDepthMax) return absl::InvalidArgumentError("types are nested too deeply");
    switch (type.kind) {
      case Kind::kMap:
        return absl::UnimplementedError(absl::StrCat("field ", absl::StrJoin(wanted.path, "."), " holds a map, which is not supported"));
      case Kind::kOption:
      case Kind::kVec:
      case Kind::kArray:
        return GiveShapes(type.element, wanted, depth + 1);
      case Kind::kStruct:
      case Kind::kTuple: {
        std::vector<std::string> keys;
        for (const Type::Field& field : type.fields) {
          if (At(field.type).kind == Kind::kPad) continue;
          keys.push_back(field.name);
          if (absl::Status status = GiveShapes(field.type, wanted, depth + 1); !status.ok()) return status;
        }
        std::sort(keys.begin(), keys.end());
        if (type.kind == Kind::kStruct) plan_.shape_of_type_[id] = shapes_->Intern(std::move(keys));
        return absl::OkStatus();
      }
      case Kind::kEnum:
        for (const Type::Variant& variant : type.variants) {
          if (variant.unit) continue;
          // The second half of the table holds, by payload type, the shape of {"Variant": payload}.
          plan_.shape_of_type_[program_->types().size() + variant.payload] = shapes_->Intern({variant.name});
          if (absl::Status status = GiveShapes(variant.payload, wanted, depth + 1); !status.ok()) return status;
        }
        return absl::OkStatus();
      default:
        return absl::OkStatus();
    }
  }

  const std::shared_ptr<const Program> program_;
  ShapeTable* const shapes_;
  Plan plan_;
};

absl::StatusOr<Plan> Plan::Compile(std::shared_ptr<const Program> program, TypeId body, std::vector<Wanted> wanted, ShapeTable* shapes) {
  return PlanCompiler(std::move(program), shapes).Compile(body, std::move(wanted));
}

DecodeResult Plan::RunOnce(std::span<const uint8_t> body, Arena* arena, Value* registers) const {
  Walker walker(program_->types(), shape_of_type_, body, arena);
  for (const Step& step : steps_) {
    bool ok = true;
    switch (step.op) {
      case Step::Op::kSkipFixed:
        ok = walker.SkipBytes(step.size);
        break;
      case Step::Op::kSkip:
        ok = walker.Skip(step.type);
        break;
      case Step::Op::kRead:
        ok = walker.Read(step.type, &registers[step.reg]);
        break;
      case Step::Op::kPeek: {
        Walker ahead = walker;
        ok = ahead.Read(step.type, &registers[step.reg]);
        if (!ok) return {ahead.error(), ahead.offset(), 0};
        break;
      }
    }
    if (!ok) return {walker.error(), walker.offset(), 0};
  }
  return {};
}

DecodeResult Plan::Run(std::span<const uint8_t> body, bool pad_with_zeros, Arena* arena, Value* registers) const {
  const DecodeResult result = RunOnce(body, arena, registers);
  if (result.error != DecodeError::kTooShort || !pad_with_zeros) return result;
  // Missing bytes count as zero. No argument list needs more than this: a zero length or tag ends every variable part.
  constexpr size_t kPadBytes = 1024;
  uint8_t* padded = arena->Allocate(body.size() + kPadBytes);
  if (!body.empty()) std::memcpy(padded, body.data(), body.size());
  std::memset(padded + body.size(), 0, kPadBytes);
  DecodeResult again = RunOnce({padded, body.size() + kPadBytes}, arena, registers);
  if (again.error == DecodeError::kNone) again.zeros_padded = true;
  return again;
}

}  // namespace everstate::idl
