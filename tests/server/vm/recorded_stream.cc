#include "tests/server/vm/recorded_stream.h"

#include <algorithm>
#include <chrono>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/ingest/ledger.h"
#include "server/ingest/recording.h"
#include "server/ingest/wire.h"

namespace everstate::vm {
namespace {

using nlohmann::json;

constexpr size_t kExpectedElements = 100;  // the expected arrays hold the newest ones

std::vector<std::string> MessagesOf(const std::string& file) {
  std::vector<std::string> messages;
  auto reader = RecordingReader::Open(file);
  while (reader.ok()) {
    auto message = reader->Next();
    EXPECT_TRUE(message.ok()) << message.status();
    if (!message.ok() || !message->has_value()) break;
    messages.emplace_back((*message)->bytes);
  }
  return messages;
}

bool IsContent(const std::string& message) {
  using Kind = ingest::WalkedMessage::Kind;
  auto walked = ingest::WalkMessage(message);
  return walked.ok() && (walked->kind == Kind::kAccount || walked->kind == Kind::kTransaction);
}

void Shuffle(std::vector<std::string>* messages, std::mt19937* random) {
  std::vector<std::string> shuffled, run;
  const auto close = [&] {
    const size_t size = run.size();
    for (size_t i = 0; i < size; i += 7) run.push_back(run[i]);  // again
    std::shuffle(run.begin(), run.end(), *random);
    shuffled.insert(shuffled.end(), run.begin(), run.end());
    run.clear();
  };
  for (std::string& message : *messages) {
    if (IsContent(message)) {
      run.push_back(std::move(message));
      continue;
    }
    close();
    shuffled.push_back(std::move(message));
  }
  close();
  *messages = std::move(shuffled);
}

// What the expected entities leave out.
bool LeftOut(const std::string& path, const json& value) {
  if (value.is_null()) return true;
  if (value.is_object()) {
    bool all = true;
    for (const auto& [key, member] : value.items()) all = all && LeftOut(absl::StrCat(path, "/", key), member);
    if (all) return true;
  }
  for (const char* end :
       {"/raw", "/curve_snapshot", "/derived/last_slot", "/timestamp", "/_seq", "/state/mint_authority"}) {
    if (absl::EndsWith(path, end)) return true;
  }
  return false;
}

void CompareAt(const std::string& path, const json& expected, const json& actual, Compared* compared) {
  const auto differ = [&](const std::string& at, const std::string& what) {
    compared->differences.push_back(absl::StrCat(at, ": ", what));
  };
  if (expected.is_object() && actual.is_object()) {
    for (const auto& [key, value] : expected.items()) {
      if (absl::EndsWith(key, "_total")) continue;  // how many elements there were in all
      if (actual.contains(key))
        CompareAt(absl::StrCat(path, "/", key), value, actual[key], compared);
      else
        differ(absl::StrCat(path, "/", key), "is missing");
    }
    for (const auto& [key, value] : actual.items()) {
      if (!expected.contains(key) && !LeftOut(absl::StrCat(path, "/", key), value))
        differ(absl::StrCat(path, "/", key), "is not expected: " + value.dump());
    }
  } else if (expected.is_array() && actual.is_array()) {
    const bool cut = expected.size() == kExpectedElements && actual.size() > expected.size();
    if (actual.size() != expected.size() && !cut) return differ(path, "has another number of elements");
    const size_t skip = actual.size() - expected.size();
    for (size_t i = 0; i < expected.size(); ++i)
      CompareAt(absl::StrCat(path, "/", i), expected[i], actual[skip + i], compared);
  } else {
    ++compared->leaves;
    // Integers beyond ±(2^53-1) are text on the wire.
    const bool equal = expected.is_number_integer() && actual.is_string() ? expected.dump() == actual.get<std::string>()
                                                                          : expected == actual;
    if (!equal) differ(path, absl::StrCat(expected.dump(), " is expected, not ", actual.dump()));
  }
}

}  // namespace

std::vector<BlockRef> BlocksOf(const std::string& file, std::mt19937* shuffle) {
  std::vector<std::string> messages = MessagesOf(file);
  if (shuffle != nullptr) Shuffle(&messages, shuffle);
  ingest::LedgerCounters counters;
  ingest::Ledger ledger(ingest::LedgerOptions(), &counters);
  ledger.BeginConnection(false);
  std::vector<ingest::LedgerEvent> events;
  std::chrono::steady_clock::time_point now;
  for (std::string& message : messages) {
    const absl::Status status = ledger.Add(std::move(message), now += std::chrono::milliseconds(1), &events);
    EXPECT_TRUE(status.ok()) << status;
  }
  std::vector<BlockRef> blocks;
  for (ingest::LedgerEvent& event : events) {
    EXPECT_TRUE(std::holds_alternative<BlockRef>(event));
    if (auto* block = std::get_if<BlockRef>(&event)) blocks.push_back(std::move(*block));
  }
  return blocks;
}

BatchRef Project(Machine* machine, const Block& block, MapView* view) {
  machine->Begin(block.id, view);
  for (const TransactionUpdate& t : block.transactions) EXPECT_TRUE(machine->Feed(t).ok());
  for (const AccountUpdate& a : block.accounts) EXPECT_TRUE(machine->Feed(a).ok());
  auto layer = machine->Seal();
  EXPECT_TRUE(layer.ok()) << layer.status();
  return layer.ok() ? layer->batch : std::make_shared<Batch>();
}

json EntitiesOf(const RowSchema& schema, const MapView& view) {
  json entities;
  for (const auto& [id, row] : view.rows) {
    std::string text;
    AppendEntityJson(schema, schema.entity(id.first), *row, &text);
    entities[schema.entity(id.first).name][id.second] = json::parse(text);
  }
  return entities;
}

Compared Compare(const json& expected, const json& actual) {
  Compared compared;
  for (const auto& [entity, rows] : expected.items()) compared.entities += rows.size();
  CompareAt("", expected, actual, &compared);
  return compared;
}

}  // namespace everstate::vm
