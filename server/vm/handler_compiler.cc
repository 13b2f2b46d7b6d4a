// The compiler's part that turns handlers and hooks into operations.
#include <algorithm>

#include "server/vm/compiler.h"

namespace everstate::vm {
namespace {

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

// What an operation leaves in its field.
std::string TypeAfter(const Op& op, const std::string& source) {
  switch (op.code) {
    case OpCode::kSum:
    case OpCode::kCount:
    case OpCode::kUnique:
      return "integer";
    case OpCode::kAppend:
      return Cat("vec<", source, ">");
    default:
      return source;
  }
}

}  // namespace

void Compiler::CompileHandler(Working* entity, const stack::Handler& handler, const Place& place) {
  if (handler.has_conditions) (void)place.At("conditions").Unsupported("a condition of a whole handler");
  if (!handler.emit && !place.At("emit").Faulty()) (void)place.At("emit").Unsupported("a handler that does not emit");
  entity->unread |= place.At("mappings").Covered();
  const auto event = EventFor(handler.event_type, handler.is_account, place.At("source"));
  HandlerCode code;
  code.entity = entity->id;
  if (event.ok()) (void)CompileKey(*entity, handler, *event, place.At("key_resolution"), &code);
  for (size_t i = 0; i < handler.mappings.size(); ++i) {
    const stack::Mapping& mapping = handler.mappings[i];
    const Place at = place.At("mappings", i);
    const FieldId field = DeclareMapping(entity, mapping, at);
    if (!event.ok()) continue;
    const auto op = CompileMapping(entity, field, mapping, *event, at);
    if (!op.ok()) continue;
    for (size_t index = 0; index < entity->spec->lookup_indexes.size(); ++index) {
      if (entity->spec->lookup_indexes[index].field_name != mapping.target_path || op->build >= 0 ||
          op->source == kNoReg)
        continue;
      code.indexes.push_back({static_cast<uint16_t>(index), op->source});
    }
    code.ops.push_back(*op);
  }
  if (event.ok()) (*event)->code().handlers.push_back(std::move(code));
}

absl::Status Compiler::CompileKey(const Working& entity, const stack::Handler& handler, EventCompiler* event,
                                  const Place& place, HandlerCode* code) {
  if (place.Faulty()) return Place::Reported();
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
      if (source != nullptr && !source->path.empty() && source->path.back() == leaf) path = source->path;
    }
    if (path.empty()) return place.Invalid("there is no field that holds the key");
  }
  auto loaded = event->Load(path, place);
  if (!loaded.ok()) return loaded.status();
  code->key = loaded->reg;
  return absl::OkStatus();
}

// The field of a mapping is there, whatever else is wrong with it.
FieldId Compiler::DeclareMapping(Working* entity, const stack::Mapping& mapping, const Place& place) const {
  const Place target = place.At("target_path");
  if (target.Faulty()) {
    entity->unread = true;
    return 0;
  }
  const FieldId field = entity->fields.Add(mapping.target_path, target);
  entity->fields.Map(field, mapping.emit);
  entity->unread |= place.At("stop").Faulty();
  if (!mapping.stop.empty()) entity->stoppable.emplace_back(field, place.At("stop"));
  return field;
}

absl::StatusOr<Op> Compiler::CompileMapping(Working* entity, FieldId field, const stack::Mapping& mapping,
                                            EventCompiler* event, const Place& place) {
  Op op;
  // The population counts for nothing beside `when` and `stop`, as in the reference.
  op.code = mapping.when.empty() && mapping.stop.empty() ? OpCodeOf(mapping.population) : OpCode::kSet;
  op.field = field;
  const auto source = CompileMappingSource(*entity, op.code, mapping, event, place);
  const absl::Status gates = CompileGates(mapping, event, place, &op);
  if (!source.ok() || !gates.ok() || place.Faulty()) return Place::Reported();
  op.source = source->source;
  op.build = source->build;
  op.skip_null = source->skip_null;
  entity->fields.Note(field, TypeAfter(op, source->type));
  return op;
}

absl::StatusOr<Compiler::SourceCode> Compiler::CompileMappingSource(const Working& entity, OpCode code,
                                                                    const stack::Mapping& mapping, EventCompiler* event,
                                                                    const Place& place) {
  const auto* from = std::get_if<stack::MappingSource::FromSource>(&mapping.source.value);
  const Place at = place.At("source");
  if (at.Faulty() || place.At("transform").Faulty()) return Place::Reported();
  if (mapping.transform) {
    if (from == nullptr)
      return place.At("transform")
          .Unsupported(Cat("the transform ", stack::Name(*mapping.transform), " of this source"));
    if (auto inner = CompileFromSource(*from, event, at.At("FromSource")); !inner.ok()) return inner;
    stack::MappingSource::FromSource transformed = *from;
    transformed.transform = mapping.transform;
    return CompileFromSource(transformed, event, place.At("transform"));
  }
  if (code == OpCode::kCount && from != nullptr && !from->transform && !entity.Indexes(mapping.target_path)) {
    // Count counts occurrences; its source only says where they are.
    if (absl::Status status = event->Check(from->path, at.At("FromSource.path")); !status.ok()) return status;
    return SourceCode();
  }
  return CompileSource(mapping.source, event, at);
}

absl::Status Compiler::CompileGates(const stack::Mapping& mapping, EventCompiler* event, const Place& place, Op* op) {
  absl::Status faults;
  if (mapping.condition) {
    const auto condition = CompileCondition(*mapping.condition, event, place.At("condition"));
    if (condition.ok()) op->condition = *condition;
    faults.Update(condition.status());
  }
  if (!mapping.when.empty()) faults.Update(CompileWhen(mapping.when, *event, place.At("when"), op));
  if (!mapping.stop.empty()) {
    faults.Update(EventFor(mapping.stop, false, place.At("stop")).status());
    op->stoppable = true;
  }
  return faults;
}

absl::Status Compiler::CompileWhen(const std::string& type, const EventCompiler& event, const Place& place, Op* op) {
  if (event.code().id.kind != EventKind::kAccount) return place.Unsupported("`when` on anything but an account");
  const auto waited = EventFor(type, false, place);
  if (!waited.ok()) return waited.status();
  EventCode& code = (*waited)->code();
  if (code.id.kind != EventKind::kInstruction) return place.Unsupported("`when` an event was seen");
  if (code.when < 0) {
    code.when = static_cast<int16_t>(program_->when_types.size());
    program_->when_types.push_back(code.id);
  }
  op->when = code.when;
  return absl::OkStatus();
}

void Compiler::CompileHook(Working* entity, const stack::InstructionHook& hook, const Place& place) {
  entity->unread |= place.At("actions").Covered();
  const auto event = EventFor(hook.instruction_type, false, place.At("instruction_type"));
  HookCode code;
  code.entity = entity->id;
  bool for_entity = hook.actions.empty();  // else it only registers addresses
  for (size_t i = 0; i < hook.actions.size(); ++i) {
    const Place at = place.At("actions", i);
    if (at.Covered()) {
      entity->unread = true;  // it may have set a field
      continue;
    }
    if (const auto* pda = std::get_if<stack::HookAction::RegisterPdaMapping>(&hook.actions[i].value)) {
      if (event.ok()) (void)CompileRegistration(*pda, *event, at);
      continue;
    }
    for_entity = true;
    auto op = DeclareAction(entity, hook.actions[i], at);
    if (op.ok() && event.ok()) op = CompileAction(entity, *op, hook.actions[i], *event, at);
    if (op.ok()) code.ops.push_back(*op);
  }
  if (!event.ok() || !for_entity) return;
  if (CompileHookEntity(*entity, hook, *event, place, &code).ok()) (*event)->code().hooks.push_back(std::move(code));
}

absl::Status Compiler::CompileHookEntity(const Working& entity, const stack::InstructionHook& hook,
                                         EventCompiler* event, const Place& place, HookCode* code) {
  if (hook.lookup_by) {
    if (place.At("lookup_by").Faulty()) return Place::Reported();
    const auto loaded = event->Load(*hook.lookup_by, place.At("lookup_by"));
    if (!loaded.ok()) return loaded.status();
    code->lookup = loaded->reg;
    program_->entities[entity.id].looked_up = program_->looks_up = true;
    return absl::OkStatus();
  }
  const auto& handlers = event->code().handlers;
  const auto own = std::find_if(handlers.begin(), handlers.end(), [&](const auto& h) { return h.entity == entity.id; });
  if (own == handlers.end()) {
    if (entity.unread || place.At("lookup_by").Faulty()) return Place::Reported();
    return place.Invalid("without lookup_by the entity needs a handler of this instruction");
  }
  code->handler = static_cast<uint16_t>(own - handlers.begin());
  return absl::OkStatus();
}

// All entities share one table of addresses, whatever name the stack gives it.
absl::Status Compiler::CompileRegistration(const stack::HookAction::RegisterPdaMapping& action, EventCompiler* event,
                                           const Place& place) {
  if (place.Faulty()) return Place::Reported();
  const Place at = place.At("RegisterPdaMapping");
  const auto pda = event->Load(action.pda_field, at.At("pda_field"));
  const auto seed = event->Load(action.seed_field, at.At("seed_field"));
  if (!pda.ok() || !seed.ok()) return Place::Reported();
  const Registration registration{pda->reg, seed->reg};
  std::vector<Registration>& all = event->code().registrations;
  if (std::find(all.begin(), all.end(), registration) == all.end()) all.push_back(registration);
  return absl::OkStatus();
}

// The action's field is there, or its stop flag set, whatever else is wrong with it.
absl::StatusOr<Op> Compiler::DeclareAction(Working* entity, const stack::HookAction& action, const Place& place) {
  Op op;
  const auto* set = std::get_if<stack::HookAction::SetField>(&action.value);
  const auto* increment = std::get_if<stack::HookAction::IncrementField>(&action.value);
  const std::string& target = set != nullptr ? set->target_field : increment->target_field;
  if (target.empty()) {
    entity->unread = true;
    return Place::Reported();
  }
  op.code = set != nullptr ? OpCode::kSet : OpCode::kSum;
  const Place at = place.At(set != nullptr ? "SetField" : "IncrementField").At("target_field");
  if (!target.starts_with(kStopPrefix)) {
    op.field = entity->fields.Add(target, at);
    return op;
  }
  if (set == nullptr) return at.Invalid("a stop flag cannot be incremented");
  const std::string path = target.substr(kStopPrefix.size());
  const auto field = entity->fields.Find(path);
  if (!field || !entity->Stops(*field)) {
    return entity->unread ? Place::Reported() : at.Invalid(Cat("no mapping of \"", path, "\" has `stop`"));
  }
  op.code = OpCode::kSetStopFlag;
  op.field = *field;
  entity->stopped.insert(*field);
  return op;
}

absl::StatusOr<Op> Compiler::CompileAction(Working* entity, Op op, const stack::HookAction& action,
                                           EventCompiler* event, const Place& place) {
  if (place.Faulty()) return Place::Reported();
  const std::optional<stack::Condition>* condition = nullptr;
  absl::Status faults;
  const auto* set = std::get_if<stack::HookAction::SetField>(&action.value);
  if (set != nullptr) {
    condition = &set->condition;
    const auto source = CompileSource(set->source, event, place.At("SetField.source"));
    faults.Update(source.status());
    if (source.ok()) {
      op.source = source->source;
      op.build = source->build;
      op.skip_null = source->skip_null;
      if (op.code == OpCode::kSet) entity->fields.Note(op.field, source->type);
    }
  } else {
    const auto& increment = std::get<stack::HookAction::IncrementField>(action.value);
    condition = &increment.condition;
    op.source = constants_.Add(Value::Int(increment.increment_by));
    entity->fields.Note(op.field, "integer");
  }
  if (*condition) {
    const Place at = place.At(set != nullptr ? "SetField" : "IncrementField").At("condition");
    const auto compiled = CompileCondition(**condition, event, at);
    faults.Update(compiled.status());
    if (compiled.ok()) op.condition = *compiled;
  }
  if (!faults.ok()) return faults;
  return op;
}

}  // namespace everstate::vm
