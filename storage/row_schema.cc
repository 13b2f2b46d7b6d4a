#include "storage/row_schema.h"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/status/status.h"
#include "storage/row.h"
#include "storage/utf8.h"

namespace everstate {
namespace {

constexpr std::string_view kSeqKey = "_seq";

template <typename... Args>
absl::Status Invalid(fmt::format_string<Args...> format, Args&&... args) {
  return absl::InvalidArgumentError(fmt::format(format, std::forward<Args>(args)...));
}

std::string JsonKey(std::string_view key) {
  std::string text;
  AppendJsonString(key, &text);
  return text += ':';
}

// The objects that the dotted paths of one entity make: a node is a field or holds others, in the byte order of keys.
struct PathNode {
  std::optional<FieldId> field;
  std::map<std::string, PathNode> children;
};

absl::Status AddPath(std::string_view path, FieldId field, PathNode* root) {
  PathNode* node = root;
  std::string_view rest = path;
  for (bool last = false; !last;) {
    const size_t dot = rest.find('.');
    const std::string_view segment = rest.substr(0, dot);
    last = dot == std::string_view::npos;
    if (!last) rest.remove_prefix(dot + 1);
    if (segment.empty()) return Invalid("field \"{}\" has an empty path segment", path);
    if (node == root && segment == kSeqKey) {
      return Invalid("field \"{}\": \"_seq\" is reserved for the cursor", path);
    }
    node = &node->children[std::string(segment)];
    if (node->field) {
      return Invalid("field \"{}\": this path, or one that it begins with, is a field already", path);
    }
  }
  if (!node->children.empty()) {
    return Invalid("field \"{}\": other fields lie below this path", path);
  }
  node->field = field;
  return absl::OkStatus();
}

// Appends the steps of what is inside `node`; answers the emitted fields there.
FieldSet AddSteps(const PathNode& node, bool root, const FieldSet& emitted,
                  std::vector<EntitySchema::EmitStep>* steps) {
  using Kind = EntitySchema::EmitStep::Kind;
  FieldSet fields;
  bool seq_due = root;
  const auto add_seq = [&] {
    steps->push_back({.kind = Kind::kSeq, .field = 0, .below = {}, .text = JsonKey(kSeqKey), .skip_to = 0});
    seq_due = false;
  };
  for (const auto& [key, child] : node.children) {
    if (seq_due && key > kSeqKey) add_seq();
    if (child.field) {
      if (!emitted[*child.field]) continue;
      fields.set(*child.field);
      steps->push_back({.kind = Kind::kField, .field = *child.field, .below = {}, .text = JsonKey(key), .skip_to = 0});
      continue;
    }
    const size_t open = steps->size();
    steps->push_back({.kind = Kind::kOpen, .field = 0, .below = {}, .text = JsonKey(key) + '{', .skip_to = 0});
    const FieldSet below = AddSteps(child, false, emitted, steps);
    if (below.none()) {
      steps->resize(open);
      continue;
    }
    steps->push_back({.kind = Kind::kClose, .field = 0, .below = {}, .text = "}", .skip_to = 0});
    (*steps)[open].below = below;
    (*steps)[open].skip_to = static_cast<uint32_t>(steps->size());
    fields |= below;
  }
  if (seq_due) add_seq();
  return fields;
}

absl::StatusOr<EntitySchema> BuildEntity(EntityId id, std::string name, std::vector<FieldDef> fields) {
  if (name.empty() || !IsUtf8(name)) return Invalid("entity {}: its name is empty or not UTF-8", id);
  if (fields.size() > kFieldsMax) {
    return Invalid("entity \"{}\" has {} fields, but at most {} are allowed", name, fields.size(), kFieldsMax);
  }
  EntitySchema entity;
  entity.id = id;
  PathNode root;
  for (size_t i = 0; i < fields.size(); ++i) {
    const FieldDef& field = fields[i];
    if (!IsUtf8(field.path)) return Invalid("entity \"{}\": the path of field {} is not UTF-8", name, i);
    if (absl::Status added = AddPath(field.path, static_cast<FieldId>(i), &root); !added.ok()) {
      return Invalid("entity \"{}\": {}", name, std::string(added.message()));
    }
    entity.emitted.set(i, field.emit);
    AppendJsonString(field.path, &entity.append_texts.emplace_back());
  }
  AddSteps(root, true, entity.emitted, &entity.emit_steps);
  entity.name = std::move(name);
  entity.fields = std::move(fields);
  return entity;
}

absl::Status CheckShape(size_t id, const Shape& shape) {
  for (size_t i = 0; i < shape.keys.size(); ++i) {
    if (!IsUtf8(shape.keys[i])) return Invalid("shape {}: key {} is not UTF-8", id, i);
    if (i > 0 && shape.keys[i] <= shape.keys[i - 1]) {
      return Invalid("shape {}: keys must ascend, but \"{}\" follows \"{}\"", id, shape.keys[i], shape.keys[i - 1]);
    }
  }
  return absl::OkStatus();
}

absl::Status CheckView(const ViewDef& view, size_t entities, std::set<std::string>* ids) {
  if (view.id.empty() || !IsUtf8(view.id) || !IsUtf8(view.unsupported)) {
    return Invalid("view \"{}\": its name is empty, or a text of it is not UTF-8", view.id);
  }
  if (view.entity >= entities) {
    return Invalid("view \"{}\": there is no entity {}", view.id, view.entity);
  }
  if (!ids->insert(view.id).second) return Invalid("two views are named \"{}\"", view.id);
  return absl::OkStatus();
}

ViewMode ModeNamed(const std::string& name) {
  for (ViewMode mode : {ViewMode::kList, ViewMode::kState, ViewMode::kAppend}) {
    if (ViewModeName(mode) == name) return mode;
  }
  throw std::invalid_argument(fmt::format("unknown view mode \"{}\"", name));
}

}  // namespace

std::optional<FieldId> EntitySchema::FieldAt(std::string_view path) const {
  for (size_t i = 0; i < fields.size(); ++i) {
    if (fields[i].path == path) return static_cast<FieldId>(i);
  }
  return std::nullopt;
}

absl::StatusOr<std::shared_ptr<const RowSchema>> RowSchema::Build(
    std::vector<std::pair<std::string, std::vector<FieldDef>>> entities, std::vector<Shape> shapes,
    std::vector<ViewDef> views) {
  constexpr size_t kEntitiesMax = 1 << 16;  // EntityId
  if (entities.size() > kEntitiesMax)
    return Invalid("{} entities, but at most {} are allowed", entities.size(), kEntitiesMax);
  std::shared_ptr<RowSchema> schema(new RowSchema);
  for (std::pair<std::string, std::vector<FieldDef>>& entity_def : entities) {
    const std::string& name = entity_def.first;
    if (schema->FindEntity(name) != nullptr) return Invalid("two entities are named \"{}\"", name);
    const EntityId id = static_cast<EntityId>(schema->entities_.size());
    absl::StatusOr<EntitySchema> entity = BuildEntity(id, std::move(entity_def.first), std::move(entity_def.second));
    if (!entity.ok()) return entity.status();
    schema->entities_.push_back(*std::move(entity));
  }
  for (size_t i = 0; i < shapes.size(); ++i) {
    if (absl::Status status = CheckShape(i, shapes[i]); !status.ok()) return status;
    std::vector<std::string>& texts = schema->shape_texts_.emplace_back();
    for (const std::string& key : shapes[i].keys) texts.push_back(JsonKey(key));
  }
  std::set<std::string> view_ids;
  for (const ViewDef& view : views) {
    if (absl::Status status = CheckView(view, schema->entities_.size(), &view_ids); !status.ok()) return status;
  }
  schema->shapes_ = std::move(shapes);
  schema->views_ = std::move(views);
  return schema;
}

const EntitySchema* RowSchema::FindEntity(std::string_view name) const {
  for (const EntitySchema& entity : entities_) {
    if (entity.name == name) return &entity;
  }
  return nullptr;
}

const ViewDef* RowSchema::FindView(std::string_view id) const {
  for (const ViewDef& view : views_) {
    if (view.id == id) return &view;
  }
  return nullptr;
}

std::string RowSchema::Serialize() const {
  using nlohmann::json;
  json root = {{"entities", json::array()}, {"shapes", json::array()}, {"views", json::array()}};
  for (const EntitySchema& entity : entities_) {
    json fields = json::array();
    for (const FieldDef& field : entity.fields) fields.push_back({{"path", field.path}, {"emit", field.emit}});
    root["entities"].push_back({{"name", entity.name}, {"fields", std::move(fields)}});
  }
  for (const Shape& shape : shapes_) root["shapes"].push_back(shape.keys);
  for (const ViewDef& view : views_) {
    root["views"].push_back({{"id", view.id},
                             {"entity", view.entity},
                             {"mode", std::string(ViewModeName(view.mode))},
                             {"unsupported", view.unsupported}});
  }
  return root.dump();
}

absl::StatusOr<std::shared_ptr<const RowSchema>> RowSchema::Parse(std::string_view text) {
  std::vector<std::pair<std::string, std::vector<FieldDef>>> entities;
  std::vector<Shape> shapes;
  std::vector<ViewDef> views;
  try {
    const nlohmann::json root = nlohmann::json::parse(text);
    for (const auto& entity : root.at("entities")) {
      std::vector<FieldDef> fields;
      for (const auto& field : entity.at("fields")) {
        fields.push_back({field.at("path").get<std::string>(), field.at("emit").get<bool>()});
      }
      entities.emplace_back(entity.at("name").get<std::string>(), std::move(fields));
    }
    for (const auto& shape : root.at("shapes")) shapes.push_back({shape.get<std::vector<std::string>>()});
    for (const auto& view : root.at("views")) {
      views.push_back({view.at("id").get<std::string>(), view.at("entity").get<EntityId>(),
                       ModeNamed(view.at("mode").get<std::string>()), view.at("unsupported").get<std::string>()});
    }
  } catch (const std::exception& e) {  // the library's way to say where the text is wrong
    return Invalid("row schema: {}", e.what());
  }
  return Build(std::move(entities), std::move(shapes), std::move(views));
}

}  // namespace everstate
