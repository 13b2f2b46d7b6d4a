// Checkpoints are made, verified and pruned, and a rewind is begun on purpose only.
#include "tests/admin-gui/window_fixture.h"

namespace everstate::console {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

using CheckpointsTest = WindowTest;

TEST_F(CheckpointsTest, ARewindNeedsItsConfirmation) {
  Open();
  Do("key Ctrl+3");
  Do("click checkpoint 300000200-4kLmN9pQ-a1b2");
  Do("click rewind");
  Do("wait rewind from contains 300000200-4kLmN9pQ-a1b2");
  EXPECT_EQ(console_->TextOf("rewind slot"), "300000200");
  Do("wait rewind now disabled");
  Do("click rewind confirmation");
  Do("type 30000020");
  Do("key Enter");  // not yet the slot: nothing must happen
  Do("wait rewind now disabled");
  EXPECT_TRUE(server_.resume_requests().empty());
  Do("key Escape");
  Do("wait rewind now gone");
  EXPECT_TRUE(server_.resume_requests().empty());

  Do("click rewind");
  EXPECT_EQ(console_->TextOf("rewind confirmation"), "") << "a confirmation is not kept for the next time";
  Do("click rewind confirmation");
  Do("type 300000200");
  Do("click accept a gap");
  Do("wait rewind now enabled");
  Do("hover rewind ask");
  Shot("rewind");
  Do("click rewind now");
  ASSERT_TRUE(Eventually([&] { return !server_.resume_requests().empty(); }));
  ASSERT_EQ(server_.resume_requests().size(), 1u);
  EXPECT_EQ(server_.resume_requests()[0].slot(), 300000200u);
  EXPECT_TRUE(server_.resume_requests()[0].accept_gap());
  EXPECT_FALSE(server_.resume_requests()[0].again());
  Do("wait notice contains rewind: begun from checkpoint-of-300000200, filling generation 5");
}

TEST_F(CheckpointsTest, ARewindsProgressAndFailureAreShown) {
  Open();
  Do("key Ctrl+3");
  server_.Configure([](FakeAdmin& s) {
    auto* rewind = s.status.mutable_rewind();
    rewind->set_state("filling");
    rewind->set_requested_slot(300000200);
    rewind->set_checkpoint("300000200-4kLmN9pQ-a1b2");
    rewind->set_generation(5);
    rewind->set_from_slot(300000200);
    rewind->set_slot(300000400);
    rewind->set_target_slot(300001000);
  });
  Do("wait rewind progress contains slot 300000400 of 300001000, 25 %");
  Do("wait rewind disabled");
  Shot("checkpoints");
  server_.Configure([](FakeAdmin& s) {
    s.status.mutable_rewind()->set_state("failed");
    s.status.mutable_rewind()->set_error("the archive's segment 7 is damaged at byte 4096");
  });
  Do("wait rewind error contains segment 7 is damaged");
  Do("wait rewind enabled");
}

// Nothing can be read of it but its name: it has no slot, not slot 0, and nobody knows what reaches from it.
TEST_F(CheckpointsTest, ADamagedCheckpointIsUnknownNotZero) {
  server_.Configure([](FakeAdmin& s) {
    for (const char* name : {"299998400-damaged", "299998400-too"}) {
      auto* damaged = s.checkpoints.add_checkpoints();
      damaged->set_name(name);
      damaged->set_damage("CHECKPOINT: 12 bytes are missing");
    }
  });
  Open();
  Do("key Ctrl+3");
  Do("wait checkpoint 299998400-too");
  const std::string one = "checkpoint 299998400-damaged";
  for (const char* what : {" slot", " made", " entities", " size", " reach"})
    EXPECT_EQ(console_->TextOf(one + what), "—") << what;
  EXPECT_THAT(console_->TextOf(one + " use"), StartsWith("damaged: CHECKPOINT"));
  EXPECT_EQ(console_->TextOf("checkpoint 300000800-4kLmN9pQ-a1b2 reach"), "whole");
  // The timeline shows the slots that are known, and they still lie apart.
  EXPECT_THAT(console_->TextOf("timeline"), HasSubstr("6 checkpoints"));
  Do("click " + one);
  Do("click rewind");
  EXPECT_EQ(console_->TextOf("rewind slot"), "");
  Do("key Escape");
  Do("wait rewind now gone");
  // Damaged ones are neither counted nor deleted.
  Do("click prune");
  Do("wait prune words is of 4 are kept, the newest; 0 are deleted for good");
  Do("wait prune now disabled");
  Do("key Escape");
  Do("wait prune now gone");
  Do("hover create");
  Shot("damaged");
}

TEST_F(CheckpointsTest, CheckpointsAreMadeVerifiedAndPruned) {
  Open();
  Do("click Checkpoints");
  Do("wait checkpoint 300000800-4kLmN9pQ-a1b2");
  Do("wait verify disabled");
  Do("click create");
  Do("wait notice contains made ");
  EXPECT_EQ(server_.created(), 1);
  Do("wait checkpoint 300001000-4kLmN9pQ-a1b2");
  EXPECT_THAT(console_->TextOf("timeline"), HasSubstr("5 checkpoints"));

  server_.Configure([](FakeAdmin& s) { s.verify_answer = {grpc::DATA_LOSS, "000012.sst: checksum mismatch"}; });
  Do("click checkpoint 299999600-4kLmN9pQ-a1b2");
  Do("click verify");
  Do("wait notice contains damaged: 000012.sst: checksum mismatch");
  EXPECT_THAT(server_.verified(), ElementsAre("299999600-4kLmN9pQ-a1b2"));

  Do("click prune");
  Do("wait prune now disabled");  // five are kept, five there are
  Do("click keep");
  Do("key Ctrl+A");
  Do("type 2");
  Do("wait prune words contains of 5 are kept, the newest; 3 are deleted");
  EXPECT_TRUE(server_.pruned().empty());
  Do("click prune now");
  Do("wait notice contains deleted 299999000");
  EXPECT_THAT(server_.pruned(), ElementsAre(2u));
  Do("wait checkpoint 299999600-4kLmN9pQ-a1b2 gone");
}

}  // namespace
}  // namespace everstate::console
