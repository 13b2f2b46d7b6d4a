#include "server/idl/generics.h"

#include <fmt/format.h>

#include <iterator>
#include <map>

namespace everstate::idl {
namespace {

using stack::IdlType;
using stack::IdlTypeDef;

constexpr size_t kPartsMax = 4096;

class Binder {
 public:
  explicit Binder(std::map<std::string, const IdlType*> bindings) : bindings_(std::move(bindings)) {}

  absl::Status Bind(std::vector<stack::IdlField>* fields) {
    for (stack::IdlField& field : *fields) {
      if (absl::Status status = Bind(&field.type); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status Bind(IdlType* type) {
    if (absl::Status status = Count(1); !status.ok()) return status;
    if (type->kind == IdlType::Kind::kGeneric) {
      const auto bound = Find(type->name, false);
      if (!bound.ok()) return bound.status();
      *type = **bound;
      return CountParts(*type);
    }
    if (type->kind == IdlType::Kind::kArray && !type->name.empty()) {
      const auto bound = Find(type->name, true);
      if (!bound.ok()) return bound.status();
      type->count = (*bound)->count;
      type->name.clear();
    }
    for (IdlType& arg : type->args) {
      // A generic that is handed on may be a number too.
      if (arg.kind == IdlType::Kind::kGeneric && type->kind == IdlType::Kind::kDefined) {
        const auto it = bindings_.find(arg.name);
        if (it != bindings_.end() && it->second->kind == IdlType::Kind::kConst) {
          arg = *it->second;
          continue;
        }
      }
      if (arg.kind == IdlType::Kind::kConst) continue;
      if (absl::Status status = Bind(&arg); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

 private:
  absl::StatusOr<const IdlType*> Find(const std::string& name, bool number) const {
    const auto it = bindings_.find(name);
    if (it == bindings_.end()) return absl::InvalidArgumentError(fmt::format("{} is no generic of the type", name));
    if ((it->second->kind == IdlType::Kind::kConst) != number) {
      return absl::InvalidArgumentError(fmt::format("the generic {} must be a {}", name, number ? "number" : "type"));
    }
    return it->second;
  }

  absl::Status Count(size_t parts) {
    parts_ += parts;
    if (parts_ <= kPartsMax) return absl::OkStatus();
    return absl::InvalidArgumentError(fmt::format("a type grows beyond {} parts by its generics", kPartsMax));
  }
  absl::Status CountParts(const IdlType& type) {
    absl::Status status = Count(1);
    for (const IdlType& arg : type.args) {
      if (!status.ok()) break;
      status = CountParts(arg);
    }
    return status;
  }

  const std::map<std::string, const IdlType*> bindings_;
  size_t parts_ = 0;
};

size_t BytesOf(const IdlType& type) {
  size_t bytes = sizeof type + type.name.size();
  for (const IdlType& arg : type.args) bytes += BytesOf(arg);
  return bytes;
}

size_t BytesOf(const std::vector<stack::IdlField>& fields) {
  size_t bytes = 0;
  for (const stack::IdlField& field : fields) bytes += sizeof field + field.name.size() + BytesOf(field.type);
  return bytes;
}

void AppendTypeText(const IdlType& type, std::string* out) {
  if (type.kind == IdlType::Kind::kDefined) {
    *out += type.name;
  } else {
    fmt::format_to(std::back_inserter(*out), "{}:{}:{}:{}:{}", static_cast<int>(type.kind), type.name, type.count,
                   type.prefix_bytes ? *type.prefix_bytes : -1, type.always_there);
  }
  if (type.args.empty()) return;
  *out += '<';
  for (const IdlType& arg : type.args) {
    AppendTypeText(arg, out);
    *out += ',';
  }
  out->back() = '>';
}

}  // namespace

size_t BytesOf(const IdlTypeDef& def) {
  size_t bytes = sizeof def + def.name.size() + BytesOf(def.fields);
  for (const IdlTypeDef::Variant& variant : def.variants)
    bytes += sizeof variant + variant.name.size() + BytesOf(variant.fields);
  if (def.alias) bytes += BytesOf(*def.alias);
  return bytes;
}

std::string TypeText(const IdlType& type) {
  std::string text;
  AppendTypeText(type, &text);
  return text;
}

absl::StatusOr<IdlTypeDef> BindGenerics(const IdlTypeDef& def, const std::vector<IdlType>& args) {
  if (def.generics.size() != args.size()) {
    return absl::InvalidArgumentError(
        fmt::format("type {} has {} generics, and {} are given", def.name, def.generics.size(), args.size()));
  }
  std::map<std::string, const IdlType*> bindings;
  for (size_t i = 0; i < args.size(); ++i) bindings[def.generics[i]] = &args[i];
  Binder binder(std::move(bindings));
  IdlTypeDef bound = def;
  bound.generics.clear();
  absl::Status status = binder.Bind(&bound.fields);
  if (status.ok() && bound.alias) status = binder.Bind(&*bound.alias);
  for (IdlTypeDef::Variant& variant : bound.variants) {
    if (status.ok()) status = binder.Bind(&variant.fields);
  }
  if (!status.ok()) return status;
  return bound;
}

}  // namespace everstate::idl
