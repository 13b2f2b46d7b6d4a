#include "server/idl/layout.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "absl/strings/str_cat.h"
#include "server/base/base58.h"

namespace everstate::idl {

using stack::IdlType;

std::string SnakeCase(std::string_view idl_name) {
  std::string out;
  for (const char c : idl_name) {
    if (c >= 'A' && c <= 'Z') {
      if (!out.empty()) out += '_';
      out += static_cast<char>(c - 'A' + 'a');
    } else {
      out += c;
    }
  }
  return out;
}

std::string PascalCase(std::string_view idl_name) {
  std::string out;
  bool upper = true;
  for (const char c : idl_name) {
    if (c == '_') {
      upper = true;
      continue;
    }
    out += upper && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    upper = false;
  }
  return out;
}

ShapeId ShapeTable::Intern(std::vector<std::string> sorted_keys) {
  for (size_t i = 0; i < shapes_.size(); ++i) {
    if (shapes_[i].keys == sorted_keys) return static_cast<ShapeId>(i);
  }
  shapes_.push_back({std::move(sorted_keys)});
  return static_cast<ShapeId>(shapes_.size() - 1);
}

// ProgramCompiler: builds the tables of one IDL.
class ProgramCompiler {
 public:
  explicit ProgramCompiler(const stack::Idl& idl) : idl_(idl), program_(new Program()) {}

  absl::StatusOr<std::shared_ptr<const Program>> Compile() {
    program_->name_ = idl_.name;
    const auto id = DecodeBase58Key32(idl_.program_id);
    if (!id.has_value()) return Error("program_id", "is not base58 of 32 bytes");
    program_->program_id_ = *id;
    for (const auto step : {&ProgramCompiler::Accounts, &ProgramCompiler::Instructions, &ProgramCompiler::Events, &ProgramCompiler::Matchers}) {
      if (absl::Status status = (this->*step)(); !status.ok()) return status;
    }
    return std::shared_ptr<const Program>(std::move(program_));
  }

 private:
  static constexpr size_t kNestingMax = 64;

  absl::Status Error(const std::string& item, const std::string& rule) const {
    return absl::InvalidArgumentError(absl::StrCat("IDL ", idl_.name, ": ", item, ": ", rule));
  }

  TypeId Add(Type type) {
    program_->types_.push_back(std::move(type));
    return static_cast<TypeId>(program_->types_.size() - 1);
  }
  const Type& At(TypeId id) const { return program_->types_[id]; }

  TypeId Simple(Kind kind, std::optional<uint32_t> size) {
    const auto [it, inserted] = simple_.try_emplace(kind, 0);
    if (inserted) {
      Type type;
      type.kind = kind;
      type.fixed_size = size;
      it->second = Add(std::move(type));
    }
    return it->second;
  }

  absl::StatusOr<TypeId> Primitive(IdlType::Kind kind) {
    using K = IdlType::Kind;
    switch (kind) {
      case K::kU8: return Simple(Kind::kU8, 1);
      case K::kI8: return Simple(Kind::kI8, 1);
      case K::kU16: return Simple(Kind::kU16, 2);
      case K::kI16: return Simple(Kind::kI16, 2);
      case K::kU32: return Simple(Kind::kU32, 4);
      case K::kI32: return Simple(Kind::kI32, 4);
      case K::kF32: return Simple(Kind::kF32, 4);
      case K::kU64: return Simple(Kind::kU64, 8);
      case K::kI64: return Simple(Kind::kI64, 8);
      case K::kF64: return Simple(Kind::kF64, 8);
      case K::kU128: return Simple(Kind::kU128, 16);
      case K::kI128: return Simple(Kind::kI128, 16);
      case K::kBool: return Simple(bytemuck_ ? Kind::kU8 : Kind::kBool, 1);  // bytemuck types hold 0 and 1 as numbers
      case K::kPubkey: return Simple(Kind::kPubkey, 32);
      case K::kString: return Simple(Kind::kString, std::nullopt);
      case K::kBytes: return Simple(Kind::kBytes, std::nullopt);
      default: return absl::InternalError("not a primitive type");
    }
  }

  absl::StatusOr<TypeId> Compile(const IdlType& type, const std::string& item) {
    if (++depth_ > kNestingMax) return Error(item, "types are nested too deeply, or recursive");
    absl::StatusOr<TypeId> id = CompileNested(type, item);
    --depth_;
    return id;
  }

  absl::StatusOr<TypeId> CompileNested(const IdlType& type, const std::string& item) {
    using K = IdlType::Kind;
    if (type.kind == K::kDefined) return Defined(type.name, item);
    if (type.kind != K::kArray && type.kind != K::kVec && type.kind != K::kOption && type.kind != K::kMap) return Primitive(type.kind);
    absl::StatusOr<TypeId> element = Compile(type.args.at(0), item);
    if (!element.ok()) return element;
    Type out;
    out.element = *element;
    const std::optional<uint32_t> element_size = At(*element).fixed_size;
    if (type.kind == K::kArray) {
      if (type.count > UINT32_MAX / 32) return Error(item, "an array is too long");
      out.count = static_cast<uint32_t>(type.count);
      out.kind = At(*element).kind == Kind::kU8 ? Kind::kByteArray : Kind::kArray;
      if (element_size.has_value()) out.fixed_size = *element_size * out.count;
    } else if (type.kind == K::kVec) {
      if (At(*element).kind == Kind::kU8) return Simple(Kind::kBytes, std::nullopt);
      out.kind = Kind::kVec;
    } else if (type.kind == K::kOption) {
      out.kind = Kind::kOption;
    } else {
      absl::StatusOr<TypeId> value = Compile(type.args.at(1), item);
      if (!value.ok()) return value;
      out.kind = Kind::kMap;
      out.map_value = *value;
    }
    return Add(std::move(out));
  }

  const stack::IdlTypeDef* FindDef(const std::string& name) const {
    const auto it = std::find_if(idl_.types.begin(), idl_.types.end(), [&](const auto& def) { return def.name == name; });
    return it == idl_.types.end() ? nullptr : &*it;
  }

  absl::StatusOr<TypeId> Defined(const std::string& name, const std::string& item) {
    const auto key = std::make_pair(name, bytemuck_);
    if (const auto it = defined_.find(key); it != defined_.end()) return it->second;
    const stack::IdlTypeDef* def = FindDef(name);
    if (def == nullptr) return Error(item, absl::StrCat("type ", name, " is not defined"));
    absl::StatusOr<TypeId> id = def->is_enum ? Enum(*def) : Fields(def->fields, def->is_tuple, "types." + name);
    if (id.ok()) defined_[key] = *id;
    return id;
  }

  // Natural alignment in bytes, as repr(C) lays bytemuck types out.
  uint32_t AlignmentOf(TypeId id) const {
    const Type& type = At(id);
    switch (type.kind) {
      case Kind::kU16: case Kind::kI16: return 2;
      case Kind::kU32: case Kind::kI32: case Kind::kF32: return 4;
      case Kind::kU64: case Kind::kI64: case Kind::kF64: return 8;
      case Kind::kU128: case Kind::kI128: return 16;
      case Kind::kArray: return AlignmentOf(type.element);
      case Kind::kStruct: case Kind::kTuple: {
        uint32_t most = 1;
        for (const Type::Field& field : type.fields) most = std::max(most, AlignmentOf(field.type));
        return most;
      }
      default: return 1;
    }
  }

  void Pad(Type* out, uint32_t bytes) {
    if (bytes == 0) return;
    Type pad;
    pad.kind = Kind::kPad;
    pad.count = bytes;
    pad.fixed_size = bytes;
    out->fields.push_back({"", Add(std::move(pad))});
    *out->fixed_size += bytes;
  }

  absl::StatusOr<TypeId> Fields(const std::vector<stack::IdlField>& fields, bool tuple, const std::string& item) {
    Type out;
    out.kind = tuple ? Kind::kTuple : Kind::kStruct;
    out.fixed_size = 0;
    uint32_t most_aligned = 1;
    for (const stack::IdlField& field : fields) {
      absl::StatusOr<TypeId> id = Compile(field.type, absl::StrCat(item, ".", field.name));
      if (!id.ok()) return id;
      if (bytemuck_ && out.fixed_size.has_value()) {
        const uint32_t alignment = AlignmentOf(*id);
        most_aligned = std::max(most_aligned, alignment);
        Pad(&out, (alignment - *out.fixed_size % alignment) % alignment);
      }
      const std::optional<uint32_t> size = At(*id).fixed_size;
      if (size.has_value() && out.fixed_size.has_value()) {
        *out.fixed_size += *size;
      } else {
        out.fixed_size.reset();
      }
      out.fields.push_back({SnakeCase(field.name), *id});
    }
    if (bytemuck_ && out.fixed_size.has_value()) Pad(&out, (most_aligned - *out.fixed_size % most_aligned) % most_aligned);
    return Add(std::move(out));
  }

  absl::StatusOr<TypeId> Enum(const stack::IdlTypeDef& def) {
    Type out;
    out.kind = Kind::kEnum;
    bool all_unit = true;
    for (const auto& variant : def.variants) {
      Type::Variant compiled;
      compiled.name = variant.name;
      compiled.unit = variant.fields.empty();
      if (!compiled.unit) {
        all_unit = false;
        const bool tuple = variant.fields.front().name.empty();
        absl::StatusOr<TypeId> payload = Fields(variant.fields, tuple, absl::StrCat("types.", def.name, ".", variant.name));
        if (!payload.ok()) return payload;
        compiled.payload = *payload;
      }
      out.variants.push_back(std::move(compiled));
    }
    if (all_unit) out.fixed_size = 1;
    return Add(std::move(out));
  }

  absl::Status Accounts() {
    for (const stack::IdlAccount& account : idl_.accounts) {
      const std::string item = "accounts." + account.name;
      const stack::IdlTypeDef* def = FindDef(account.name);
      const auto serialization = def != nullptr ? def->serialization : account.serialization;
      bytemuck_ = serialization != stack::Serialization::kBorsh;
      // An account without fields of its own has the type of its name; without one it has no fields at all.
      absl::StatusOr<TypeId> body = !account.fields.empty() || def == nullptr || def->is_enum || def->is_tuple
                                        ? Fields(account.fields, false, item)
                                        : Defined(account.name, item);
      bytemuck_ = false;
      if (!body.ok()) return body.status();
      AccountLayout layout{account.name, account.discriminator, *body, std::nullopt};
      if (account.discriminator.empty()) {
        if (!At(*body).fixed_size.has_value()) return Error(item, "has an empty discriminator, and its layout has no fixed length to recognise it by");
        layout.exact_length = At(*body).fixed_size;
      }
      program_->accounts_.push_back(std::move(layout));
    }
    return absl::OkStatus();
  }

  absl::Status Instructions() {
    for (const stack::IdlInstruction& instruction : idl_.instructions) {
      absl::StatusOr<TypeId> args = Fields(instruction.args, false, "instructions." + instruction.name);
      if (!args.ok()) return args.status();
      std::vector<uint8_t> discriminator = instruction.discriminator;
      discriminator.resize(idl_.discriminant_size, 0);
      program_->instructions_.push_back({PascalCase(instruction.name), std::move(discriminator), *args, instruction.accounts});
    }
    return absl::OkStatus();
  }

  absl::Status Events() {
    for (const stack::IdlEvent& event : idl_.events) {
      const stack::IdlTypeDef* def = FindDef(event.name);
      if (def == nullptr || def->is_enum) return Error("events." + event.name, "there is no struct type of its name");
      absl::StatusOr<TypeId> body = Defined(event.name, "events." + event.name);
      if (!body.ok()) return body.status();
      program_->events_.push_back({event.name, event.discriminator, *body});
    }
    return absl::OkStatus();
  }

  absl::Status AddMatcher(std::vector<Program::Matcher>* matchers, const std::vector<uint8_t>& discriminator, int index, const std::string& item) {
    auto it = std::find_if(matchers->begin(), matchers->end(), [&](const auto& m) { return m.length == discriminator.size(); });
    if (it == matchers->end()) {
      matchers->push_back({});
      it = matchers->end() - 1;
      it->length = discriminator.size();
    }
    uint64_t prefix = 0;
    std::memcpy(&prefix, discriminator.data(), std::min<size_t>(8, discriminator.size()));
    if (discriminator.size() > 8) return Error(item, "discriminators of more than 8 bytes are not supported");
    if (!it->by_prefix.emplace(prefix, index).second) return Error(item, "has the discriminator of another one");
    return absl::OkStatus();
  }

  absl::Status Matchers() {
    for (size_t i = 0; i < program_->accounts_.size(); ++i) {
      const AccountLayout& account = program_->accounts_[i];
      const std::string item = "accounts." + account.name;
      if (account.exact_length.has_value()) {
        if (!program_->account_by_length_.emplace(*account.exact_length, static_cast<int>(i)).second) {
          return Error(item, "has an empty discriminator and the length of another account without one");
        }
      } else if (absl::Status status = AddMatcher(&program_->account_matchers_, account.discriminator, static_cast<int>(i), item); !status.ok()) {
        return status;
      }
    }
    for (size_t i = 0; i < program_->instructions_.size(); ++i) {
      const InstructionLayout& instruction = program_->instructions_[i];
      if (absl::Status status = AddMatcher(&program_->instruction_matchers_, instruction.discriminator, static_cast<int>(i), "instructions." + instruction.name);
          !status.ok()) {
        return status;
      }
    }
    for (size_t i = 0; i < program_->events_.size(); ++i) {
      const EventLayout& event = program_->events_[i];
      if (absl::Status status = AddMatcher(&program_->event_matchers_, event.discriminator, static_cast<int>(i), "events." + event.name); !status.ok()) {
        return status;
      }
    }
    for (auto* matchers : {&program_->account_matchers_, &program_->instruction_matchers_, &program_->event_matchers_}) {
      std::sort(matchers->begin(), matchers->end(), [](const auto& a, const auto& b) { return a.length > b.length; });
    }
    return absl::OkStatus();
  }

  const stack::Idl& idl_;
  std::unique_ptr<Program> program_;
  std::map<Kind, TypeId> simple_;
  std::map<std::pair<std::string, bool>, TypeId> defined_;
  bool bytemuck_ = false;
  size_t depth_ = 0;
};

absl::StatusOr<std::shared_ptr<const Program>> Program::Compile(const stack::Idl& idl) { return ProgramCompiler(idl).Compile(); }

int Program::Match(const std::vector<Matcher>& matchers, std::span<const uint8_t> data) {
  for (const Matcher& matcher : matchers) {
    if (data.size() < matcher.length) continue;
    uint64_t prefix = 0;
    std::memcpy(&prefix, data.data(), matcher.length);
    if (const auto it = matcher.by_prefix.find(prefix); it != matcher.by_prefix.end()) return it->second;
  }
  return -1;
}

int Program::MatchAccount(std::span<const uint8_t> data) const {
  if (const int index = Match(account_matchers_, data); index >= 0) return index;
  const auto it = account_by_length_.find(data.size());
  return it == account_by_length_.end() ? -1 : it->second;
}

int Program::MatchInstruction(std::span<const uint8_t> data) const { return Match(instruction_matchers_, data); }

int Program::MatchCpiEvent(std::span<const uint8_t> data) const {
  if (data.size() < kCpiEventTag.size() || std::memcmp(data.data(), kCpiEventTag.data(), kCpiEventTag.size()) != 0) return -1;
  return Match(event_matchers_, data.subspan(kCpiEventTag.size()));
}

}  // namespace everstate::idl
