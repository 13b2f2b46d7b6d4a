// Whole stacks over recorded blocks: the final entities, and that nothing but blocks and state decides them.
#include "tests/server/vm/recorded_stream.h"
#include "tests/support/source_dir.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iostream>

namespace everstate::vm {
namespace {

using ::testing::AnyOf;

const std::string kRepository = InSource("");
const std::string kData = kRepository + "/../shared/data";

struct Recorded {
  std::string name, stack, recording, expected;
  size_t leaves_least;
};
void PrintTo(const Recorded& recorded, std::ostream* out) { *out << recorded.name; }

class RecordedStreamTest : public ::testing::TestWithParam<Recorded> {
 protected:
  void SetUp() override {
    for (const std::string& file : {GetParam().stack, GetParam().recording, GetParam().expected}) {
      if (!std::ifstream(file)) GTEST_SKIP() << file << " is not here";
    }
    auto stack = stack::LoadStack(GetParam().stack);
    ASSERT_TRUE(stack.ok()) << stack.status();
    auto compiled = Projection::Compile(*stack, Settings());
    ASSERT_TRUE(compiled.ok()) << compiled.status();
    projection_ = *compiled;
    blocks_ = BlocksOf(GetParam().recording);
    ASSERT_FALSE(blocks_.empty());
  }
  std::shared_ptr<const Projection> projection_;
  std::vector<BlockRef> blocks_;
};

TEST_P(RecordedStreamTest, FinalEntitiesAreThoseOfAnotherProgram) {
  Machine machine(projection_);
  MapView view;
  for (const BlockRef& block : blocks_) view.Apply(*Project(&machine, *block, &view));
  std::ifstream file(GetParam().expected);
  const Compared compared = Compare(nlohmann::json::parse(file), EntitiesOf(*projection_->schema(), view));
  std::cout << compared.entities << " entities, " << compared.leaves << " leaves compared, "
            << compared.differences.size() << " differences\n";
  EXPECT_THAT(compared.differences, ::testing::IsEmpty());
  EXPECT_GE(compared.leaves, GetParam().leaves_least);
  for (const Fault& fault : machine.faults()) {
    std::cout << fault.entity << " " << fault.handler << ": " << fault.count << " times " << Name(fault.reason)
              << ", e.g. " << fault.sample << "\n";
    EXPECT_THAT(fault.reason, AnyOf(FaultReason::kArgumentsPadded));
  }
  const MachineCounters& counters = machine.counters();
  EXPECT_GT(counters.mutations, view.rows.size());
  std::cout << counters.events_logged << " events said in logs only, " << counters.events_twice << " said twice, "
            << counters.logs_incomplete << " logs incomplete, " << counters.events_waited << " events waited, "
            << counters.events_resumed << " resumed\n";
}

// The machine remembers nothing: one that is made for the block, over rows that were read from their bytes, makes the
// same batch of it as one that saw all blocks before, and makes it again.
TEST_P(RecordedStreamTest, ARestartBetweenAnyTwoBlocksChangesNothing) {
  Machine machine(projection_);
  MapView view;
  for (const BlockRef& block : blocks_) {
    const BatchRef batch = Project(&machine, *block, &view);
    MapView read;
    read.rows = view.rows;
    read.sides = view.sides;
    read.Reload(*projection_->schema());
    Machine other(projection_);
    const std::string described = Describe(*batch);
    ASSERT_EQ(described, Describe(*Project(&other, *block, &read))) << "slot " << block->id.slot;
    ASSERT_EQ(described, Describe(*Project(&machine, *block, &read))) << "slot " << block->id.slot;
    view.Apply(*batch);
  }
}

TEST_P(RecordedStreamTest, TheOrderOfArrivalChangesNothing) {
  const auto batches = [&](const std::vector<BlockRef>& blocks) {
    Machine machine(projection_);
    MapView view;
    std::vector<std::string> described;
    for (const BlockRef& block : blocks) {
      const BatchRef batch = Project(&machine, *block, &view);
      view.Apply(*batch);
      described.push_back(Describe(*batch));
    }
    return described;
  };
  const std::vector<std::string> expected = batches(blocks_);
  std::mt19937 random(4711);
  for (int round = 0; round < 3; ++round) EXPECT_EQ(batches(BlocksOf(GetParam().recording, &random)), expected);
}

const Recorded kRecorded[] = {
    {"SplSmall", kRepository + "/tests/stacks/SplStream.stack.json",
     kRepository + "/tests/recordings/spl-small.updates", kRepository + "/tests/recordings/spl-small.entities.json",
     1000},
    {"Spl", kRepository + "/tests/stacks/SplStream.stack.json", kData + "/recordings/spl.updates",
     kData + "/expected/spl.entities.json", 5000},
    {"Pump", kData + "/stacks/PumpStream.stack.json", kData + "/recordings/pump.updates",
     kData + "/expected/pump.entities.json", 100},
    {"PumpSim", kData + "/stacks/PumpStream.stack.json", kData + "/recordings/pump-sim.updates",
     kData + "/expected/pump-sim.entities.json", 3550},
};
INSTANTIATE_TEST_SUITE_P(All, RecordedStreamTest, ::testing::ValuesIn(kRecorded),
                         [](const auto& recorded) { return recorded.param.name; });

}  // namespace
}  // namespace everstate::vm
