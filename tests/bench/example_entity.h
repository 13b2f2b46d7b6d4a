// The entity of the benchmarks: twenty fields in four sections, about 700 bytes as JSON: twelve texts of a key's size,
// six integers, a float, an array of ten.
#pragma once

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "storage/row.h"

namespace everstate::bench {

inline constexpr size_t kFields = 20;
inline constexpr FieldId kChangedField = 13;  // an integer
inline constexpr size_t kAppendKeep = 100;

inline std::shared_ptr<const RowSchema> ExampleSchema() {
  std::vector<FieldDef> fields;
  for (size_t f = 0; f < kFields; ++f) {
    fields.push_back({"section" + std::to_string(f % 4) + ".field_" + std::to_string(f), true});
  }
  return RowSchema::Build({{"Entity", fields}}, {}, {{"Entity/list", 0, ViewMode::kList, ""}}).value();
}

inline RowRef ExampleRow(Cursor cursor = {250000000, 17}) {
  RowEditor editor;
  editor.Reset(nullptr, kFields);
  bool good = true;
  for (FieldId f = 0; f < 12; ++f) good &= editor.Set(f, Value::Text("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"));
  for (FieldId f = 12; f < 18; ++f) good &= editor.Set(f, Value::Uint(uint64_t{123456789} << f));
  good &= editor.Set(18, Value::Float(0.123456789));
  for (uint64_t i = 0; i < 10; ++i) good &= editor.Append(19, Value::Uint(i * 1000003));
  if (!good) std::abort();
  return editor.Build(cursor, kAppendKeep).after;
}

// One field of `before` set to `value`.
inline Mutation OneFieldChanged(std::string key, RowRef before, Cursor cursor, uint64_t value) {
  Mutation mutation;
  mutation.key = std::move(key);
  mutation.cursor = cursor;
  mutation.before = std::move(before);
  RowEditor editor;
  editor.Reset(mutation.before, kFields);
  if (!editor.Set(kChangedField, Value::Uint(value))) std::abort();
  RowEditor::Built built = editor.Build(cursor, kAppendKeep);
  mutation.after = built.after;
  mutation.changed = built.changed;
  return mutation;
}

// All twenty fields go out.
inline Mutation AllFieldsChanged(std::string key, RowRef before, Cursor cursor, uint64_t value) {
  Mutation mutation = OneFieldChanged(std::move(key), std::move(before), cursor, value);
  mutation.changed = mutation.after->present();
  return mutation;
}

}  // namespace everstate::bench
