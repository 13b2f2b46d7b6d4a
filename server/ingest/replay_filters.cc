#include "server/ingest/replay_filters.h"

#include <algorithm>
#include <map>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/base/base58.h"
#include "server/ingest/replay_timeline.h"
#include "server/ingest/replay_wire.h"

namespace everstate::replay {
namespace {

// Yellowstone's limits on what a client may ask.
constexpr size_t kNameBytesMax = 128;
constexpr int kAccountFiltersMax = 4;
constexpr size_t kMemcmpBytesMax = 128;

// The layout of SPL Token accounts (Token and Token-2022).
constexpr size_t kTokenAccountBytes = 165;
constexpr size_t kTokenStateOffset = 108;  // 0 = uninitialized
constexpr size_t kMultisigBytes = 355;     // never a token account, whatever is in it
constexpr char kTokenTypeAccount = 2;      // Token-2022 with extensions: the byte behind the base account

absl::Status Refuse(const std::string& field, const std::string& rule) {
  return absl::InvalidArgumentError(absl::StrCat("failed to create filter: ", field, ": ", rule));
}

absl::StatusOr<std::string> NameField(const std::string& field, const std::string& name) {
  if (name.size() > kNameBytesMax) return Refuse(field, "the name is longer than 128 bytes");
  std::string out;
  AppendBytesField(1, name, &out);
  return out;
}

// The ids of base58 keys. A key that the recording does not have keeps its place as kNoKey, which no item has.
template <class Keys>
absl::StatusOr<std::vector<uint32_t>> KeyIds(const std::string& field, const Keys& keys, const ReplayIndex& index) {
  std::vector<uint32_t> ids;
  for (int i = 0; i < keys.size(); ++i) {
    auto key = DecodeBase58Key32(keys[i]);
    if (!key) return Refuse(absl::StrCat(field, "[", i, "]"), absl::StrCat("\"", keys[i], "\" is no public key"));
    ids.push_back(index.FindKey({reinterpret_cast<const char*>(key->data()), key->size()}));
  }
  return ids;
}

bool IsTokenAccount(std::string_view data) {
  if (data.size() < kTokenAccountBytes || data.size() == kMultisigBytes || data[kTokenStateOffset] == 0) return false;
  return data.size() == kTokenAccountBytes || data[kTokenAccountBytes] == kTokenTypeAccount;
}

// Filters by name in a fixed order, so that the same request gives the same bytes everywhere.
template <class Map>
auto Sorted(const Map& map) {
  std::map<std::string, const typename Map::mapped_type*> sorted;
  for (const auto& [name, filter] : map) sorted[name] = &filter;
  return sorted;
}

}  // namespace

absl::StatusOr<ReplayFilters> ReplayFilters::Compile(const geyser::SubscribeRequest& request,
                                                     const ReplayIndex& index) {
  ReplayFilters out;
  out.index_ = &index;
  out.commitment_ = request.commitment();
  if (request.commitment() != geyser::PROCESSED && request.commitment() != geyser::CONFIRMED) {
    return Refuse("commitment", "a replay serves processed and confirmed only, not finalized");
  }
  for (const auto& [name, filter] : Sorted(request.accounts())) {
    if (absl::Status s = out.AddAccounts(name, *filter); !s.ok()) return s;
  }
  auto add_transactions = [&](const char* kind, const auto& filters, std::vector<Transactions>* to) -> absl::Status {
    for (const auto& [name, filter] : Sorted(filters)) {
      absl::StatusOr<Transactions> made = out.MakeTransactions(absl::StrCat(kind, ".", name), name, *filter);
      if (!made.ok()) return made.status();
      to->push_back(*std::move(made));
    }
    return absl::OkStatus();
  };
  if (absl::Status s = add_transactions("transactions", request.transactions(), &out.transactions_); !s.ok()) return s;
  if (absl::Status s = add_transactions("transactions_status", request.transactions_status(), &out.statuses_);
      !s.ok()) {
    return s;
  }
  for (const auto& [name, filter] : Sorted(request.slots())) {
    absl::StatusOr<std::string> field = NameField(absl::StrCat("slots.", name), name);
    if (!field.ok()) return field.status();
    out.slots_.push_back({*field, filter->filter_by_commitment(), filter->interslot_updates()});
  }
  auto add_names = [](const char* kind, const auto& filters, std::string* to) -> absl::Status {
    for (const auto& [name, filter] : Sorted(filters)) {
      absl::StatusOr<std::string> field = NameField(absl::StrCat(kind, ".", name), name);
      if (!field.ok()) return field.status();
      to->append(*field);
    }
    return absl::OkStatus();
  };
  if (absl::Status s = add_names("blocks_meta", request.blocks_meta(), &out.metas_); !s.ok()) return s;
  if (absl::Status s = add_names("entry", request.entry(), &out.entries_); !s.ok()) return s;
  if (!request.blocks().empty()) {
    return Refuse(absl::StrCat("blocks.", Sorted(request.blocks()).begin()->first), "a replay serves no whole blocks");
  }
  if (absl::Status s = out.AddSlices(request); !s.ok()) return s;
  return out;
}

absl::Status ReplayFilters::AddAccounts(const std::string& name, const geyser::SubscribeRequestFilterAccounts& filter) {
  const std::string field = absl::StrCat("accounts.", name);
  absl::StatusOr<std::string> name_field = NameField(field, name);
  if (!name_field.ok()) return name_field.status();
  Accounts out;
  out.name = *std::move(name_field);
  auto accounts = KeyIds(absl::StrCat(field, ".account"), filter.account(), *index_);
  if (!accounts.ok()) return accounts.status();
  if (!accounts->empty()) out.accounts.emplace(accounts->begin(), accounts->end());
  auto owners = KeyIds(absl::StrCat(field, ".owner"), filter.owner(), *index_);
  if (!owners.ok()) return owners.status();
  if (!owners->empty()) out.owners.emplace(owners->begin(), owners->end());
  if (filter.has_cuckoo_accounts_filter()) {
    return Refuse(absl::StrCat(field, ".cuckoo_accounts_filter"), "a replay has no cuckoo filters");
  }
  if (filter.has_nonempty_txn_signature()) out.has_signature = filter.nonempty_txn_signature();
  if (filter.filters_size() > kAccountFiltersMax) {
    return Refuse(absl::StrCat(field, ".filters"), "more than 4 of them");
  }
  for (int i = 0; i < filter.filters_size(); ++i) {
    absl::Status s = AddAccountFilter(absl::StrCat(field, ".filters[", i, "]"), filter.filters(i), &out);
    if (!s.ok()) return s;
  }
  accounts_.push_back(std::move(out));
  return absl::OkStatus();
}

absl::Status ReplayFilters::AddAccountFilter(const std::string& field,
                                             const geyser::SubscribeRequestFilterAccountsFilter& filter,
                                             Accounts* out) {
  switch (filter.filter_case()) {
    case geyser::SubscribeRequestFilterAccountsFilter::kMemcmp: {
      std::string bytes = filter.memcmp().bytes();
      if (filter.memcmp().has_base58()) {
        std::optional<std::string> decoded = DecodeBase58(filter.memcmp().base58());
        if (!decoded) return Refuse(absl::StrCat(field, ".memcmp.base58"), "the text is no base58");
        bytes = *std::move(decoded);
      } else if (filter.memcmp().has_base64()) {
        if (!absl::Base64Unescape(filter.memcmp().base64(), &bytes)) {
          return Refuse(absl::StrCat(field, ".memcmp.base64"), "the text is no base64");
        }
      } else if (!filter.memcmp().has_bytes()) {
        return Refuse(absl::StrCat(field, ".memcmp"), "it has no data");
      }
      if (bytes.size() > kMemcmpBytesMax) return Refuse(absl::StrCat(field, ".memcmp"), "more than 128 bytes");
      out->memcmp.emplace_back(filter.memcmp().offset(), std::move(bytes));
      return absl::OkStatus();
    }
    case geyser::SubscribeRequestFilterAccountsFilter::kDatasize:
      if (out->data_size) return Refuse(absl::StrCat(field, ".datasize"), "only one is allowed");
      out->data_size = filter.datasize();
      return absl::OkStatus();
    case geyser::SubscribeRequestFilterAccountsFilter::kTokenAccountState:
      if (!filter.token_account_state())
        return Refuse(absl::StrCat(field, ".token_account_state"), "only true is allowed");
      out->token_account = true;
      return absl::OkStatus();
    case geyser::SubscribeRequestFilterAccountsFilter::kLamports: {
      const auto& lamports = filter.lamports();
      using Lamports = geyser::SubscribeRequestFilterAccountsFilterLamports;
      switch (lamports.cmp_case()) {
        case Lamports::kEq:
          out->lamports.emplace_back(Compare::kEqual, lamports.eq());
          return absl::OkStatus();
        case Lamports::kNe:
          out->lamports.emplace_back(Compare::kNotEqual, lamports.ne());
          return absl::OkStatus();
        case Lamports::kLt:
          out->lamports.emplace_back(Compare::kLess, lamports.lt());
          return absl::OkStatus();
        case Lamports::kGt:
          out->lamports.emplace_back(Compare::kGreater, lamports.gt());
          return absl::OkStatus();
        case Lamports::CMP_NOT_SET:
          return Refuse(absl::StrCat(field, ".lamports"), "it has no comparison");
      }
      return Refuse(absl::StrCat(field, ".lamports"), "unknown comparison");
    }
    case geyser::SubscribeRequestFilterAccountsFilter::FILTER_NOT_SET:
      break;
  }
  return Refuse(field, "it is empty or of an unknown kind");
}

absl::StatusOr<ReplayFilters::Transactions> ReplayFilters::MakeTransactions(
    const std::string& field, const std::string& name, const geyser::SubscribeRequestFilterTransactions& filter) const {
  absl::StatusOr<std::string> name_field = NameField(field, name);
  if (!name_field.ok()) return name_field.status();
  Transactions out;
  out.name = *std::move(name_field);
  if (filter.has_cuckoo_account_include()) {
    return Refuse(absl::StrCat(field, ".cuckoo_account_include"), "a replay has no cuckoo filters");
  }
  if (filter.has_token_accounts()) {
    return Refuse(absl::StrCat(field, ".token_accounts"), "a replay does not look at owners of token balances");
  }
  if (filter.has_vote()) out.vote = filter.vote();
  if (filter.has_failed()) out.failed = filter.failed();
  if (filter.has_signature()) {
    out.signature = DecodeBase58(filter.signature());
    if (!out.signature || out.signature->size() != 64) {
      return Refuse(absl::StrCat(field, ".signature"), absl::StrCat("\"", filter.signature(), "\" is no signature"));
    }
  }
  auto include = KeyIds(absl::StrCat(field, ".account_include"), filter.account_include(), *index_);
  if (!include.ok()) return include.status();
  if (!include->empty()) out.include.emplace(include->begin(), include->end());
  auto exclude = KeyIds(absl::StrCat(field, ".account_exclude"), filter.account_exclude(), *index_);
  if (!exclude.ok()) return exclude.status();
  out.exclude.insert(exclude->begin(), exclude->end());
  auto required = KeyIds(absl::StrCat(field, ".account_required"), filter.account_required(), *index_);
  if (!required.ok()) return required.status();
  out.required = *std::move(required);
  return out;
}

absl::Status ReplayFilters::AddSlices(const geyser::SubscribeRequest& request) {
  uint64_t end = 0;
  for (int i = 0; i < request.accounts_data_slice_size(); ++i) {
    const auto& slice = request.accounts_data_slice(i);
    if (slice.offset() < end) {
      return Refuse(absl::StrCat("accounts_data_slice[", i, "]"), "slices must ascend and not overlap");
    }
    if (slice.length() > UINT64_MAX - slice.offset()) {
      return Refuse(absl::StrCat("accounts_data_slice[", i, "]"), "it ends beyond 2^64");
    }
    end = slice.offset() + slice.length();
    data_slices_.emplace_back(slice.offset(), slice.length());
  }
  return absl::OkStatus();
}

bool ReplayFilters::MatchAccount(const Accounts& filter, const ReplayItem& item) {
  if (filter.accounts && !filter.accounts->contains(item.key)) return false;
  if (filter.owners && !filter.owners->contains(item.owner)) return false;
  if (filter.has_signature && *filter.has_signature == item.signature.empty()) return false;
  if (filter.data_size && *filter.data_size != item.data.size()) return false;
  if (filter.token_account && !IsTokenAccount(item.data)) return false;
  for (const auto& [offset, bytes] : filter.memcmp) {
    if (offset > item.data.size() || item.data.substr(offset, bytes.size()) != bytes) return false;
  }
  for (const auto& [compare, value] : filter.lamports) {
    switch (compare) {
      case Compare::kEqual:
        if (item.lamports != value) return false;
        break;
      case Compare::kNotEqual:
        if (item.lamports == value) return false;
        break;
      case Compare::kLess:
        if (item.lamports >= value) return false;
        break;
      case Compare::kGreater:
        if (item.lamports <= value) return false;
        break;
    }
  }
  return true;
}

bool ReplayFilters::MatchTransaction(const Transactions& filter, const ReplayItem& item, uint64_t pass) const {
  if (filter.vote && *filter.vote != item.vote) return false;
  if (filter.failed && *filter.failed != item.failed) return false;
  if (filter.signature && MixBytes(*filter.signature, pass) != item.signature) return false;
  const uint32_t* begin = index_->key_pool().data() + item.keys_begin;
  const uint32_t* end = begin + item.keys_count;
  if (filter.include && std::none_of(begin, end, [&](uint32_t key) { return filter.include->contains(key); }))
    return false;
  if (std::any_of(begin, end, [&](uint32_t key) { return filter.exclude.contains(key); })) return false;
  return std::all_of(filter.required.begin(), filter.required.end(),
                     [&](uint32_t key) { return std::find(begin, end, key) != end; });
}

bool ReplayFilters::Match(const ReplayItem& item, uint64_t pass, std::string* names) const {
  const size_t before = names->size();
  switch (item.kind) {
    case UpdateKind::kAccount:
      for (const Accounts& filter : accounts_) {
        if (MatchAccount(filter, item)) names->append(filter.name);
      }
      break;
    case UpdateKind::kTransaction:
      for (const Transactions& filter : transactions_) {
        if (MatchTransaction(filter, item, pass)) names->append(filter.name);
      }
      break;
    case UpdateKind::kSlot:
      for (const Slots& filter : slots_) {
        if (filter.by_commitment && item.status != commitment_) continue;
        if (!filter.interslot && item.status > kStatusFinalized) continue;
        names->append(filter.name);
      }
      break;
    case UpdateKind::kBlockMeta:
      names->append(metas_);
      break;
    case UpdateKind::kEntry:
      names->append(entries_);
      break;
  }
  return names->size() > before;
}

bool ReplayFilters::MatchStatus(const ReplayItem& item, uint64_t pass, std::string* names) const {
  if (item.kind != UpdateKind::kTransaction) return false;
  const size_t before = names->size();
  for (const Transactions& filter : statuses_) {
    if (MatchTransaction(filter, item, pass)) names->append(filter.name);
  }
  return names->size() > before;
}

}  // namespace everstate::replay
