// The compiler: a stack becomes a Program.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "server/stack/stack.h"
#include "server/vm/constants.h"
#include "server/vm/event_compiler.h"
#include "server/vm/program.h"

namespace everstate::vm {

// FieldTable: the fields of one entity, numbered in the order in which the stack names them.
class FieldTable {
 public:
  // Errors: InvalidArgument when the path lies inside another field's or around it; Unimplemented past kFieldsMax
  // fields.
  absl::StatusOr<FieldId> Add(const std::string& path, bool emit, const Place& place);
  std::optional<FieldId> Find(std::string_view path) const;
  const std::vector<FieldDef>& fields() const { return fields_; }

 private:
  std::vector<FieldDef> fields_;
};

// Compiler: used once.
//   Errors: as Projection::Compile.
class Compiler {
 public:
  explicit Compiler(const stack::Stack& stack);
  absl::StatusOr<std::unique_ptr<Program>> Compile();

 private:
  // What one entity collects on the way.
  struct Working {
    EntityId id = 0;
    const stack::Entity* spec = nullptr;
    FieldTable fields;
    std::vector<std::pair<FieldId, Place>> stoppable;  // mappings with `stop`
    std::set<FieldId> stopped;                         // fields whose stop flag some hook sets
    bool Indexes(const std::string& path) const;
  };

  absl::Status CompileIdls();
  absl::StatusOr<EventId> FindEvent(const std::string& type, bool is_account, const Place& place) const;
  absl::StatusOr<EventCompiler*> EventFor(const std::string& type, bool is_account, const Place& place);

  absl::Status CompileEntity(Working* entity, const Place& place);
  absl::Status Refusals(const stack::Entity& spec, const Place& place) const;
  absl::Status CompileHandler(Working* entity, const stack::Handler& handler, const Place& place);
  absl::Status CompileKey(const Working& entity, const stack::Handler& handler, EventCompiler* event,
                          const Place& place, HandlerCode* code);
  absl::StatusOr<Op> CompileMapping(Working* entity, const stack::Mapping& mapping, EventCompiler* event,
                                    const Place& place);
  absl::Status CompileGates(const stack::Mapping& mapping, EventCompiler* event, const Place& place, Op* op);
  absl::Status CompileHook(Working* entity, const stack::InstructionHook& hook, const Place& place);
  absl::Status CompileRegistration(const stack::HookAction::RegisterPdaMapping& action, EventCompiler* event,
                                   const Place& place);
  absl::StatusOr<Op> CompileAction(Working* entity, const stack::HookAction& action, EventCompiler* event,
                                   const Place& place);
  absl::Status CompileComputed(Working* entity, const Place& place);

  absl::Status CompileSource(const stack::MappingSource& source, EventCompiler* event, const Place& place, Op* op);
  absl::Status CompileFromSource(const stack::MappingSource::FromSource& source, EventCompiler* event,
                                 const Place& place, Op* op);
  absl::Status CompileBuild(const std::vector<stack::MappingSource::FromSource>& members, bool capture,
                            EventCompiler* event, const Place& place, Op* op);
  absl::StatusOr<int16_t> CompileCondition(const stack::Condition& condition, EventCompiler* event, const Place& place);

  absl::StatusOr<std::vector<ViewDef>> Views(const Place& root) const;
  absl::Status Finish(std::vector<Working> entities, const Place& root);
  uint16_t Name(const std::string& name);

  const stack::Stack& stack_;
  std::unique_ptr<Program> program_;
  idl::ShapeTable shapes_;
  ConstantPool constants_;
  std::deque<EventCompiler> events_;  // become Program::events
  std::map<std::pair<std::string, bool>, size_t> event_by_type_;
};

}  // namespace everstate::vm
