// The bank: batches whose state can be judged without knowing them. Money only moves between accounts, so the balances
// always sum up to the same; the row `count` and a side row hold the number of the batch. A batch of which only a part
// is in the store is seen.
#pragma once

#include <string>

#include "tests/storage/store_support.h"

namespace everstate {

inline constexpr uint64_t kBankAccounts = 50;
inline constexpr uint64_t kOpeningBalance = 1000000;
inline const SideKey kBankSide{SideKind::kSchedule, kOrder, 0, "number"};

inline std::string BankKey(uint64_t account) { return "account" + std::to_string(account); }

// The batch with this number. `note_bytes` makes rows heavy, so that memtables fill up and are flushed.
inline absl::StatusOr<Batch> NextBankBatch(const EntityStore& store, size_t note_bytes) {
  const Number number = store.watermark().number + 1;
  BatchMaker maker(number * 3);
  const std::string note(note_bytes, static_cast<char>('a' + number % 26));
  for (uint64_t account = 0; account < kBankAccounts; ++account) {
    const auto before = store.Get(kAccount, BankKey(account));
    if (!before.ok()) return before.status();
    uint64_t balance = *before ? FirstField(**before) : kOpeningBalance;
    const uint64_t giver = number % kBankAccounts, taker = (number * 7 + 1) % kBankAccounts;
    if (giver != taker && account == giver) balance -= number % 10;
    if (giver != taker && account == taker) balance += number % 10;
    maker.Put(kAccount, BankKey(account), balance, *before, note);
  }
  const auto count = store.Get(kOrder, "count");
  if (!count.ok()) return count.status();
  maker.Put(kOrder, "count", number, *count);
  maker.Side(kBankSide, std::to_string(number));
  return maker.batch();
}

inline void ApplyBank(OpenStore* open, int batches, size_t note_bytes = 100) {
  for (int i = 0; i < batches; ++i) {
    const auto batch = NextBankBatch(*open->store, note_bytes);
    ASSERT_TRUE(batch.ok()) << batch.status();
    ASSERT_TRUE(open->writer->Apply(*batch).ok());
  }
}

inline CheckpointInfo MakeCheckpoint(const EntityStore& store) {
  auto info = store.CreateCheckpoint();
  if (!info.ok()) {
    ADD_FAILURE() << info.status();
    return {};
  }
  return *std::move(info);
}

inline std::vector<CheckpointEntry> Listed(const std::filesystem::path& data_dir) {
  auto entries = ListCheckpoints(data_dir);
  EXPECT_TRUE(entries.ok()) << entries.status();
  return entries.ok() ? *std::move(entries) : std::vector<CheckpointEntry>();
}

// Empty when the books are right, else what is wrong with them. Scan(entity, visit) and watermark as the stores have
// them.
template <typename Scan>
std::string AuditBank(Number number, const Scan& scan) {
  uint64_t sum = 0, accounts = 0, count = 0;
  scan(kAccount, [&](std::string_view, const Row& row) {
    sum += FirstField(row);
    accounts += 1;
    return true;
  });
  scan(kOrder, [&](std::string_view, const Row& row) {
    count = FirstField(row);
    return true;
  });
  const uint64_t wants = number == 0 ? 0 : kBankAccounts;
  if (accounts != wants) return std::to_string(accounts) + " accounts";
  if (sum != wants * kOpeningBalance) return "the balances sum up to " + std::to_string(sum);
  if (count != number) return "count is " + std::to_string(count) + ", number is " + std::to_string(number);
  return "";
}

inline std::string AuditBank(const EntityStore& store) {
  const auto snapshot = store.TakeSnapshot();
  const Number number = snapshot->watermark().number;
  if (number != store.watermark().number) return "the watermark is not the snapshot's";
  const auto side = store.GetSide(kBankSide);
  if (!side.ok()) return side.status().ToString();
  if (side->value_or("0") != std::to_string(number)) return "the side row says " + side->value_or("nothing");
  std::string failed;
  const std::string books = AuditBank(number, [&](EntityId entity, const auto& visit) {
    snapshot->Seek(entity, "");
    std::string_view key;
    for (;;) {
      const auto row = snapshot->Next(&key);
      if (!row.ok()) failed = row.status().ToString();
      if (!row.ok() || !*row || !visit(key, **row)) return;
    }
  });
  return failed.empty() ? books : failed;
}

// BankDigests: the digest of a bank that was stopped at a number and never disturbed. To be asked in ascending order.
class BankDigests {
 public:
  explicit BankDigests(size_t note_bytes) : note_bytes_(note_bytes) {}
  std::string At(Number number) {
    while (open_.store->watermark().number < number) {
      const auto batch = NextBankBatch(*open_.store, note_bytes_);
      if (!batch.ok()) return batch.status().ToString();
      if (const auto applied = open_.writer->Apply(*batch); !applied.ok()) return applied.status().ToString();
    }
    const Number reached = open_.store->watermark().number;
    return reached == number ? DigestOf(folder_.path()) : "the bank is at " + std::to_string(reached) + " already";
  }

 private:
  const size_t note_bytes_;
  TemporaryFolder folder_;
  OpenStore open_ = OpenTestStore(folder_.path());
};

}  // namespace everstate
