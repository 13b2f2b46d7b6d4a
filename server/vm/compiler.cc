#include "server/vm/compiler.h"

#include <algorithm>
#include <limits>

#include "server/vm/expression.h"

namespace everstate::vm {
namespace {

// What the program numbers with 16 bits: IDLs, their layouts, an instruction's accounts, an entity's indexes.
constexpr size_t kNumberMax = std::numeric_limits<uint16_t>::max();

}  // namespace

Compiler::Compiler(const stack::Stack& stack, stack::Diagnostics* diagnostics)
    : stack_(stack),
      diagnostics_(diagnostics),
      root_(diagnostics),
      program_(std::make_unique<Program>()),
      constants_(program_.get(), &shapes_) {}

std::unique_ptr<Program> Compiler::Compile() {
  if (stack_.idls.size() > kNumberMax) {
    (void)root_.At("idls").Unsupported("a stack of more than 65,535 IDLs");
    return nullptr;
  }
  CompileIdls();
  std::vector<Working> entities(stack_.entities.size());
  for (size_t i = 0; i < entities.size(); ++i) {
    entities[i].id = static_cast<EntityId>(i);
    entities[i].spec = &stack_.entities[i];
    CompileEntity(&entities[i], root_.At("entities", i));
  }
  Finish(entities);
  return diagnostics_->ok() ? std::move(program_) : nullptr;
}

void Compiler::CompileIdls() {
  for (size_t i = 0; i < stack_.idls.size(); ++i) {
    const Place place = root_.At("idls", i);
    auto layouts = idl::Program::Compile(stack_.idls[i], place);
    const bool accounts = std::any_of(layouts->instructions().begin(), layouts->instructions().end(),
                                      [](const auto& layout) { return layout.accounts.size() > kNumberMax; });
    if (accounts || layouts->accounts().size() > kNumberMax || layouts->instructions().size() > kNumberMax ||
        layouts->events().size() > kNumberMax)
      (void)place.Unsupported("an IDL with a list of more than 65,535 names");
    auto none = [](size_t n) { return std::vector<int>(n, -1); };
    program_->idls.push_back({layouts, none(layouts->accounts().size()), none(layouts->instructions().size()),
                              none(layouts->events().size())});
  }
}

uint16_t Compiler::Name(const std::string& name) {
  program_->names.push_back(name);
  return static_cast<uint16_t>(program_->names.size() - 1);
}

absl::StatusOr<EventId> Compiler::FindEvent(const std::string& type, bool is_account, const Place& place) const {
  if (place.Faulty()) return Place::Reported();
  for (size_t i = 0; i < program_->idls.size(); ++i) {
    const idl::Program& layouts = *program_->idls[i].layouts;
    // Empty: there is none of this name.
    auto find = [&](const auto& list, std::string_view suffix,
                    EventKind kind) -> std::optional<absl::StatusOr<EventId>> {
      const auto named = std::find_if(list.begin(), list.end(), [&](const auto& layout) {
        return type == Cat(layouts.name(), "::", layout.name, suffix);
      });
      if (named == list.end()) return std::nullopt;
      if (named->faulty) return Place::Reported();
      return EventId{kind, static_cast<uint16_t>(i), static_cast<uint16_t>(named - list.begin())};
    };
    auto found = is_account ? find(layouts.accounts(), "State", EventKind::kAccount)
                            : find(layouts.instructions(), "IxState", EventKind::kInstruction);
    if (!found && !is_account) found = find(layouts.events(), "CpiEvent", EventKind::kEvent);
    if (found) return *found;
  }
  if (MayBeUnread(type)) return Place::Reported();
  return place.Invalid(
      Cat("no IDL of this stack has the ", is_account ? "account" : "instruction or event", " type \"", type, "\""));
}

// Whether the type may be one of an IDL whose own name, or the names in which, could not be read.
bool Compiler::MayBeUnread(const std::string& type) const {
  if (root_.At("idls").Covered()) return true;
  for (size_t i = 0; i < stack_.idls.size(); ++i) {
    const Place place = root_.At("idls", i);
    if (place.At("name").Faulty()) return true;
    if (!type.starts_with(Cat(stack_.idls[i].name, "::"))) continue;
    auto unread = [&](std::string_view list, size_t size) {
      if (place.At(list).Covered()) return true;
      for (size_t k = 0; k < size; ++k) {
        if (place.At(list, k).At("name").Faulty()) return true;
      }
      return false;
    };
    if (unread("accounts", stack_.idls[i].accounts.size()) ||
        unread("instructions", stack_.idls[i].instructions.size()) || unread("events", stack_.idls[i].events.size()))
      return true;
  }
  return false;
}

absl::StatusOr<EventCompiler*> Compiler::EventFor(const std::string& type, bool is_account, const Place& place) {
  const auto known = event_by_type_.find({type, is_account});
  if (known != event_by_type_.end()) return &events_[known->second];
  auto id = FindEvent(type, is_account, place);
  if (!id.ok()) return id.status();
  Program::IdlCode& idl = program_->idls[id->idl];
  std::vector<int>& by_layout = id->kind == EventKind::kAccount       ? idl.account_events
                                : id->kind == EventKind::kInstruction ? idl.instruction_events
                                                                      : idl.event_events;
  by_layout[id->layout] = static_cast<int>(events_.size());
  idl.wants_events |= id->kind == EventKind::kEvent;
  program_->wants_events |= idl.wants_events;
  event_by_type_[{type, is_account}] = events_.size();
  events_.emplace_back(type, *id, idl.layouts, &constants_, &shapes_);
  events_.back().code().name = Name(type);
  return &events_.back();
}

void Compiler::Refusals(Working* entity, const Place& place) const {
  const stack::Entity& spec = *entity->spec;
  // Every look-up follows the one table of addresses, so a hook that asks for that asks for nothing more.
  for (size_t i = 0; i < spec.resolver_hooks.size(); ++i) {
    const stack::ResolverHook& hook = spec.resolver_hooks[i];
    const Place at = place.At("resolver_hooks", i);
    if (!std::holds_alternative<stack::ResolverHook::PdaReverseLookup>(hook.strategy) && !at.At("strategy").Faulty())
      (void)at.At("strategy").Unsupported("DirectField");
    (void)FindEvent(hook.account_type, true, at.At("account_type"));
  }
  for (size_t i = 0; i < spec.resolver_specs.size(); ++i) {
    const Place at = place.At("resolver_specs", i);
    (void)at.Unsupported("a resolver");
    for (const auto& extract : spec.resolver_specs[i].extracts) entity->fields.Add(extract.target_path, at);
  }
  for (size_t i = 0; i < spec.lookup_indexes.size(); ++i) {
    if (!spec.lookup_indexes[i].temporal_field) continue;
    (void)place.At("identity.lookup_indexes", i).At("temporal_field").Unsupported("a temporal index");
  }
  if (spec.lookup_indexes.size() > kNumberMax)
    (void)place.At("identity.lookup_indexes").Unsupported("an entity of more than 65,535 lookup indexes");
}

bool Compiler::Working::Indexes(const std::string& path) const {
  return std::any_of(spec->lookup_indexes.begin(), spec->lookup_indexes.end(),
                     [&](const auto& i) { return i.field_name == path; });
}

bool Compiler::Working::Stops(FieldId field) const {
  return std::any_of(stoppable.begin(), stoppable.end(), [&](const auto& s) { return s.first == field; });
}

void Compiler::CompileEntity(Working* entity, const Place& place) {
  const stack::Entity& spec = *entity->spec;
  for (const char* list : {"handlers", "instruction_hooks", "resolver_specs", "computed_field_specs"})
    entity->unread |= place.At(list).Covered();
  Refusals(entity, place);
  program_->entities.push_back({spec.name, static_cast<uint16_t>(spec.lookup_indexes.size()), false, {}, {}});
  for (size_t i = 0; i < spec.handlers.size(); ++i) CompileHandler(entity, spec.handlers[i], place.At("handlers", i));
  for (size_t i = 0; i < spec.instruction_hooks.size(); ++i)
    CompileHook(entity, spec.instruction_hooks[i], place.At("instruction_hooks", i));
  for (const auto& [field, where] : entity->stoppable) {
    if (entity->unread || entity->stopped.contains(field)) continue;
    (void)where.Invalid(
        Cat("no instruction hook of this entity sets \"", kStopPrefix, entity->fields.fields()[field].path, "\""));
  }
  CompileComputed(entity, place);
  if (!entity->unread) NoteUnfilled(*entity, place.At("identity"));
}

// The reference takes both: keys that no field holds, so that rows do not say them, and indexes that stay empty.
void Compiler::NoteUnfilled(const Working& entity, const Place& identity) const {
  const stack::Entity& spec = *entity.spec;
  if (spec.primary_keys.empty()) identity.At("primary_keys").Note("is empty: no field of a row holds its key");
  std::set<std::string_view> keys, mapped;
  for (size_t i = 0; i < spec.primary_keys.size(); ++i) {
    const std::string& key = spec.primary_keys[i];
    if (!keys.insert(key).second) continue;
    const bool filled = std::ranges::any_of(entity.fields.fields(), [&](const FieldDef& field) {
      return field.path == key || field.path.ends_with(Cat(".", key));
    });
    if (!filled) identity.At("primary_keys", i).Note(Cat("nothing fills \"", key, "\": no row holds its key there"));
  }
  for (const stack::Handler& handler : spec.handlers) {
    for (const stack::Mapping& mapping : handler.mappings) mapped.insert(mapping.target_path);
  }
  for (size_t i = 0; i < spec.lookup_indexes.size(); ++i) {
    const std::string& field = spec.lookup_indexes[i].field_name;
    if (!mapped.contains(field))
      identity.At("lookup_indexes", i).Note(Cat("no mapping fills \"", field, "\": nothing is ever found by it"));
  }
}

void Compiler::CompileComputed(Working* entity, const Place& place) {
  const stack::Entity& spec = *entity->spec;
  std::vector<ComputedCode> computed;
  bool whole = true;  // each has its field
  auto place_of = [&](size_t i) { return place.At("computed_field_specs", i); };
  for (size_t i = 0; i < spec.computed_field_specs.size(); ++i) {
    const std::string& target = spec.computed_field_specs[i].target_path;
    const Place at = place_of(i).At("target_path");
    entity->unread |= at.Faulty();
    if (!at.Faulty() && entity->fields.Find(target)) (void)at.Invalid(Cat("\"", target, "\" is written elsewhere too"));
    const bool sound = !at.Faulty();
    computed.push_back({sound ? entity->fields.Add(target, at) : FieldId{0}, Name(target), {}});
    whole &= sound;
  }
  for (size_t i = 0; i < spec.computed_fields.size(); ++i) {
    const std::string& name = spec.computed_fields[i];
    const auto& specs = spec.computed_field_specs;
    if (std::any_of(specs.begin(), specs.end(), [&](const auto& s) { return s.target_path == name; })) continue;
    if (!entity->unread) (void)place.At("computed_fields", i).Invalid(Cat("\"", name, "\" has no expression"));
  }
  // What may be a field whose name could not be read is taken for one: the stack is refused anyway.
  const FieldFinder find = [&](std::string_view path) {
    const auto known = entity->fields.Find(path);
    return !known && entity->unread ? std::optional<FieldId>(0) : known;
  };
  for (size_t i = 0; i < computed.size(); ++i) {
    const Place at = place_of(i).At("expression");
    if (at.Faulty()) continue;
    auto nodes = CompileExpression(spec.computed_field_specs[i].expression, find, &constants_, at);
    if (nodes.ok()) computed[i].nodes = *std::move(nodes);
  }
  if (!whole || entity->unread || !entity->fields.whole()) return;
  auto ordered = OrderByDependency(std::move(computed), program_->names, place.At("computed_field_specs"));
  if (!ordered.ok()) return;
  for (const ComputedCode& code : *ordered)
    entity->fields.Note(code.field, ExpressionType(code.nodes, [&](FieldId f) { return entity->fields.TypeText(f); }));
  program_->entities[entity->id].computed = *std::move(ordered);
}

std::vector<ViewDef> Compiler::Views() const {
  std::vector<ViewDef> views;
  for (size_t e = 0; e < stack_.entities.size(); ++e) {
    for (ViewMode mode : {ViewMode::kList, ViewMode::kState, ViewMode::kAppend}) {
      views.push_back({Cat(stack_.entities[e].name, "/", ViewModeName(mode)), static_cast<EntityId>(e), mode, ""});
    }
  }
  auto named = [&](const std::string& id) {
    return std::find_if(views.begin(), views.end(), [&](const ViewDef& other) { return other.id == id; });
  };
  bool unread = false;  // the name of an entity, or of a view before
  for (size_t e = 0; e < stack_.entities.size(); ++e) unread |= root_.At("entities", e).At("state_name").Faulty();
  for (size_t e = 0; e < stack_.entities.size(); ++e) {
    const Place all = root_.At("entities", e).At("views");
    unread |= all.Covered();
    for (size_t v = 0; v < stack_.entities[e].views.size(); ++v) {
      const stack::View& view = stack_.entities[e].views[v];
      const Place place = all.Element(v), source = place.At("source");
      unread |= place.At("id").Faulty();
      if (named(view.id) != views.end()) (void)place.At("id").Invalid(Cat("there is a view \"", view.id, "\" already"));
      ViewDef def{view.id, 0, view.output == "Collection" ? ViewMode::kList : ViewMode::kState,
                  "derived views are not supported"};
      if (source.Faulty()) {
        // It has a finding already.
      } else if (!view.source_entity.empty()) {
        const auto& entities = stack_.entities;
        const auto entity = std::find_if(entities.begin(), entities.end(),
                                         [&](const auto& other) { return other.name == view.source_entity; });
        if (entity != entities.end())
          def.entity = static_cast<EntityId>(entity - entities.begin());
        else if (!unread)
          (void)source.Invalid(Cat("there is no entity \"", view.source_entity, "\""));
      } else if (const auto other = named(view.source_view); other != views.end()) {
        def.entity = other->entity;
      } else if (!unread) {
        (void)source.Invalid(Cat("no view \"", view.source_view, "\" stands before this one"));
      }
      views.push_back(std::move(def));
    }
  }
  return views;
}

// Whether the numbers of all that was compiled fit; with a finding when they do not.
bool Compiler::Numbered() {
  auto too_many = [](size_t n) { return n > static_cast<size_t>(std::numeric_limits<int16_t>::max()); };
  bool much = too_many(program_->constants.size()) || too_many(program_->conditions.size()) ||
              too_many(program_->builds.size()) || too_many(program_->names.size());
  for (const EventCompiler& event : events_) {
    const EventCode& code = event.code();
    much |= code.registers_end >= kNoReg || too_many(code.handlers.size() + code.hooks.size());
    program_->registers_end = std::max(program_->registers_end, code.registers_end);
  }
  if (much) {
    (void)root_.Unsupported(
        "a stack of more than 32,767 constants, conditions, objects or names, or registers, handlers and hooks of one "
        "event");
  }
  return !much;
}

void Compiler::Finish(const std::vector<Working>& entities) {
  std::vector<ViewDef> views = Views();
  if (!diagnostics_->ok()) return;  // what follows needs all of it
  if (!Numbered()) return;
  for (EventCompiler& event : events_) {
    if (absl::Status status = event.Finish(root_.At("idls", event.code().id.idl)); !status.ok()) return;
    program_->events.push_back(std::move(event.code()));
  }
  std::vector<std::pair<std::string, std::vector<FieldDef>>> fields;
  for (const Working& entity : entities) {
    fields.emplace_back(entity.spec->name, entity.fields.fields());
    for (size_t field = 0; field < entity.fields.fields().size(); ++field)
      program_->entities[entity.id].field_types.push_back(entity.fields.TypeText(static_cast<FieldId>(field)));
  }
  auto schema = RowSchema::Build(std::move(fields), shapes_.shapes(), std::move(views));
  if (!schema.ok()) {
    (void)root_.Invalid(Message(schema.status()));
    return;
  }
  program_->schema = *std::move(schema);
}

}  // namespace everstate::vm
