#include "server/vm/executor.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "server/base/base58.h"
#include "server/vm/key_text.h"

namespace everstate::vm {
namespace {

constexpr int kPdaHopsMax = 5;  // as the reference follows a chain

std::array<uint8_t, 32> KeyOf(const uint8_t* bytes) {
  std::array<uint8_t, 32> key;
  std::memcpy(key.data(), bytes, key.size());
  return key;
}

}  // namespace

Executor::Executor(const Program* program, const Settings& settings, WriteSet* write_set, Faults* faults,
                   MachineCounters* counters)
    : program_(program),
      write_set_(write_set),
      faults_(faults),
      counters_(counters),
      waiting_(program, settings, write_set, faults, counters),
      allowed_(program->when_types.size()),
      registers_(program->registers_end) {}

void Executor::Begin(const BlockId& block) {
  slot_ = block.slot;
  block_time_ = block.block_time;
  for (auto& accounts : allowed_) accounts.clear();
  known_.clear();  // a block that was broken off may have left some
  resumed_ = nullptr;
  waiting_.Begin(slot_);
  BeginTransaction(nullptr, {});
}

void Executor::BeginTransaction(const uint8_t* signature, std::optional<uint64_t> index) {
  signature_ = signature;
  SetContext(slot_, block_time_, signature);
  cause_.signature.reset();
  if (signature != nullptr) std::memcpy(cause_.signature.emplace().data(), signature, sizeof(Signature));
  cause_.transaction_index = index;
}

void Executor::SetContext(Slot slot, std::optional<int64_t> block_time, const uint8_t* signature) {
  registers_[kRegSlot] = Value::Uint(slot);
  registers_[kRegTimestamp] = block_time ? Value::Int(*block_time) : Value::Null();
  registers_[kRegSignature] = signature != nullptr ? Value::Sig64(signature) : Value();
}

void Executor::Allow(int16_t when, const uint8_t* account) {
  allowed_[static_cast<size_t>(when)].insert(KeyOf(account));
}

bool Executor::WhenHolds(int16_t when) const {
  const auto number = static_cast<size_t>(when);
  if (resumed_ == nullptr) return allowed_[number].contains(KeyOf(input_.address));
  const auto& held = resumed_->when;
  return std::find(held.begin(), held.end(), program_->when_types[number]) != held.end();
}

absl::Status Executor::Run(const EventCode& event, const EventInput& input) {
  if (!Fill(event, input, true)) return absl::OkStatus();
  counters_->handler_runs += event.handlers.size();
  for (const Registration& registration : event.registrations) {
    if (absl::Status status = Register(registration); !status.ok()) return status;
  }
  // What waited for these addresses is older than the event, and goes first.
  if (!known_.empty()) {
    if (absl::Status status = Resume(); !status.ok()) return status;
    Fill(event, input, false);
  }
  if (absl::Status status = RunUnits(); !status.ok()) return status;
  return known_.empty() ? absl::OkStatus() : Resume();
}

bool Executor::Fill(const EventCode& event, const EventInput& input, bool first) {
  event_ = &event;
  input_ = input;
  arena_.Clear();
  std::fill(registers_.begin() + kRegAddress, registers_.begin() + event.registers_end, Value());
  if (input.address != nullptr) registers_[kRegAddress] = Value::Key32(input.address);
  for (const EventCode::AccountLoad& load : event.accounts) {
    if (load.position >= input.accounts.size()) continue;  // fewer than the IDL names: absent
    registers_[load.reg] = Value::Key32(input.accounts[load.position]);
  }
  if (!Decode(event, input, first)) return false;
  MakeObjects(event);
  return true;
}

// `first`: what is wrong with the bytes was not counted yet.
bool Executor::Decode(const EventCode& event, const EventInput& input, bool first) {
  if (!event.plan) return true;
  const bool is_instruction = event.id.kind == EventKind::kInstruction;
  const idl::DecodeResult decoded = event.plan->Run(input.body, is_instruction, &arena_, registers_.data());
  const Faults::At at{-1, event.name};
  if (decoded.zeros_padded && first)
    faults_->Count(at, FaultReason::kArgumentsPadded, slot_,
                   [&] { return std::to_string(input.body.size()) + " bytes"; });
  if (decoded.error == idl::DecodeError::kNone) return true;
  const FaultReason reason = is_instruction                       ? FaultReason::kInstructionDecode
                             : event.id.kind == EventKind::kEvent ? FaultReason::kEventDecode
                                                                  : FaultReason::kAccountDecode;
  if (first)
    faults_->Count(at, reason, slot_, [&] {
      const std::string whose = input.address != nullptr ? EncodeBase58({input.address, 32}) + ": " : "";
      return whose + std::string(idl::Name(decoded.error)) + " at byte " + std::to_string(decoded.offset);
    });
  return false;
}

void Executor::MakeObjects(const EventCode& event) {
  for (const EventCode::ObjectLoad& load : event.objects) {
    payload_.clear();
    for (Reg member : load.members) AppendValue(At(member), &payload_);
    object_.clear();
    AppendObject(load.shape, payload_, &object_);
    const std::string_view kept = arena_.Copy(object_);
    Value& value = registers_[load.reg];
    value.tag = ValueTag::kObject;
    value.data = reinterpret_cast<const uint8_t*>(kept.data());
    value.size = static_cast<uint32_t>(kept.size());
  }
  for (const EventCode::DefaultLoad& load : event.defaults)
    registers_[load.reg] = At(At(load.source).absent() ? load.constant : load.source);
}

absl::Status Executor::RunUnits() {
  reached_.assign(event_->handlers.size(), nullptr);
  for (size_t i = 0; i < event_->handlers.size(); ++i) {
    if (absl::Status status = RunHandler(static_cast<uint16_t>(i)); !status.ok()) return status;
  }
  for (size_t i = 0; i < event_->hooks.size(); ++i) {
    if (absl::Status status = RunHook(static_cast<uint16_t>(i)); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<WriteSet::Side*> Executor::Side(SideKind kind, EntityId entity, uint16_t name, std::string_view id) {
  side_key_.kind = kind;
  side_key_.entity = entity;
  side_key_.name = name;
  side_key_.id.assign(id);
  return write_set_->GetSide(side_key_);
}

void Executor::CountNoKey(EntityId entity, const Value& key) {
  // A composite has a text unless it nests too deeply.
  const FaultReason reason = key.tag >= ValueTag::kArray ? FaultReason::kValueDepth : FaultReason::kKeyNull;
  faults_->Count({entity, event_->name}, reason, slot_, [&] {
    std::string address;
    AppendKeyText(write_set_->schema(), registers_[kRegAddress], &address);
    return address;
  });
}

absl::Status Executor::RunHandler(uint16_t position) {
  const HandlerCode& handler = event_->handlers[position];
  const Value& key = At(handler.key);
  WorkingEntity* entity = nullptr;
  if (handler.lookup) {
    if (StartOf(key)) {
      auto found = Lookup(handler.entity);
      if (!found.ok()) return found.status();
      if (*found == nullptr) return Wait(handler.entity, position);
      entity = *found;
    }
  } else if (!key.null_or_absent()) {
    auto found = write_set_->Get(handler.entity, key);
    if (!found.ok()) return found.status();
    entity = *found;
  }
  if (entity == nullptr) {
    CountNoKey(handler.entity, key);
    return absl::OkStatus();
  }
  reached_[position] = entity;
  write_set_->Reach(entity, cause_);
  if (absl::Status status = WriteIndexes(handler, *entity); !status.ok()) return status;
  return RunOps(handler.ops, entity);
}

absl::Status Executor::WriteIndexes(const HandlerCode& handler, const WorkingEntity& entity) {
  for (const IndexWrite& index : handler.indexes) {
    const Value& value = At(index.value);
    if (value.null_or_absent()) continue;
    encoded_.clear();
    if (!AppendKeyText(write_set_->schema(), value, &encoded_)) {
      CountNoKey(handler.entity, value);
      continue;
    }
    if (encoded_.empty()) continue;  // an empty text is never looked up
    auto side = Side(SideKind::kLookupIndex, handler.entity, index.index, encoded_);
    if (!side.ok()) return side.status();
    if ((*side)->now == entity.key) continue;
    (*side)->now = entity.key;
    BecameKnown(handler.entity, encoded_);
  }
  return absl::OkStatus();
}

absl::Status Executor::RunHook(uint16_t position) {
  const HookCode& hook = event_->hooks[position];
  WorkingEntity* entity = nullptr;
  if (hook.lookup == kNoReg) {
    entity = reached_[hook.handler];
    if (entity == nullptr)
      return absl::OkStatus();  // its handler waits, and this with it; or it has no key, and was counted
  } else if (StartOf(At(hook.lookup))) {
    auto found = Lookup(hook.entity);
    if (!found.ok()) return found.status();
    if (*found == nullptr) return Wait(hook.entity, event_->handlers.size() + position);
    entity = *found;
  } else {
    CountNoKey(hook.entity, At(hook.lookup));
    return absl::OkStatus();
  }
  write_set_->Reach(entity, cause_);
  return RunOps(hook.ops, entity);
}

absl::Status Executor::RunOps(const std::vector<Op>& ops, WorkingEntity* entity) {
  const bool is_new = program_->entities[entity->entity].looked_up && !entity->Exists();
  for (const Op& op : ops) {
    if (absl::Status status = RunOp(op, entity); !status.ok()) return status;
  }
  if (is_new && entity->Exists()) BecameKnown(entity->entity, entity->key);
  return absl::OkStatus();
}

absl::Status Executor::Register(const Registration& registration) {
  // Null is an account that is not there: nothing leads anywhere. What has no text for another reason is a fault.
  const auto text = [&](const Value& value, std::string* out) {
    out->clear();
    if (AppendKeyText(write_set_->schema(), value, out)) return !out->empty();
    if (!value.null_or_absent())
      faults_->Count({-1, event_->name}, FaultReason::kValueDepth, slot_, [] { return std::string("a PDA mapping"); });
    return false;
  };
  if (!text(At(registration.pda), &encoded_) || !text(At(registration.seed), &lookup_)) return absl::OkStatus();
  auto side = Side(SideKind::kPda, 0, 0, encoded_);
  if (!side.ok()) return side.status();
  if ((*side)->now == lookup_) return absl::OkStatus();
  (*side)->now = lookup_;
  for (size_t e = 0; e < program_->entities.size(); ++e) BecameKnown(static_cast<EntityId>(e), encoded_);
  return absl::OkStatus();
}

absl::StatusOr<WorkingEntity*> Executor::Existing(EntityId entity, std::string_view key) {
  auto found = write_set_->Get(entity, key);
  if (!found.ok() || *found == nullptr || (*found)->Exists()) return found;
  return nullptr;
}

// An event that waited goes on from where it stood.
bool Executor::StartOf(const Value& value) {
  if (resumed_ != nullptr) return true;  // Resume has put it there
  lookup_.clear();
  return AppendKeyText(write_set_->schema(), value, &lookup_) && !lookup_.empty();
}

// A key of this entity, else what its lookup indexes know, else what the address is said to lead to, and so on from
// there. When there is none, lookup_ is how far it led.
absl::StatusOr<WorkingEntity*> Executor::Lookup(EntityId entity) {
  for (int hop = 0; hop <= kPdaHopsMax; ++hop) {
    auto existing = Existing(entity, lookup_);
    if (!existing.ok() || *existing != nullptr) return existing;
    for (uint16_t index = 0; index < program_->entities[entity].index_count; ++index) {
      auto side = Side(SideKind::kLookupIndex, entity, index, lookup_);
      if (!side.ok()) return side.status();
      if ((*side)->now) return write_set_->Get(entity, std::string_view(*(*side)->now));
    }
    auto pda = Side(SideKind::kPda, 0, 0, lookup_);
    if (!pda.ok()) return pda.status();
    if (!(*pda)->now) return nullptr;
    lookup_ = *(*pda)->now;
  }
  return nullptr;
}

// The unit of the event at hand waits for what lookup_ says.
absl::Status Executor::Wait(EntityId entity, size_t unit) {
  if (resumed_ != nullptr) return waiting_.Add(entity, lookup_, *resumed_);
  WaitingEvent& event = waiting_event_;
  event.event = event_->id;
  event.unit = static_cast<uint16_t>(unit);
  event.slot = slot_;
  event.block_time = block_time_;
  event.signature = signature_;
  event.address = input_.address;
  event.accounts.assign(input_.accounts.begin(), input_.accounts.end());
  event.when.clear();
  if (unit < event_->handlers.size()) {
    for (const Op& op : event_->handlers[unit].ops) {
      if (op.when >= 0 && WhenHolds(op.when)) event.when.push_back(program_->when_types[static_cast<size_t>(op.when)]);
    }
  }
  event.body = input_.body;
  return waiting_.Add(entity, lookup_, event);
}

void Executor::BecameKnown(EntityId entity, std::string_view address) {
  if (program_->entities[entity].looked_up) known_.push_back({entity, std::string(address)});
}

// Runs what waited for all that became known, and for all that becomes known by that.
absl::Status Executor::Resume() {
  std::vector<Known> known;
  absl::Status status;
  while (status.ok() && !known_.empty()) {
    known.swap(known_);
    known_.clear();
    for (const Known& one : known) {
      auto events = waiting_.Take(one.entity, one.address);
      if (!events.ok()) return events.status();
      std::string_view rest = *events;
      while (status.ok()) {
        auto next = Waiting::Next(&rest, &resumed_event_);
        if (!next.ok()) return next.status();
        if (!*next) break;
        ++counters_->events_resumed;
        resumed_ = &resumed_event_;
        status = Resume(one.address, resumed_event_);
        resumed_ = nullptr;
      }
    }
  }
  SetContext(slot_, block_time_, signature_);
  return status;
}

absl::Status Executor::Resume(std::string_view address, const WaitingEvent& event) {
  const EventCode* code = program_->Find(event.event);
  const size_t units = code == nullptr ? 0 : code->handlers.size() + code->hooks.size();
  if (event.unit >= units) return absl::DataLossError("an event that waits is none of this stack");
  SetContext(event.slot, event.block_time, event.signature);
  if (!Fill(*code, {event.body, event.address, event.accounts}, false)) return absl::OkStatus();
  lookup_.assign(address);
  reached_.assign(code->handlers.size(), nullptr);
  if (event.unit >= code->handlers.size()) return RunHook(static_cast<uint16_t>(event.unit - code->handlers.size()));
  if (absl::Status status = RunHandler(event.unit); !status.ok()) return status;
  if (reached_[event.unit] == nullptr) return absl::OkStatus();  // it waits again, further on
  for (size_t i = 0; i < code->hooks.size(); ++i) {
    if (code->hooks[i].lookup != kNoReg || code->hooks[i].handler != event.unit) continue;
    if (absl::Status status = RunHook(static_cast<uint16_t>(i)); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace everstate::vm
