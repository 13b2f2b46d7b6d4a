#include "server/vm/machine.h"

#include <cstring>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "server/base/base58.h"
#include "server/vm/executor.h"
#include "server/vm/expression.h"
#include "server/vm/faults.h"
#include "server/vm/write_set.h"

namespace everstate::vm {
namespace {

bool SameKey(const uint8_t* a, const std::array<uint8_t, 32>& b) { return std::memcmp(a, b.data(), b.size()) == 0; }

std::string_view Bytes(const uint8_t* bytes, size_t size) { return {reinterpret_cast<const char*>(bytes), size}; }

std::string DecodeSample(const idl::DecodeResult& result) {
  return std::string(idl::Name(result.error)) + " at byte " + std::to_string(result.offset);
}

}  // namespace

struct Machine::Impl {
  explicit Impl(std::shared_ptr<const Projection> p)
      : projection(std::move(p)),
        program(projection->program()),
        write_set(projection->schema()),
        faults(&program),
        executor(&program, &write_set, &faults),
        when_seen(program.when_count) {}

  absl::Status Instruction(const TransactionUpdate& transaction, const InstructionUpdate& instruction);
  absl::Status Account(const AccountUpdate& account, const EventCode& event, std::span<const uint8_t> body);
  void Compute(WorkingEntity* entity);

  std::shared_ptr<const Projection> projection;
  const Program& program;
  BlockId block;
  WriteSet write_set;
  Faults faults;
  Executor executor;
  MachineCounters counters;
  absl::flat_hash_map<std::string_view, uint64_t> index_by_signature;  // of this block's transactions
  std::vector<uint8_t> when_seen;  // by number of a `when` type: the transaction at hand contains one
};

Machine::Machine(std::shared_ptr<const Projection> projection) : impl_(std::make_unique<Impl>(std::move(projection))) {}
Machine::~Machine() = default;

const MachineCounters& Machine::counters() const { return impl_->counters; }
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
  m.when_seen.assign(m.when_seen.size(), 0);
  m.executor.BeginTransaction(transaction.signature, transaction.index);
  for (const InstructionUpdate& instruction : transaction.instructions) {
    if (absl::Status status = m.Instruction(transaction, instruction); !status.ok()) return status;
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
  for (const Program::IdlCode& idl : program.idls) {
    if (!SameKey(instruction.program, idl.layouts->program_id())) continue;
    const int layout = idl.layouts->MatchInstruction(instruction.data);
    if (layout < 0) {
      ++(idl.layouts->MatchCpiEvent(instruction.data) < 0 ? counters.instructions_unknown
                                                          : counters.instructions_matched);
      continue;
    }
    ++counters.instructions_matched;
    const int position = idl.instruction_events[static_cast<size_t>(layout)];
    if (position < 0) continue;
    const EventCode& event = program.events[static_cast<size_t>(position)];
    if (event.when >= 0) when_seen[static_cast<size_t>(event.when)] = 1;
    if (event.handlers.empty() && event.hooks.empty()) continue;

    const size_t prefix = idl.layouts->instructions()[static_cast<size_t>(layout)].discriminator.size();
    Value* registers = executor.BeginEvent(event);
    for (const EventCode::AccountLoad& load : event.accounts) {
      if (load.position >= instruction.accounts.size()) continue;  // fewer than the IDL names: absent
      registers[load.reg] = Value::Key32(transaction.keys[instruction.accounts[load.position]]);
    }
    const idl::DecodeResult decoded = executor.Decode(instruction.data.subspan(prefix), true);
    const Faults::At at{-1, event.name};
    if (decoded.zeros_padded)
      faults.Count(at, FaultReason::kArgumentsPadded, block.slot,
                   [&] { return std::to_string(instruction.data.size()) + " bytes"; });
    if (decoded.error != idl::DecodeError::kNone) {
      faults.Count(at, FaultReason::kInstructionDecode, block.slot, [&] { return DecodeSample(decoded); });
      continue;
    }
    counters.handler_runs += event.handlers.size();
    if (absl::Status status = executor.Run(); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Machine::Feed(const AccountUpdate& account) {
  Impl& m = *impl_;
  if (account.lamports == 0) {
    ++m.counters.accounts_closed;
    return absl::OkStatus();
  }
  for (const Program::IdlCode& idl : m.program.idls) {
    if (!SameKey(account.owner, idl.layouts->program_id())) continue;
    const int layout = idl.layouts->MatchAccount(account.data);
    if (layout < 0) {
      ++m.counters.accounts_unknown;
      continue;
    }
    ++m.counters.accounts_matched;
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
  executor.BeginEvent(event)[kRegAddress] = Value::Key32(account.pubkey);
  const idl::DecodeResult decoded = executor.Decode(body, false);
  if (decoded.error != idl::DecodeError::kNone) {
    faults.Count({-1, event.name}, FaultReason::kAccountDecode, block.slot, [&] {
      return EncodeBase58({account.pubkey, 32}) + ": " + DecodeSample(decoded);
    });
    return absl::OkStatus();
  }
  counters.handler_runs += event.handlers.size();
  return executor.Run();
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
  auto batch = std::make_shared<Batch>();
  batch->kind = BatchKind::kSlot;
  batch->block = m.block;
  for (WorkingEntity* entity : m.write_set.reached()) {
    m.Compute(entity);
    const Cursor cursor{m.block.slot, batch->mutations.size() + 1};
    RowEditor::Built built = entity->editor.Build(cursor, m.projection->settings().append_keep);
    if (built.after == nullptr) continue;
    batch->mutations.push_back({entity->entity, entity->key, cursor, entity->editor.before(), std::move(built.after),
                                built.changed, std::move(built.appended), entity->cause});
  }
  batch->side = m.write_set.SideWrites();
  m.counters.mutations += batch->mutations.size();
  return Layer{std::move(batch)};
}

}  // namespace everstate::vm
