// A recorder over a real feed: what is in its file at any moment, and at the end.
#include "server/ingest/recorder.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "server/ingest/recording.h"
#include "server/ingest/wire.h"
#include "tests/support/file_size_limit.h"
#include "tests/support/source_dir.h"

namespace everstate::ingest {
namespace {

struct Heard {
  Slot slot;
  bool content;
  std::string bytes;
  bool operator==(const Heard&) const = default;
};

std::vector<Heard> Messages(const std::string& file) {
  std::vector<Heard> all;
  auto reader = RecordingReader::Open(file);
  EXPECT_TRUE(reader.ok()) << reader.status();
  while (reader.ok()) {
    const auto message = reader->Next();
    EXPECT_TRUE(message.ok()) << message.status();
    if (!message.ok() || !*message) break;
    const auto walked = WalkMessage((*message)->bytes);
    EXPECT_TRUE(walked.ok()) << walked.status();
    all.push_back({walked->slot, walked->kind != WalkedMessage::Kind::kSlot, std::string((*message)->bytes)});
  }
  return all;
}

class RecorderTest : public ::testing::Test {
 protected:
  RecorderTest() { std::filesystem::create_directories(folder_); }
  ~RecorderTest() override { std::filesystem::remove_all(folder_); }

  Recorder Open() {
    auto file = RecordingWriter::Create(out_);
    EXPECT_TRUE(file.ok()) << file.status();
    return Recorder({}, *std::move(file));
  }

  // The slots of which a recording has all content that the feed has, and the confirmation.
  std::set<Slot> WholeIn(const std::vector<Heard>& messages) const {
    const auto contents = [](const std::vector<Heard>& all) {
      std::map<Slot, size_t> count;
      for (const Heard& heard : all) count[heard.slot] += heard.content;
      return count;
    };
    const auto wanted = contents(feed_), there = contents(messages);
    std::set<Slot> whole;
    for (const Heard& heard : messages) {
      const auto walked = WalkMessage(heard.bytes);
      const bool confirmed = !heard.content && walked->status.status == SlotStatus::kConfirmed;
      if (confirmed && there.at(heard.slot) == wanted.at(heard.slot)) whole.insert(heard.slot);
    }
    return whole;
  }

  const std::string folder_ = ::testing::TempDir() + "recorder_test." + std::to_string(::getpid());
  const std::string out_ = folder_ + "/out.updates";
  const std::vector<Heard> feed_ = Messages(InSource("tests/recordings/spl-small.updates"));
  const std::chrono::steady_clock::time_point now_ = std::chrono::steady_clock::now();
};

TEST_F(RecorderTest, TheFileHoldsWholeSlotsAtAnyMoment) {
  Recorder recorder = Open();
  uint64_t blocks = 0;
  for (const Heard& heard : feed_) {
    ASSERT_TRUE(recorder.Add(heard.bytes, now_).ok());
    if (recorder.blocks() == blocks) continue;
    blocks = recorder.blocks();
    for (const Heard& written : Messages(out_)) ASSERT_TRUE(!written.content || written.slot <= *recorder.last());
  }
  recorder.Finish();
  ASSERT_TRUE(recorder.written().ok());
  EXPECT_EQ(recorder.blocks(), 30u);
  EXPECT_TRUE(recorder.gaps().empty());
}

// Stopped anywhere, it says of its slots what the feed said until then, in that order, and of no other slot anything.
TEST_F(RecorderTest, WhatIsWrittenIsTheFeedUpToAWholeSlot) {
  for (size_t stop = 0; stop <= feed_.size(); stop += 97) {
    Recorder recorder = Open();
    for (size_t i = 0; i < stop; ++i) ASSERT_TRUE(recorder.Add(feed_[i].bytes, now_).ok());
    recorder.Finish();
    std::vector<Heard> expected;
    for (size_t i = 0; i < stop && recorder.last().has_value(); ++i) {
      if (feed_[i].slot >= feed_[0].slot && feed_[i].slot <= *recorder.last()) expected.push_back(feed_[i]);
    }
    EXPECT_TRUE(Messages(out_) == expected) << "stopped after " << stop;
  }
}

TEST_F(RecorderTest, BeginsWithASlotWhoseBeginningWasHeard) {
  const size_t begin = feed_.size() / 2;
  Recorder recorder = Open();
  for (size_t i = begin; i < feed_.size(); ++i) ASSERT_TRUE(recorder.Add(feed_[i].bytes, now_).ok());
  recorder.Finish();
  const std::vector<Heard> written = Messages(out_);
  ASSERT_FALSE(written.empty());
  const auto first = WalkMessage(written.front().bytes);
  ASSERT_EQ(first->kind, WalkedMessage::Kind::kSlot);
  EXPECT_TRUE(first->status.status == SlotStatus::kFirstShredReceived ||
              first->status.status == SlotStatus::kCreatedBank);
  for (const Heard& heard : written) EXPECT_GE(heard.slot, first->slot);
  EXPECT_GT(recorder.blocks(), 5u);
}

// Whatever fits, the file has whole messages, and the blocks that are counted are those that are in it whole.
TEST_F(RecorderTest, OnAFullDiskTheBlocksAreCountedThatAreInTheFile) {
  std::set<size_t> counts;
  for (size_t room = 50'000; room < 1'000'000; room += 87'654) {
    Recorder recorder = Open();
    {
      const FileSizeLimit limit(room);
      for (size_t i = 0; i < feed_.size() && recorder.Add(feed_[i].bytes, now_).ok(); ++i) {
      }
      recorder.Finish();
    }
    ASSERT_FALSE(recorder.written().ok()) << room;
    EXPECT_LE(std::filesystem::file_size(out_), room);
    const std::set<Slot> whole = WholeIn(Messages(out_));
    counts.insert(whole.size());
    ASSERT_EQ(recorder.blocks(), whole.size()) << room;
    EXPECT_EQ(recorder.first(), whole.empty() ? std::nullopt : std::optional(*whole.begin()));
    EXPECT_EQ(recorder.last(), whole.empty() ? std::nullopt : std::optional(*whole.rbegin()));
  }
  EXPECT_GT(counts.size(), 3u);
}

TEST_F(RecorderTest, AFileThatTakesNoMoreIsAnErrorThatNamesIt) {
  auto file = RecordingWriter::Create("/dev/full");
  ASSERT_TRUE(file.ok()) << file.status();
  Recorder recorder({}, *std::move(file));
  absl::Status status;
  for (size_t i = 0; i < feed_.size() && status.ok(); ++i) status = recorder.Add(feed_[i].bytes, now_);
  EXPECT_FALSE(status.ok());
  recorder.Finish();
  EXPECT_EQ(recorder.written(), status);
  EXPECT_NE(status.message().find("/dev/full"), std::string::npos) << status;
}

}  // namespace
}  // namespace everstate::ingest
