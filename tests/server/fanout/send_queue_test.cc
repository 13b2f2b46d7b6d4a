#include "server/fanout/send_queue.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <random>

#include "tests/server/fanout/frames.h"

namespace everstate {
namespace {

using testing::Payloads;

class SendQueueTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends_), 0); }
  void TearDown() override {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  std::string ReadSome() {
    char bytes[65536];
    const ssize_t got = ::recv(ends_[1], bytes, sizeof bytes, MSG_DONTWAIT);
    return got > 0 ? std::string(bytes, static_cast<size_t>(got)) : std::string();
  }
  SendQueue::Outcome Send(SendQueue& queue) {
    const SendQueue::Sent sent = queue.Send(ends_[0]);
    frames_ += sent.frames;
    return sent.outcome;
  }
  // Sends and reads until nothing is left.
  std::string Drain(SendQueue& queue) {
    std::string all;
    while (true) {
      const auto outcome = Send(queue);
      const std::string some = ReadSome();
      all += some;
      if (outcome == SendQueue::Outcome::kDrained && some.empty()) return all;
    }
  }
  int ends_[2];
  size_t frames_ = 0;  // that Send says it has sent
};

TEST_F(SendQueueTest, SendsManySlicesWithFewWrites) {
  SendQueue queue;
  std::string expected;
  for (int i = 0; i < 3000; ++i) {
    Slice slice = TextFrame(std::to_string(i));
    expected.append(slice.data, slice.size);
    queue.Push(std::move(slice));
  }
  EXPECT_EQ(queue.bytes(), expected.size());
  const SendQueue::Sent sent = queue.Send(ends_[0]);
  EXPECT_EQ(sent.outcome, SendQueue::Outcome::kDrained);
  EXPECT_EQ(sent.writes, 3u);
  EXPECT_EQ(sent.frames, 3000u);
  EXPECT_EQ(queue.bytes(), 0u);
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(Drain(queue), expected);
}

TEST_F(SendQueueTest, SaysWhenThePeerIsGone) {
  ::close(ends_[1]);
  ends_[1] = -1;
  SendQueue queue;
  queue.Push(TextFrame("x"));
  EXPECT_EQ(queue.Send(ends_[0]).outcome, SendQueue::Outcome::kFailed);
}

// Whatever was sent when the queue is dropped, the peer sees whole frames, then what follows; and so many are counted.
TEST_F(SendQueueTest, DropKeepsFramesWhole) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 300; ++round) {
    SendQueue queue;
    const size_t slices = 1 + random() % 6;
    for (size_t i = 0; i < slices; ++i) {
      std::string bytes;
      const uint32_t frames = 1 + static_cast<uint32_t>(random() % 4);
      for (uint32_t frame = 0; frame < frames; ++frame) {
        const std::string payload(random() % 3 == 0 ? random() % 300000 : random() % 200, 'p');
        AppendFrameHeader(kTextFrame, payload.size(), &bytes);
        bytes += payload;
      }
      queue.Push(Slice::Of(std::move(bytes), frames));
    }
    std::string all;
    frames_ = 0;
    if (random() % 4 != 0) {
      Send(queue);
      const size_t reads = random() % 4;
      for (size_t i = 0; i < reads; ++i) {
        all += ReadSome();
        Send(queue);
      }
    }
    const bool keep_newest = random() % 2 == 0;
    const bool was_empty = queue.empty();
    queue.Drop(keep_newest);
    queue.Push(CloseFrame(1013, "too slow"));
    all += Drain(queue);
    EXPECT_EQ(queue.bytes(), 0u);
    const auto payloads = Payloads(all);
    ASSERT_TRUE(payloads.has_value()) << "round " << round;
    ASSERT_FALSE(payloads->empty());
    EXPECT_EQ(payloads->back(), "\x03\xf5too slow");
    ASSERT_EQ(frames_, payloads->size() - 1) << "round " << round << ": a close frame is none that is counted";
    if (keep_newest && !was_empty) {
      EXPECT_GE(payloads->size(), 2u);
    }
  }
}

TEST_F(SendQueueTest, WhatIsOwnedKeepsNothingElseAlive) {
  auto batch = std::make_shared<const std::string>(std::string(1000, 'x') + "frame");
  const std::weak_ptr<const std::string> alive = batch;
  SendQueue queue;
  queue.Push({batch, batch->data() + 1000, 5, 1, /*shared=*/true});
  batch.reset();
  EXPECT_FALSE(alive.expired());
  queue.Own();
  EXPECT_TRUE(alive.expired());
  EXPECT_EQ(queue.bytes(), 5u);
}

}  // namespace
}  // namespace everstate
