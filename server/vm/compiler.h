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
#include "server/vm/field_table.h"
#include "server/vm/program.h"

namespace everstate::vm {

inline constexpr std::string_view kStopPrefix =
    "__stop:";  // a hook that sets this field's name behind it sets its stop flag

// Compiler: used once.
//   Errors: findings, as Projection::Compile. Statuses inside say only that there is one; what lies beside it is
//           compiled all the same, and what cannot be judged without it is left out.
class Compiler {
 public:
  Compiler(const stack::Stack& stack, stack::Diagnostics* diagnostics);
  std::unique_ptr<Program> Compile();  // null when there are findings, also those of whoever read the stack

 private:
  // What one entity collects on the way.
  struct Working {
    EntityId id = 0;
    const stack::Entity* spec = nullptr;
    FieldTable fields;
    std::vector<std::pair<FieldId, Place>> stoppable;  // mappings with `stop`
    std::set<FieldId> stopped;                         // fields whose stop flag some hook sets
    bool unread = false;  // some of its fields could not be read: one that is missing may be among them
    bool Indexes(const std::string& path) const;
    bool Stops(FieldId field) const;
  };
  // What a source becomes: a register, or an object that is made when it is needed.
  struct SourceCode {
    Reg source = kNoReg;
    int16_t build = -1;
    bool skip_null = false;
    std::string type;  // for people
  };

  void CompileIdls();
  absl::StatusOr<EventId> FindEvent(const std::string& type, bool is_account, const Place& place) const;
  bool MayBeUnread(const std::string& type) const;
  absl::StatusOr<EventCompiler*> EventFor(const std::string& type, bool is_account, const Place& place);

  void CompileEntity(Working* entity, const Place& place);
  void Refusals(Working* entity, const Place& place) const;
  void CompileHandler(Working* entity, const stack::Handler& handler, const Place& place);
  absl::Status CompileKey(const Working& entity, const stack::Handler& handler, EventCompiler* event,
                          const Place& place, HandlerCode* code);
  FieldId DeclareMapping(Working* entity, const stack::Mapping& mapping, const Place& place) const;
  absl::StatusOr<Op> CompileMapping(Working* entity, FieldId field, const stack::Mapping& mapping, EventCompiler* event,
                                    const Place& place);
  absl::StatusOr<SourceCode> CompileMappingSource(const Working& entity, OpCode code, const stack::Mapping& mapping,
                                                  EventCompiler* event, const Place& place);
  absl::Status CompileGates(const stack::Mapping& mapping, EventCompiler* event, const Place& place, Op* op);
  absl::Status CompileWhen(const std::string& type, const EventCompiler& event, const Place& place, Op* op);
  void CompileHook(Working* entity, const stack::InstructionHook& hook, const Place& place);
  absl::Status CompileHookEntity(const Working& entity, const stack::InstructionHook& hook, EventCompiler* event,
                                 const Place& place, HookCode* code);
  absl::Status CompileRegistration(const stack::HookAction::RegisterPdaMapping& action, EventCompiler* event,
                                   const Place& place);
  absl::StatusOr<Op> DeclareAction(Working* entity, const stack::HookAction& action, const Place& place);
  absl::StatusOr<Op> CompileAction(Working* entity, Op op, const stack::HookAction& action, EventCompiler* event,
                                   const Place& place);
  void CompileComputed(Working* entity, const Place& place);
  void NoteUnfilled(const Working& entity, const Place& identity) const;

  absl::StatusOr<SourceCode> CompileSource(const stack::MappingSource& source, EventCompiler* event,
                                           const Place& place);
  absl::StatusOr<SourceCode> CompileFromSource(const stack::MappingSource::FromSource& source, EventCompiler* event,
                                               const Place& place);
  absl::StatusOr<SourceCode> CompileBuild(const std::vector<stack::MappingSource::FromSource>& members, bool capture,
                                          EventCompiler* event, const Place& place);
  absl::Status CompileMembers(const std::vector<stack::MappingSource::FromSource>& members, EventCompiler* event,
                              const Place& place, Build* build);
  absl::StatusOr<int16_t> CompileCondition(const stack::Condition& condition, EventCompiler* event, const Place& place);
  absl::StatusOr<int16_t> CompileParsed(const stack::Condition& condition, EventCompiler* event, const Place& place);

  std::vector<ViewDef> Views() const;
  bool Numbered();
  void Finish(const std::vector<Working>& entities);
  uint16_t Name(const std::string& name);

  const stack::Stack& stack_;
  stack::Diagnostics* const diagnostics_;
  const Place root_;
  std::unique_ptr<Program> program_;
  idl::ShapeTable shapes_;
  ConstantPool constants_;
  std::deque<EventCompiler> events_;  // become Program::events
  std::map<std::pair<std::string, bool>, size_t> event_by_type_;
};

}  // namespace everstate::vm
