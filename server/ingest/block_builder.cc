#include "server/ingest/block_builder.h"

#include <algorithm>
#include <cstring>
#include <memory_resource>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"

namespace everstate::ingest {
namespace {

constexpr size_t kArenaFirstBytes = 16u << 10;
// Shorter messages cannot be an account or a transaction: those hold two keys or a signature. It is also why the walked
// pointers stay good when a message moves: only a string much shorter than this carries its bytes inside itself.
constexpr size_t kContentBytesMin = 64;

std::string_view Sig(const uint8_t* signature) { return {reinterpret_cast<const char*>(signature), 64}; }

// Transactions by index, each index once.
void OrderTransactions(std::vector<TransactionUpdate>* list, SealCounts* counts) {
  std::stable_sort(list->begin(), list->end(), [](const auto& a, const auto& b) { return a.index < b.index; });
  const auto same = [&](const TransactionUpdate& a, const TransactionUpdate& b) {
    if (a.index != b.index) return false;
    ++counts->transactions_duplicate;
    if (Sig(a.signature) != Sig(b.signature)) ++counts->transactions_conflicting;
    return true;
  };
  list->erase(std::unique(list->begin(), list->end(), same), list->end());
}

// The last write of each account, ordered by (index of the transaction that made it, public key); unknown transactions
// last.
void OrderAccounts(std::vector<AccountUpdate>* list, const std::vector<TransactionUpdate>& transactions,
                   SealCounts* counts) {
  if (list->empty()) return;
  struct Write {
    const AccountUpdate* account;
    uint64_t transaction;
  };
  std::vector<Write> writes;
  writes.reserve(list->size());
  for (const AccountUpdate& account : *list) writes.push_back({&account, UINT64_MAX});
  // Of the writes of one account the last one first: the highest version, among equals the one that came last. The list
  // is in the order of arrival, so the later one has the higher address.
  const auto compare_keys = [](const Write& a, const Write& b) {
    return std::memcmp(a.account->pubkey, b.account->pubkey, 32);
  };
  std::sort(writes.begin(), writes.end(), [&](const Write& a, const Write& b) {
    if (const int order = compare_keys(a, b); order != 0) return order < 0;
    if (a.account->write_version != b.account->write_version)
      return a.account->write_version > b.account->write_version;
    return a.account > b.account;
  });
  writes.erase(std::unique(writes.begin(), writes.end(),
                           [&](const Write& a, const Write& b) { return compare_keys(a, b) == 0; }),
               writes.end());
  counts->accounts_duplicate += list->size() - writes.size();

  absl::flat_hash_map<std::string_view, uint64_t> index_of;
  index_of.reserve(transactions.size());
  for (const TransactionUpdate& transaction : transactions)
    index_of.emplace(Sig(transaction.signature), transaction.index);
  for (Write& write : writes) {
    if (write.account->signature == nullptr) continue;
    if (const auto it = index_of.find(Sig(write.account->signature)); it != index_of.end())
      write.transaction = it->second;
  }
  std::stable_sort(writes.begin(), writes.end(),
                   [](const Write& a, const Write& b) { return a.transaction < b.transaction; });
  std::vector<AccountUpdate> ordered;
  ordered.reserve(writes.size());
  for (const Write& write : writes) ordered.push_back(*write.account);
  *list = std::move(ordered);
}

}  // namespace

absl::Status BlockBuilder::Add(const WalkedMessage& walked, std::string message, TransactionWalker* walker) {
  if (message.size() < kContentBytesMin) {
    return absl::InvalidArgumentError(
        absl::StrCat("malformed update: slot ", walked.slot, ": a transaction of ", message.size(), " bytes"));
  }
  const std::string& kept = block_.buffers.emplace_back(std::move(message));
  block_.bytes += kept.size();
  if (walked.kind == WalkedMessage::Kind::kAccount) {
    block_.accounts.push_back(walked.account);
    return absl::OkStatus();
  }
  if (block_.arena == nullptr) block_.arena = std::make_unique<std::pmr::monotonic_buffer_resource>(kArenaFirstBytes);
  absl::StatusOr<TransactionUpdate> transaction = walker->Walk(kept, block_.arena.get());
  if (!transaction.ok())
    return absl::InvalidArgumentError(absl::StrCat("slot ", walked.slot, ": ", transaction.status().message()));
  block_.transactions.push_back(*std::move(transaction));
  return absl::OkStatus();
}

void BlockBuilder::DropLastTransaction() {
  block_.transactions.pop_back();
  block_.bytes -= block_.buffers.back().size();
  block_.buffers.pop_back();
}

std::shared_ptr<Block> BlockBuilder::Seal(const BlockId& id, SealCounts* counts) {
  OrderTransactions(&block_.transactions, counts);
  OrderAccounts(&block_.accounts, block_.transactions, counts);
  block_.id = id;
  return std::make_shared<Block>(std::exchange(block_, Block()));
}

}  // namespace everstate::ingest
