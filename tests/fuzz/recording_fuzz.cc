// A recording: messages cut apart, walked beside the generated classes, and made into blocks by the ledger.
#include <google/protobuf/stubs/logging.h>

#include <chrono>

#include "proto/geyser.pb.h"
#include "server/ingest/ledger.h"
#include "server/ingest/recording.h"
#include "server/ingest/wire.h"
#include "tests/fuzz/fuzz.h"

namespace everstate {
namespace {

using ingest::WalkedMessage;

// Where protobuf's own code takes the bytes too, both say the same. It refuses more: the walk looks at what it needs.
void CompareWithGenerated(std::string_view bytes, const WalkedMessage& walked) {
  static const google::protobuf::LogSilencer silent;  // it says of each damaged string that it is no UTF-8
  geyser::SubscribeUpdate update;
  if (!update.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
  switch (walked.kind) {
    case WalkedMessage::Kind::kAccount:
      FUZZ_CHECK(update.has_account() && update.account().slot() == walked.slot);
      FUZZ_CHECK(update.account().account().lamports() == walked.account.lamports);
      FUZZ_CHECK(update.account().account().data().size() == walked.account.data.size());
      break;
    case WalkedMessage::Kind::kTransaction:
      FUZZ_CHECK(update.has_transaction() && update.transaction().slot() == walked.slot);
      break;
    case WalkedMessage::Kind::kSlot:
      FUZZ_CHECK(update.has_slot() && update.slot().slot() == walked.slot);
      break;
    case WalkedMessage::Kind::kBlockMeta:
      FUZZ_CHECK(update.has_block_meta() && update.block_meta().slot() == walked.slot);
      FUZZ_CHECK(update.block_meta().parent_slot() == walked.meta.parent_slot);
      break;
    default:
      break;
  }
}

void CheckBlock(const Block& block) {
  uint64_t next_index = 0;
  for (const TransactionUpdate& t : block.transactions) {
    FUZZ_CHECK(t.index >= next_index);
    next_index = t.index + 1;
    FUZZ_CHECK(t.writable.size() == t.keys.size());
    for (const InstructionUpdate& i : t.instructions) {
      for (const uint8_t account : i.accounts) FUZZ_CHECK(account < t.keys.size());
    }
  }
}

}  // namespace
}  // namespace everstate

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace everstate;
  RecordedMessages messages(std::string_view(reinterpret_cast<const char*>(data), size));
  ingest::LedgerCounters counters;
  ingest::Ledger ledger({}, &counters);
  const bool live = size % 2 != 0;  // half of the feeds may begin in the middle of a block
  ledger.BeginConnection(live);
  std::vector<ingest::LedgerEvent> events;
  std::chrono::steady_clock::time_point now;
  bool connected = true;
  while (true) {
    const auto message = messages.Next();
    if (!message.ok()) FUZZ_CHECK(messages.Next().status() == message.status());
    if (!message.ok() || !message->has_value()) break;
    const std::string_view bytes = (*message)->bytes;
    if (const auto walked = ingest::WalkMessage(bytes); walked.ok()) CompareWithGenerated(bytes, *walked);
    // After a fault of the feed a server connects again; here that is the same ledger and the next message.
    if (!connected) ledger.BeginConnection(live);
    const absl::Status status = ledger.Add(std::string(bytes), now += std::chrono::milliseconds(100), &events);
    if (absl::IsAborted(status) || absl::IsFailedPrecondition(status)) break;
    connected = status.ok();
  }
  (void)ledger.Tick(now + std::chrono::hours(1), &events);

  Slot last = 0;
  for (const ingest::LedgerEvent& event : events) {
    if (const auto* block = std::get_if<BlockRef>(&event)) {
      FUZZ_CHECK((*block)->id.slot > last || last == 0);
      last = (*block)->id.slot;
      CheckBlock(**block);
    }
  }
  return 0;
}
