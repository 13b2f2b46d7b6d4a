// When a replay begins and ends, where streams start, and what keeps them alive. Filters and loops have tests of their
// own.
#include "server/ingest/replay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <filesystem>
#include <map>
#include <set>
#include <thread>

#include "tests/server/ingest/replay_support.h"

namespace everstate {
namespace {

using namespace everstate::testing;  // NOLINT: the whole file is about these helpers
using ::testing::HasSubstr;

using geyser::SubscribeUpdate;

ReplayOptions Max(const std::string& path) {
  ReplayOptions options;
  options.files = {path};
  options.slots_per_second.reset();
  return options;
}

bool IsConfirmed(const SubscribeUpdate& update, uint64_t slot) {
  return update.has_slot() && update.slot().slot() == slot && update.slot().status() == geyser::SLOT_CONFIRMED;
}

// What a replay from a slot must hold when everything was out: for each block content, BlockMeta, then its statuses.
std::vector<std::string> ExpectedReplay(const Updates& recorded, uint64_t from_slot) {
  std::map<uint64_t, std::array<Updates, 5>> blocks;
  std::set<uint64_t> with_meta;
  for (const SubscribeUpdate& update : recorded) {
    if (update.has_block_meta()) with_meta.insert(SlotOf(update));
    if (IsContent(update)) blocks[SlotOf(update)][0].push_back(update);
    if (update.has_block_meta()) blocks[SlotOf(update)][1].push_back(update);
    if (update.has_slot() && update.slot().status() <= geyser::SLOT_FINALIZED) {
      blocks[SlotOf(update)][2 + static_cast<size_t>(update.slot().status())].push_back(update);
    }
  }
  std::vector<std::string> expected;
  for (const auto& [slot, parts] : blocks) {
    if (slot < from_slot || !with_meta.contains(slot)) continue;
    for (const Updates& part : parts) {
      for (const std::string& bytes : BareBytes(part)) expected.push_back(bytes);
    }
  }
  return expected;
}

template <class Response, class Request>
grpc::Status Ask(geyser::Geyser::Stub& stub, const Request& request, Response* response,
                 grpc::Status (geyser::Geyser::Stub::*method)(grpc::ClientContext*, const Request&, Response*)) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::minutes(2));
  return (stub.*method)(&context, request, response);
}

TEST(Replay, ServesTheRecordingInItsOrder) {
  TemporaryRecording made(MadeRecording());
  for (const std::string& path : {kSmallRecording, made.path()}) {
    const Updates recorded = ReadRecording(path);
    auto server = StartReplay(Max(path));
    StreamClient client(server->port(), All());
    EXPECT_EQ(BareBytes(client.ReadData(recorded.size())), BareBytes(recorded));
  }
}

TEST(Replay, KnowsItsBlocks) {
  TemporaryRecording recording(MadeRecording());
  auto server = StartReplay(Max(recording.path()));
  EXPECT_EQ(server->slot_first(), kMadeFirstSlot);
  EXPECT_EQ(server->slot_last(), kMadeLastSlot);
}

TEST(Replay, APacedReplayIsTheSame) {
  const Updates made = MadeRecording();
  TemporaryRecording recording(made);
  ReplayOptions options = Max(recording.path());
  options.slots_per_second = 400;
  auto server = StartReplay(options);
  StreamClient client(server->port(), All());
  EXPECT_EQ(BareBytes(client.ReadData(made.size())), BareBytes(made));
}

TEST(Replay, BeforeTheBeginningThereIsNoBlock) {
  TemporaryRecording recording(MadeRecording());
  ReplayOptions options = Max(recording.path());
  options.wait_subscribers = 2;
  auto server = StartReplay(options);
  auto stub = Stub(server->port());
  using geyser::Geyser;
  geyser::GetSlotResponse slot;
  geyser::GetBlockHeightResponse height;
  geyser::GetLatestBlockhashResponse hash;
  geyser::IsBlockhashValidResponse valid;
  geyser::SubscribeReplayInfoResponse info;
  geyser::GetVersionResponse version;
  geyser::PongResponse pong;
  geyser::PingRequest ping;
  ping.set_count(42);
  geyser::IsBlockhashValidRequest is_valid;
  is_valid.set_blockhash(HashText(1010));

  auto expect_no_block = [&] {
    for (const grpc::Status& status :
         {Ask(*stub, geyser::GetSlotRequest(), &slot, &Geyser::Stub::GetSlot),
          Ask(*stub, geyser::GetBlockHeightRequest(), &height, &Geyser::Stub::GetBlockHeight),
          Ask(*stub, geyser::GetLatestBlockhashRequest(), &hash, &Geyser::Stub::GetLatestBlockhash),
          Ask(*stub, is_valid, &valid, &Geyser::Stub::IsBlockhashValid)}) {
      EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
      EXPECT_EQ(status.error_message(), "block is not available yet");
    }
  };
  expect_no_block();
  EXPECT_TRUE(Ask(*stub, geyser::SubscribeReplayInfoRequest(), &info, &Geyser::Stub::SubscribeReplayInfo).ok());
  EXPECT_EQ(info.first_available(), UINT64_MAX);
  EXPECT_TRUE(Ask(*stub, geyser::GetVersionRequest(), &version, &Geyser::Stub::GetVersion).ok());
  EXPECT_THAT(version.version(), HasSubstr("\"proto\""));
  EXPECT_TRUE(Ask(*stub, ping, &pong, &Geyser::Stub::Ping).ok());
  EXPECT_EQ(pong.count(), 42);

  // One of two subscribers is not enough: it hears pings and pongs only.
  StreamClient first(server->port(), All());
  first.Ping(1);
  SubscribeUpdate update;
  ASSERT_TRUE(first.Read(&update));
  EXPECT_TRUE(update.has_ping());
  ASSERT_TRUE(first.ReadNoPing(&update));
  EXPECT_EQ(update.pong().id(), 1);
  expect_no_block();
  {
    StreamClient gone(server->port());  // has not subscribed, so it does not count
    WaitFor([&] { return server->progress().streams == 2; });
    EXPECT_FALSE(server->progress().begun);
  }
  StreamClient second(server->port(), All());
  for (StreamClient* client : {&first, &second}) {
    EXPECT_EQ(BareBytes(client->ReadData(MadeRecording().size())), BareBytes(MadeRecording()));
  }
  EXPECT_TRUE(Ask(*stub, geyser::GetSlotRequest(), &slot, &Geyser::Stub::GetSlot).ok());
  EXPECT_EQ(slot.slot(), kMadeLastSlot);
  EXPECT_TRUE(Ask(*stub, geyser::GetBlockHeightRequest(), &height, &Geyser::Stub::GetBlockHeight).ok());
  EXPECT_EQ(height.block_height(), 517u);
  EXPECT_TRUE(Ask(*stub, geyser::GetLatestBlockhashRequest(), &hash, &Geyser::Stub::GetLatestBlockhash).ok());
  EXPECT_EQ(hash.blockhash(), HashText(kMadeLastSlot));
  EXPECT_EQ(hash.last_valid_block_height(), 517u + 150);
  EXPECT_TRUE(Ask(*stub, is_valid, &valid, &Geyser::Stub::IsBlockhashValid).ok());
  EXPECT_TRUE(valid.valid());
  is_valid.set_blockhash(HashText(1011));  // of the dead slot
  EXPECT_TRUE(Ask(*stub, is_valid, &valid, &Geyser::Stub::IsBlockhashValid).ok());
  EXPECT_FALSE(valid.valid());
  EXPECT_TRUE(Ask(*stub, geyser::SubscribeReplayInfoRequest(), &info, &Geyser::Stub::SubscribeReplayInfo).ok());
  EXPECT_EQ(info.first_available(), kMadeFirstSlot);
  geyser::GetSlotRequest finalized;
  finalized.set_commitment(geyser::FINALIZED);
  EXPECT_EQ(Ask(*stub, finalized, &slot, &Geyser::Stub::GetSlot).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST(Replay, StaysOpenAtTheEnd) {
  const size_t count = MadeRecording().size();
  TemporaryRecording recording(MadeRecording());
  auto server = StartReplay(Max(recording.path()));
  StreamClient client(server->port(), All());
  client.ReadData(count);
  for (int id : {7, 8}) {
    client.Ping(id);
    SubscribeUpdate update;
    ASSERT_TRUE(client.ReadNoPing(&update));
    EXPECT_EQ(update.pong().id(), id);
    EXPECT_TRUE(update.filters().empty());
  }
  StreamClient late(server->port(), All());  // joins live, where nothing comes any more
  late.Ping(9);
  SubscribeUpdate update;
  ASSERT_TRUE(late.ReadNoPing(&update));
  EXPECT_EQ(update.pong().id(), 9);
}

TEST(Replay, APingRequestIsNothingElse) {
  TemporaryRecording recording(MadeRecording());
  auto server = StartReplay(Max(recording.path()));
  StreamClient client(server->port());
  geyser::SubscribeRequest request = All(5);
  request.mutable_ping()->set_id(3);
  (*request.mutable_blocks())["refused"];
  client.Send(request);
  SubscribeUpdate update;
  ASSERT_TRUE(client.ReadNoPing(&update));
  EXPECT_EQ(update.pong().id(), 3);
  EXPECT_FALSE(server->progress().begun);
}

TEST(Replay, FromSlotReplaysWholeBlocks) {
  for (const std::string& file : {kSmallRecording, std::string()}) {
    const Updates recorded = file.empty() ? MadeRecording() : ReadRecording(file);
    TemporaryRecording recording(recorded);
    auto server = StartReplay(Max(recording.path()));
    StreamClient first(server->port(), All());
    first.ReadData(recorded.size());
    const uint64_t begin = server->slot_first();
    // Inclusive; a slot without a block (1004, 1011) gives the next block.
    for (uint64_t from : {begin, begin + 4, begin + 5, begin + 11, server->slot_last()}) {
      const std::vector<std::string> expected = ExpectedReplay(recorded, from);
      ASSERT_FALSE(expected.empty());
      StreamClient client(server->port(), All(from));
      EXPECT_EQ(BareBytes(client.ReadData(expected.size())), expected) << from;
      client.Ping(1);
      SubscribeUpdate update;
      ASSERT_TRUE(client.ReadNoPing(&update));
      EXPECT_TRUE(update.has_pong()) << update.ShortDebugString();
    }
    // The same on a stream that is open already.
    first.Send(All(begin + 5));
    const std::vector<std::string> expected = ExpectedReplay(recorded, begin + 5);
    EXPECT_EQ(BareBytes(first.ReadData(expected.size())), expected);
  }
}

TEST(Replay, FromSlotPassesTheFilters) {
  TemporaryRecording recording(MadeRecording());
  auto server = StartReplay(Max(recording.path()));
  StreamClient first(server->port(), All());
  first.ReadData(MadeRecording().size());
  geyser::SubscribeRequest request;
  (*request.mutable_blocks_meta())["m"];
  (*request.mutable_slots())["s"].set_filter_by_commitment(true);
  request.set_commitment(geyser::CONFIRMED);
  request.set_from_slot(1017);
  StreamClient client(server->port(), request);
  std::vector<std::string> seen;
  for (const SubscribeUpdate& u : client.ReadData(6)) {
    seen.push_back((u.has_block_meta()                            ? "meta "
                    : u.slot().status() == geyser::SLOT_CONFIRMED ? "confirmed "
                                                                  : "? ") +
                   std::to_string(SlotOf(u)));
  }
  EXPECT_THAT(seen, ::testing::ElementsAre("meta 1017", "confirmed 1017", "meta 1018", "confirmed 1018", "meta 1019",
                                           "confirmed 1019"));
}

TEST(Replay, FromSlotErrorsAreTheServersOwn) {
  TemporaryRecording recording(MadeRecording());
  auto status_of = [](ReplayServer& server, uint64_t from_slot) {
    StreamClient client(server.port(), All(from_slot));
    return client.Finish();
  };
  ReplayOptions options = Max(recording.path());
  options.replay_slots = 5;
  auto server = StartReplay(options);
  grpc::Status status = status_of(*server, kMadeFirstSlot - 1);  // refused before the beginning too
  EXPECT_EQ(status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(status.error_message(), "broadcast from 999 is not available, last available: 1000");
  status = status_of(*server, kMadeLastSlot + 1);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(status.error_message(), "failed to get replay response");

  StreamClient first(server->port(), All());
  first.ReadData(MadeRecording().size());
  status = status_of(*server, 1014);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(status.error_message(), "broadcast from 1014 is not available, last available: 1015");
  StreamClient last(server->port(), All(1015));
  EXPECT_EQ(SlotOf(last.ReadData(1)[0]), 1015u);
  status = status_of(*server, kMadeLastSlot + 1);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(status.error_message(), "failed to get replay response");

  options.replay_slots = 0;
  auto without = StartReplay(options);
  status = status_of(*without, 1010);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(status.error_message(), "from_slot is not supported");
  geyser::SubscribeReplayInfoResponse info;
  auto stub = Stub(without->port());
  EXPECT_TRUE(Ask(*stub, geyser::SubscribeReplayInfoRequest(), &info, &geyser::Geyser::Stub::SubscribeReplayInfo).ok());
  EXPECT_FALSE(info.has_first_available());
}

// The first stream's from_slot sets the clock: its block comes as a replay, everything after it live, and a stream
// without from_slot that waited begins where live begins.
TEST(Replay, FromSlotBeforeTheBeginningSetsTheClock) {
  const Updates made = MadeRecording();
  TemporaryRecording recording(made);
  for (std::optional<double> pace : {std::optional<double>(), std::optional<double>(400)}) {
    ReplayOptions options = Max(recording.path());
    options.slots_per_second = pace;
    options.wait_subscribers = 3;
    auto server = StartReplay(options);
    StreamClient plain(server->port(), All());
    WaitFor([&] { return server->progress().streams == 1; });
    StreamClient setter(server->port(), All(1010));
    setter.Ping(1);
    SubscribeUpdate update;
    ASSERT_TRUE(setter.ReadNoPing(&update));
    EXPECT_TRUE(update.has_pong());
    StreamClient lower(server->port(), All(1008));
    auto last = [](const SubscribeUpdate& u) { return IsConfirmed(u, kMadeLastSlot); };
    const Updates live = plain.ReadUntil(last);
    EXPECT_GT(SlotOf(live.front()), 1010u);
    for (auto [client, from] : {std::pair(&setter, 1010u), std::pair(&lower, 1008u)}) {
      const Updates got = client->ReadUntil(last);
      EXPECT_TRUE(got.front().has_account());
      EXPECT_EQ(SlotOf(got.front()), from);
      std::vector<uint64_t> metas, expected;
      for (const SubscribeUpdate& u : got)
        if (u.has_block_meta()) metas.push_back(SlotOf(u));
      for (const SubscribeUpdate& u : made)
        if (u.has_block_meta() && SlotOf(u) >= from) expected.push_back(SlotOf(u));
      EXPECT_EQ(metas, expected);
    }
  }
}

// Streams that come in at any moment of a running replay miss nothing and get everything of a block before its barrier.
TEST(Replay, ReplayAndLiveHaveNoHoleBetweenThem) {
  const Updates made = MadeRecording();
  std::map<uint64_t, size_t> content;
  for (const SubscribeUpdate& u : made) content[SlotOf(u)] += IsContent(u);
  TemporaryRecording recording(made);
  ReplayOptions options = Max(recording.path());
  options.slots_per_second = 300;
  options.loop = true;
  auto server = StartReplay(options);
  StreamClient starter(server->port(), All());
  WaitFor([&] { return server->progress().slot >= 1003; });
  for (int round = 0; round < 12; ++round) {
    StreamClient client(server->port(), All(1002));
    const uint64_t until = 1002 + 20 * static_cast<uint64_t>(round % 3) + 30;
    std::map<uint64_t, size_t> got;
    std::set<uint64_t> confirmed;
    const Updates updates =
        client.ReadUntil([&](const SubscribeUpdate& u) { return u.has_block_meta() && SlotOf(u) >= until; });
    for (const SubscribeUpdate& u : updates) {
      got[SlotOf(u)] += IsContent(u);
      if (!u.has_block_meta() || !confirmed.insert(SlotOf(u)).second) continue;
      EXPECT_GE(got[SlotOf(u)], content[kMadeFirstSlot + (SlotOf(u) - kMadeFirstSlot) % 20]) << SlotOf(u);
    }
    for (uint64_t slot = 1002; slot <= *confirmed.rbegin(); ++slot) {
      const uint64_t recorded = kMadeFirstSlot + (slot - kMadeFirstSlot) % 20;
      EXPECT_EQ(confirmed.contains(slot), recorded != 1004 && recorded != 1011) << slot;
    }
  }
}

// A replay with a delay has not begun when one without, that was asked later, has served everything; in the end it
// serves the same.
TEST(Replay, TheStartIsDelayed) {
  const Updates made = MadeRecording();
  TemporaryRecording recording(made);
  ReplayOptions options = Max(recording.path());
  options.start_delay = std::chrono::hours(1);
  auto never = StartReplay(options);
  options.start_delay = std::chrono::milliseconds(200);
  auto later = StartReplay(options);
  auto at_once = StartReplay(Max(recording.path()));
  StreamClient waits(never->port(), All());
  waits.Ping(1);
  StreamClient comes(later->port(), All());
  StreamClient first(at_once->port(), All());
  EXPECT_EQ(BareBytes(first.ReadData(made.size())), BareBytes(made));
  EXPECT_EQ(BareBytes(comes.ReadData(made.size())), BareBytes(made));
  waits.Ping(2);
  int pongs = 0;
  for (SubscribeUpdate update; pongs < 2 && waits.Read(&update); pongs += update.has_pong()) {
    EXPECT_TRUE(update.has_ping() || update.has_pong()) << update.ShortDebugString();
  }
  EXPECT_EQ(pongs, 2);
  EXPECT_FALSE(never->progress().begun);
  auto stub = Stub(never->port());
  geyser::GetSlotResponse slot;
  EXPECT_EQ(Ask(*stub, geyser::GetSlotRequest(), &slot, &geyser::Geyser::Stub::GetSlot).error_message(),
            "block is not available yet");
}

// A stream is pinged again and again, from before it subscribes until after the last update.
TEST(Replay, PingsComeAgain) {
  const Updates made = MadeRecording();
  TemporaryRecording recording(made);
  ReplayOptions options = Max(recording.path());
  options.ping_interval = std::chrono::milliseconds(5);
  auto server = StartReplay(options);
  StreamClient client(server->port());
  SubscribeUpdate update;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(client.Read(&update));
    EXPECT_TRUE(update.has_ping()) << update.ShortDebugString();
    EXPECT_TRUE(update.has_created_at());
  }
  client.Send(All());
  EXPECT_EQ(BareBytes(client.ReadData(made.size())), BareBytes(made));
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(client.Read(&update));
    EXPECT_TRUE(update.has_ping()) << update.ShortDebugString();
  }
}

TEST(Replay, SeveralFilesAreOne) {
  const Updates made = MadeRecording();
  size_t cut = 0;
  while (!IsConfirmed(made[cut], 1009)) ++cut;
  TemporaryRecording first(Updates(made.begin(), made.begin() + static_cast<ptrdiff_t>(cut) + 1));
  TemporaryRecording second(Updates(made.begin() + static_cast<ptrdiff_t>(cut) + 1, made.end()));
  ReplayOptions options = Max(first.path());
  options.files.push_back(second.path());
  auto server = StartReplay(options);
  StreamClient client(server->port(), All());
  EXPECT_EQ(BareBytes(client.ReadData(made.size())), BareBytes(made));

  options.files = {second.path(), first.path()};
  EXPECT_THAT(std::string(ReplayServer::Start(options).status().message()),
              HasSubstr(first.path() + ": its first block is slot 1000, which does not come after"));
  options.files = {first.path(), first.path()};
  EXPECT_EQ(ReplayServer::Start(options).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Replay, DamagedFilesAreRefused) {
  const Updates made = MadeRecording();
  TemporaryRecording cut(made, true);
  const size_t last = made.back().ByteSizeLong() + 1;
  const uint64_t size = std::filesystem::file_size(cut.path()) + 1;
  const absl::Status status = ReplayServer::Start(Max(cut.path())).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr(cut.path() + ": at offset " + std::to_string(size - last) + ":"));

  geyser::SubscribeUpdate broken;
  broken.mutable_created_at();
  TemporaryRecording empty({broken});
  EXPECT_THAT(std::string(ReplayServer::Start(Max(empty.path())).status().message()),
              HasSubstr("nothing in the recording"));
  EXPECT_EQ(ReplayServer::Start(Max("/nonexistent.updates")).status().code(), absl::StatusCode::kNotFound);
}

TEST(Replay, OptionsThatCannotBeAreNamed) {
  TemporaryRecording recording(MadeRecording());
  auto message = [&](const std::function<void(ReplayOptions*)>& change) {
    ReplayOptions options = Max(recording.path());
    change(&options);
    const absl::Status status = ReplayServer::Start(options).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_THAT(message([](auto* o) { o->files.clear(); }), HasSubstr("files"));
  EXPECT_THAT(message([](auto* o) { o->slots_per_second = 0; }), HasSubstr("slots_per_second"));
  EXPECT_THAT(message([](auto* o) { o->wait_subscribers = 0; }), HasSubstr("wait_subscribers"));
  EXPECT_THAT(message([](auto* o) { o->start_delay = std::chrono::milliseconds(-1); }), HasSubstr("start_delay"));
  EXPECT_THAT(message([](auto* o) { o->ping_interval = std::chrono::milliseconds(0); }), HasSubstr("ping_interval"));
  EXPECT_THAT(message([](auto* o) { o->listen = "127.0.0.1"; }), HasSubstr("listen"));

  auto server = StartReplay(Max(recording.path()));
  ReplayOptions options = Max(recording.path());
  options.listen = "127.0.0.1:" + std::to_string(server->port());
  EXPECT_EQ(ReplayServer::Start(options).status().code(), absl::StatusCode::kAlreadyExists);
}

TEST(Replay, TellsOfSubscribers) {
  TemporaryRecording recording(MadeRecording());
  std::vector<ReplaySubscribe> events;
  std::atomic<size_t> told = 0;
  ReplayOptions options = Max(recording.path());
  options.on_subscribe = [&](const ReplaySubscribe& event) {
    events.push_back(event);
    ++told;
  };
  auto server = StartReplay(options);
  StreamClient client(server->port(), All(1001));
  client.ReadData(1);
  WaitFor([&] { return told == 1; });  // the data may be there before
  StreamClient refused(server->port(), All(1));
  refused.Finish();
  server->Stop();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].from_slot, 1001u);
  EXPECT_EQ(events[0].accounts, 1u);
  EXPECT_TRUE(events[0].status.ok());
  EXPECT_EQ(events[1].status.code(), absl::StatusCode::kOutOfRange);
}

TEST(Replay, ManyStreamsAndOneThatDoesNotRead) {
  const Updates recorded = ReadRecording(kSmallRecording);
  constexpr int kStreams = 64;
  ReplayOptions options = Max(kSmallRecording);
  options.wait_subscribers = kStreams + 1;
  auto server = StartReplay(options);
  StreamClient stalled(server->port(), All());
  std::vector<std::unique_ptr<StreamClient>> clients;
  for (int i = 0; i < kStreams; ++i) clients.push_back(std::make_unique<StreamClient>(server->port(), All()));
  const std::vector<std::string> expected = BareBytes(recorded);
  std::vector<std::thread> threads;
  std::atomic<int> equal = 0;
  for (auto& client : clients) {
    threads.emplace_back([&, c = client.get()] { equal += BareBytes(c->ReadData(expected.size())) == expected; });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(equal, kStreams);
  server->Stop();  // comes back although one client still has everything to read
  EXPECT_EQ(server->progress().streams, 0u);
  EXPECT_EQ(clients[0]->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace everstate
