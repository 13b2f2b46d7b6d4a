#include <thread>

#include "server/admin/status_proto.h"
#include "tests/server/admin/fake_backend.h"

namespace everstate {
namespace {

namespace pb = admin::v1;
using std::chrono::milliseconds;

ServerStatus Running() {
  ServerStatus status;
  status.at = std::chrono::system_clock::time_point(std::chrono::seconds(1700000010));
  status.at_steady = std::chrono::steady_clock::time_point(std::chrono::hours(5));
  status.uptime = std::chrono::seconds(7);
  LineStatus& line = status.line.emplace();
  line.deployment.inbox = {.name = "inbox", .count = 1, .count_max = 64, .bytes = 10, .bytes_max = 100};
  return status;
}

pb::Status Filled(const ServerStatus& status) {
  pb::Status message;
  FillStatus(status, &message);
  return message;
}

TEST(StatusProtoTest, WhatIsNotKnownIsAbsent) {
  const pb::Status nothing = Filled(ServerStatus{});
  EXPECT_FALSE(nothing.has_stream());
  EXPECT_FALSE(nothing.has_store());
  EXPECT_FALSE(nothing.ready());

  const pb::Status message = Filled(Running());
  EXPECT_EQ(message.stream().state(), "connecting");
  EXPECT_FALSE(message.stream().has_newest_slot());
  EXPECT_FALSE(message.stream().has_from_slot());
  EXPECT_FALSE(message.stream().has_since_heard_ms());
  EXPECT_FALSE(message.store().has_slot());
  EXPECT_FALSE(message.store().has_number());
  EXPECT_FALSE(message.store().has_lag_slots());
  EXPECT_FALSE(message.store().has_lag_seconds());
  EXPECT_EQ(message.store().blockhash(), "");
  EXPECT_FALSE(message.has_rewind());
  EXPECT_FALSE(message.has_archive());
  EXPECT_EQ(message.stages_size(), 4);
  for (const pb::Stage& stage : message.stages())
    EXPECT_EQ(stage.has_busy_us(), stage.name() != "receive") << stage.name();
}

TEST(StatusProtoTest, WhatIsKnownIsThere) {
  ServerStatus status = Running();
  LineStatus& line = *status.line;
  line.watermark.number = 3;
  line.watermark.block.slot = 100;
  line.watermark.block.block_time = 1700000007;
  line.ingest.newest_slot.Set(102);
  line.ingest.accounts.Add(4);
  line.ingest.transactions.Add(5);
  line.deployment.stream.last_slot_heard = status.at_steady - milliseconds(1500);
  line.deployment.projector.project_time = std::chrono::microseconds(77);
  line.deployment.slots = {{.slot = 99, .updates = 6, .mutations = 2, .confirm = milliseconds(400)}};
  RewindStatus& rewind = line.deployment.rewind.emplace();
  rewind.request.slot = 50;
  rewind.checkpoint = "40-a-1";
  rewind.state = RewindState::kFailed;
  rewind.error = "disk \xff";
  line.deployment.archive.emplace();
  line.deployment.archive->runs.resize(2);
  line.deployment.archive->runs[1].before.slot = 20;
  line.deployment.archive->runs[1].last.slot = 100;
  line.deployment.archive_keep_bytes = 1000;
  line.deployment.archive_counters.emplace().failures.Add(1);
  line.deployment.archive_counters->blocks_written.Add(6);
  line.deployment.archive_counters->busy_us.Add(33);
  line.deployment.counters.checkpoints_failed = 1;
  line.deployment.checkpoint_error = "disk full";
  line.traffic = {{"Thing/list", 5, 500, 2}};
  const pb::Status message = Filled(status);
  EXPECT_EQ(message.at_unix_ms(), 1700000010000);
  EXPECT_EQ(message.uptime_us(), 7000000u);
  EXPECT_EQ(message.store().slot(), 100u);
  EXPECT_EQ(message.store().lag_slots(), 2u);
  EXPECT_DOUBLE_EQ(message.store().lag_seconds(), 3.0);
  EXPECT_EQ(message.stream().newest_slot(), 102u);
  EXPECT_EQ(message.stream().since_heard_ms(), 1500u);
  EXPECT_EQ(message.stages(0).name(), "receive");
  EXPECT_EQ(message.stages(0).units(), 9u);
  EXPECT_EQ(message.stages(1).name(), "archive");
  EXPECT_EQ(message.stages(1).units(), 6u);
  EXPECT_EQ(message.stages(1).busy_us(), 33u);
  EXPECT_EQ(message.stages(2).name(), "project");
  EXPECT_EQ(message.stages(2).busy_us(), 77u);
  ASSERT_EQ(message.slots_size(), 1);
  EXPECT_EQ(message.slots(0).confirm_ms(), 400u);
  EXPECT_FALSE(message.slots(0).has_settle_to_apply_us());
  EXPECT_EQ(message.rewind().state(), Name(RewindState::kFailed));
  EXPECT_EQ(message.rewind().error(), "disk \uFFFD");
  EXPECT_EQ(message.rewind().requested_slot(), 50u);
  EXPECT_EQ(message.archive().first_slot(), 20u);
  EXPECT_EQ(message.archive().last_slot(), 100u);
  EXPECT_EQ(message.archive().keep_bytes(), 1000u);
  EXPECT_EQ(message.archive().failures(), 1u);
  EXPECT_EQ(message.checkpoints().failed(), 1u);
  EXPECT_EQ(message.checkpoints().error(), "disk full");
  EXPECT_EQ(message.views(0).listeners(), 2u);
  EXPECT_EQ(message.queues(0).count_max(), 64u);
}

TEST(StatusProtoTest, AMessageStaysSmallHoweverMuchThereIs) {
  ServerStatus status = Running();
  for (Slot slot = 0; slot < 10000; ++slot) status.line->gaps.push_back({slot, slot + 2, std::string(5000, 'c')});
  const vm::Fault fault{.entity = "E",
                        .handler = std::string(5000, 'h'),
                        .reason = vm::FaultReason::kKeyNull,
                        .count = 2,
                        .sample_slot = 0,
                        .sample = std::string(5000, 's')};
  status.line->deployment.faults.assign(5000, fault);
  const pb::Status message = Filled(status);
  EXPECT_EQ(message.faults(), 10000u);
  EXPECT_EQ(message.gaps(message.gaps_size() - 1).from(), 9999u);
  EXPECT_EQ(message.gaps_total(), 10000u);
  EXPECT_LT(message.ByteSizeLong(), 4u << 20);
}

class WatchStatusTest : public AdminFixture {
 protected:
  void SetUp() override {
    AdminFixture::SetUp();
    backend_->make_status = [this] {
      ServerStatus status = Running();
      status.uptime = std::chrono::microseconds(++taken_);
      return status;
    };
  }
  std::atomic<uint64_t> taken_{0};
};

TEST_F(WatchStatusTest, ComesAtOnceAndThenAtItsInterval) {
  const auto stub = NewStub();
  grpc::ClientContext context;
  pb::WatchStatusRequest request;
  request.set_interval_ms(50);
  const auto begin = std::chrono::steady_clock::now();
  auto reader = stub->WatchStatus(&context, request);
  pb::Status status;
  for (uint64_t i = 1; i <= 5; ++i) {
    ASSERT_TRUE(reader->Read(&status));
    EXPECT_EQ(status.uptime_us(), i);
  }
  EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(4 * 50));
  context.TryCancel();
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(WatchStatusTest, AnAbsurdIntervalIsRefused) {
  const auto stub = NewStub();
  for (const uint32_t interval_ms : {1u, 49u, 60001u, 4000000000u}) {
    grpc::ClientContext context;
    pb::WatchStatusRequest request;
    request.set_interval_ms(interval_ms);
    auto reader = stub->WatchStatus(&context, request);
    pb::Status status;
    EXPECT_FALSE(reader->Read(&status));
    const grpc::Status end = reader->Finish();
    EXPECT_EQ(end.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_NE(end.error_message().find(std::to_string(interval_ms)), std::string::npos);
  }
}

TEST_F(WatchStatusTest, AClientThatGoesIsForgotten) {
  {
    const auto stub = NewStub();
    grpc::ClientContext context;
    pb::WatchStatusRequest request;
    request.set_interval_ms(50);
    auto reader = stub->WatchStatus(&context, request);
    pb::Status status;
    ASSERT_TRUE(reader->Read(&status));
  }
  // Nobody asks any more: the count comes to rest.
  EXPECT_TRUE(Eventually([this] {
    const uint64_t before = taken_.load();
    std::this_thread::sleep_for(milliseconds(300));
    return taken_.load() == before;
  }));
}

TEST_F(WatchStatusTest, AServerThatStopsEndsIt) {
  const auto stub = NewStub();
  grpc::ClientContext context;
  auto reader = stub->WatchStatus(&context, {});
  pb::Status status;
  ASSERT_TRUE(reader->Read(&status));
  std::thread stopper([this] { server_->Stop(); });
  while (reader->Read(&status)) {
  }
  const grpc::Status end = reader->Finish();
  EXPECT_TRUE(end.error_code() == grpc::StatusCode::UNAVAILABLE || end.error_code() == grpc::StatusCode::CANCELLED)
      << end.error_code();
  stopper.join();
}

// A console goes on when a server comes back at the same address.
TEST_F(WatchStatusTest, AServerThatComesBackIsFound) {
  const auto stub = NewStub();
  const std::string address = server_->address();
  pb::Info info;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(stub->GetInfo(&context, {}, &info).ok());
  }
  server_->Stop();
  {
    grpc::ClientContext context;
    EXPECT_EQ(stub->GetInfo(&context, {}, &info).error_code(), grpc::StatusCode::UNAVAILABLE);
  }
  StartServer({.listen = address});
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  EXPECT_TRUE(stub->GetInfo(&context, {}, &info).ok());
}

// More consoles than there are threads: those that are too many are told so, the others go on.
TEST_F(WatchStatusTest, TooManyConsolesAreRefused) {
  StartServer({.listen = "127.0.0.1:0", .threads_max = 12});
  backend_->make_status = [] { return Running(); };
  const auto stub = NewStub();
  struct Watcher {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<pb::Status>> reader;
  };
  std::vector<std::unique_ptr<Watcher>> watchers;
  size_t refused = 0;
  pb::Status status;
  for (int i = 0; i < 30; ++i) {
    auto watcher = std::make_unique<Watcher>();
    watcher->reader = stub->WatchStatus(&watcher->context, {});
    if (watcher->reader->Read(&status)) {
      watchers.push_back(std::move(watcher));
    } else {
      EXPECT_EQ(watcher->reader->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
      ++refused;
    }
  }
  EXPECT_GT(watchers.size(), 3u);
  EXPECT_GT(refused, 3u);
  for (auto& watcher : watchers) EXPECT_TRUE(watcher->reader->Read(&status));
  for (auto& watcher : watchers) watcher->context.TryCancel();
  for (auto& watcher : watchers) EXPECT_EQ(watcher->reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(Eventually([&] {
    grpc::ClientContext context;
    pb::Info info;
    return stub->GetInfo(&context, {}, &info).ok();
  }));
}

}  // namespace
}  // namespace everstate
