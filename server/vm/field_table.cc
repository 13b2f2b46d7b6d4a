#include "server/vm/field_table.h"

#include <functional>

#include "absl/strings/str_join.h"
#include "server/stack/stack.h"

namespace everstate::vm {
namespace {

bool Below(std::string_view inner, std::string_view outer) {
  return inner.size() > outer.size() && inner.starts_with(outer) && inner[outer.size()] == '.';
}

}  // namespace

FieldId FieldTable::Add(const std::string& path, const Place& place) {
  if (const auto known = Find(path)) return *known;
  if (stack::HasEmptySegment(path)) (void)place.Invalid(Cat("the field \"", path, "\" has an empty part"));
  if (path == "_seq" || Below(path, "_seq"))
    (void)place.Invalid("\"_seq\" is reserved: it is where a row's cursor stands");
  for (const FieldDef& other : fields_) {
    if (!Below(path, other.path) && !Below(other.path, path)) continue;
    (void)place.Invalid(Cat("the fields \"", path, "\" and \"", other.path, "\" lie inside one another"));
  }
  if (fields_.size() == kFieldsMax) {
    if (beyond_.empty()) (void)place.Unsupported(Cat("an entity of more than ", kFieldsMax, " fields"));
    beyond_.insert(path);
    return 0;
  }
  fields_.push_back({path, true});
  mapped_.push_back(false);
  types_.emplace_back();
  return static_cast<FieldId>(fields_.size() - 1);
}

void FieldTable::Map(FieldId field, bool emit) {
  fields_[field].emit = mapped_[field] ? fields_[field].emit || emit : emit;
  mapped_[field] = true;
}

void FieldTable::Note(FieldId field, const std::string& type) { types_[field].insert(type); }

std::optional<FieldId> FieldTable::Find(std::string_view path) const {
  for (size_t i = 0; i < fields_.size(); ++i) {
    if (fields_[i].path == path) return static_cast<FieldId>(i);
  }
  return beyond_.contains(path) ? std::optional<FieldId>(0) : std::nullopt;
}

std::string FieldTable::TypeText(FieldId field) const { return absl::StrJoin(types_[field], " | "); }

}  // namespace everstate::vm
