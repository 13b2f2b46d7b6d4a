// Ingest::RestartAt: another position while the stream runs, waits, or is held up.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "tests/server/ingest/ingest_support.h"

namespace everstate::ingest {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using testing::ScriptedCall;
using testing::ScriptedGeyser;

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
  EXPECT_THAT(runner.WaitForEvents(7),
              ElementsAre("block 20", "block 21", "block 22", "restarted 9", "block 10", "block 11", "block 12"));
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
  std::thread run([&] {
    kIngestThread.Assume();
    EXPECT_TRUE(ingest.Run().ok());
  });
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

}  // namespace
}  // namespace everstate::ingest
