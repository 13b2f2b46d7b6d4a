// Machine: runs a projection over one block. It remembers nothing between blocks: all it knows comes from the
// StateView, all it does goes into the Layer.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/base/counters.h"
#include "server/vm/block.h"
#include "server/vm/projection.h"
#include "server/vm/state_view.h"
#include "storage/model.h"

namespace everstate::vm {

// Why one operation (or instruction, or account) was skipped while the rest went on.
enum class FaultReason : uint8_t {
  kAccountDecode,  // an account's bytes do not fit its layout
  kInstructionDecode,
  kArgumentsPadded,  // arguments ended early; missing bytes counted as zero (no loss, but counted)
  kKeyNull,          // the key of a handler, or that of a hook, is null or empty: nothing was touched
  kConditionType,    // a condition orders something that is no number
  kSumType,
  kSumSaturated,
  kMaxMinType,
  kAppendType,
  kComputedType,
  kTransformNull,  // a transform met null
  kValueDepth,     // a value deeper than rows may hold
  kEventDecode,
  kWaitingExpired,  // an event waited too long for its key
  kWaitingFull,     // an event fell out because too much waits
};
std::string_view Name(FaultReason reason);

// One sample is kept for each (entity, handler, reason).
struct Fault {
  std::string entity;   // empty: no entity was reached yet
  std::string handler;  // event type or computed path
  FaultReason reason;
  uint64_t count = 0;
  Slot sample_slot = 0;
  std::string sample;  // of the first one: the field, the account's address, or what is wrong with the bytes
};

// What a block did to the rows: the write set of a block that was not applied yet, and its batch.
struct Layer {
  BatchRef batch;
};

struct MachineCounters {
  uint64_t transactions = 0, transactions_failed = 0, instructions_matched = 0, instructions_unknown = 0,
           accounts_matched = 0, accounts_unknown = 0, accounts_closed = 0;
  uint64_t inner_missing = 0, events_logged = 0, events_twice = 0, logs_incomplete = 0;
  // Of the events that wait for their key. Those that began to wait in this process and still do: waited - resumed -
  // replaced - dropped.
  uint64_t events_waited = 0, events_resumed = 0, waiting_replaced = 0, waiting_dropped = 0;
  uint64_t waiting_bytes = 0;
  uint64_t handler_runs = 0, mutations = 0;
};

inline constexpr auto kMachineCounters = std::to_array<Described<MachineCounters>>({
    {"transactions", &MachineCounters::transactions, "Transactions that were looked into"},
    {"transactions_failed", &MachineCounters::transactions_failed, "Failed transactions, which contribute nothing"},
    {"instructions_matched", &MachineCounters::instructions_matched,
     "Instructions and the events they carry that are known"},
    {"instructions_unknown", &MachineCounters::instructions_unknown,
     "Instructions of the stack's programs that their IDLs do not know"},
    {"inner_missing", &MachineCounters::inner_missing,
     "Transactions of which the node did not record what their instructions called"},
    {"accounts_matched", &MachineCounters::accounts_matched, "Account writes that are known"},
    {"accounts_unknown", &MachineCounters::accounts_unknown,
     "Account writes of the stack's programs that their IDLs do not know"},
    {"accounts_closed", &MachineCounters::accounts_closed, "Accounts that are gone; their entities stay as they are"},
    {"events_logged", &MachineCounters::events_logged, "Events said in a transaction's log only"},
    {"events_twice", &MachineCounters::events_twice, "Events said in the log and by an instruction, counted once"},
    {"logs_incomplete", &MachineCounters::logs_incomplete,
     "Transactions whose log is missing, cut or of other instructions"},
    {"events_waited", &MachineCounters::events_waited, "Events that began to wait for their key"},
    {"events_resumed", &MachineCounters::events_resumed,
     "Waiting events that were taken up again, because something became known"},
    {"waiting_replaced", &MachineCounters::waiting_replaced,
     "Waiting events that gave way to a newer write of the same account"},
    {"waiting_dropped", &MachineCounters::waiting_dropped, "Waiting events that fell out: too old or too many"},
    {"waiting_bytes", &MachineCounters::waiting_bytes,
     "Bytes of the events that wait for their key, as projection.waiting_bytes_max counts them", CountKind::kGauge},
    {"handler_runs", &MachineCounters::handler_runs, "Runs of the stack's handlers"},
    {"mutations", &MachineCounters::mutations, "Entities changed, each once per block"},
});
static_assert(DescribesAll(kMachineCounters));

// What of the counters belongs to one program, by position in the stack's IDLs, and to one entity.
struct MachineShares {
  struct OfProgram {
    uint64_t accounts_matched = 0, instructions_matched = 0, events_logged = 0;
  };
  std::vector<OfProgram> programs;
  std::vector<uint64_t> mutations;  // by EntityId
};

// Machine
//   Thread:    the projector's.
//   Errors:    Seal and Feed* pass on what the StateView answers; everything in the updates themselves is a counted
//              fault.
//   Invariant: same block, same view, same batch, byte by byte.
class Machine {
 public:
  explicit Machine(std::shared_ptr<const Projection> projection);
  ~Machine();

  // Begin, then all transactions in order, then all accounts in order, then Seal. Begin drops whatever an unfinished
  // block left. The view and the updates' bytes must live until Seal.
  void Begin(const BlockId& block, StateView* view);
  absl::Status Feed(const TransactionUpdate& transaction);
  absl::Status Feed(const AccountUpdate& account);
  absl::StatusOr<Layer> Seal();

  const MachineCounters& counters() const;
  const MachineShares& shares() const;
  std::vector<Fault> faults() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace everstate::vm
