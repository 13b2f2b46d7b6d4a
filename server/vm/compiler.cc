#include "server/vm/compiler.h"

#include <algorithm>
#include <limits>

#include "server/vm/expression.h"

namespace everstate::vm {
namespace {

constexpr std::string_view kStopPrefix = "__stop:";

OpCode OpCodeOf(stack::Population population) {
  switch (population) {
    case stack::Population::kSetOnce:
      return OpCode::kSetOnce;
    case stack::Population::kAppend:
      return OpCode::kAppend;
    case stack::Population::kMax:
      return OpCode::kMax;
    case stack::Population::kMin:
      return OpCode::kMin;
    case stack::Population::kSum:
      return OpCode::kSum;
    case stack::Population::kCount:
      return OpCode::kCount;
    case stack::Population::kUniqueCount:
      return OpCode::kUnique;
    case stack::Population::kLastWrite:
    case stack::Population::kMerge:
      break;  // Merge replaces, as in the reference
  }
  return OpCode::kSet;
}

std::string_view Leaf(std::string_view path) {
  const size_t dot = path.rfind('.');
  return dot == std::string_view::npos ? path : path.substr(dot + 1);
}

bool Below(std::string_view inner, std::string_view outer) {
  return inner.size() > outer.size() && inner.starts_with(outer) && inner[outer.size()] == '.';
}

}  // namespace

absl::StatusOr<FieldId> FieldTable::Add(const std::string& path, bool emit, const Place& place) {
  for (size_t i = 0; i < fields_.size(); ++i) {
    if (fields_[i].path == path) {
      fields_[i].emit = fields_[i].emit && emit;
      return static_cast<FieldId>(i);
    }
    if (Below(path, fields_[i].path) || Below(fields_[i].path, path)) {
      return place.Invalid(Cat("the fields \"", path, "\" and \"", fields_[i].path, "\" lie inside one another"));
    }
  }
  if (fields_.size() == kFieldsMax) return place.Unsupported(Cat("an entity of more than ", kFieldsMax, " fields"));
  fields_.push_back({path, emit});
  return static_cast<FieldId>(fields_.size() - 1);
}

std::optional<FieldId> FieldTable::Find(std::string_view path) const {
  for (size_t i = 0; i < fields_.size(); ++i) {
    if (fields_[i].path == path) return static_cast<FieldId>(i);
  }
  return std::nullopt;
}

Compiler::Compiler(const stack::Stack& stack)
    : stack_(stack), program_(std::make_unique<Program>()), constants_(program_.get(), &shapes_) {}

absl::StatusOr<std::unique_ptr<Program>> Compiler::Compile() {
  const Place root{stack_.file, ""};
  if (absl::Status status = CompileIdls(); !status.ok()) return status;
  std::vector<Working> entities(stack_.entities.size());
  for (size_t i = 0; i < entities.size(); ++i) {
    entities[i].id = static_cast<EntityId>(i);
    entities[i].spec = &stack_.entities[i];
    if (absl::Status status = CompileEntity(&entities[i], root.At(Cat("entities[", i, "]"))); !status.ok())
      return status;
  }
  if (absl::Status status = Finish(std::move(entities), root); !status.ok()) return status;
  return std::move(program_);
}

absl::Status Compiler::CompileIdls() {
  for (size_t i = 0; i < stack_.idls.size(); ++i) {
    auto layouts = idl::Program::Compile(stack_.idls[i]);
    if (!layouts.ok()) return Place{stack_.file, Cat("idls[", i, "]")}.Invalid(Message(layouts.status()));
    auto none = [](size_t n) { return std::vector<int>(n, -1); };
    program_->idls.push_back({*layouts, none((*layouts)->accounts().size()), none((*layouts)->instructions().size()),
                              none((*layouts)->events().size())});
  }
  return absl::OkStatus();
}

uint16_t Compiler::Name(const std::string& name) {
  program_->names.push_back(name);
  return static_cast<uint16_t>(program_->names.size() - 1);
}

absl::StatusOr<EventId> Compiler::FindEvent(const std::string& type, bool is_account, const Place& place) const {
  for (size_t i = 0; i < program_->idls.size(); ++i) {
    const idl::Program& layouts = *program_->idls[i].layouts;
    auto position = [&](const auto& list, std::string_view suffix) {
      const auto named = std::find_if(list.begin(), list.end(), [&](const auto& layout) {
        return type == Cat(layouts.name(), "::", layout.name, suffix);
      });
      return named == list.end() ? std::nullopt : std::optional<size_t>(named - list.begin());
    };
    auto found = [&](EventKind kind, size_t layout) {
      return EventId{kind, static_cast<uint16_t>(i), static_cast<uint16_t>(layout)};
    };
    if (is_account) {
      if (auto layout = position(layouts.accounts(), "State")) return found(EventKind::kAccount, *layout);
      continue;
    }
    if (auto layout = position(layouts.instructions(), "IxState")) return found(EventKind::kInstruction, *layout);
    if (auto layout = position(layouts.events(), "CpiEvent")) return found(EventKind::kEvent, *layout);
  }
  return place.Invalid(
      Cat("no IDL of this stack has the ", is_account ? "account" : "instruction or event", " type \"", type, "\""));
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

absl::Status Compiler::Refusals(const stack::Entity& spec, const Place& place) const {
  // Every look-up follows the one table of addresses, so a hook that asks for that asks for nothing more.
  for (size_t i = 0; i < spec.resolver_hooks.size(); ++i) {
    const stack::ResolverHook& hook = spec.resolver_hooks[i];
    const Place at = place.At(Cat("resolver_hooks[", i, "]"));
    if (!std::holds_alternative<stack::ResolverHook::PdaReverseLookup>(hook.strategy))
      return at.At("strategy").Unsupported("DirectField");
    auto type = FindEvent(hook.account_type, true, at.At("account_type"));
    if (!type.ok()) return type.status();
  }
  if (!spec.resolver_specs.empty()) return place.At("resolver_specs[0]").Unsupported("a resolver");
  for (size_t i = 0; i < spec.lookup_indexes.size(); ++i) {
    if (!spec.lookup_indexes[i].temporal_field) continue;
    return place.At(Cat("identity.lookup_indexes[", i, "].temporal_field")).Unsupported("a temporal index");
  }
  return absl::OkStatus();
}

bool Compiler::Working::Indexes(const std::string& path) const {
  return std::any_of(spec->lookup_indexes.begin(), spec->lookup_indexes.end(),
                     [&](const auto& i) { return i.field_name == path; });
}

absl::Status Compiler::CompileEntity(Working* entity, const Place& place) {
  const stack::Entity& spec = *entity->spec;
  if (absl::Status status = Refusals(spec, place); !status.ok()) return status;
  program_->entities.push_back({spec.name, static_cast<uint16_t>(spec.lookup_indexes.size()), false, {}});
  for (size_t i = 0; i < spec.handlers.size(); ++i) {
    absl::Status status = CompileHandler(entity, spec.handlers[i], place.At(Cat("handlers[", i, "]")));
    if (!status.ok()) return status;
  }
  for (size_t i = 0; i < spec.instruction_hooks.size(); ++i) {
    absl::Status status = CompileHook(entity, spec.instruction_hooks[i], place.At(Cat("instruction_hooks[", i, "]")));
    if (!status.ok()) return status;
  }
  for (const auto& [field, where] : entity->stoppable) {
    if (entity->stopped.contains(field)) continue;
    return where.Invalid(
        Cat("no instruction hook of this entity sets \"", kStopPrefix, entity->fields.fields()[field].path, "\""));
  }
  return CompileComputed(entity, place);
}

absl::Status Compiler::CompileHandler(Working* entity, const stack::Handler& handler, const Place& place) {
  if (handler.has_conditions) return place.At("conditions").Unsupported("a condition of a whole handler");
  if (!handler.emit) return place.At("emit").Unsupported("a handler that does not emit");
  auto event = EventFor(handler.event_type, handler.is_account, place.At("source"));
  if (!event.ok()) return event.status();
  HandlerCode code;
  code.entity = entity->id;
  if (absl::Status status = CompileKey(*entity, handler, *event, place.At("key_resolution"), &code); !status.ok())
    return status;
  for (size_t i = 0; i < handler.mappings.size(); ++i) {
    const stack::Mapping& mapping = handler.mappings[i];
    auto op = CompileMapping(entity, mapping, *event, place.At(Cat("mappings[", i, "]")));
    if (!op.ok()) return op.status();
    for (size_t index = 0; index < entity->spec->lookup_indexes.size(); ++index) {
      if (entity->spec->lookup_indexes[index].field_name != mapping.target_path || op->build >= 0 ||
          op->source == kNoReg)
        continue;
      code.indexes.push_back({static_cast<uint16_t>(index), op->source});
    }
    code.ops.push_back(*op);
  }
  (*event)->code().handlers.push_back(std::move(code));
  return absl::OkStatus();
}

absl::Status Compiler::CompileKey(const Working& entity, const stack::Handler& handler, EventCompiler* event,
                                  const Place& place, HandlerCode* code) {
  switch (handler.key.kind) {
    case stack::KeyResolution::Kind::kEmbedded:
      break;
    case stack::KeyResolution::Kind::kLookup:
      code->lookup = true;
      program_->entities[entity.id].looked_up = program_->looks_up = true;
      break;
    case stack::KeyResolution::Kind::kComputed:
      return place.Unsupported("Computed");
    case stack::KeyResolution::Kind::kTemporalLookup:
      return place.Unsupported("TemporalLookup");
  }
  stack::Path path = handler.key.field;
  if (path.empty()) {
    // The handler names no field: the key is the field that some mapping copies into the primary key.
    const std::string leaf(entity.spec->primary_keys.empty() ? "" : Leaf(entity.spec->primary_keys[0]));
    for (const stack::Mapping& mapping : handler.mappings) {
      const auto* source = std::get_if<stack::MappingSource::FromSource>(&mapping.source.value);
      if (source != nullptr && !source->path.empty() && source->path.back() == leaf) path = {leaf};
    }
    if (path.empty()) return place.Invalid("there is no field that holds the key");
  }
  auto loaded = event->Load(path, place);
  if (!loaded.ok()) return loaded.status();
  code->key = loaded->reg;
  return absl::OkStatus();
}

absl::StatusOr<Op> Compiler::CompileMapping(Working* entity, const stack::Mapping& mapping, EventCompiler* event,
                                            const Place& place) {
  Op op;
  op.code = OpCodeOf(mapping.population);
  auto field = entity->fields.Add(mapping.target_path, mapping.emit, place.At("target_path"));
  if (!field.ok()) return field.status();
  op.field = *field;

  const auto* from = std::get_if<stack::MappingSource::FromSource>(&mapping.source.value);
  if (op.code == OpCode::kCount && from != nullptr && !from->transform && !entity->Indexes(mapping.target_path)) {
    // Count counts occurrences; its source only says where they are.
    if (absl::Status status = event->Check(from->path, place.At("source")); !status.ok()) return status;
  } else if (absl::Status status = CompileSource(mapping.source, event, place.At("source"), &op); !status.ok()) {
    return status;
  }
  if (mapping.transform) {
    stack::MappingSource::FromSource as_source;
    if (from == nullptr)
      return place.At("transform")
          .Unsupported(Cat("the transform ", stack::Name(*mapping.transform), " of this source"));
    as_source = *from;
    as_source.transform = mapping.transform;
    if (absl::Status status = CompileFromSource(as_source, event, place.At("transform"), &op); !status.ok())
      return status;
  }
  if (absl::Status status = CompileGates(mapping, event, place, &op); !status.ok()) return status;
  if (op.stoppable) entity->stoppable.emplace_back(op.field, place.At("stop"));
  return op;
}

absl::Status Compiler::CompileGates(const stack::Mapping& mapping, EventCompiler* event, const Place& place, Op* op) {
  if (mapping.condition) {
    auto condition = CompileCondition(*mapping.condition, event, place.At("condition"));
    if (!condition.ok()) return condition.status();
    op->condition = *condition;
  }
  if (!mapping.when.empty()) {
    if (event->code().id.kind != EventKind::kAccount)
      return place.At("when").Unsupported("`when` on anything but an account");
    auto waited = EventFor(mapping.when, false, place.At("when"));
    if (!waited.ok()) return waited.status();
    EventCode& code = (*waited)->code();
    if (code.id.kind != EventKind::kInstruction) return place.At("when").Unsupported("`when` an event was seen");
    if (code.when < 0) {
      code.when = static_cast<int16_t>(program_->when_types.size());
      program_->when_types.push_back(code.id);
    }
    op->when = code.when;
    op->code = OpCode::kSet;  // the population counts for nothing beside `when` and `stop`, as in the reference
  }
  if (!mapping.stop.empty()) {
    if (auto stop = EventFor(mapping.stop, false, place.At("stop")); !stop.ok()) return stop.status();
    op->stoppable = true;
    op->code = OpCode::kSet;
  }
  return absl::OkStatus();
}

absl::Status Compiler::CompileHook(Working* entity, const stack::InstructionHook& hook, const Place& place) {
  auto event = EventFor(hook.instruction_type, false, place.At("instruction_type"));
  if (!event.ok()) return event.status();
  HookCode code;
  code.entity = entity->id;
  size_t registrations = 0;
  for (size_t i = 0; i < hook.actions.size(); ++i) {
    const Place at = place.At(Cat("actions[", i, "]"));
    if (const auto* pda = std::get_if<stack::HookAction::RegisterPdaMapping>(&hook.actions[i].value)) {
      if (absl::Status status = CompileRegistration(*pda, *event, at); !status.ok()) return status;
      ++registrations;
      continue;
    }
    auto op = CompileAction(entity, hook.actions[i], *event, at);
    if (!op.ok()) return op.status();
    code.ops.push_back(*op);
  }
  if (registrations > 0 && code.ops.empty()) return absl::OkStatus();  // it serves no entity
  if (hook.lookup_by) {
    auto loaded = (*event)->Load(*hook.lookup_by, place.At("lookup_by"));
    if (!loaded.ok()) return loaded.status();
    code.lookup = loaded->reg;
    program_->entities[entity->id].looked_up = program_->looks_up = true;
  } else {
    const auto& handlers = (*event)->code().handlers;
    const auto own =
        std::find_if(handlers.begin(), handlers.end(), [&](const auto& h) { return h.entity == entity->id; });
    if (own == handlers.end()) return place.Invalid("without lookup_by the entity needs a handler of this instruction");
    code.handler = static_cast<uint16_t>(own - handlers.begin());
  }
  (*event)->code().hooks.push_back(std::move(code));
  return absl::OkStatus();
}

// All entities share one table of addresses, whatever name the stack gives it.
absl::Status Compiler::CompileRegistration(const stack::HookAction::RegisterPdaMapping& action, EventCompiler* event,
                                           const Place& place) {
  const Place at = place.At("RegisterPdaMapping");
  auto pda = event->Load(action.pda_field, at.At("pda_field"));
  if (!pda.ok()) return pda.status();
  auto seed = event->Load(action.seed_field, at.At("seed_field"));
  if (!seed.ok()) return seed.status();
  const Registration registration{pda->reg, seed->reg};
  std::vector<Registration>& all = event->code().registrations;
  if (std::find(all.begin(), all.end(), registration) == all.end()) all.push_back(registration);
  return absl::OkStatus();
}

absl::StatusOr<Op> Compiler::CompileAction(Working* entity, const stack::HookAction& action, EventCompiler* event,
                                           const Place& place) {
  Op op;
  std::string target;
  const std::optional<stack::Condition>* condition = nullptr;
  if (const auto* set = std::get_if<stack::HookAction::SetField>(&action.value)) {
    target = set->target_field;
    condition = &set->condition;
    if (absl::Status status = CompileSource(set->source, event, place.At("SetField.source"), &op); !status.ok())
      return status;
  } else {
    const auto& increment = std::get<stack::HookAction::IncrementField>(action.value);
    target = increment.target_field;
    condition = &increment.condition;
    op.code = OpCode::kSum;
    op.source = constants_.Add(Value::Int(increment.increment_by));
  }
  if (target.starts_with(kStopPrefix)) {
    if (op.code != OpCode::kSet) return place.Invalid("a stop flag cannot be incremented");
    target.erase(0, kStopPrefix.size());
    const auto field = entity->fields.Find(target);
    const bool known = field && std::any_of(entity->stoppable.begin(), entity->stoppable.end(),
                                            [&](const auto& s) { return s.first == *field; });
    if (!known) return place.Invalid(Cat("no mapping of \"", target, "\" has `stop`"));
    op.code = OpCode::kSetStopFlag;
    op.field = *field;
    entity->stopped.insert(*field);
  } else {
    auto field = entity->fields.Add(target, true, place.At("target_field"));
    if (!field.ok()) return field.status();
    op.field = *field;
  }
  if (*condition) {
    auto compiled = CompileCondition(**condition, event, place.At("condition"));
    if (!compiled.ok()) return compiled.status();
    op.condition = *compiled;
  }
  return op;
}

absl::Status Compiler::CompileComputed(Working* entity, const Place& place) {
  const stack::Entity& spec = *entity->spec;
  std::vector<ComputedCode> computed;
  auto place_of = [&](size_t i) { return place.At(Cat("computed_field_specs[", i, "]")); };
  for (size_t i = 0; i < spec.computed_field_specs.size(); ++i) {
    const std::string& target = spec.computed_field_specs[i].target_path;
    if (entity->fields.Find(target))
      return place_of(i).At("target_path").Invalid(Cat("\"", target, "\" is written elsewhere too"));
    auto field = entity->fields.Add(target, true, place_of(i).At("target_path"));
    if (!field.ok()) return field.status();
    computed.push_back({*field, Name(target), {}});
  }
  for (size_t i = 0; i < spec.computed_fields.size(); ++i) {
    const auto& specs = spec.computed_field_specs;
    if (std::any_of(specs.begin(), specs.end(),
                    [&](const auto& s) { return s.target_path == spec.computed_fields[i]; }))
      continue;
    return place.At(Cat("computed_fields[", i, "]"))
        .Invalid(Cat("\"", spec.computed_fields[i], "\" has no expression"));
  }
  const FieldFinder find = [&](std::string_view path) { return entity->fields.Find(path); };
  for (size_t i = 0; i < computed.size(); ++i) {
    auto nodes =
        CompileExpression(spec.computed_field_specs[i].expression, find, &constants_, place_of(i).At("expression"));
    if (!nodes.ok()) return nodes.status();
    computed[i].nodes = *std::move(nodes);
  }
  auto ordered = OrderByDependency(std::move(computed), program_->names, place.At("computed_field_specs"));
  if (!ordered.ok()) return ordered.status();
  program_->entities[entity->id].computed = *std::move(ordered);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<ViewDef>> Compiler::Views(const Place& root) const {
  std::vector<ViewDef> views;
  for (size_t e = 0; e < stack_.entities.size(); ++e) {
    for (ViewMode mode : {ViewMode::kList, ViewMode::kState, ViewMode::kAppend}) {
      views.push_back({Cat(stack_.entities[e].name, "/", ViewModeName(mode)), static_cast<EntityId>(e), mode, ""});
    }
  }
  for (size_t e = 0; e < stack_.entities.size(); ++e) {
    for (size_t v = 0; v < stack_.entities[e].views.size(); ++v) {
      const stack::View& view = stack_.entities[e].views[v];
      const Place source = root.At(Cat("entities[", e, "].views[", v, "].source"));
      ViewDef def{view.id, 0, view.output == "Collection" ? ViewMode::kList : ViewMode::kState,
                  "derived views are not supported"};
      if (!view.source_entity.empty()) {
        const auto& all = stack_.entities;
        const auto named =
            std::find_if(all.begin(), all.end(), [&](const auto& other) { return other.name == view.source_entity; });
        if (named == all.end()) return source.Invalid(Cat("there is no entity \"", view.source_entity, "\""));
        def.entity = static_cast<EntityId>(named - all.begin());
      } else {
        const auto named =
            std::find_if(views.begin(), views.end(), [&](const auto& other) { return other.id == view.source_view; });
        if (named == views.end())
          return source.Invalid(Cat("no view \"", view.source_view, "\" stands before this one"));
        def.entity = named->entity;
      }
      views.push_back(std::move(def));
    }
  }
  return views;
}

absl::Status Compiler::Finish(std::vector<Working> entities, const Place& root) {
  for (EventCompiler& event : events_) {
    if (absl::Status status = event.Finish({stack_.file, "idls"}); !status.ok()) return status;
    program_->registers_end = std::max(program_->registers_end, event.code().registers_end);
    program_->events.push_back(std::move(event.code()));
  }
  auto too_many = [](size_t n) { return n > static_cast<size_t>(std::numeric_limits<int16_t>::max()); };
  if (too_many(program_->constants.size()) || too_many(program_->conditions.size()) ||
      too_many(program_->builds.size()) || too_many(program_->names.size()) || program_->registers_end >= kNoReg) {
    return absl::UnimplementedError(
        Cat(stack_.file,
            ": a stack of more than 32,767 constants, conditions, objects, names or registers is not supported"));
  }
  auto views = Views(root);
  if (!views.ok()) return views.status();
  std::vector<std::pair<std::string, std::vector<FieldDef>>> fields;
  for (const Working& entity : entities) fields.emplace_back(entity.spec->name, entity.fields.fields());
  auto schema = RowSchema::Build(std::move(fields), shapes_.shapes(), *std::move(views));
  if (!schema.ok()) return absl::Status(schema.status().code(), Cat(stack_.file, ": ", Message(schema.status())));
  program_->schema = *std::move(schema);
  return absl::OkStatus();
}

}  // namespace everstate::vm
