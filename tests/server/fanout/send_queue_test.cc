#include "server/fanout/send_queue.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
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
  std::string ReadSome(size_t bytes_max = 65536) {
    char bytes[65536];
    const ssize_t got = ::recv(ends_[1], bytes, std::min(bytes_max, sizeof bytes), MSG_DONTWAIT);
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

// A peer that takes just enough never to be done: the queue holds what waits, not what ever went through it.
TEST_F(SendQueueTest, AQueueThatIsNeverEmptyForgetsWhatIsSent) {
  const int small = 4096;
  ASSERT_EQ(::setsockopt(ends_[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
  SendQueue queue;
  std::string expected, got;
  size_t waiting_most = 0;
  for (int i = 0; i < 20000; ++i) {
    Slice slice = TextFrame(std::string(50, 'x') + std::to_string(i));
    expected.append(slice.data, slice.size);
    const size_t slice_bytes = slice.size;
    queue.Push(std::move(slice));
    waiting_most = std::max(waiting_most, (queue.cost() - queue.bytes()) / SendQueue::kSliceCost);
    if (i > 4000 && i % 50 == 0) {
      Send(queue);
      got += ReadSome(50 * slice_bytes);  // as much as came since
    }
    ASSERT_FALSE(queue.empty());
  }
  ASSERT_LT(waiting_most, 6000u);
  EXPECT_LE(queue.places(), 2 * waiting_most + 1024);
  got += Drain(queue);
  EXPECT_EQ(got, expected);
  EXPECT_EQ(queue.cost(), 0u);
}

TEST_F(SendQueueTest, SmallFramesCostMoreThanTheirBytes) {
  SendQueue queue;
  for (int i = 0; i < 1000; ++i) queue.Push(Slice::Of(std::string(2, '\0'), 0));
  EXPECT_EQ(queue.bytes(), 2000u);
  EXPECT_EQ(queue.cost(), 2000u + 1000u * SendQueue::kSliceCost);
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
