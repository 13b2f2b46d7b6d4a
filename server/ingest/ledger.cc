#include "server/ingest/ledger.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <memory_resource>
#include <unordered_map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/base58.h"
#include "server/base/log.h"
#include "server/ingest/wire.h"

namespace everstate::ingest {
namespace {

using TimePoint = std::chrono::steady_clock::time_point;

constexpr size_t kArenaFirstBytes = 16u << 10;
constexpr size_t kRememberedHashes = 1024;  // blocks handed over whose hash the store may not know yet

// What was heard of a slot that is not whole yet.
struct OpenSlot {
  std::deque<std::string> buffers;
  std::unique_ptr<std::pmr::monotonic_buffer_resource> arena;
  std::vector<TransactionUpdate> transactions;
  std::vector<AccountUpdate> accounts;
  std::optional<BlockMetaMessage> meta;
  bool confirmed = false, finalized = false;
  size_t bytes = 0;

  bool empty() const { return buffers.empty(); }
};

// A whole block that waits for its commitment or its parent.
struct SealedBlock {
  std::shared_ptr<Block> block;
  bool finalized = false;
  std::optional<TimePoint> waiting_since;  // settled, but its parent is missing
};

std::string_view Key(const uint8_t* key) { return {reinterpret_cast<const char*>(key), 32}; }
std::string_view Sig(const uint8_t* signature) { return {reinterpret_cast<const char*>(signature), 64}; }

// Transactions by index, each index once.
void OrderTransactions(std::vector<TransactionUpdate>* list, LedgerCounters* counters) {
  std::stable_sort(list->begin(), list->end(), [](const auto& a, const auto& b) { return a.index < b.index; });
  const auto same = [&](const TransactionUpdate& a, const TransactionUpdate& b) {
    if (a.index != b.index) return false;
    counters->transactions_duplicate.Add();
    if (Sig(a.signature) != Sig(b.signature)) spdlog::warn("transaction index {} came twice with different signatures; the first one is kept", a.index);
    return true;
  };
  list->erase(std::unique(list->begin(), list->end(), same), list->end());
}

// The last write of each account, ordered by (index of the transaction that made it, public key); unknown transactions last.
void OrderAccounts(std::vector<AccountUpdate>* list, const std::vector<TransactionUpdate>& transactions, LedgerCounters* counters) {
  std::stable_sort(list->begin(), list->end(), [](const AccountUpdate& a, const AccountUpdate& b) {
    const int order = std::memcmp(a.pubkey, b.pubkey, 32);
    return order != 0 ? order < 0 : a.write_version > b.write_version;
  });
  // Of equal versions the one that came last counts: it stands last among its equals, so each run is searched for it.
  std::vector<AccountUpdate> last;
  last.reserve(list->size());
  for (size_t i = 0; i < list->size();) {
    size_t best = i, next = i + 1;
    for (; next < list->size() && Key((*list)[next].pubkey) == Key((*list)[i].pubkey); ++next) {
      if ((*list)[next].write_version == (*list)[i].write_version) best = next;
      counters->accounts_duplicate.Add();
    }
    last.push_back((*list)[best]);
    i = next;
  }

  std::unordered_map<std::string_view, uint64_t> index_of;
  index_of.reserve(transactions.size());
  for (const TransactionUpdate& transaction : transactions) index_of.emplace(Sig(transaction.signature), transaction.index);
  std::vector<std::pair<uint64_t, AccountUpdate>> keyed;
  keyed.reserve(last.size());
  for (const AccountUpdate& account : last) {
    const auto it = account.signature == nullptr ? index_of.end() : index_of.find(Sig(account.signature));
    keyed.emplace_back(it == index_of.end() ? UINT64_MAX : it->second, account);
  }
  std::stable_sort(keyed.begin(), keyed.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  list->clear();
  for (auto& [index, account] : keyed) list->push_back(account);
}

}  // namespace

struct Ledger::Impl {
  Impl(LedgerOptions o, LedgerCounters* c) : options(std::move(o)), counters(c), position(options.position) {}

  absl::Status AddAccount(WalkedMessage walked, std::string message);
  absl::Status AddTransaction(const WalkedMessage& walked, std::string message);
  absl::Status AddMeta(const WalkedMessage& walked);
  absl::Status AddStatus(const WalkedMessage& walked);
  absl::Status CheckKnown(Slot slot, const Hash32& blockhash);
  absl::Status SealIfWhole(Slot slot);
  void SpreadFinality();
  absl::Status Drain(TimePoint now, std::vector<LedgerEvent>* out);
  absl::Status HandOver(std::map<Slot, SealedBlock>::iterator it, std::vector<LedgerEvent>* out);
  bool Settled(const SealedBlock& entry) const { return options.commitment == Commitment::kConfirmed || entry.finalized; }
  std::map<Slot, SealedBlock>::iterator FirstBlock();
  void DropBelow(Slot slot);
  void ShowGauges();
  bool Behind(Slot slot) const { return position.has_value() && slot <= position->slot; }
  OpenSlot* Open(Slot slot);

  const LedgerOptions options;
  LedgerCounters* const counters;
  std::optional<BlockId> position;
  bool proven = false;
  std::optional<Slot> first_begun;  // the first slot whose beginning this connection heard
  std::map<Slot, OpenSlot> open;
  std::map<Slot, SealedBlock> sealed;
  std::map<Slot, Hash32> handed_over;
  TransactionWalker walker;
  size_t open_bytes = 0;
};

OpenSlot* Ledger::Impl::Open(Slot slot) {
  OpenSlot& entry = open[slot];
  if (entry.arena == nullptr) entry.arena = std::make_unique<std::pmr::monotonic_buffer_resource>(kArenaFirstBytes);
  return &entry;
}

absl::Status Ledger::Impl::AddAccount(WalkedMessage walked, std::string message) {
  counters->accounts.Add();
  if (Behind(walked.slot) || sealed.contains(walked.slot)) {
    counters->late_messages.Add();
    return absl::OkStatus();
  }
  OpenSlot* slot = Open(walked.slot);
  slot->bytes += message.size();
  open_bytes += message.size();
  // A short string moves its bytes along, so the walk's pointers are set anew when the bytes have their final place.
  const char* before = message.data();
  const std::string& kept = slot->buffers.emplace_back(std::move(message));
  AccountUpdate account = walked.account;
  if (kept.data() != before) {
    absl::StatusOr<WalkedMessage> again = WalkMessage(kept);
    if (!again.ok()) return again.status();
    account = again->account;
  }
  slot->accounts.push_back(account);
  return absl::OkStatus();
}

absl::Status Ledger::Impl::AddTransaction(const WalkedMessage& walked, std::string message) {
  counters->transactions.Add();
  if (Behind(walked.slot) || sealed.contains(walked.slot)) {
    counters->late_messages.Add();
    return absl::OkStatus();
  }
  OpenSlot* slot = Open(walked.slot);
  slot->bytes += message.size();
  open_bytes += message.size();
  const size_t offset = static_cast<size_t>(walked.transaction.data() - message.data());
  const size_t size = walked.transaction.size();
  const std::string& kept = slot->buffers.emplace_back(std::move(message));
  absl::StatusOr<TransactionUpdate> transaction = walker.Walk(std::string_view(kept).substr(size == 0 ? 0 : offset, size), slot->arena.get());
  if (!transaction.ok()) return absl::InvalidArgumentError(absl::StrCat("slot ", walked.slot, ": ", transaction.status().message()));
  slot->transactions.push_back(*transaction);
  return absl::OkStatus();
}

// A slot that was applied or handed over must come with the same blockhash for ever.
absl::Status Ledger::Impl::CheckKnown(Slot slot, const Hash32& blockhash) {
  std::optional<Hash32> known;
  if (position.has_value() && slot == position->slot) {
    known = position->blockhash;
  } else if (const auto it = handed_over.find(slot); it != handed_over.end()) {
    known = it->second;
  } else if (options.applied_blockhash) {
    known = options.applied_blockhash(slot);
  }
  if (known.has_value() && *known != blockhash) {
    return absl::AbortedError(absl::StrCat("another chain: slot ", slot, " was applied with blockhash ", EncodeBase58(*known),
                                           ", the stream has it with blockhash ", EncodeBase58(blockhash)));
  }
  if (position.has_value() && slot == position->slot) {
    proven = true;
    counters->blocks_duplicate.Add();
  } else if (known.has_value()) {
    counters->blocks_duplicate.Add();
  } else {
    counters->blocks_below_watermark.Add();
  }
  return absl::OkStatus();
}

absl::Status Ledger::Impl::AddMeta(const WalkedMessage& walked) {
  counters->block_metas.Add();
  if (Behind(walked.slot)) return CheckKnown(walked.slot, walked.meta.blockhash);
  if (const auto it = sealed.find(walked.slot); it != sealed.end()) {
    if (it->second.block->id.blockhash != walked.meta.blockhash) {
      return absl::InvalidArgumentError(absl::StrCat("slot ", walked.slot, " came twice with different blockhashes"));
    }
    counters->blocks_duplicate.Add();
    return absl::OkStatus();
  }
  Open(walked.slot)->meta = walked.meta;
  return SealIfWhole(walked.slot);
}

absl::Status Ledger::Impl::AddStatus(const WalkedMessage& walked) {
  counters->slots.Add();
  const Slot slot = walked.slot;
  switch (static_cast<SlotStatus>(walked.status.status)) {
    case SlotStatus::kFirstShredReceived:
      if (!first_begun.has_value()) first_begun = slot;
      break;
    case SlotStatus::kCreatedBank:
      if (!first_begun.has_value()) first_begun = slot;
      // A bank that is created again is replayed from its start: what came before is void.
      if (const auto it = open.find(slot); it != open.end() && !it->second.empty()) {
        open_bytes -= it->second.bytes;
        open.erase(it);
      }
      break;
    case SlotStatus::kDead:
      counters->blocks_dead.Add();
      if (const auto it = open.find(slot); it != open.end()) {
        open_bytes -= it->second.bytes;
        open.erase(it);
      }
      break;
    case SlotStatus::kConfirmed:
    case SlotStatus::kFinalized: {
      const bool finalized = static_cast<SlotStatus>(walked.status.status) == SlotStatus::kFinalized;
      if (Behind(slot)) break;
      if (const auto it = sealed.find(slot); it != sealed.end()) {
        it->second.finalized |= finalized;
        break;
      }
      OpenSlot* entry = Open(slot);
      entry->confirmed = true;  // what is finalized is confirmed
      entry->finalized |= finalized;
      return SealIfWhole(slot);
    }
    default:
      break;  // processed, completed, and statuses of newer servers say nothing that is needed here
  }
  return absl::OkStatus();
}

absl::Status Ledger::Impl::SealIfWhole(Slot slot) {
  const auto it = open.find(slot);
  if (it == open.end() || !it->second.confirmed || !it->second.meta.has_value()) return absl::OkStatus();
  OpenSlot& entry = it->second;
  auto block = std::make_shared<Block>();
  block->id = {slot, entry.meta->blockhash, entry.meta->parent_slot, entry.meta->parent_blockhash, entry.meta->block_time};
  OrderTransactions(&entry.transactions, counters);
  OrderAccounts(&entry.accounts, entry.transactions, counters);
  block->transactions = std::move(entry.transactions);
  block->accounts = std::move(entry.accounts);
  block->bytes = entry.bytes;
  block->buffers = std::move(entry.buffers);
  block->arena = std::move(entry.arena);
  sealed.emplace(slot, SealedBlock{std::move(block), entry.finalized, std::nullopt});
  open.erase(it);
  return absl::OkStatus();
}

// A finalized block finalizes its ancestors, also when their own status was withheld.
void Ledger::Impl::SpreadFinality() {
  for (auto it = sealed.rbegin(); it != sealed.rend(); ++it) {
    if (!it->second.finalized) continue;
    if (const auto parent = sealed.find(it->second.block->id.parent_slot); parent != sealed.end()) parent->second.finalized = true;
  }
}

// Where an empty store begins.
std::map<Slot, SealedBlock>::iterator Ledger::Impl::FirstBlock() {
  const std::optional<Slot> begin = options.from_slot.has_value() ? options.from_slot : first_begun;
  for (auto it = sealed.begin(); it != sealed.end();) {
    if (!Settled(it->second)) return sealed.end();
    if (begin.has_value() && it->first >= *begin) return it;
    counters->slots_incomplete.Add();
    open_bytes -= it->second.block->bytes;
    it = sealed.erase(it);
  }
  return sealed.end();
}

void Ledger::Impl::DropBelow(Slot slot) {
  for (auto it = open.begin(); it != open.end() && it->first <= slot; it = open.erase(it)) {
    if (!it->second.empty()) counters->slots_incomplete.Add();
    open_bytes -= it->second.bytes;
  }
  for (auto it = sealed.begin(); it != sealed.end() && it->first <= slot; it = sealed.erase(it)) {
    counters->slots_incomplete.Add();
    open_bytes -= it->second.block->bytes;
  }
}

absl::Status Ledger::Impl::HandOver(std::map<Slot, SealedBlock>::iterator it, std::vector<LedgerEvent>* out) {
  std::shared_ptr<Block> block = std::move(it->second.block);
  open_bytes -= block->bytes;
  sealed.erase(it);
  position = block->id;
  proven = true;
  handed_over[block->id.slot] = block->id.blockhash;
  if (handed_over.size() > kRememberedHashes) handed_over.erase(handed_over.begin());
  DropBelow(block->id.slot);
  counters->blocks_settled.Add();
  counters->settled_slot.Set(block->id.slot);
  out->push_back(BlockRef(std::move(block)));
  return absl::OkStatus();
}

absl::Status Ledger::Impl::Drain(TimePoint now, std::vector<LedgerEvent>* out) {
  if (options.commitment == Commitment::kFinalized) SpreadFinality();
  while (!sealed.empty()) {
    if (!position.has_value()) {
      const auto first = FirstBlock();
      if (first == sealed.end()) break;
      if (absl::Status status = HandOver(first, out); !status.ok()) return status;
      continue;
    }
    // The child of our position, if it is settled; else the lowest settled block waits for its parent.
    const auto child = std::find_if(sealed.begin(), sealed.end(), [&](const auto& entry) {
      return Settled(entry.second) && entry.second.block->id.parent_slot <= position->slot;
    });
    if (child != sealed.end()) {
      const BlockId& id = child->second.block->id;
      if (id.parent_slot < position->slot || id.parent_blockhash != position->blockhash) {
        return absl::AbortedError(absl::StrCat("another chain: block ", id.slot, " has parent ", id.parent_slot, " with blockhash ", EncodeBase58(id.parent_blockhash),
                                               ", but slot ", position->slot, " with blockhash ", EncodeBase58(position->blockhash), " was applied"));
      }
      if (absl::Status status = HandOver(child, out); !status.ok()) return status;
      continue;
    }
    const auto lowest = std::find_if(sealed.begin(), sealed.end(), [&](const auto& entry) { return Settled(entry.second); });
    if (lowest == sealed.end()) break;
    if (!lowest->second.waiting_since.has_value()) lowest->second.waiting_since = now;
    if (now - *lowest->second.waiting_since < options.parent_wait) break;
    const BlockId id = lowest->second.block->id;
    counters->gaps.Add();
    out->push_back(Gap{position->slot, id.slot, absl::StrCat("the stream does not have the parent of block ", id.slot, ", slot ", id.parent_slot)});
    if (absl::Status status = HandOver(lowest, out); !status.ok()) return status;
  }
  return absl::OkStatus();
}

void Ledger::Impl::ShowGauges() {
  counters->open_slots.Set(open.size() + sealed.size());
  counters->open_bytes.Set(open_bytes);
}

Ledger::Ledger(LedgerOptions options, LedgerCounters* counters) : impl_(std::make_unique<Impl>(std::move(options), counters)) {}
Ledger::~Ledger() = default;

void Ledger::BeginConnection() {
  impl_->open.clear();
  impl_->sealed.clear();
  impl_->open_bytes = 0;
  impl_->first_begun.reset();
  impl_->proven = false;
  impl_->ShowGauges();
}

absl::Status Ledger::Add(std::string message, TimePoint now, std::vector<LedgerEvent>* out) {
  using Kind = WalkedMessage::Kind;
  LedgerCounters* counters = impl_->counters;
  counters->messages.Add();
  counters->bytes.Add(message.size());
  absl::StatusOr<WalkedMessage> walked = WalkMessage(message);
  absl::Status status = walked.status();
  if (status.ok()) {
    if (walked->slot > counters->newest_slot.value() && (walked->kind == Kind::kSlot || walked->kind == Kind::kBlockMeta)) {
      counters->newest_slot.Set(walked->slot);
    }
    switch (walked->kind) {
      case Kind::kAccount:
        status = impl_->AddAccount(*walked, std::move(message));
        break;
      case Kind::kTransaction:
        status = impl_->AddTransaction(*walked, std::move(message));
        break;
      case Kind::kBlockMeta:
        status = impl_->AddMeta(*walked);
        break;
      case Kind::kSlot:
        status = impl_->AddStatus(*walked);
        break;
      case Kind::kPing:
      case Kind::kPong:
        counters->pings.Add();
        break;
      case Kind::kUnknown:
        counters->unknown_messages.Add();
        break;
    }
  }
  if (status.code() == absl::StatusCode::kInvalidArgument) counters->malformed_messages.Add();
  if (!status.ok()) return status;
  if (impl_->open.size() + impl_->sealed.size() > impl_->options.open_slots_max) {
    return absl::ResourceExhaustedError(absl::StrCat("more than ", impl_->options.open_slots_max, " slots are open and none of them becomes whole"));
  }
  if (impl_->open_bytes > impl_->options.open_bytes_max) {
    return absl::ResourceExhaustedError(absl::StrCat("open slots hold more than ", impl_->options.open_bytes_max, " bytes"));
  }
  if (walked->kind == Kind::kSlot || walked->kind == Kind::kBlockMeta) status = impl_->Drain(now, out);
  impl_->ShowGauges();
  return status;
}

absl::Status Ledger::Tick(TimePoint now, std::vector<LedgerEvent>* out) {
  absl::Status status = impl_->Drain(now, out);
  impl_->ShowGauges();
  return status;
}

const std::optional<BlockId>& Ledger::position() const { return impl_->position; }
bool Ledger::proven() const { return impl_->proven; }

}  // namespace everstate::ingest
