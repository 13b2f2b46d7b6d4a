// The whole way from a gRPC server to blocks, with everything that goes wrong on it. The server is scripted; times are
// short.
#include "server/ingest/ingest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include "server/ingest/recording.h"
#include "server/ingest/yellowstone.h"
#include "tests/support/geyser_builder.h"
#include "tests/support/scripted_geyser.h"
#include "tests/support/source_dir.h"

namespace everstate::ingest {
namespace {

using std::chrono::milliseconds;
using testing::BlockSpec;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::ScriptedCall;
using testing::ScriptedGeyser;

constexpr std::chrono::seconds kGenerous{300};

IngestOptions After(std::optional<Slot> position) {
  IngestOptions options;
  options.backoff_first = milliseconds(1);
  options.backoff_max = milliseconds(20);
  options.ledger.parent_wait = milliseconds(50);
  if (position.has_value()) {
    options.ledger.position = BlockId{*position, testing::BlockhashOf(*position), *position - 1,
                                      testing::BlockhashOf(*position - 1), std::nullopt};
  }
  return options;
}

void SendChain(ScriptedCall& call, Slot first, Slot last) {
  for (Slot slot = first; slot <= last; ++slot) call.Send(testing::ReplayOf({.slot = slot, .parent = slot - 1}));
}

// Runs an Ingest against a server and keeps what comes out as text.
class Runner {
 public:
  Runner(const ScriptedGeyser& server, IngestOptions options)
      : ingest_(std::move(options), *OpenYellowstone({.endpoint = server.endpoint(), .x_token = {}}),
                [this](LedgerEvent e) { return Take(std::move(e)); }),
        thread_([this] {
          absl::Status status = ingest_.Run();
          std::lock_guard lock(mutex_);
          result_ = std::move(status);
          changed_.notify_all();
        }) {}
  ~Runner() {
    ingest_.Stop();
    thread_.join();
  }

  std::vector<std::string> WaitForEvents(size_t count) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, kGenerous, [&] { return events_.size() >= count || result_.has_value(); }))
        << "only " << events_.size();
    return events_;
  }
  absl::Status WaitForEnd() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, kGenerous, [&] { return result_.has_value(); }));
    return result_.value_or(absl::DeadlineExceededError("still running"));
  }
  template <typename F>
  StreamStatus WaitForStatus(F condition) {
    const auto patience = std::chrono::steady_clock::now() + kGenerous;
    while (std::chrono::steady_clock::now() < patience) {
      if (StreamStatus status = ingest_.status(); condition(status)) return status;
      std::this_thread::sleep_for(milliseconds(1));
    }
    ADD_FAILURE() << "state " << Name(ingest_.status().state) << ", error " << ingest_.status().error;
    return ingest_.status();
  }
  void RefuseEvents() { refuse_ = true; }
  std::vector<std::string> texts() {
    std::lock_guard lock(mutex_);
    return texts_;
  }
  Ingest& ingest() { return ingest_; }

 private:
  bool Take(LedgerEvent event) {
    if (refuse_) return false;
    std::lock_guard lock(mutex_);
    if (const auto* gap = std::get_if<Gap>(&event)) {
      events_.push_back("gap " + std::to_string(gap->from) + " " + std::to_string(gap->to));
    } else if (const auto* restarted = std::get_if<Restarted>(&event)) {
      events_.push_back("restarted " + std::to_string(restarted->at.slot));
    } else {
      const Block& block = *std::get<BlockRef>(event);
      events_.push_back("block " + std::to_string(block.id.slot));
      texts_.push_back(testing::TextOf(block));
    }
    changed_.notify_all();
    return true;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> events_, texts_;
  std::optional<absl::Status> result_;
  std::atomic<bool> refuse_{false};
  Ingest ingest_;
  std::thread thread_;
};

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
      return call.from_slot().has_value() ? refusal : (SendChain(call, 20, 22), call.Hang());
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
    SendChain(call, 20, 21);
    return call.Hang();
  }});
  Runner runner(server, After(9));
  EXPECT_THAT(runner.WaitForEvents(3), ElementsAre("gap 9 20", "block 20", "block 21"));
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
    return call.from_slot().has_value() ? kNothingToReplay : (SendChain(call, 30, 30), call.Hang());
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
    SendChain(call, 10, 12);
    return call.Hang();
  }});
  Runner runner(server, After(8));
  runner.RefuseEvents();
  EXPECT_TRUE(runner.WaitForEnd().ok());
}

TEST(Ingest, StopEndsAConnectThatWaits) {
  // Nobody answers at an address of the documentation's network (RFC 5737), or the network says at once that it is
  // unreachable.
  Ingest ingest(After(9), *OpenYellowstone({.endpoint = "http://192.0.2.1:10000", .x_token = {}}),
                [](LedgerEvent) { return true; });
  std::thread run([&] { EXPECT_TRUE(ingest.Run().ok()); });
  ingest.Stop();
  run.join();
  EXPECT_EQ(ingest.status().state, StreamState::kStopped);
}

BlockId Position(Slot slot) { return *After(slot).ledger.position; }

TEST(Ingest, RestartAtBeginsAnewAtAnotherPosition) {
  ScriptedGeyser server({[](ScriptedCall& call) {
    const Slot from = call.from_slot().value_or(0);
    SendChain(call, from, from + 3);
    return call.Hang();
  }});
  Runner runner(server, After(19));
  EXPECT_THAT(runner.WaitForEvents(3), ElementsAre("block 20", "block 21", "block 22"));
  runner.ingest().RestartAt(Position(9), nullptr);
  EXPECT_THAT(runner.WaitForEvents(7), ElementsAre("block 20", "block 21", "block 22", "restarted 9", "block 10",
                                                   "block 11", "block 12"));
  EXPECT_EQ(server.requests().back().from_slot(), 9u);
  const StreamStatus status = runner.WaitForStatus([](const StreamStatus& s) { return s.proven; });
  EXPECT_EQ(status.state, StreamState::kLive);
  EXPECT_EQ(status.from_slot, 9u);
}

// The chain table of the old position says nothing about the new one.
TEST(Ingest, RestartAtTakesAnotherChainTable) {
  ScriptedGeyser server({[](ScriptedCall& call) {
    const bool first = call.from_slot() == 19u;
    if (!first) SendChain(call, 8, 10);
    if (first) SendChain(call, 20, 20);
    return call.Hang();
  }});
  IngestOptions options = After(19);
  options.ledger.applied_blockhash = [](Slot) { return testing::BlockhashOf(1, "of no chain"); };
  Runner runner(server, options);
  EXPECT_THAT(runner.WaitForEvents(1), ElementsAre("block 20"));
  std::atomic<int> asked{0};
  runner.ingest().RestartAt(Position(9), [&](Slot slot) {
    ++asked;
    return testing::BlockhashOf(slot);
  });
  EXPECT_THAT(runner.WaitForEvents(3), ElementsAre("block 20", "restarted 9", "block 10"));
  EXPECT_EQ(asked, 1);  // for slot 8
}

TEST(Ingest, RestartAtInterruptsABackoffAndTheLastOneCounts) {
  ScriptedGeyser server({[](ScriptedCall& call) {
    if (call.from_slot() != 9u) return grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "No valid auth token");
    SendChain(call, 9, 10);
    return call.Hang();
  }});
  IngestOptions options = After(19);
  options.backoff_max = std::chrono::hours(1);
  Runner runner(server, options);
  runner.WaitForStatus([](const StreamStatus& s) { return s.state == StreamState::kWaitingToReconnect; });
  runner.ingest().RestartAt(Position(9), nullptr);
  EXPECT_THAT(runner.WaitForEvents(2), ElementsAre("restarted 9", "block 10"));
  runner.WaitForStatus([](const StreamStatus& s) { return s.error.empty(); });
}

// While the sink blocks, RestartAt returns at once; what the loop still holds of the old position goes nowhere.
TEST(Ingest, RestartAtWhileTheSinkBlocks) {
  ScriptedGeyser server({[](ScriptedCall& call) {
    const Slot from = call.from_slot().value_or(0);
    SendChain(call, from, from + 8);
    return call.Hang();
  }});
  std::mutex mutex;
  std::condition_variable changed;
  bool blocked = false, open = false;
  std::vector<std::string> events;
  Ingest ingest(After(19), *OpenYellowstone({.endpoint = server.endpoint(), .x_token = {}}), [&](LedgerEvent event) {
    std::unique_lock lock(mutex);
    if (const auto* restarted = std::get_if<Restarted>(&event)) {
      events.push_back("restarted " + std::to_string(restarted->at.slot));
    } else {
      events.push_back("block " + std::to_string(std::get<BlockRef>(event)->id.slot));
      blocked = true;
      changed.notify_all();
      changed.wait(lock, [&] { return open; });
    }
    changed.notify_all();
    return true;
  });
  std::thread run([&] { EXPECT_TRUE(ingest.Run().ok()); });
  {
    std::unique_lock lock(mutex);
    ASSERT_TRUE(changed.wait_for(lock, kGenerous, [&] { return blocked; }));
  }
  ingest.RestartAt(Position(5), nullptr);  // nobody has seen it when the next one comes
  ingest.RestartAt(Position(9), nullptr);
  std::unique_lock lock(mutex);
  EXPECT_THAT(events, ElementsAre("block 20"));
  open = true;
  changed.notify_all();
  EXPECT_TRUE(changed.wait_for(lock, kGenerous, [&] { return events.size() >= 4; }));
  events.resize(4);
  EXPECT_THAT(events, ElementsAre("block 20", "restarted 9", "block 10", "block 11"));
  lock.unlock();
  ingest.Stop();
  run.join();
}

TEST(Ingest, RestartAtWithoutARunHasNoEffect) {
  ScriptedGeyser server({[](ScriptedCall& call) { return call.Hang(); }});
  Runner runner(server, After(9));
  runner.ingest().Stop();
  EXPECT_TRUE(runner.WaitForEnd().ok());
  runner.ingest().RestartAt(Position(5), nullptr);
  EXPECT_THAT(runner.WaitForEvents(0), ElementsAre());
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
