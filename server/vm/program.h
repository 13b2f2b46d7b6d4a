// The compiled form of a stack: what the machine runs. Only vm/ knows it.
//
// Registers: one file of Values. The first few hold the context, the rest of the low half belongs to the event at hand
// and is filled by its loads; numbers with kConstantBit are constants of the stack.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/idl/extract.h"
#include "server/idl/layout.h"
#include "server/stack/stack.h"
#include "storage/model.h"
#include "storage/row_schema.h"
#include "storage/value.h"

namespace everstate::vm {

// Which layout an event is read with: numbers of the stack file, because what waits in the store is kept under them.
enum class EventKind : uint8_t { kAccount, kInstruction, kEvent };
struct EventId {
  EventKind kind = EventKind::kAccount;
  uint16_t idl = 0, layout = 0;  // positions in the stack's IDLs, and in that IDL's list of the kind
  bool operator==(const EventId&) const = default;
};

using Reg = uint16_t;
inline constexpr Reg kConstantBit = 0x8000;
inline constexpr Reg kNoReg = 0x7fff;
inline constexpr Reg kRegSlot = 0;       // of the block
inline constexpr Reg kRegSignature = 1;  // of the transaction that said it; absent when there is none
inline constexpr Reg kRegTimestamp = 2;  // block time; null when the block has none
inline constexpr Reg kRegAddress = 3;    // of the account; absent in instructions
inline constexpr Reg kRegFirst = 4;      // first register of an event's own

// A condition over registers. Children lie in Program::conditions.
struct ConditionNode {
  enum class Kind : uint8_t { kCompare, kAll, kAny } kind = Kind::kCompare;
  stack::Comparison op = stack::Comparison::kEqual;
  Reg left = kNoReg, right = kNoReg;
  std::vector<uint16_t> children;
};

// An object made when an operation needs it: {data, signature, slot, timestamp}, with account_address in front for
// captures.
struct Build {
  bool capture = false;
  ShapeId shape = 0;
  Reg whole = kNoReg;      // the data as it is, or
  ShapeId data_shape = 0;  // the object of these registers, in the order of the shape's keys
  std::vector<Reg> members;
};

enum class OpCode : uint8_t { kSet, kSetOnce, kAppend, kMax, kMin, kSum, kCount, kUnique, kSetStopFlag };

// One write to one field of the entity at hand. Its gates come first: condition, when, stop.
struct Op {
  OpCode code = OpCode::kSet;
  bool stoppable = false;  // not while the field's stop flag is set
  bool skip_null = false;  // a transform stands before it: null is a fault, not a value
  FieldId field = 0;
  Reg source = kNoReg;
  int16_t build = -1;      // in Program::builds, instead of `source`
  int16_t condition = -1;  // in Program::conditions
  int16_t when = -1;       // number of a `when` instruction type
};

struct IndexWrite {
  uint16_t index = 0;  // position in the entity's lookup_indexes
  Reg value = kNoReg;
};

struct HandlerCode {
  EntityId entity = 0;
  Reg key = kNoReg;
  bool lookup = false;  // `key` leads to the entity instead of naming it
  std::vector<Op> ops;
  std::vector<IndexWrite> indexes;
};

struct HookCode {
  EntityId entity = 0;
  Reg lookup = kNoReg;   // kNoReg: the entity that `handler` reached
  uint16_t handler = 0;  // position in the event's handlers
  std::vector<Op> ops;
};

// From now on the address `pda` leads to `seed`.
struct Registration {
  Reg pda = kNoReg, seed = kNoReg;
  bool operator==(const Registration&) const = default;
};

// Everything that follows from one event type. All handlers and hooks of all entities share one set of loads, so a body
// is walked once.
struct EventCode {
  std::string type;  // e.g. "spl_token::MintState"
  EventId id;
  uint16_t name = 0;  // in Program::names
  int16_t when = -1;  // its number, when some mapping waits for it
  uint32_t registers_end = kRegFirst;

  struct AccountLoad {
    uint16_t position;
    Reg reg;
  };
  struct ObjectLoad {
    ShapeId shape;
    std::vector<Reg> members;
    Reg reg;
  };
  struct DefaultLoad {
    Reg source, constant, reg;
  };
  std::vector<AccountLoad> accounts;  // in this order: accounts, plan, objects, defaults
  std::optional<idl::Plan> plan;      // the one walk over the body; none when nobody needs a field
  std::vector<ObjectLoad> objects;
  std::vector<DefaultLoad> defaults;

  // In this order: registrations, handlers, hooks. A unit is a handler or a hook: handlers are numbered first.
  std::vector<Registration> registrations;
  std::vector<HandlerCode> handlers;
  std::vector<HookCode> hooks;
  bool Idle() const { return registrations.empty() && handlers.empty() && hooks.empty(); }
};

// A computed field's expression as a tree in a vector; operands come before their node, the last node is the result.
struct ExprNode {
  stack::Expr::Kind kind = stack::Expr::Kind::kNone;
  uint8_t code = 0;  // which operator, cast, resolver method, or number of the variable
  uint16_t args[3] = {0, 0, 0};
  FieldId field = 0;
  Reg constant = kNoReg;
};
struct ComputedCode {
  FieldId field = 0;
  uint16_t name = 0;  // in Program::names
  std::vector<ExprNode> nodes;
};

struct EntityCode {
  std::string name;
  uint16_t index_count = 0;
  bool looked_up = false;                // by some handler or hook: events may wait for it
  std::vector<ComputedCode> computed;    // in dependency order
  std::vector<std::string> field_types;  // by FieldId, for people: "u64", "vec<event>", "i64 | integer"
};

struct Program {
  struct IdlCode {
    std::shared_ptr<const idl::Program> layouts;
    std::vector<int> account_events;  // by layout: position in `events`, or -1
    std::vector<int> instruction_events;
    std::vector<int> event_events;
    bool wants_events = false;  // some of event_events is set
  };
  std::vector<IdlCode> idls;
  std::vector<EventCode> events;
  std::vector<EntityCode> entities;
  std::vector<ConditionNode> conditions;
  std::vector<Build> builds;
  std::vector<Value> constants;
  std::deque<std::string> texts;    // what constants point into
  std::vector<std::string> names;   // event types and computed paths, for faults
  std::vector<EventId> when_types;  // by number of a `when` type
  bool wants_events = false;        // of some IDL
  bool looks_up = false;            // some entity is looked up
  uint32_t registers_end = kRegFirst;
  std::shared_ptr<const RowSchema> schema;

  const EventCode* Find(const EventId& id) const {
    if (id.idl >= idls.size()) return nullptr;
    const IdlCode& idl = idls[id.idl];
    const std::vector<int>& by_layout = id.kind == EventKind::kAccount       ? idl.account_events
                                        : id.kind == EventKind::kInstruction ? idl.instruction_events
                                                                             : idl.event_events;
    if (id.layout >= by_layout.size() || by_layout[id.layout] < 0) return nullptr;
    return &events[static_cast<size_t>(by_layout[id.layout])];
  }
};

}  // namespace everstate::vm
