// The whole way from a gRPC server to blocks, with everything that goes wrong on it. The server is scripted; times are
// short.
#include "server/ingest/ingest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include "server/ingest/recording.h"
#include "tests/server/ingest/ingest_support.h"
#include "tests/support/source_dir.h"

namespace everstate::ingest {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::ScriptedCall;
using testing::ScriptedGeyser;

TEST(Ingest, ACutInsideASlotLosesAndDoublesNothing) {
  ScriptedGeyser server({[](ScriptedCall& call) {
                           SendChain(call, 9, 11);
                           std::vector<std::string> half = testing::MessagesOf({.slot = 12, .parent = 11});
                           half.resize(half.size() / 2);
                           call.Send(half);
                           return grpc::Status(grpc::StatusCode::UNAVAILABLE, "server is shutting down");
                         },
                         [](ScriptedCall& call) {  // the same slot for another time, and a clean end
                           SendChain(call, 11, 13);
                           return grpc::Status::OK;
                         },
                         [](ScriptedCall& call) {
                           SendChain(call, 13, 14);
                           return call.Hang();
                         }});
  Runner runner(server, After(9));
  EXPECT_THAT(runner.WaitForEvents(5), ElementsAre("block 10", "block 11", "block 12", "block 13", "block 14"));
  const auto requests = server.requests();
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_EQ(requests[0].from_slot(), 9u);
  EXPECT_EQ(requests[1].from_slot(), 11u);
  EXPECT_EQ(requests[2].from_slot(), 13u);
  const StreamStatus status =
      runner.WaitForStatus([](const StreamStatus& s) { return s.state == StreamState::kLive && s.proven; });
  EXPECT_EQ(status.error, "");  // it is over
  EXPECT_EQ(status.connects, 3u);
  EXPECT_EQ(status.reconnects, 2u);
  EXPECT_EQ(status.from_slot, 13u);
  const auto texts = runner.texts();
  ASSERT_EQ(texts.size(), 5u);
  EXPECT_THAT(texts[2], HasSubstr("block 12 "));
}

TEST(Ingest, AHalfOpenLinkIsNoticed) {
  ScriptedGeyser server({[](ScriptedCall& call) {
                           SendChain(call, 10, 10);
                           return call.Hang();
                         },
                         [](ScriptedCall& call) {
                           SendChain(call, 10, 11);
                           return call.Hang();
                         }});
  IngestOptions options = After(9);
  options.silence_max = milliseconds(300);
  Runner runner(server, options);
  EXPECT_THAT(runner.WaitForEvents(2), ElementsAre("block 10", "block 11"));
}

TEST(Ingest, APositionThatIsTooOldGoesLiveWithAGap) {
  for (const auto& refusal :
       {grpc::Status(grpc::StatusCode::OUT_OF_RANGE, "broadcast from 9 is not available, last available: 15"),
        grpc::Status(grpc::StatusCode::INTERNAL, "from_slot is not supported")}) {
    ScriptedGeyser server({[&](ScriptedCall& call) {
      return call.from_slot().has_value() ? refusal : (SendLive(call, 20, 22), call.Hang());
    }});
    Runner runner(server, After(9));
    EXPECT_THAT(runner.WaitForEvents(4), ElementsAre("gap 9 20", "block 20", "block 21", "block 22"));
    const StreamStatus status =
        runner.WaitForStatus([](const StreamStatus& s) { return s.state == StreamState::kLive; });
    EXPECT_FALSE(status.from_slot.has_value());
    EXPECT_EQ(runner.ingest().counters().gaps.value(), 1u);
  }
}

TEST(Ingest, AServerThatIgnoresFromSlotShowsAsAGap) {
  ScriptedGeyser server({[](ScriptedCall& call) {
    SendLive(call, 20, 21);
    return call.Hang();
  }});
  Runner runner(server, After(9));
  EXPECT_THAT(runner.WaitForEvents(3), ElementsAre("gap 9 20", "block 20", "block 21"));
}

// A confirmed stream carries a block in one piece, and who joins it live may join in the middle of one. That block has
// its BlockMeta and its status, and yet half of its content.
TEST(Ingest, TheBlockThatALiveStreamWasJoinedInIsNotTakenForWhole) {
  for (const Slot joined_in : {10, 20}) {  // the child of the position, and one far behind it
    ScriptedGeyser server({[&](ScriptedCall& call) {
      if (call.from_slot().has_value()) return grpc::Status(grpc::StatusCode::INTERNAL, "from_slot is not supported");
      const std::vector<std::string> whole = testing::ReplayOf({.slot = joined_in, .parent = joined_in - 1});
      call.Send(std::vector<std::string>(whole.begin() + 5, whole.end()));
      SendChain(call, joined_in + 1, joined_in + 2);
      return call.Hang();
    }});
    Runner runner(server, After(9));
    const std::string next = std::to_string(joined_in + 1);
    EXPECT_THAT(runner.WaitForEvents(3),
                ElementsAre("gap 9 " + next, "block " + next, "block " + std::to_string(joined_in + 2)));
    EXPECT_EQ(runner.ingest().counters().slots_incomplete.value(), 1u);
  }
}

// A block waits for its parent. While the receiver holds the loop up nothing is read, and that is no part of the wait.
TEST(Ingest, AReceiverThatHoldsUpMakesNoGap) {
  IngestOptions options = After(9);
  options.ledger.parent_wait = milliseconds(5000);  // longer than a busy machine takes for what is sent here
  ScriptedGeyser server({[](ScriptedCall& call) {
    SendChain(call, 9, 9);
    for (const Slot slot : {12, 10}) call.Send(testing::ReplayOf({.slot = slot, .parent = slot - 1}));
    call.Send(testing::SlotUpdate(13, geyser::SLOT_FIRST_SHRED_RECEIVED));
    SendChain(call, 11, 11);
    return call.Hang();
  }});
  Runner runner(server, options, [](const std::string& event) {
    if (event == "block 10") std::this_thread::sleep_for(milliseconds(5100));
  });
  EXPECT_THAT(runner.WaitForEvents(3), ElementsAre("block 10", "block 11", "block 12"));
}

const grpc::Status kNothingToReplay(grpc::StatusCode::INTERNAL, "failed to get replay response");

TEST(Ingest, AProviderThatIsBehindIsWaitedFor) {
  std::atomic<bool> caught_up{false};
  ScriptedGeyser server(
      {[&](ScriptedCall& call) { return caught_up ? (SendChain(call, 9, 10), call.Hang()) : kNothingToReplay; }});
  server.set_tip(5);
  Runner runner(server, After(9));
  const StreamStatus status = runner.WaitForStatus(
      [](const StreamStatus& s) { return s.state == StreamState::kProviderBehind && s.connects > 8; });
  EXPECT_THAT(status.error, HasSubstr("failed to get replay response"));
  for (const auto& request : server.requests()) EXPECT_EQ(request.from_slot(), 9u);  // the position is never given up
  caught_up = true;
  EXPECT_THAT(runner.WaitForEvents(1), ElementsAre("block 10"));
  runner.WaitForStatus([](const StreamStatus& s) { return s.state == StreamState::kLive && s.error.empty(); });
}

TEST(Ingest, AProviderThatIsAheadAndCannotReplayGoesLiveAfterSomeTries) {
  ScriptedGeyser server({[&](ScriptedCall& call) {
    return call.from_slot().has_value() ? kNothingToReplay : (SendLive(call, 30, 30), call.Hang());
  }});
  server.set_tip(29);
  Runner runner(server, After(9));
  EXPECT_THAT(runner.WaitForEvents(2), ElementsAre("gap 9 30", "block 30"));
  EXPECT_EQ(server.calls(), 6);  // five tries
}

TEST(Ingest, ARefusedFilterIsFinal) {
  ScriptedGeyser server({[](ScriptedCall&) {
    return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "failed to create filter: too many owners");
  }});
  Runner runner(server, After(9));
  const absl::Status end = runner.WaitForEnd();
  EXPECT_EQ(end.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(end.message()), ::testing::EndsWith(": failed to create filter: too many owners"));
  EXPECT_EQ(server.calls(), 1);
  const StreamStatus status = runner.ingest().status();
  EXPECT_EQ(status.state, StreamState::kStopped);
  EXPECT_THAT(status.error, HasSubstr("too many owners"));
}

TEST(Ingest, ARefusedTokenIsTriedAgainSlowlyAndStopEndsTheWait) {
  ScriptedGeyser server(
      {[](ScriptedCall&) { return grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "No valid auth token"); }});
  IngestOptions options = After(9);
  options.backoff_max = std::chrono::hours(1);
  Runner runner(server, options);
  const StreamStatus status =
      runner.WaitForStatus([](const StreamStatus& s) { return s.state == StreamState::kWaitingToReconnect; });
  EXPECT_THAT(status.error, HasSubstr("No valid auth token"));
  EXPECT_EQ(server.calls(), 1);
  runner.ingest().Stop();
  EXPECT_TRUE(runner.WaitForEnd().ok());
}

TEST(Ingest, AnotherChainIsFinal) {
  ScriptedGeyser server({[](ScriptedCall& call) {
    call.Send(testing::ReplayOf({.slot = 9, .parent = 8, .fork = "other"}));
    return call.Hang();
  }});
  Runner runner(server, After(9));
  EXPECT_EQ(runner.WaitForEnd().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(server.calls(), 1);
}

// ABORTED is also a code of gRPC: from the server it is a cut like any other.
TEST(Ingest, AServersAbortedIsACut) {
  ScriptedGeyser server({[](ScriptedCall&) { return grpc::Status(grpc::StatusCode::ABORTED, "proxy"); },
                         [](ScriptedCall& call) {
                           SendChain(call, 9, 10);
                           return call.Hang();
                         }});
  Runner runner(server, After(9));
  EXPECT_THAT(runner.WaitForEvents(1), ElementsAre("block 10"));
}

TEST(Ingest, NothingOfABrokenSlotIsHandedOver) {
  ScriptedGeyser server({[](ScriptedCall& call) {
                           SendChain(call, 10, 10);
                           geyser::SubscribeUpdate broken = testing::TransactionMessage(11, 0);
                           broken.mutable_transaction()
                               ->mutable_transaction()
                               ->mutable_transaction()
                               ->mutable_message()
                               ->mutable_instructions(0)
                               ->set_program_id_index(99);
                           call.Send(broken);
                           SendChain(call, 11, 11);
                           return call.Hang();
                         },
                         [](ScriptedCall& call) {
                           SendChain(call, 10, 11);
                           return call.Hang();
                         }});
  Runner runner(server, After(9));
  EXPECT_THAT(runner.WaitForEvents(2), ElementsAre("block 10", "block 11"));
  EXPECT_EQ(runner.ingest().counters().malformed_messages.value(), 1u);
  EXPECT_EQ(server.calls(), 2);
}

TEST(Ingest, AnEmptyStoreThatCannotBeginWhereItWasToldToSaysSo) {
  ScriptedGeyser server({[](ScriptedCall&) {
    return grpc::Status(grpc::StatusCode::OUT_OF_RANGE, "broadcast from 5 is not available, last available: 15");
  }});
  IngestOptions options = After(std::nullopt);
  options.ledger.from_slot = 5;
  Runner runner(server, options);
  const absl::Status status = runner.WaitForEnd();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              ::testing::AllOf(HasSubstr("cannot begin at slot 5"), HasSubstr("last available: 15")));
}

TEST(Ingest, AReceiverThatIsClosedEndsTheRun) {
  ScriptedGeyser server({[](ScriptedCall& call) {
    // Until the client is gone: however late the receiver closes, another block comes.
    for (Slot slot = 9; call.Send(testing::ReplayOf({.slot = slot, .parent = slot - 1})); ++slot) {
    }
    return grpc::Status::OK;
  }});
  Runner runner(server, After(9));
  runner.RefuseEvents();
  EXPECT_TRUE(runner.WaitForEnd().ok());
}

TEST(Ingest, StopEndsAConnectThatWaits) {
  // Nobody answers at an address of the documentation's network (RFC 5737), or the network says at once that it is
  // unreachable.
  Ingest ingest(After(9), *OpenYellowstone({.endpoint = "http://192.0.2.1:10000", .x_token = {}}),
                [](LedgerEvent) { return true; });
  std::thread run([&] {
    kIngestThread.Assume();
    EXPECT_TRUE(ingest.Run().ok());
  });
  ingest.Stop();
  run.join();
  EXPECT_EQ(ingest.status().state, StreamState::kStopped);
}

struct Recorded {
  std::vector<std::string> messages;
  std::map<Slot, size_t> first_message;  // of each slot
};

Recorded ReadRecording() {
  Recorded out;
  auto recording = RecordingReader::Open(InSource("tests/recordings/spl-small.updates"));
  EXPECT_TRUE(recording.ok()) << recording.status();
  while (recording.ok()) {
    const auto message = recording->Next();
    if (!message.ok() || !message->has_value()) break;
    out.messages.emplace_back((*message)->bytes);
    geyser::SubscribeUpdate update;
    if (update.ParseFromString(out.messages.back()) && update.has_slot())
      out.first_message.emplace(update.slot().slot(), out.messages.size() - 1);
  }
  return out;
}

// Cut after a random number of messages, with a random error, again and again: the blocks are those of the uncut
// stream.
TEST(Ingest, ManyCutsGiveTheBlocksOfTheUncutStream) {
  const Recorded recorded = ReadRecording();
  LedgerCounters counters;
  Ledger whole({}, &counters);
  std::vector<LedgerEvent> expected;
  for (const std::string& message : recorded.messages) ASSERT_TRUE(whole.Add(message, {}, &expected).ok());
  ASSERT_EQ(expected.size(), 30u);

  std::mutex mutex;
  std::mt19937 random(5);
  ScriptedGeyser server({[&](ScriptedCall& call) {
    size_t at = call.from_slot().has_value() ? recorded.first_message.at(*call.from_slot()) : 0;
    size_t end = 0;
    int code = 0;
    {
      std::lock_guard lock(mutex);
      end = std::min(recorded.messages.size(), at + 1 + random() % 400);
      code = static_cast<int>(random() % 4);
    }
    for (; at < end; ++at) call.Send(recorded.messages[at]);
    if (end == recorded.messages.size()) return call.Hang();
    if (code == 0) return grpc::Status::OK;
    const grpc::StatusCode codes[] = {grpc::StatusCode::UNAVAILABLE, grpc::StatusCode::INTERNAL,
                                      grpc::StatusCode::UNKNOWN};
    return grpc::Status(codes[code - 1], "cut");
  }});
  Runner runner(server, After(std::nullopt));
  const auto events = runner.WaitForEvents(expected.size());
  const auto texts = runner.texts();
  ASSERT_EQ(texts.size(), expected.size());
  for (size_t i = 0; i < texts.size(); ++i) EXPECT_EQ(texts[i], testing::TextOf(*std::get<BlockRef>(expected[i])));
  EXPECT_GT(server.calls(), 5);
  EXPECT_EQ(runner.ingest().counters().gaps.value(), 0u);
  std::printf("%d connections\n", server.calls());
}

}  // namespace
}  // namespace everstate::ingest
