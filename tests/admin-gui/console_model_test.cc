#include "admin-gui/console_model.h"

#include <gmock/gmock.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

namespace everstate::console {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

constexpr Time kStart{seconds(1000)};

api::Status StatusAt(uint64_t uptime_ms, uint64_t updates = 0) {
  api::Status status;
  status.set_uptime_us(uptime_ms * 1000);
  status.mutable_stream()->set_state("live");
  auto* stage = status.add_stages();
  stage->set_name("receive");
  stage->set_unit("updates");
  stage->set_units(updates);
  return status;
}

api::TailChunk Chunk(size_t frames, size_t json_bytes = 10) {
  api::TailChunk chunk;
  for (size_t i = 0; i < frames; ++i) chunk.add_frames()->set_json(std::string(json_bytes, 'j'));
  return chunk;
}

std::vector<uint64_t> SlotNumbers(const ConsoleModel& model) {
  std::vector<uint64_t> numbers;
  for (const auto& slot : model.slots()) numbers.push_back(slot.slot());
  return numbers;
}

api::Status WithSlots(uint64_t uptime_ms, std::vector<uint64_t> slots) {
  api::Status status = StatusAt(uptime_ms);
  for (const uint64_t slot : slots) status.add_slots()->set_slot(slot);
  return status;
}

TEST(ConsoleModel, KnowsNothingAtFirst) {
  const ConsoleModel model;
  EXPECT_FALSE(model.info() || model.status() || model.checkpoints());
  EXPECT_TRUE(model.stale(kStart));
  EXPECT_FALSE(model.rates().updates_per_s);
  EXPECT_EQ(model.version_remark(), "");
}

TEST(ConsoleModel, RatesAreMeasuredOverTheRateSpan) {
  ConsoleModel model;
  model.Apply({kStart, Connected{}});
  // A hundred updates a second for ten seconds, then a thousand.
  uint64_t updates = 0;
  for (int i = 0; i <= 80; ++i) {
    model.Apply({kStart + i * milliseconds(250), StatusArrived{StatusAt(static_cast<uint64_t>(i) * 250, updates)}});
    if (i == 0) {
      EXPECT_FALSE(model.rates().updates_per_s);
    }
    if (i == 40) {
      EXPECT_DOUBLE_EQ(*model.rates().updates_per_s, 100);
      EXPECT_DOUBLE_EQ(*model.rates().seconds, 2);
    }
    updates += i < 40 ? 25 : 250;
  }
  EXPECT_DOUBLE_EQ(*model.rates().updates_per_s, 1000);
  EXPECT_EQ(model.updates_per_s().samples().size(), 81u);
}

TEST(ConsoleModel, AnotherProcessBeginsAnew) {
  ConsoleModel model;
  model.Apply({kStart, Connected{}});
  model.Apply({kStart, StatusArrived{WithSlots(50000, {10, 11})}});
  model.Apply({kStart + seconds(1), StatusArrived{StatusAt(51000, 5)}});
  EXPECT_TRUE(model.rates().updates_per_s);
  model.Apply({kStart + seconds(9), StatusArrived{StatusAt(200, 100000)}});
  EXPECT_FALSE(model.rates().updates_per_s) << "a rate across a restart is no rate";
  EXPECT_TRUE(model.slots().empty());
  EXPECT_THAT(model.notices().back().text, HasSubstr("started again"));
}

// A server that was lost and came back as another process, which by now has run for longer than the first had.
TEST(ConsoleModel, AnotherProcessIsKnownByItsStart) {
  const auto started = [](int64_t at) {
    api::Info info;
    info.set_started_at(at);
    return Connected{info};
  };
  ConsoleModel model;
  model.Apply({kStart, started(500)});
  model.Apply({kStart, StatusArrived{WithSlots(5000, {10, 11})}});
  model.Apply({kStart + seconds(1), Lost{"gone", kStart + seconds(9)}});
  model.Apply({kStart + seconds(9), started(505)});
  EXPECT_EQ(model.notices().size(), 1u);
  model.Apply({kStart + seconds(9), StatusArrived{StatusAt(8000, 100)}});
  EXPECT_FALSE(model.rates().updates_per_s) << "the counters are another process's";
  EXPECT_TRUE(model.slots().empty());
  ASSERT_EQ(model.notices().size(), 2u);
  EXPECT_THAT(model.notices().back().text, HasSubstr("started again"));
  model.Apply({kStart + seconds(10), StatusArrived{StatusAt(9000, 300)}});
  EXPECT_DOUBLE_EQ(*model.rates().updates_per_s, 200);
  EXPECT_EQ(model.notices().size(), 2u);
}

// The same process after a lost connection: what happened meanwhile is no rate of now.
TEST(ConsoleModel, RatesBeginAnewAfterALoss) {
  ConsoleModel model;
  model.Apply({kStart, Connected{}});
  model.Apply({kStart, StatusArrived{WithSlots(50000, {10, 11})}});
  model.Apply({kStart + seconds(1), StatusArrived{StatusAt(51000, 5)}});
  model.Apply({kStart + seconds(1), Lost{"gone", kStart + seconds(9)}});
  model.Apply({kStart + seconds(60), Connected{}});
  model.Apply({kStart + seconds(60), StatusArrived{StatusAt(110000, 60000)}});
  EXPECT_FALSE(model.rates().updates_per_s);
  EXPECT_FALSE(model.slots().empty());
  model.Apply({kStart + seconds(61), StatusArrived{StatusAt(111000, 60010)}});
  EXPECT_DOUBLE_EQ(*model.rates().updates_per_s, 10);
}

TEST(ConsoleModel, ALostServerKeepsItsLastStateAndSaysSinceWhen) {
  ConsoleModel model;
  model.Apply({kStart, Connecting{1}});
  model.Apply({kStart, Connected{}});
  model.Apply({kStart + seconds(1), StatusArrived{StatusAt(1000)}});
  EXPECT_FALSE(model.stale(kStart + seconds(2)));
  EXPECT_TRUE(model.stale(kStart + seconds(4))) << "silent";

  model.Apply({kStart + seconds(5), Lost{"unreachable", kStart + seconds(6)}});
  EXPECT_EQ(model.link().state, Link::State::kLost);
  EXPECT_EQ(model.link().since, kStart + seconds(5));
  EXPECT_TRUE(model.stale(kStart + seconds(5)));
  EXPECT_TRUE(model.status());
  // Tries that fail do not move the time of the loss.
  model.Apply({kStart + seconds(6), Connecting{1}});
  EXPECT_EQ(model.link().state, Link::State::kLost);
  model.Apply({kStart + seconds(7), Lost{"unreachable", kStart + seconds(9)}});
  EXPECT_EQ(model.link().since, kStart + seconds(5));
  EXPECT_EQ(model.link().losses, 1u);
  // The line has a hole where nothing was known.
  EXPECT_FALSE(model.updates_per_s().samples().back().value);

  model.Apply({kStart + seconds(10), Connected{}});
  model.Apply({kStart + seconds(10), StatusArrived{StatusAt(9000)}});
  EXPECT_EQ(model.link().state, Link::State::kUp);
  EXPECT_FALSE(model.stale(kStart + seconds(10)));
}

TEST(ConsoleModel, SlotsAreKeptBeyondWhatOneStatusHas) {
  ConsoleModel model;
  model.Apply({kStart, StatusArrived{WithSlots(1, {10, 12, 13})}});
  model.Apply({kStart, StatusArrived{WithSlots(2, {12, 13, 14})}});
  model.Apply({kStart, StatusArrived{WithSlots(3, {})}});
  EXPECT_THAT(SlotNumbers(model), testing::ElementsAre(10, 12, 13, 14));
  model.Apply({kStart, StatusArrived{WithSlots(4, {5, 6})}});
  EXPECT_THAT(SlotNumbers(model), testing::ElementsAre(5, 6)) << "the server went back: a rewind";
  for (uint64_t slot = 7; slot < 1000; ++slot) model.Apply({kStart, StatusArrived{WithSlots(slot, {slot})}});
  EXPECT_EQ(model.slots().size(), kSlotsMax);
  EXPECT_EQ(model.slots().back().slot(), 999u);
}

TEST(ConsoleModel, StreamStatesAreAHistory) {
  ConsoleModel model;
  uint64_t uptime_ms = 1;
  for (const char* state : {"connecting", "live", "live", "waiting to reconnect", "connecting", "live"}) {
    api::Status status = StatusAt(uptime_ms++);
    status.mutable_stream()->set_state(state);
    model.Apply({kStart + milliseconds(uptime_ms), StatusArrived{status}});
  }
  ASSERT_EQ(model.stream_states().size(), 5u);
  EXPECT_EQ(model.stream_states()[1].state, "live");
  EXPECT_EQ(model.stream_states()[1].since, kStart + milliseconds(3)) << "since it was first so";
}

TEST(ConsoleModel, AbsentIsUnknownInTheSeries) {
  ConsoleModel model;
  model.Apply({kStart, StatusArrived{StatusAt(1)}});
  EXPECT_FALSE(model.lag_slots().samples().back().value);
  api::Status status = StatusAt(2);
  status.mutable_store()->set_lag_slots(0);
  model.Apply({kStart, StatusArrived{status}});
  EXPECT_EQ(model.lag_slots().samples().back().value, 0.0) << "a known zero is a zero";
}

TEST(ConsoleModel, AnotherVersionIsSaid) {
  ConsoleModel model;
  api::Info info;
  info.set_interface_version(kInterfaceVersion);
  model.Apply({kStart, Connected{info}});
  EXPECT_EQ(model.version_remark(), "");
  info.set_interface_version(7);
  model.Apply({kStart, Connected{info}});
  EXPECT_THAT(model.version_remark(), HasSubstr("interface 7, this console 1"));
  model.Apply({kStart, Connected{}});
  EXPECT_THAT(model.version_remark(), HasSubstr("does not say"));
}

TEST(ConsoleModel, CommandsAreUnderWayUntilTheyAreDone) {
  ConsoleModel model;
  model.Apply({kStart, CommandStarted{"rewind"}});
  EXPECT_TRUE(model.under_way("rewind"));
  EXPECT_FALSE(model.under_way("prune"));
  model.Apply({kStart, CommandDone{"rewind", false, std::string(100000, 'e')}});
  EXPECT_FALSE(model.under_way("rewind"));
  EXPECT_FALSE(model.notices().back().ok);
  EXPECT_LT(model.notices().back().text.size(), 5000u);
  for (size_t i = 0; i < 1000; ++i) model.Apply({kStart, CommandDone{"x", true, "y"}});
  EXPECT_EQ(model.notices().size(), kNoticesMax);
}

TEST(ConsoleModel, CheckpointsStayWhenTheyCannotBeAskedFor) {
  ConsoleModel model;
  api::Checkpoints checkpoints;
  checkpoints.add_checkpoints()->set_name("a");
  model.Apply({kStart, CheckpointsArrived{checkpoints}});
  model.Apply({kStart + seconds(1), CheckpointsFailed{"unreachable"}});
  EXPECT_EQ(model.checkpoints()->checkpoints_size(), 1);
  EXPECT_EQ(model.checkpoints_at(), kStart);
  EXPECT_EQ(model.checkpoints_error(), "unreachable");
}

RC_GTEST_PROP(Tail, IsBoundedAndKeepsTheNewest, ()) {
  Tail tail;
  uint64_t added = 0;
  for (int chunks = *rc::gen::inRange(1, 12); chunks > 0; --chunks) {
    const size_t frames = *rc::gen::inRange<size_t>(0, 3000);
    const size_t bytes = *rc::gen::element<size_t>(10, 1000, 30000);
    tail.Add(Chunk(frames, bytes), kStart);
    added += frames;
    RC_ASSERT(tail.next_id() == added);
    RC_ASSERT(tail.rows().size() <= kTailRowsMax);
    RC_ASSERT(tail.bytes() <= kTailBytesMax);
    for (size_t i = 0; i < tail.rows().size(); ++i) RC_ASSERT(tail.rows()[i].id == tail.first_id() + i);
    if (frames > 0) RC_ASSERT(tail.Find(added - 1) != nullptr);
    RC_ASSERT(tail.Find(added) == nullptr);
    if (tail.first_id() > 0) RC_ASSERT(tail.Find(tail.first_id() - 1) == nullptr);
  }
}

TEST(Tail, AFrameBeyondTheBoundIsNotKept) {
  Tail tail;
  tail.Add(Chunk(1, kTailBytesMax + 1), kStart);
  EXPECT_TRUE(tail.rows().empty());
  EXPECT_EQ(tail.bytes(), 0u);
  tail.Add(Chunk(1), kStart);
  EXPECT_EQ(tail.rows().size(), 1u);
}

}  // namespace
}  // namespace everstate::console
