// Machine: runs a projection over one block. It remembers nothing between blocks: all it knows comes from the
// StateView, all it does goes into the Layer.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
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
  kKeyNull,          // the handler's key is null: nothing was touched
  kConditionType,    // a condition orders something that is no number
  kSumType,
  kSumSaturated,
  kMaxMinType,
  kAppendType,
  kUnresolvedLookup,  // lookup_by led to no entity
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
  uint64_t transactions = 0, instructions_matched = 0, instructions_unknown = 0, accounts_matched = 0,
           accounts_unknown = 0;  // an event that an instruction carries is an instruction, too
  uint64_t events_logged = 0;     // said in the log only
  uint64_t events_twice = 0;      // said in the log and by an instruction: counted once
  uint64_t logs_incomplete = 0;   // transactions whose log is missing, cut or of other instructions
  // Of the events that wait for their key. Those that wait now: waited - resumed - replaced - dropped.
  uint64_t events_waited = 0;        // began to wait
  uint64_t events_resumed = 0;       // were taken up again, because something became known
  uint64_t waiting_replaced = 0;     // gave way to a newer write of the same account
  uint64_t waiting_dropped = 0;      // fell out: too old or too many
  uint64_t transactions_failed = 0;  // contribute nothing
  uint64_t accounts_closed = 0;      // gone: their entities stay as they are
  uint64_t handler_runs = 0, mutations = 0;
};

// Machine
//   Thread:    the projector's.
//   Errors:    Seal and Feed* pass on what the StateView answers; everything in the updates themselves is a counted
//   fault. Invariant: same block, same view, same batch, byte by byte.
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
  std::vector<Fault> faults() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace everstate::vm
