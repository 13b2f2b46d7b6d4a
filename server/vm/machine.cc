#include "server/vm/machine.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "server/base/base58.h"
#include "server/idl/program_log.h"
#include "server/vm/executor.h"
#include "server/vm/expression.h"
#include "server/vm/faults.h"
#include "server/vm/write_set.h"

namespace everstate::vm {
namespace {

bool SameKey(const uint8_t* a, const std::array<uint8_t, 32>& b) { return std::memcmp(a, b.data(), b.size()) == 0; }

// Signature checks that the runtime does itself, without a word in the log.
bool IsPrecompiled(const uint8_t* program) {
  static const std::array<Hash32, 3> kPrograms = {*DecodeBase58Key32("Ed25519SigVerify111111111111111111111111111"),
                                                  *DecodeBase58Key32("KeccakSecp256k11111111111111111111111111111"),
                                                  *DecodeBase58Key32("Secp256r1SigVerify1111111111111111111111111")};
  return std::ranges::any_of(kPrograms, [&](const Hash32& known) { return SameKey(program, known); });
}

std::string_view Bytes(const uint8_t* bytes, size_t size) { return {reinterpret_cast<const char*>(bytes), size}; }

}  // namespace

struct Machine::Impl {
  explicit Impl(std::shared_ptr<const Projection> p)
      : projection(std::move(p)),
        program(projection->program()),
        write_set(projection->schema()),
        faults(&program),
        executor(&program, projection->settings(), &write_set, &faults, &counters),
        when_seen(program.when_types.size()) {
    shares.programs.resize(program.idls.size());
    shares.mutations.resize(program.entities.size());
  }

  absl::Status Instruction(const TransactionUpdate& transaction, const InstructionUpdate& instruction);
  absl::Status Matched(const EventId& id, std::span<const uint8_t> body, const TransactionUpdate& transaction,
                       const InstructionUpdate& instruction);
  void ReadLog(const TransactionUpdate& transaction);
  void ReadLine(const TransactionUpdate& transaction, const idl::ProgramLog::Data& line);
  bool Carried(const TransactionUpdate& transaction, uint32_t by, std::span<const uint8_t> event);
  absl::Status Account(const AccountUpdate& account, const EventCode& event, std::span<const uint8_t> body);
  void Compute(WorkingEntity* entity);

  std::shared_ptr<const Projection> projection;
  const Program& program;
  BlockId block;
  WriteSet write_set;
  Faults faults;
  Executor executor;
  MachineCounters counters;
  MachineShares shares;
  absl::flat_hash_map<std::string_view, uint64_t> index_by_signature;  // of this block's transactions
  std::vector<uint8_t> when_seen;  // by number of a `when` type: the transaction at hand contains one

  // Events of the transaction at hand that only its log says, in order.
  struct Logged {
    EventId id;
    uint32_t after = 0;          // the instruction behind which it comes
    size_t begin = 0, size = 0;  // of its body in logged_bytes
  };
  idl::ProgramLog log;
  std::vector<Logged> logged;
  std::string logged_bytes;
  std::vector<uint32_t> invoked;         // positions of the instructions that the log speaks of
  std::vector<uint8_t> said;             // by instruction: it carries an event that a line of the log says, too
  std::vector<const uint8_t*> accounts;  // of the instruction at hand
};

Machine::Machine(std::shared_ptr<const Projection> projection) : impl_(std::make_unique<Impl>(std::move(projection))) {}
Machine::~Machine() = default;

const MachineCounters& Machine::counters() const { return impl_->counters; }
const MachineShares& Machine::shares() const { return impl_->shares; }
std::vector<Fault> Machine::faults() const { return impl_->faults.All(); }

void Machine::Begin(const BlockId& block, StateView* view) {
  impl_->block = block;
  impl_->write_set.Begin(view);
  impl_->executor.Begin(block);
  impl_->index_by_signature.clear();
}

absl::Status Machine::Feed(const TransactionUpdate& transaction) {
  Impl& m = *impl_;
  ++m.counters.transactions;
  m.index_by_signature[Bytes(transaction.signature, sizeof(Signature))] = transaction.index;
  if (transaction.failed) {
    ++m.counters.transactions_failed;
    return absl::OkStatus();
  }
  if (transaction.inner_missing) ++m.counters.inner_missing;
  m.when_seen.assign(m.when_seen.size(), 0);
  m.executor.BeginTransaction(transaction.signature, transaction.index);
  if (m.program.wants_events) m.ReadLog(transaction);
  auto logged = m.logged.begin();
  for (size_t i = 0; i < transaction.instructions.size(); ++i) {
    const InstructionUpdate& instruction = transaction.instructions[i];
    if (absl::Status status = m.Instruction(transaction, instruction); !status.ok()) return status;
    for (; logged != m.logged.end() && logged->after == i; ++logged) {
      const auto* body = reinterpret_cast<const uint8_t*>(m.logged_bytes.data()) + logged->begin;
      absl::Status status = m.executor.Run(*m.program.Find(logged->id), {{body, logged->size}, nullptr, {}});
      if (!status.ok()) return status;
    }
  }
  for (size_t when = 0; when < m.when_seen.size(); ++when) {
    if (m.when_seen[when] == 0) continue;
    for (size_t k = 0; k < transaction.keys.size(); ++k) {
      if (transaction.writable[k]) m.executor.Allow(static_cast<int16_t>(when), transaction.keys[k]);
    }
  }
  return absl::OkStatus();
}

absl::Status Machine::Impl::Instruction(const TransactionUpdate& transaction, const InstructionUpdate& instruction) {
  const std::span<const uint8_t> data = instruction.data;
  for (size_t i = 0; i < program.idls.size(); ++i) {
    const idl::Program& layouts = *program.idls[i].layouts;
    if (!SameKey(instruction.program, layouts.program_id())) continue;
    const auto numbered = [&](EventKind kind, int layout) {
      return EventId{kind, static_cast<uint16_t>(i), static_cast<uint16_t>(layout)};
    };
    const int layout = layouts.MatchInstruction(data);
    const idl::EventMatch carried = layout < 0                     ? layouts.FindCpiEvent(data)
                                    : program.idls[i].wants_events ? layouts.FindLoggedEvent(data)
                                                                   : idl::EventMatch();
    if (layout < 0 && carried.event < 0) {
      ++counters.instructions_unknown;
      continue;
    }
    ++counters.instructions_matched;
    ++shares.programs[i].instructions_matched;
    if (layout >= 0) {
      const size_t prefix = layouts.instructions()[static_cast<size_t>(layout)].discriminator.size();
      absl::Status status =
          Matched(numbered(EventKind::kInstruction, layout), data.subspan(prefix), transaction, instruction);
      if (!status.ok()) return status;
    }
    if (carried.event >= 0) {
      absl::Status status =
          Matched(numbered(EventKind::kEvent, carried.event), data.subspan(carried.body_at), transaction, instruction);
      if (!status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

absl::Status Machine::Impl::Matched(const EventId& id, std::span<const uint8_t> body,
                                    const TransactionUpdate& transaction, const InstructionUpdate& instruction) {
  const EventCode* event = program.Find(id);
  if (event == nullptr) return absl::OkStatus();
  if (event->when >= 0) when_seen[static_cast<size_t>(event->when)] = 1;
  if (event->Idle()) return absl::OkStatus();
  accounts.clear();
  if (id.kind == EventKind::kInstruction) {
    const size_t named = program.idls[id.idl].layouts->instructions()[id.layout].accounts.size();
    for (uint8_t account : instruction.accounts.first(std::min(named, instruction.accounts.size())))
      accounts.push_back(transaction.keys[account]);
  }
  return executor.Run(*event, {body, nullptr, accounts});
}

// Finds the events that the log says and no instruction carries. The n-th invocation of the log is the n-th instruction
// but for precompiled ones, of which the log says nothing.
void Machine::Impl::ReadLog(const TransactionUpdate& transaction) {
  logged.clear();
  logged_bytes.clear();
  if (transaction.logs_missing || (!transaction.logs.empty() && transaction.logs.back() == "Log truncated"))
    ++counters.logs_incomplete;
  log.Begin(transaction.logs);
  idl::ProgramLog::Data line;
  for (bool first = true; log.Next(&line); first = false) {
    if (first) {
      invoked.clear();
      for (uint32_t i = 0; i < transaction.instructions.size(); ++i) {
        if (!IsPrecompiled(transaction.instructions[i].program)) invoked.push_back(i);
      }
      said.assign(transaction.instructions.size(), 0);
    }
    if (line.begun > invoked.size() ||
        !SameKey(transaction.instructions[invoked[line.invocation]].program, line.program)) {
      ++counters.logs_incomplete;  // or rather the instructions are
      return;
    }
    ReadLine(transaction, line);
  }
}

void Machine::Impl::ReadLine(const TransactionUpdate& transaction, const idl::ProgramLog::Data& line) {
  for (size_t i = 0; i < program.idls.size(); ++i) {
    const Program::IdlCode& idl = program.idls[i];
    if (!idl.wants_events || line.program != idl.layouts->program_id()) continue;
    const idl::EventMatch match = idl.layouts->FindLogEvent(line.bytes);
    if (match.event < 0) continue;
    if (Carried(transaction, invoked[line.invocation], line.bytes)) {
      ++counters.events_twice;
      continue;
    }
    ++counters.events_logged;
    ++shares.programs[i].events_logged;
    const EventId id{EventKind::kEvent, static_cast<uint16_t>(i), static_cast<uint16_t>(match.event)};
    const EventCode* event = program.Find(id);
    if (event == nullptr || event->Idle()) continue;
    const std::span<const uint8_t> body = line.bytes.subspan(match.body_at);
    logged.push_back({id, invoked[line.begun - 1], logged_bytes.size(), body.size()});
    logged_bytes.append(reinterpret_cast<const char*>(body.data()), body.size());
  }
}

// Whether an instruction that `by` called carries the same event, and no earlier line of the log says that one. A
// program that writes an event both ways calls itself with it.
bool Machine::Impl::Carried(const TransactionUpdate& transaction, uint32_t by, std::span<const uint8_t> event) {
  constexpr size_t kTagBytes = idl::kCpiEventTag.size();
  const auto& instructions = transaction.instructions;
  const uint32_t height = instructions[by].height;
  for (size_t i = by + 1; i < instructions.size() && instructions[i].height > height; ++i) {
    const std::span<const uint8_t> data = instructions[i].data;
    if (said[i] != 0 || instructions[i].height != height + 1 || data.size() != kTagBytes + event.size()) continue;
    if (std::memcmp(instructions[i].program, instructions[by].program, 32) != 0) continue;
    if (!std::ranges::equal(data.first(kTagBytes), idl::kCpiEventTag)) continue;
    if (!std::ranges::equal(data.subspan(kTagBytes), event)) continue;
    said[i] = 1;
    return true;
  }
  return false;
}

absl::Status Machine::Feed(const AccountUpdate& account) {
  Impl& m = *impl_;
  if (account.lamports == 0) {
    ++m.counters.accounts_closed;
    return absl::OkStatus();
  }
  for (size_t i = 0; i < m.program.idls.size(); ++i) {
    const Program::IdlCode& idl = m.program.idls[i];
    if (!SameKey(account.owner, idl.layouts->program_id())) continue;
    const int layout = idl.layouts->MatchAccount(account.data);
    if (layout < 0) {
      ++m.counters.accounts_unknown;
      continue;
    }
    ++m.counters.accounts_matched;
    ++m.shares.programs[i].accounts_matched;
    const int position = idl.account_events[static_cast<size_t>(layout)];
    if (position < 0) continue;
    const size_t prefix = idl.layouts->accounts()[static_cast<size_t>(layout)].discriminator.size();
    absl::Status status =
        m.Account(account, m.program.events[static_cast<size_t>(position)], account.data.subspan(prefix));
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Machine::Impl::Account(const AccountUpdate& account, const EventCode& event,
                                    std::span<const uint8_t> body) {
  std::optional<uint64_t> index;
  if (account.signature != nullptr) {
    const auto known = index_by_signature.find(Bytes(account.signature, sizeof(Signature)));
    if (known != index_by_signature.end()) index = known->second;
  }
  executor.BeginTransaction(account.signature, index);
  return executor.Run(event, {body, account.pubkey, {}});
}

void Machine::Impl::Compute(WorkingEntity* entity) {
  ExpressionContext context;
  context.row = &entity->editor;
  context.constants = &program.constants;
  context.slot = Value::Uint(block.slot);
  context.timestamp = block.block_time ? Value::Int(*block.block_time) : Value::Null();
  for (const ComputedCode& computed : program.entities[entity->entity].computed) {
    bool fault = false;
    const Value value = Evaluate(computed.nodes, context, &fault);
    const Faults::At at{entity->entity, computed.name};
    if (fault) faults.Count(at, FaultReason::kComputedType, block.slot, [&] { return entity->key; });
    // A field that never had a value stays absent instead of becoming null.
    if (value.null_or_absent() && entity->editor.Get(computed.field).absent()) continue;
    if (!entity->editor.Set(computed.field, value))
      faults.Count(at, FaultReason::kValueDepth, block.slot, [&] { return entity->key; });
  }
}

absl::StatusOr<Layer> Machine::Seal() {
  Impl& m = *impl_;
  if (absl::Status status = m.executor.Seal(); !status.ok()) return status;
  auto batch = std::make_shared<Batch>();
  batch->kind = BatchKind::kSlot;
  batch->block = m.block;
  for (WorkingEntity* entity : m.write_set.reached()) {
    // A key that nothing was written to is no entity, and computed fields make none of it.
    if (!entity->Exists()) continue;
    m.Compute(entity);
    const Cursor cursor{m.block.slot, batch->mutations.size() + 1};
    RowEditor::Built built = entity->editor.Build(cursor, m.projection->settings().append_keep);
    if (built.after == nullptr) continue;
    batch->mutations.push_back({entity->entity, entity->key, cursor, entity->editor.before(), std::move(built.after),
                                built.changed, std::move(built.appended), entity->cause});
    ++m.shares.mutations[entity->entity];
  }
  batch->side = m.write_set.SideWrites();
  m.counters.mutations += batch->mutations.size();
  return Layer{std::move(batch)};
}

}  // namespace everstate::vm
