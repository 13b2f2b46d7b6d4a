// The schema of a stack's rows: for each entity its fields with their paths and emit flags, and the shapes of the
// objects inside values. It is compiled from the stack, stored with the data, and holds everything that turning a row
// into JSON needs: `inspect` reads it from the store alone.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/model.h"
#include "storage/value.h"

namespace everstate {

struct FieldDef {
  std::string path;  // dotted, e.g. "state.supply"; one or more segments
  bool emit = true;  // false: stored, never sent
};

// Keys of an object inside a value, strictly ascending by bytes.
struct Shape {
  std::vector<std::string> keys;
};

struct EntitySchema {
  EntityId id = 0;
  std::string name;
  std::vector<FieldDef> fields;  // FieldId = position
  FieldSet emitted;              // fields with emit

  // One step of writing a row as JSON, in the byte order of all object keys ("_seq" included): open an object under a
  // key, close it, or write a field's value under its key. `text` is ready-made, e.g. "\"supply\":".
  struct EmitStep {
    enum class Kind : uint8_t { kOpen, kClose, kField, kSeq } kind;
    FieldId field = 0;  // kField
    FieldSet below;     // kOpen: the fields inside; the object is left out when none of them is written
    std::string text;
    uint32_t skip_to = 0;  // kOpen: the step after the matching kClose
  };
  std::vector<EmitStep> emit_steps;
  std::vector<std::string> append_texts;  // per field: its path as a JSON string, for "append"

  std::optional<FieldId> FieldAt(std::string_view path) const;
};

// RowSchema: immutable once built, shared by everybody.
class RowSchema {
 public:
  // Errors: InvalidArgument when an entity has more than kFieldsMax fields, two fields have the same path, one path is
  // a prefix of another ("a.b" and "a.b.c"), a path has an empty segment or is the reserved "_seq" (or below it), a
  // shape's keys do not ascend, two entities or two views have the same name, a view's entity does not exist, or a text
  // is not UTF-8.
  static absl::StatusOr<std::shared_ptr<const RowSchema>> Build(
      std::vector<std::pair<std::string, std::vector<FieldDef>>> entities, std::vector<Shape> shapes,
      std::vector<ViewDef> views);
  const std::vector<EntitySchema>& entities() const { return entities_; }
  const EntitySchema& entity(EntityId id) const { return entities_[id]; }
  const EntitySchema* FindEntity(std::string_view name) const;
  const std::vector<Shape>& shapes() const { return shapes_; }
  const std::vector<std::string>& shape_texts(ShapeId id) const { return shape_texts_[id]; }  // "\"amount\":" per key
  const std::vector<ViewDef>& views() const { return views_; }
  const ViewDef* FindView(std::string_view id) const;

  // The stored form (JSON text: cold, readable with any tool) and back. Parse checks as Build does.
  std::string Serialize() const;
  static absl::StatusOr<std::shared_ptr<const RowSchema>> Parse(std::string_view text);

 private:
  RowSchema() = default;
  std::vector<EntitySchema> entities_;
  std::vector<Shape> shapes_;
  std::vector<std::vector<std::string>> shape_texts_;
  std::vector<ViewDef> views_;
};

}  // namespace everstate
