// The machine's share of an update: a block of 2,000 TransferChecked instructions (a transaction each) and the writes
// of the token accounts that they moved, through SplStream, on a view that holds the entities already.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <random>
#include <string>
#include <unordered_map>

#include "server/vm/machine.h"
#include "storage/row.h"
#include "tests/support/source_dir.h"

namespace everstate::vm {
namespace {

constexpr size_t kTransfers = 2000, kTokenAccounts = 3000, kMints = 20;

// The store's place: rows and side rows in hash maps.
class HashView : public StateView {
 public:
  absl::StatusOr<RowRef> Get(EntityId entity, std::string_view key) override {
    name_.assign(key).push_back(static_cast<char>(entity));
    const auto it = rows_.find(name_);
    return it == rows_.end() ? RowRef() : it->second;
  }
  absl::StatusOr<std::optional<std::string>> GetSide(const SideKey& key) override {
    const auto it = sides_.find(Text(key));
    return it == sides_.end() ? std::nullopt : std::optional<std::string>(it->second);
  }
  void Apply(const Batch& batch) {
    for (const Mutation& m : batch.mutations) rows_[m.key + static_cast<char>(m.entity)] = m.after;
    for (const SideWrite& w : batch.side) sides_[Text(w.key)] = w.value.value_or("");
  }

 private:
  const std::string& Text(const SideKey& key) {
    name_.assign(key.id);
    for (unsigned part : {static_cast<unsigned>(key.kind), unsigned{key.entity}, unsigned{key.name}})
      name_.push_back(static_cast<char>(part));
    return name_;
  }
  std::unordered_map<std::string, RowRef> rows_;
  std::unordered_map<std::string, std::string> sides_;
  std::string name_;
};

struct World {
  std::mt19937_64 random{7};
  std::deque<std::string> bytes;
  std::deque<std::vector<const uint8_t*>> keys;
  std::deque<InstructionUpdate> instructions;
  std::array<bool, 5> writable = {true, true, false, false, false};
  std::vector<const uint8_t*> mints, accounts, owners;
  const uint8_t* program = nullptr;

  const uint8_t* Keep(std::string text) {
    return reinterpret_cast<const uint8_t*>(bytes.emplace_back(std::move(text)).data());
  }
  std::string Random(size_t size) {
    std::string text(size, '\0');
    for (char& c : text) c = static_cast<char>(random());
    return text;
  }

  explicit World(const std::array<uint8_t, 32>& program_id) : program(program_id.data()) {
    for (size_t i = 0; i < kMints; ++i) mints.push_back(Keep(Random(32)));
    for (size_t i = 0; i < kTokenAccounts; ++i) {
      accounts.push_back(Keep(Random(32)));
      owners.push_back(Keep(Random(32)));
    }
  }

  static std::string Le64(uint64_t v) { return std::string(reinterpret_cast<const char*>(&v), 8); }
  static std::string Raw(const uint8_t* p, size_t size) { return std::string(reinterpret_cast<const char*>(p), size); }

  Block MakeBlock(Slot slot) {
    Block block;
    block.id.slot = slot;
    block.id.block_time = 1700000000;
    for (size_t i = 0; i < kTransfers; ++i) {
      const size_t from = random() % kTokenAccounts, to = (from + kMints) % kTokenAccounts;
      const uint8_t* signature = Keep(Random(64));
      const auto& table = keys.emplace_back(
          std::vector<const uint8_t*>{accounts[from], accounts[to], owners[from], mints[from % kMints], program});
      InstructionUpdate& instruction = instructions.emplace_back();
      instruction.program = program;
      instruction.accounts = {Keep(std::string("\0\3\1\2", 4)), 4};
      instruction.data = {Keep("\x0c" + Le64(random() % 500000) + "\6"), 10};
      TransactionUpdate& transaction = block.transactions.emplace_back();
      transaction.index = i;
      transaction.signature = signature;
      transaction.keys = table;
      transaction.writable = writable;
      transaction.instructions = {&instruction, 1};
      for (size_t account : {from, to}) {
        const std::string data = Raw(mints[account % kMints], 32) + Raw(owners[account], 32) +
                                 Le64(random() % 1000000) + std::string(36, '\0') + '\1' + std::string(56, '\0');
        block.accounts.push_back({accounts[account], program, 2039280, i, signature, {Keep(data), data.size()}});
      }
    }
    // The last write of each account.
    auto less = [](const AccountUpdate& a, const AccountUpdate& b) {
      const int order = std::memcmp(a.pubkey, b.pubkey, 32);
      return order != 0 ? order < 0 : a.write_version > b.write_version;
    };
    std::sort(block.accounts.begin(), block.accounts.end(), less);
    auto same = [](const AccountUpdate& a, const AccountUpdate& b) { return a.pubkey == b.pubkey; };
    block.accounts.erase(std::unique(block.accounts.begin(), block.accounts.end(), same), block.accounts.end());
    std::stable_sort(block.accounts.begin(), block.accounts.end(),
                     [](const auto& a, const auto& b) { return a.write_version < b.write_version; });
    return block;
  }
};

absl::StatusOr<BatchRef> Project(Machine* machine, const Block& block, StateView* view) {
  machine->Begin(block.id, view);
  for (const TransactionUpdate& t : block.transactions) {
    if (absl::Status status = machine->Feed(t); !status.ok()) return status;
  }
  for (const AccountUpdate& a : block.accounts) {
    if (absl::Status status = machine->Feed(a); !status.ok()) return status;
  }
  auto layer = machine->Seal();
  if (!layer.ok()) return layer.status();
  return layer->batch;
}

void BM_SplBlock(benchmark::State& state) {
  auto stack = stack::LoadStack(InSource("tests/stacks/SplStream.stack.json"));
  auto projection = stack.ok() ? Projection::Compile(*stack, Settings()) : stack.status();
  if (!projection.ok()) return state.SkipWithError(projection.status().ToString().c_str());
  World world((*projection)->transaction_programs()[0]);
  Machine machine(*projection);
  HashView view;
  for (Slot slot = 1; slot <= 20; ++slot) view.Apply(**Project(&machine, world.MakeBlock(slot), &view));
  const Block block = world.MakeBlock(21);
  size_t mutations = 0;
  for (auto _ : state) {
    auto batch = Project(&machine, block, &view);
    if (!batch.ok()) return state.SkipWithError(batch.status().ToString().c_str());
    mutations = (*batch)->mutations.size();
    benchmark::DoNotOptimize(*batch);
  }
  const double updates = static_cast<double>(block.transactions.size() + block.accounts.size());
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(updates));
  state.counters["mutations_per_update"] = static_cast<double>(mutations) / updates;
  state.counters["faults"] = static_cast<double>(machine.faults().size());
}
BENCHMARK(BM_SplBlock)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace everstate::vm
