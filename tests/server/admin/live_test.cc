// The service over a running deployment and its fanout: what a console sees of a real stream.
#include <functional>
#include <map>
#include <thread>

#include "server/fanout/fanout.h"
#include "server/health/health.h"
#include "tests/server/admin/fake_backend.h"
#include "tests/server/deployment/deployment_support.h"

namespace everstate {
namespace {

namespace pb = admin::v1;

class LiveTest : public testing::DeploymentTest {
 protected:
  // A server whose line has not begun yet, so that a tail can be there from the first block on.
  void OpenServer(double slots_per_second) {
    StartProvider(slots_per_second, std::nullopt);
    deployment_ = Open(Options("data"));
    ASSERT_NE(deployment_, nullptr);
    FanoutOptions options;
    options.listen = "127.0.0.1:0";
    options.lanes = 1;
    auto fanout = Fanout::Start(options, [this](std::string_view path) { return health_.Answer(path); });
    ASSERT_TRUE(fanout.ok()) << fanout.status();
    fanout_ = *std::move(fanout);
    fanout_->AttachStore(deployment_->store());
    health_.Attach({deployment_.get(), fanout_.get()});
    auto admin =
        AdminServer::Start({.listen = "127.0.0.1:0"}, AdminSubjects{deployment_.get(), fanout_.get(), &health_});
    ASSERT_TRUE(admin.ok()) << admin.status();
    admin_ = *std::move(admin);
    stub_ = pb::Admin::NewStub(grpc::CreateChannel(admin_->address(), grpc::InsecureChannelCredentials()));
  }
  void StartLine() {
    deployment_->Start(
        {.publish = [this](const Applied& applied) { fanout_->Publish(applied); },
         .switch_store = [this](std::shared_ptr<const EntityStore> store) { fanout_->SwitchStore(std::move(store)); }});
  }
  void TearDown() override {
    if (admin_ != nullptr) admin_->Stop();
    if (deployment_ != nullptr) deployment_->Stop();
    health_.Detach();
    if (fanout_ != nullptr) fanout_->Stop();
    deployment_.reset();
    DeploymentTest::TearDown();
  }
  // The first status for which the condition holds.
  pb::Status WatchUntil(const std::function<bool(const pb::Status&)>& condition) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::minutes(2));
    pb::WatchStatusRequest request;
    request.set_interval_ms(50);
    auto reader = stub_->WatchStatus(&context, request);
    pb::Status status;
    while (reader->Read(&status)) {
      if (!condition(status)) continue;
      context.TryCancel();
      reader->Finish();
      return status;
    }
    ADD_FAILURE() << "the status never came: " << reader->Finish().error_message();
    return status;
  }

  std::unique_ptr<Deployment> deployment_;
  std::unique_ptr<Fanout> fanout_;
  Health health_;
  std::unique_ptr<AdminServer> admin_;
  std::unique_ptr<pb::Admin::Stub> stub_;
};

TEST_F(LiveTest, ATailSeesEveryFrameThatTheStatusCounts) {
  OpenServer(50);
  grpc::ClientContext context;
  auto tail = stub_->TailBus(&context);
  ASSERT_TRUE(tail->Write({}));
  pb::TailChunk chunk;
  ASSERT_TRUE(tail->Read(&chunk));
  std::map<std::string, uint64_t> frames;
  std::atomic<uint64_t> seen{0}, missed{0};
  std::thread reader([&] {
    pb::TailChunk next;
    while (tail->Read(&next)) {
      for (const pb::TailFrame& frame : next.frames()) {
        ++frames[frame.view()];
        ++seen;
        EXPECT_NE(frame.json().find("\"seq\""), std::string::npos);
      }
      missed = next.missed();
    }
  });
  StartLine();
  // A slot is shown right after it was applied.
  const pb::Status status = WatchUntil([](const pb::Status& s) {
    return s.store().slot() >= kLast && s.slots_size() > 0 && s.slots(s.slots_size() - 1).slot() >= s.store().slot();
  });
  EXPECT_TRUE(status.ready());
  EXPECT_EQ(status.stream().state(), "live");
  EXPECT_GE(status.stream().newest_slot(), kLast);
  EXPECT_GT(status.store().entities(), 0u);
  EXPECT_TRUE(status.has_archive());
  EXPECT_FALSE(status.has_rewind());
  deployment_->Stop();  // nothing more is published
  uint64_t counted = 0;
  for (const ViewTraffic& view : fanout_->traffic()) counted += view.frames;
  EXPECT_GT(counted, 0u);
  EXPECT_TRUE(Eventually([&] { return seen == counted; })) << seen << " of " << counted;
  context.TryCancel();
  reader.join();
  tail->Finish();
  EXPECT_EQ(missed.load(), 0u);
  for (const ViewTraffic& view : fanout_->traffic()) EXPECT_EQ(frames[view.view], view.frames) << view.view;
  EXPECT_TRUE(Eventually([this] {
    uint64_t listeners = 0;
    for (const ViewTraffic& view : fanout_->traffic()) listeners += view.listeners;
    return listeners == 0;
  }));
}

TEST_F(LiveTest, ACheckpointIsMadeListedVerifiedAndResumedFrom) {
  OpenServer(20);
  StartLine();
  WatchUntil([](const pb::Status& s) { return s.store().slot() >= kFirst + 4; });
  pb::Checkpoint made, verified;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(stub_->CreateCheckpoint(&context, {}, &made).ok());
  }
  EXPECT_GE(made.slot(), kFirst + 4);
  EXPECT_TRUE(made.ours());
  EXPECT_EQ(made.reach(), "");
  {
    grpc::ClientContext context;
    pb::Checkpoints all;
    ASSERT_TRUE(stub_->ListCheckpoints(&context, {}, &all).ok());
    ASSERT_EQ(all.checkpoints_size(), 1);
    EXPECT_EQ(all.checkpoints(0).name(), made.name());
    EXPECT_EQ(all.checkpoints(0).damage(), "");
  }
  {
    grpc::ClientContext context;
    pb::VerifyCheckpointRequest request;
    request.set_name(made.name());
    const grpc::Status status = stub_->VerifyCheckpoint(&context, request, &verified);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(verified.slot(), made.slot());
  }
  {
    grpc::ClientContext context;
    pb::VerifyCheckpointRequest request;
    request.set_name("1-nothing-0000");
    EXPECT_FALSE(stub_->VerifyCheckpoint(&context, request, &verified).ok());
  }
  pb::ResumeFromRequest request;
  pb::ResumeFromReply reply;
  {
    grpc::ClientContext context;
    request.set_slot(kFirst - 1);
    EXPECT_EQ(stub_->ResumeFrom(&context, request, &reply).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  }
  {
    grpc::ClientContext context;
    request.set_slot(made.slot());
    const grpc::Status status = stub_->ResumeFrom(&context, request, &reply);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }
  EXPECT_EQ(reply.checkpoint(), made.name());
  EXPECT_EQ(reply.generation(), 2u);
  const pb::Status status =
      WatchUntil([](const pb::Status& s) { return s.has_rewind() && s.rewind().state() != "filling"; });
  EXPECT_EQ(status.rewind().state(), "done") << status.rewind().error();
  EXPECT_EQ(status.rewind().requested_slot(), made.slot());
  EXPECT_EQ(WatchUntil([](const pb::Status& s) { return s.store().slot() >= kLast; }).store().generation(), 2u);
}

}  // namespace
}  // namespace everstate
