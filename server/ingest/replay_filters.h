// The filters of one SubscribeRequest, made ready to be asked about items of a recording.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "proto/geyser.pb.h"
#include "server/ingest/replay_index.h"

namespace everstate::replay {

// Semantics are Yellowstone's. A replay has no cuckoo filters, no `token_accounts`, no whole blocks and no commitment
// `finalized`: a request with one of them is refused by name. The recording is a confirmed feed and is served as it is
// to `processed` (also the default) and `confirmed`; the level only decides what filter_by_commitment lets pass.
// Thread: constant once compiled. Borrows: the index.
class ReplayFilters {
 public:
  ReplayFilters() = default;  // nothing passes

  // Error: InvalidArgument "failed to create filter: <field>: <rule>".
  static absl::StatusOr<ReplayFilters> Compile(const geyser::SubscribeRequest& request, const ReplayIndex& index);

  // Appends the `filters` fields of the update to `names`: every filter that the item passes in this pass. False when
  // there is none.
  bool Match(const ReplayItem& item, uint64_t pass, std::string* names) const;

  // The same for the transaction status that is made of a transaction.
  bool MatchStatus(const ReplayItem& item, uint64_t pass, std::string* names) const;

  const std::vector<std::pair<uint64_t, uint64_t>>& data_slices() const { return data_slices_; }  // offset, length

 private:
  using Keys = absl::flat_hash_set<uint32_t>;
  enum class Compare : uint8_t { kEqual, kNotEqual, kLess, kGreater };
  struct Accounts {
    std::string name;  // as bytes of the `filters` field, as in every filter here
    std::optional<Keys> accounts;
    std::optional<Keys> owners;
    std::optional<bool> has_signature;
    std::vector<std::pair<uint64_t, std::string>> memcmp;  // offset, bytes
    std::vector<std::pair<Compare, uint64_t>> lamports;
    std::optional<uint64_t> data_size;
    bool token_account = false;
  };
  struct Transactions {
    std::string name;
    std::optional<bool> vote;
    std::optional<bool> failed;
    std::optional<std::string> signature;
    std::optional<Keys> include;
    Keys exclude;
    std::vector<uint32_t> required;
  };
  struct Slots {
    std::string name;
    bool by_commitment = false;
    bool interslot = false;
  };

  absl::Status AddAccounts(const std::string& name, const geyser::SubscribeRequestFilterAccounts& filter);
  absl::Status AddAccountFilter(const std::string& field, const geyser::SubscribeRequestFilterAccountsFilter& filter,
                                Accounts* out);
  absl::StatusOr<Transactions> MakeTransactions(const std::string& field, const std::string& name,
                                                const geyser::SubscribeRequestFilterTransactions& filter) const;
  absl::Status AddSlices(const geyser::SubscribeRequest& request);
  bool MatchTransaction(const Transactions& filter, const ReplayItem& item, uint64_t pass) const;
  static bool MatchAccount(const Accounts& filter, const ReplayItem& item);

  const ReplayIndex* index_ = nullptr;
  int commitment_ = geyser::PROCESSED;
  std::vector<Accounts> accounts_;
  std::vector<Transactions> transactions_;
  std::vector<Transactions> statuses_;
  std::vector<Slots> slots_;
  std::string metas_;  // all names: every item of these kinds passes every filter
  std::string entries_;
  std::vector<std::pair<uint64_t, uint64_t>> data_slices_;
};

}  // namespace everstate::replay
