// The fields of one entity while its stack is compiled.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "server/vm/place.h"
#include "storage/model.h"
#include "storage/row_schema.h"

namespace everstate::vm {

// FieldTable: the fields, numbered in the order in which the stack names them.
class FieldTable {
 public:
  // The field of this path, known or new. Where `place` gets a finding the field is there all the same, so that what
  // reads it gets none for that: a path inside another field's or around it, one with an empty segment or that is
  // reserved, more than kFieldsMax fields.
  FieldId Add(const std::string& path, const Place& place);
  // Some mapping writes it. It is emitted when one of its mappings emits, or when none writes it.
  void Map(FieldId field, bool emit);
  // What some writer puts there, for people.
  void Note(FieldId field, const std::string& type);

  std::optional<FieldId> Find(std::string_view path) const;
  const std::vector<FieldDef>& fields() const { return fields_; }
  std::string TypeText(FieldId field) const;  // its writers' types, "u64 | text"
  bool whole() const { return beyond_.empty(); }

 private:
  std::vector<FieldDef> fields_;
  std::vector<bool> mapped_;
  std::vector<std::set<std::string>> types_;
  std::set<std::string, std::less<>> beyond_;  // paths of more fields than an entity may have
};

}  // namespace everstate::vm
