#include <grpcpp/generic/generic_stub.h>

#include <thread>

#include "tests/server/admin/fake_backend.h"

namespace everstate {
namespace {

namespace pb = admin::v1;

class CallsTest : public AdminFixture {
 protected:
  template <typename Request, typename Reply>
  grpc::Status Call(grpc::Status (pb::Admin::Stub::*method)(grpc::ClientContext*, const Request&, Reply*),
                    const Request& request, Reply* reply) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    if (stub_ == nullptr) stub_ = NewStub();
    return (stub_.get()->*method)(&context, request, reply);
  }
  std::unique_ptr<pb::Admin::Stub> stub_;
};

TEST_F(CallsTest, InfoSaysWhoItIs) {
  pb::Info info;
  ASSERT_TRUE(Call(&pb::Admin::Stub::GetInfo, pb::GetInfoRequest(), &info).ok());
  EXPECT_EQ(info.version(), "9.8.7");
  EXPECT_EQ(info.stack_name(), "Things");
  EXPECT_EQ(info.stack_hash(), "00ff");
  EXPECT_EQ(info.endpoint(), "http://127.0.0.1:1");
  EXPECT_EQ(info.commitment(), "confirmed");
  EXPECT_EQ(info.data_dir(), "/data/things");
  EXPECT_EQ(info.listen(), "[::]:8877");
  EXPECT_EQ(info.started_at(), 1700000000);
  EXPECT_EQ(info.interface_version(), 1u);
  ASSERT_EQ(info.views_size(), 3);
  EXPECT_EQ(info.views(1).id(), "Thing/state");
  EXPECT_EQ(info.views(1).mode(), "state");
  EXPECT_EQ(info.views(2).unsupported(), "derived views are not supported");
}

TEST_F(CallsTest, ACheckpointIsMadeAndTold) {
  backend_->create = [] { return FakeCheckpoint("500-abc-12", 500, "ours"); };
  pb::Checkpoint made;
  ASSERT_TRUE(Call(&pb::Admin::Stub::CreateCheckpoint, pb::CreateCheckpointRequest(), &made).ok());
  EXPECT_EQ(made.name(), "500-abc-12");
  EXPECT_EQ(made.slot(), 500u);
  EXPECT_EQ(made.number(), 501u);
  EXPECT_EQ(made.entities(), 12u);
  EXPECT_EQ(made.bytes(), 3456u);
  EXPECT_EQ(made.created_at(), 1700000001);
  EXPECT_TRUE(made.ours());
  EXPECT_EQ(made.reach(), "");
  EXPECT_EQ(made.blockhash(), std::string(32, '1'));
}

TEST_F(CallsTest, WhatTheServerCannotDoKeepsItsCodeAndItsWords) {
  backend_->create = [] { return absl::FailedPreconditionError("before the first block there is nothing to keep"); };
  pb::Checkpoint made;
  const grpc::Status status = Call(&pb::Admin::Stub::CreateCheckpoint, pb::CreateCheckpointRequest(), &made);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(status.error_message(), "before the first block there is nothing to keep");
  // A message that no header could hold, in no encoding at all.
  backend_->create = [] { return absl::ResourceExhaustedError(std::string(200000, '\xff')); };
  const grpc::Status cut = Call(&pb::Admin::Stub::CreateCheckpoint, pb::CreateCheckpointRequest(), &made);
  EXPECT_EQ(cut.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(cut.error_message().substr(0, 3), "\uFFFD");
}

TEST_F(CallsTest, TheListTellsWhatIsOursWhatReachesAndWhatIsDamaged) {
  CheckpointInfo unread;
  unread.name = std::string("300-\xff") + "broken";
  backend_->entries = {{FakeCheckpoint("50-a-1", 50, "ours"), absl::OkStatus()},
                       {FakeCheckpoint("200-b-1", 200, "theirs"), absl::OkStatus()},
                       {unread, absl::DataLossError("CHECKPOINT is missing")}};
  pb::Checkpoints all;
  ASSERT_TRUE(Call(&pb::Admin::Stub::ListCheckpoints, pb::ListCheckpointsRequest(), &all).ok());
  ASSERT_EQ(all.checkpoints_size(), 3);
  EXPECT_TRUE(all.checkpoints(0).ours());
  EXPECT_EQ(all.checkpoints(0).reach(), "slots 7 to 9 are missing");
  EXPECT_FALSE(all.checkpoints(1).ours());
  EXPECT_EQ(all.checkpoints(1).reach(), "");
  EXPECT_EQ(all.checkpoints(2).damage(), "CHECKPOINT is missing");
  EXPECT_EQ(all.checkpoints(2).name(), "300-\uFFFDbroken");
  EXPECT_EQ(all.checkpoints(2).blockhash(), "");
  // What is not known is absent: 0 would be a slot, and no words would mean that the archive reaches.
  const pb::Checkpoint& damaged = all.checkpoints(2);
  EXPECT_FALSE(damaged.has_slot() || damaged.has_number() || damaged.has_entities() || damaged.has_bytes());
  EXPECT_FALSE(damaged.has_created_at() || damaged.has_ours() || damaged.has_reach());
  EXPECT_TRUE(all.checkpoints(1).has_slot() && all.checkpoints(1).has_ours() && all.checkpoints(1).has_reach());
}

TEST_F(CallsTest, VerifyTakesANameAndNoPath) {
  std::vector<std::string> asked;
  backend_->verify = [&](const std::string& name) -> absl::StatusOr<CheckpointInfo> {
    asked.push_back(name);
    if (name == "bad") return absl::DataLossError("bad/000012.sst: its checksum differs");
    return FakeCheckpoint(name, 5, "ours");
  };
  pb::Checkpoint checkpoint;
  pb::VerifyCheckpointRequest request;
  const std::vector<std::string> no_names = {
      "", ".", "..", "../1", "a/b", std::string("a\0b", 3), std::string(5000, 'n')};
  for (const std::string& name : no_names) {
    request.set_name(name);
    const grpc::Status status = Call(&pb::Admin::Stub::VerifyCheckpoint, request, &checkpoint);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << name;
    EXPECT_NE(status.error_message().find("name"), std::string::npos);
  }
  EXPECT_TRUE(asked.empty());
  request.set_name("bad");
  const grpc::Status status = Call(&pb::Admin::Stub::VerifyCheckpoint, request, &checkpoint);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DATA_LOSS);
  EXPECT_EQ(status.error_message(), "bad/000012.sst: its checksum differs");
  request.set_name("5-good");
  ASSERT_TRUE(Call(&pb::Admin::Stub::VerifyCheckpoint, request, &checkpoint).ok());
  EXPECT_EQ(checkpoint.name(), "5-good");
}

TEST_F(CallsTest, PruneKeepsAtLeastOne) {
  backend_->prune = [](size_t keep) -> absl::StatusOr<std::vector<std::string>> {
    return std::vector<std::string>(keep, "gone");
  };
  pb::PrunedCheckpoints pruned;
  pb::PruneCheckpointsRequest request;
  EXPECT_EQ(Call(&pb::Admin::Stub::PruneCheckpoints, request, &pruned).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  request.set_keep(2);
  ASSERT_TRUE(Call(&pb::Admin::Stub::PruneCheckpoints, request, &pruned).ok());
  EXPECT_EQ(pruned.names_size(), 2);
}

TEST_F(CallsTest, ResumeFromPassesTheRequestOn) {
  RewindRequest asked;
  backend_->resume = [&](const RewindRequest& request) -> absl::StatusOr<RewindBegun> {
    asked = request;
    if (!request.accept_gap) return absl::FailedPreconditionError("slots 12 to 19 are missing");
    return RewindBegun{.nothing_to_do = !request.again, .checkpoint = "10-a-1", .generation = 4};
  };
  pb::ResumeFromRequest request;
  pb::ResumeFromReply reply;
  EXPECT_EQ(Call(&pb::Admin::Stub::ResumeFrom, request, &reply).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  request.set_slot(12);
  const grpc::Status refused = Call(&pb::Admin::Stub::ResumeFrom, request, &reply);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(refused.error_message(), "slots 12 to 19 are missing");
  EXPECT_EQ(asked.slot, 12u);
  request.set_accept_gap(true);
  ASSERT_TRUE(Call(&pb::Admin::Stub::ResumeFrom, request, &reply).ok());
  EXPECT_TRUE(reply.nothing_to_do());
  request.set_again(true);
  ASSERT_TRUE(Call(&pb::Admin::Stub::ResumeFrom, request, &reply).ok());
  EXPECT_TRUE(asked.again);
  EXPECT_EQ(reply.checkpoint(), "10-a-1");
  EXPECT_EQ(reply.generation(), 4u);
  EXPECT_FALSE(reply.nothing_to_do());
}

// Bytes that are no message, a message whose text is no UTF-8, one that is too large: each is refused, and the next
// call is served.
TEST_F(CallsTest, NoiseIsRefusedAndDoesNoHarm) {
  backend_->verify = [](const std::string& name) { return FakeCheckpoint(name, 5, "ours"); };
  grpc::GenericStub generic(grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials()));
  const auto send = [&](const std::string& bytes) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    const grpc::Slice slice(bytes);
    grpc::ByteBuffer request(&slice, 1), reply;
    grpc::CompletionQueue queue;
    grpc::Status status;
    auto call = generic.PrepareUnaryCall(&context, "/everstate.admin.v1.Admin/VerifyCheckpoint", request, &queue);
    call->StartCall();
    call->Finish(&reply, &status, nullptr);
    void* tag = nullptr;
    bool ok = false;
    EXPECT_TRUE(queue.Next(&tag, &ok));
    return status;
  };
  EXPECT_TRUE(send("\x0a\x01n").ok());
  EXPECT_FALSE(send("\x0a\x05n").ok());
  EXPECT_FALSE(send("\x0a\x02\xff\xfe").ok());
  EXPECT_FALSE(send(std::string(3, '\xff')).ok());
  EXPECT_EQ(send(std::string("\x0a\x80\x80\x08", 4) + std::string(131072, 'n')).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(send("\x0a\x01n").ok());
}

// While one checkpoint is being made, everything else is answered.
TEST_F(CallsTest, ALongCallHoldsUpNobody) {
  std::atomic<bool> going{false}, finish{false};
  backend_->create = [&]() -> absl::StatusOr<CheckpointInfo> {
    going = true;
    EXPECT_TRUE(Eventually([&] { return finish.load(); }));
    return FakeCheckpoint("1-a-1", 1, "ours");
  };
  std::thread creator([&] {
    const auto stub = NewStub();
    grpc::ClientContext context;
    pb::Checkpoint made;
    EXPECT_TRUE(stub->CreateCheckpoint(&context, {}, &made).ok());
  });
  EXPECT_TRUE(Eventually([&] { return going.load(); }));
  pb::Info info;
  EXPECT_TRUE(Call(&pb::Admin::Stub::GetInfo, pb::GetInfoRequest(), &info).ok());
  finish = true;
  creator.join();
}

}  // namespace
}  // namespace everstate
