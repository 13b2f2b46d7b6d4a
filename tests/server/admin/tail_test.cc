#include <thread>

#include "tests/server/admin/fake_backend.h"

namespace everstate {
namespace {

namespace pb = admin::v1;

FakeFrame Frame(const std::string& view, const std::string& key, Number number, const std::string& op = "patch") {
  return {view, key, op, R"({"view":")" + view + R"(","key":")" + key + "\"}", number};
}

// One console's tail.
class Client {
 public:
  explicit Client(std::unique_ptr<pb::Admin::Stub> stub) : stub_(std::move(stub)), stream_(stub_->TailBus(&context_)) {}
  ~Client() {
    if (!finished_) {
      context_.TryCancel();
      Finish();
    }
  }

  void Say(const pb::TailRequest& request) { EXPECT_TRUE(stream_->Write(request)); }
  void SayNoMore() { stream_->WritesDone(); }
  bool Read(pb::TailChunk* chunk) { return stream_->Read(chunk); }
  // The next chunk that has what is looked for; frames on the way are collected.
  pb::TailChunk ReadUntil(const std::function<bool(const pb::TailChunk&)>& condition) {
    pb::TailChunk chunk;
    while (stream_->Read(&chunk)) {
      for (const pb::TailFrame& frame : chunk.frames()) frames.push_back(frame);
      if (condition(chunk)) return chunk;
    }
    ADD_FAILURE() << "the tail ended";
    return chunk;
  }
  void ReadFrames(size_t count) {
    while (frames.size() < count && stream_->Read(&last)) {
      for (const pb::TailFrame& frame : last.frames()) frames.push_back(frame);
    }
    ASSERT_GE(frames.size(), count);
  }
  void Cancel() { context_.TryCancel(); }
  grpc::Status Finish() {
    finished_ = true;
    pb::TailChunk chunk;
    while (stream_->Read(&chunk)) {
    }
    return stream_->Finish();
  }

  std::vector<pb::TailFrame> frames;
  pb::TailChunk last;

 private:
  std::unique_ptr<pb::Admin::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<pb::TailRequest, pb::TailChunk>> stream_;
  bool finished_ = false;
};

bool Open(const pb::TailChunk& chunk) { return !chunk.paused(); }
bool Paused(const pb::TailChunk& chunk) { return chunk.paused(); }

class TailTest : public AdminFixture {};

TEST_F(TailTest, AllFramesOfTheViewsAskedForComeAsTheyAre) {
  Client client(NewStub());
  pb::TailRequest request;
  request.add_views("Thing/list");
  client.Say(request);
  client.ReadUntil(Open);
  for (Number number = 1; number <= 3; ++number) {
    backend_->bus.Publish(
        {Frame("Thing/list", "k" + std::to_string(number), number), Frame("Thing/state", "s", number)});
  }
  client.ReadFrames(3);
  ASSERT_EQ(client.frames.size(), 3u);
  for (Number number = 1; number <= 3; ++number) {
    const pb::TailFrame& frame = client.frames[number - 1];
    EXPECT_EQ(frame.view(), "Thing/list");
    EXPECT_EQ(frame.key(), "k" + std::to_string(number));
    EXPECT_EQ(frame.op(), "patch");
    EXPECT_EQ(frame.number(), number);
    EXPECT_EQ(frame.json(), Frame("Thing/list", frame.key(), number).json);
    EXPECT_GT(frame.at_unix_ms(), 0);
  }
  EXPECT_EQ(client.last.missed(), 0u);
  EXPECT_EQ(client.last.skipped_by_sampling(), 0u);
}

TEST_F(TailTest, AClientThatSaysNoMoreGoesOnListening) {
  Client client(NewStub());
  client.Say({});
  client.SayNoMore();
  client.ReadUntil(Open);
  backend_->bus.Publish({Frame("Thing/state", "s", 1)});
  client.ReadFrames(1);
  client.Cancel();
  EXPECT_EQ(client.Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(Eventually([this] { return backend_->bus.taps() == 0; }));
}

TEST_F(TailTest, KeyOpsAndTextNarrowWhatComes) {
  Client client(NewStub());
  pb::TailRequest request;
  request.set_key("k");
  request.add_ops("delete");
  request.add_ops("upsert");
  request.set_text("Thing/state");
  client.Say(request);
  client.ReadUntil(Open);
  backend_->bus.Publish({Frame("Thing/list", "k", 1, "delete"), Frame("Thing/state", "k", 1, "patch"),
                         Frame("Thing/state", "x", 1, "delete"), Frame("Thing/state", "k", 1, "delete")});
  client.ReadFrames(1);
  ASSERT_EQ(client.frames.size(), 1u);
  EXPECT_EQ(client.frames[0].view(), "Thing/state");
  EXPECT_EQ(client.frames[0].key(), "k");
  EXPECT_EQ(client.frames[0].op(), "delete");
  EXPECT_EQ(client.last.skipped_by_sampling(), 0u) << "what nobody asked for is not skipped";
}

TEST_F(TailTest, APauseClosesTheTapAndEndsWithTheNextRequest) {
  Client client(NewStub());
  pb::TailRequest request;
  client.Say(request);
  client.ReadUntil(Open);
  EXPECT_EQ(backend_->bus.taps(), 1u);
  request.set_paused(true);
  client.Say(request);
  client.ReadUntil(Paused);
  EXPECT_EQ(backend_->bus.taps(), 0u);
  backend_->bus.Publish({Frame("Thing/list", "unseen", 1)});
  request.set_paused(false);
  client.Say(request);
  client.ReadUntil(Open);
  EXPECT_EQ(backend_->bus.taps(), 1u);
  backend_->bus.Publish({Frame("Thing/list", "seen", 2)});
  client.ReadFrames(1);
  ASSERT_EQ(client.frames.size(), 1u);
  EXPECT_EQ(client.frames[0].key(), "seen");
}

TEST_F(TailTest, AnotherKeyKeepsTheTapAndOtherViewsOpenAnother) {
  Client client(NewStub());
  pb::TailRequest request;
  client.Say(request);
  client.ReadUntil(Open);
  request.set_key("k");
  client.Say(request);
  client.ReadUntil(Open);
  EXPECT_EQ(backend_->bus.opened(), 1u);
  request.add_views("Thing/state");
  client.Say(request);
  client.ReadUntil(Open);
  EXPECT_EQ(backend_->bus.opened(), 2u);
  EXPECT_EQ(backend_->bus.taps(), 1u);
  backend_->bus.Publish({Frame("Thing/list", "k", 1), Frame("Thing/state", "k", 1)});
  client.ReadFrames(1);
  EXPECT_EQ(client.frames.at(0).view(), "Thing/state");
}

TEST_F(TailTest, SamplingLetsSoManyThroughAndCountsTheRest) {
  Client client(NewStub());
  pb::TailRequest request;
  request.set_max_frames_per_second(10);
  client.Say(request);
  client.ReadUntil(Open);
  std::vector<FakeFrame> batch;
  for (int i = 0; i < 500; ++i) batch.push_back(Frame("Thing/list", std::to_string(i), 1));
  backend_->bus.Publish(batch);
  const pb::TailChunk chunk =
      client.ReadUntil([&](const pb::TailChunk& c) { return client.frames.size() + c.skipped_by_sampling() >= 500; });
  EXPECT_EQ(client.frames.size(), 1u);
  EXPECT_EQ(chunk.skipped_by_sampling(), 499u);
  // Without a limit everything comes again, and the count stays.
  request.set_max_frames_per_second(0);
  client.Say(request);
  client.ReadUntil(Open);
  backend_->bus.Publish(batch);
  client.ReadFrames(501);
  EXPECT_EQ(client.frames.size(), 501u);
  EXPECT_EQ(client.last.skipped_by_sampling(), 499u);
}

// A client that does not read: the bus goes on, what is held stays bounded, and afterwards it is told what it missed,
// also when it asks for other views meanwhile.
TEST_F(TailTest, ASlowClientMissesBatchesAndIsTold) {
  Client client(NewStub());
  pb::TailRequest request;
  client.Say(request);
  client.ReadUntil(Open);
  const std::string large(100000, 'x');
  constexpr int kBatches = 100;  // 10 MB: more than any buffer on the way takes
  for (Number number = 1; number <= kBatches; ++number) {
    backend_->bus.Publish({{"Thing/list", "k", "patch", large, number}});
    EXPECT_LE(backend_->bus.held(), 8u);
  }
  const pb::TailChunk chunk =
      client.ReadUntil([&](const pb::TailChunk& c) { return client.frames.size() + c.missed() >= kBatches; });
  EXPECT_GT(chunk.missed(), 0u);
  EXPECT_EQ(client.frames.size() + chunk.missed(), kBatches);
  for (size_t i = 1; i < client.frames.size(); ++i) EXPECT_GT(client.frames[i].number(), client.frames[i - 1].number());
  request.add_views("Thing/state");
  client.Say(request);
  EXPECT_EQ(client.ReadUntil([this](const pb::TailChunk&) { return backend_->bus.opened() == 2; }).missed(),
            chunk.missed());
}

TEST_F(TailTest, ALargeBatchComesInChunksAClientCanTake) {
  Client client(NewStub());
  client.Say({});
  client.ReadUntil(Open);
  std::vector<FakeFrame> batch;
  for (int i = 0; i < 16; ++i) batch.push_back({"Thing/list", std::to_string(i), "patch", std::string(300000, 'x'), 1});
  batch.push_back({"Thing/list", "too large", "patch", std::string(2 << 20, 'x'), 1});
  backend_->bus.Publish(batch);
  client.ReadFrames(17);
  ASSERT_EQ(client.frames.size(), 17u);
  EXPECT_EQ(client.frames[16].key(), "too large");
  EXPECT_EQ(client.frames[16].json(), "");
  EXPECT_EQ(client.frames[15].json().size(), 300000u);
}

TEST_F(TailTest, LongNamesAndBytesThatAreNoTextDoNoHarm) {
  Client client(NewStub());
  client.Say({});
  client.ReadUntil(Open);
  const std::string long_name(5000, 'n');
  backend_->bus.Publish({{"Thing/list", long_name, "patch", "{\"key\":\"" + long_name + "\"}", 1},
                         {"Thing/list", "\xff\xfe", "patch", "\"\xc3\"", 1}});
  client.ReadFrames(2);
  ASSERT_EQ(client.frames.size(), 2u);
  EXPECT_EQ(client.frames[0].key(), long_name);
  EXPECT_EQ(client.frames[1].key(), "\uFFFD\uFFFD");
  EXPECT_EQ(client.frames[1].json(), "\"\uFFFD\"");
}

TEST_F(TailTest, ARequestThatCannotBeIsRefusedAlsoInTheMiddle) {
  pb::TailRequest bad;
  bad.add_views(std::string(5000, 'n'));
  Client at_once(NewStub());
  at_once.Say(bad);
  const grpc::Status refused = at_once.Finish();
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_NE(refused.error_message().find("views: the stack has no view"), std::string::npos);

  Client later(NewStub());
  later.Say({});
  later.ReadUntil(Open);
  bad.Clear();
  bad.add_ops("explode");
  later.Say(bad);
  const grpc::Status status = later.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_NE(status.error_message().find("explode"), std::string::npos);
  EXPECT_TRUE(Eventually([this] { return backend_->bus.taps() == 0; }));
}

TEST_F(TailTest, TwoConsolesDoNotDisturbEachOther) {
  Client slow(NewStub()), quick(NewStub());
  pb::TailRequest request;
  slow.Say(request);
  slow.ReadUntil(Open);
  request.add_views("Thing/list");
  quick.Say(request);
  quick.ReadUntil(Open);
  EXPECT_EQ(backend_->bus.taps(), 2u);
  const std::string large(100000, 'x');
  for (Number number = 1; number <= 50; ++number) {
    backend_->bus.Publish({{"Thing/list", "k", "patch", large, number}});
    quick.ReadFrames(number);
  }
  EXPECT_EQ(quick.last.missed(), 0u);
  quick.Cancel();
  EXPECT_EQ(quick.Finish().error_code(), grpc::StatusCode::CANCELLED);
  const pb::TailChunk chunk =
      slow.ReadUntil([&](const pb::TailChunk& c) { return slow.frames.size() + c.missed() >= 50; });
  EXPECT_EQ(slow.frames.size() + chunk.missed(), 50u);
}

TEST_F(TailTest, AClientThatGoesClosesItsTap) {
  {
    Client client(NewStub());
    client.Say({});
    client.ReadUntil(Open);
  }
  EXPECT_TRUE(Eventually([this] { return backend_->bus.taps() == 0; }));
}

// One that reads, one that does not and whose pipe is full, one that is paused, one that never asked for anything.
TEST_F(TailTest, AStopEndsAllTails) {
  Client reading(NewStub()), stuck(NewStub()), paused(NewStub()), silent(NewStub());
  pb::TailRequest request;
  reading.Say(request);
  reading.ReadUntil(Open);
  stuck.Say(request);
  stuck.ReadUntil(Open);
  request.set_paused(true);
  paused.Say(request);
  paused.ReadUntil(Paused);
  const std::string large(100000, 'x');
  for (Number number = 1; number <= 20; ++number) backend_->bus.Publish({{"Thing/list", "k", "patch", large, number}});
  std::thread reader([&] {
    pb::TailChunk chunk;
    while (reading.Read(&chunk)) {
    }
  });
  server_->Stop();
  reader.join();
  for (Client* client : {&reading, &stuck, &paused, &silent}) EXPECT_FALSE(client->Finish().ok());
}

}  // namespace
}  // namespace everstate
