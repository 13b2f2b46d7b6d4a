#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "server/idl/body_reader.h"
#include "server/idl/extract.h"

namespace everstate::idl {
namespace {

// Structs of structs could become any number of steps; what is beyond is passed over one value at a time.
constexpr size_t kPassStepsMax = 4096;

}  // namespace

// PlanCompiler: turns wanted paths into one walk over the body.
class PlanCompiler {
 public:
  PlanCompiler(std::shared_ptr<const Program> program, ShapeTable* shapes) : types_(program->types()), shapes_(shapes) {
    plan_.program_ = std::move(program);
    plan_.struct_shapes_.resize(types_.size());
    plan_.payload_shapes_.resize(types_.size());
  }

  absl::StatusOr<Plan> Compile(TypeId body, const std::vector<Plan::Wanted>& wanted) {
    plan_.body_ = body;
    if (absl::Status status = Walk(body, wanted, 0); !status.ok()) return status;
    Add(Plan::Step::Op::kEnd, 0, 0);
    return std::move(plan_);
  }

 private:
  using Op = Plan::Step::Op;

  static std::string Text(const Plan::Wanted& wanted) {
    return wanted.path.empty() ? "the whole body" : fmt::format("field {}", fmt::join(wanted.path, "."));
  }

  // Emits the steps over one value. The paths in `wanted` all lead to or into it; their first `level` segments are used
  // up.
  absl::Status Walk(TypeId id, const std::vector<Plan::Wanted>& wanted, size_t level) {
    const Type& type = types_[id];
    std::vector<std::vector<Plan::Wanted>> by_field(type.fields.size());
    std::vector<uint16_t> whole;
    bool inside = false;
    for (const Plan::Wanted& one : wanted) {
      if (one.path.size() == level) {
        if (absl::Status status = GiveShapes(id, one); !status.ok()) return status;
        whole.push_back(one.reg);
        continue;
      }
      const std::optional<size_t> field = FieldAt(type, one.path[level]);
      if (!field) return absl::NotFoundError(fmt::format("there is no {}", Text(one)));
      by_field[*field].push_back(one);
      inside = true;
    }
    for (size_t i = 0; i < whole.size(); ++i) {
      const bool more = inside || i + 1 < whole.size();
      Add(more ? Op::kPeek : BodyReader::IsSimple(type.kind) ? Op::kReadSimple : Op::kRead, id, whole[i]);
    }
    if (!inside) {
      if (whole.empty()) Pass(id);
      return absl::OkStatus();
    }
    for (size_t f = 0; f < type.fields.size(); ++f) {
      if (absl::Status status = Walk(type.fields[f].type, by_field[f], level + 1); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  std::optional<size_t> FieldAt(const Type& type, const std::string& segment) const {
    if (type.kind == Kind::kTuple) {
      size_t position = 0;
      for (size_t f = 0; f < type.fields.size(); ++f) {
        if (types_[type.fields[f].type].kind == Kind::kPad) continue;
        if (std::to_string(position++) == segment) return f;
      }
      return std::nullopt;
    }
    if (type.kind != Kind::kStruct) return std::nullopt;
    for (const std::string& name : {segment, SnakeCase(segment)}) {
      for (const uint16_t f : type.by_key) {
        if (type.fields[f].name == name) return f;
      }
    }
    return std::nullopt;
  }

  void Add(Op op, TypeId type, uint16_t reg) {
    Plan::Step step;
    step.op = op;
    step.kind = op == Op::kEnd ? Kind::kPad : types_[type].kind;
    step.reg = reg;
    step.skip = skip_;
    step.type = type;
    skip_ = 0;
    plan_.steps_.push_back(step);
  }

  void Pass(TypeId id) {
    const Type& type = types_[id];
    if (type.fixed_size) {
      skip_ += *type.fixed_size;
    } else if ((type.kind == Kind::kStruct || type.kind == Kind::kTuple) && plan_.steps_.size() < kPassStepsMax) {
      // The fixed parts at its ends join those around it. A struct that contains itself does so behind other kinds.
      for (const Type::Field& field : type.fields) Pass(field.type);
    } else {
      Add(Op::kPass, id, 0);
    }
  }

  // Interns the shapes that a read of this type needs.
  absl::Status GiveShapes(TypeId id, const Plan::Wanted& wanted) {
    const Type& type = types_[id];
    if (!shaped_.insert(id).second) return absl::OkStatus();
    switch (type.kind) {
      case Kind::kMap:
        return absl::UnimplementedError(fmt::format("{} holds a map, and maps cannot be read", Text(wanted)));
      case Kind::kOption:
      case Kind::kFixedOption:
      case Kind::kVec:
      case Kind::kArray:
        return GiveShapes(type.element, wanted);
      case Kind::kStruct: {
        std::vector<std::string> keys;
        keys.reserve(type.by_key.size());
        for (const uint16_t f : type.by_key) keys.push_back(type.fields[f].name);
        plan_.struct_shapes_[id] = shapes_->Intern(std::move(keys));
        break;
      }
      case Kind::kEnum:
        for (const Type::Variant& variant : type.variants) {
          if (variant.unit) continue;
          plan_.payload_shapes_[variant.payload] = shapes_->Intern({variant.name});
          if (absl::Status status = GiveShapes(variant.payload, wanted); !status.ok()) return status;
        }
        break;
      default:
        break;
    }
    for (const Type::Field& field : type.fields) {
      if (absl::Status status = GiveShapes(field.type, wanted); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  const std::vector<Type>& types_;
  ShapeTable* const shapes_;
  Plan plan_;
  uint32_t skip_ = 0;
  std::set<TypeId> shaped_;
};

absl::StatusOr<Plan> Plan::Compile(std::shared_ptr<const Program> program, TypeId body,
                                   const std::vector<Wanted>& wanted, ShapeTable* shapes) {
  return PlanCompiler(std::move(program), shapes).Compile(body, wanted);
}

}  // namespace everstate::idl
