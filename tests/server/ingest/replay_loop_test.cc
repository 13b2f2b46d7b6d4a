// A loop is one chain: its passes link, differ in everything that names a thing, and are the same in every process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "server/ingest/ledger.h"
#include "server/ingest/replay.h"
#include "tests/server/ingest/replay_support.h"

namespace everstate {
namespace {

using namespace everstate::testing;  // NOLINT: the whole file is about these helpers

using geyser::SubscribeUpdate;

constexpr uint64_t kSpan = kMadeLastSlot - kMadeFirstSlot + 1;

ReplayOptions Loop(const std::string& path) {
  ReplayOptions options;
  options.files = {path};
  options.slots_per_second.reset();
  options.loop = true;
  return options;
}

bool IsStatus(const SubscribeUpdate& update, geyser::SlotStatus status) {
  return update.has_slot() && update.slot().status() == status;
}

// The stream up to the CONFIRMED of a slot.
Updates ReadTo(StreamClient& client, uint64_t slot) {
  return client.ReadUntil(
      [slot](const SubscribeUpdate& u) { return IsStatus(u, geyser::SLOT_CONFIRMED) && SlotOf(u) >= slot; });
}

void CheckChain(const std::string& path, int passes) {
  auto server = StartReplay(Loop(path));
  const uint64_t first = server->slot_first();
  uint64_t last_slot = 0;
  for (const SubscribeUpdate& u : ReadRecording(path)) last_slot = std::max(last_slot, SlotOf(u));
  const uint64_t span = last_slot - first + 1;
  StreamClient client(server->port(), All());
  const Updates updates = ReadTo(client, server->slot_last() + static_cast<uint64_t>(passes - 1) * span);

  const geyser::SubscribeUpdateBlockMeta* before = nullptr;
  std::set<std::string> hashes, signatures;
  std::set<uint64_t> blocks, finalized, confirmed;
  std::map<uint64_t, uint64_t> parents;
  std::map<std::string, uint64_t> versions;
  size_t metas = 0, transactions = 0;
  for (const SubscribeUpdate& u : updates) {
    if (u.has_block_meta()) {
      const auto& meta = u.block_meta();
      ++metas;
      hashes.insert(meta.blockhash());
      blocks.insert(meta.slot());
      parents[meta.slot()] = meta.parent_slot();
      if (before != nullptr) {
        EXPECT_EQ(meta.parent_slot(), before->slot());
        EXPECT_EQ(meta.parent_blockhash(), before->blockhash());
        EXPECT_EQ(meta.block_height().block_height(), before->block_height().block_height() + 1);
        EXPECT_GE(meta.block_time().timestamp(), before->block_time().timestamp());
        EXPECT_GT(meta.slot(), before->slot());
      }
      before = &meta;
    } else if (u.has_transaction()) {
      const auto& info = u.transaction().transaction();
      ++transactions;
      signatures.insert(info.signature());
      EXPECT_EQ(info.transaction().signatures(0), info.signature());
    } else if (u.has_account() && u.account().account().write_version() > 0) {
      const auto& info = u.account().account();
      EXPECT_GT(info.write_version(), versions[info.pubkey()]) << "of slot " << SlotOf(u);
      versions[info.pubkey()] = info.write_version();
    }
    if (IsStatus(u, geyser::SLOT_CONFIRMED)) {
      EXPECT_TRUE(confirmed.insert(SlotOf(u)).second);
    }
    // What is finalized across the seam are blocks of this chain, each once, after they were confirmed.
    if (IsStatus(u, geyser::SLOT_FINALIZED) && SlotOf(u) >= first) {
      EXPECT_TRUE(finalized.insert(SlotOf(u)).second) << SlotOf(u);
      EXPECT_TRUE(confirmed.contains(SlotOf(u))) << SlotOf(u);
    }
  }
  EXPECT_EQ(hashes.size(), metas);
  EXPECT_EQ(signatures.size(), transactions);
  EXPECT_EQ(confirmed, blocks);
  for (const SubscribeUpdate& u : updates) {
    if (u.has_slot() && u.slot().has_parent() && blocks.contains(SlotOf(u))) {
      EXPECT_EQ(u.slot().parent(), parents[SlotOf(u)]);
    }
  }
}

TEST(ReplayLoop, ThreePassesAreOneChain) {
  TemporaryRecording recording(MadeRecording());
  CheckChain(recording.path(), 3);
}

TEST(ReplayLoop, ThreePassesOfARealRecordingAreOneChain) { CheckChain(kSmallRecording, 3); }

TEST(ReplayLoop, TheTailOfAPassIsFinalizedInTheNext) {
  TemporaryRecording recording(MadeRecording());
  auto server = StartReplay(Loop(recording.path()));
  StreamClient client(server->port(), All());
  std::set<uint64_t> finalized;
  for (const SubscribeUpdate& u : ReadTo(client, kMadeFirstSlot + kSpan + 8)) {
    if (IsStatus(u, geyser::SLOT_FINALIZED)) finalized.insert(SlotOf(u));
  }
  for (uint64_t slot = kMadeFirstSlot; slot <= kMadeLastSlot; ++slot) {
    EXPECT_EQ(finalized.contains(slot), slot != 1004 && slot != 1011) << slot;
  }
}

// A recording that was begun in silence has no FINALIZED of slots before its first block, so nothing speaks of the last
// blocks of a pass by name. They are finalized all the same: FINALIZED of a block of the next pass says it of its
// ancestors.
TEST(ReplayLoop, ATailThatIsNotFinalizedIsFinalizedByItsDescendants) {
  Updates made = MadeRecording();
  std::erase_if(made, [](const SubscribeUpdate& u) {
    return IsStatus(u, geyser::SLOT_FINALIZED) && (SlotOf(u) < kMadeFirstSlot || SlotOf(u) >= kMadeLastSlot - 6);
  });
  TemporaryRecording recording(made);
  auto server = StartReplay(Loop(recording.path()));
  StreamClient client(server->port(), All());
  const Updates updates = ReadTo(client, kMadeFirstSlot + 3 * kSpan + 10);
  for (const Commitment commitment : {Commitment::kConfirmed, Commitment::kFinalized}) {
    ingest::LedgerCounters counters;
    ingest::LedgerOptions options;
    options.commitment = commitment;
    ingest::Ledger ledger(options, &counters);
    std::vector<ingest::LedgerEvent> events;
    for (const SubscribeUpdate& u : updates) ASSERT_TRUE(ledger.Add(u.SerializeAsString(), {}, &events).ok());
    std::vector<uint64_t> slots, expected;
    for (const ingest::LedgerEvent& event : events) {
      ASSERT_TRUE(std::holds_alternative<BlockRef>(event));
      slots.push_back(std::get<BlockRef>(event)->id.slot);
    }
    ASSERT_FALSE(slots.empty());
    for (uint64_t slot = kMadeFirstSlot; slot <= slots.back(); ++slot) {
      const uint64_t recorded = kMadeFirstSlot + (slot - kMadeFirstSlot) % kSpan;
      if (recorded != 1004 && recorded != 1011) expected.push_back(slot);
    }
    EXPECT_EQ(slots, expected);
    EXPECT_GT(slots.back(), kMadeFirstSlot + 3 * kSpan);
  }
}

TEST(ReplayLoop, PassZeroIsTheFile) {
  const Updates made = MadeRecording();
  TemporaryRecording recording(made);
  auto server = StartReplay(Loop(recording.path()));
  StreamClient client(server->port(), All());
  EXPECT_EQ(BareBytes(client.ReadData(made.size())), BareBytes(made));
}

// Accounts name the transaction that wrote them in every pass, and the signature filter follows the pass.
TEST(ReplayLoop, SignaturesStayTogether) {
  TemporaryRecording recording(MadeRecording());
  auto server = StartReplay(Loop(recording.path()));
  StreamClient client(server->port(), All());
  std::map<uint64_t, std::set<std::string>> of_slot;
  const Updates updates = ReadTo(client, kMadeLastSlot + kSpan);
  std::string signature;
  for (const SubscribeUpdate& u : updates) {
    if (!u.has_transaction()) continue;
    signature = u.transaction().transaction().signature();
    of_slot[SlotOf(u)].insert(signature);
  }
  for (const SubscribeUpdate& u : updates) {
    if (!u.has_account() || !u.account().account().has_txn_signature()) continue;
    EXPECT_TRUE(of_slot[SlotOf(u)].contains(u.account().account().txn_signature())) << SlotOf(u);
  }
  geyser::SubscribeRequest request;
  (*request.mutable_transactions())["one"].set_signature(Base58(signature));
  request.set_from_slot(kMadeFirstSlot);
  StreamClient one(server->port(), request);
  EXPECT_EQ(one.ReadData(1)[0].transaction().slot(), kMadeLastSlot + kSpan);
}

// A process that starts anew serves the same bytes for the slots of any pass, without having gone through those before.
TEST(ReplayLoop, ARestartedReplayServesTheSameBytes) {
  TemporaryRecording recording(MadeRecording());
  std::map<uint64_t, std::vector<std::string>> expected;
  const uint64_t until = kMadeFirstSlot + 3 * kSpan + 5;
  {
    auto server = StartReplay(Loop(recording.path()));
    StreamClient client(server->port(), All());
    for (const SubscribeUpdate& u : ReadTo(client, until)) {
      if (IsContent(u) || u.has_block_meta()) expected[SlotOf(u)].push_back(Bare(u).SerializeAsString());
    }
  }
  for (uint64_t from :
       {kMadeFirstSlot + kSpan, kMadeFirstSlot + kSpan + 7, kMadeFirstSlot + 2 * kSpan + 11, kMadeFirstSlot + 3}) {
    auto server = StartReplay(Loop(recording.path()));
    StreamClient client(server->port(), All(from));
    std::map<uint64_t, std::vector<std::string>> got;
    for (const SubscribeUpdate& u : ReadTo(client, until)) {
      if (IsContent(u) || u.has_block_meta()) got[SlotOf(u)].push_back(Bare(u).SerializeAsString());
    }
    EXPECT_GE(got.begin()->first, from);
    EXPECT_LE(got.begin()->first, from + 1);
    for (const auto& [slot, bytes] : expected) {
      if (slot >= from && slot <= until) {
        EXPECT_EQ(got[slot], bytes) << slot << " from " << from;
      }
    }
    // Every earlier slot is servable too.
    StreamClient earlier(server->port(), All(kMadeFirstSlot));
    EXPECT_EQ(SlotOf(earlier.ReadData(1)[0]), kMadeFirstSlot);
  }
}

TEST(ReplayLoop, NeedsAChain) {
  Updates without = MadeRecording();
  std::erase_if(without, [](const SubscribeUpdate& u) { return u.has_block_meta(); });
  TemporaryRecording recording(without);
  const absl::Status status = ReplayServer::Start(Loop(recording.path())).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("no block_meta"));
}

// A filter that nothing passes does not keep a looping stream from answering.
TEST(ReplayLoop, AStreamWithoutMatchesIsAlive) {
  TemporaryRecording recording(MadeRecording());
  auto server = StartReplay(Loop(recording.path()));
  geyser::SubscribeRequest request;
  (*request.mutable_accounts())["none"].add_account(Base58(Key(77)));
  StreamClient client(server->port(), request);
  WaitFor([&] { return server->progress().pass > 2; });
  client.Ping(4);
  SubscribeUpdate update;
  while (client.Read(&update) && update.has_ping()) {
  }
  EXPECT_EQ(update.pong().id(), 4);
}

}  // namespace
}  // namespace everstate
