#include "server/ingest/recording.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/file_size_limit.h"

namespace everstate {
namespace {

using ::testing::HasSubstr;

class RecordingTest : public ::testing::Test {
 protected:
  RecordingTest() : path_(::testing::TempDir() + "recording_test-" + std::to_string(getpid()) + ".updates") {}
  ~RecordingTest() override { std::filesystem::remove(path_); }

  void WriteFile(const std::string& bytes) { std::ofstream(path_, std::ios::binary) << bytes; }

  // What can be read before the end or the fault.
  std::vector<std::string> ReadAll(absl::Status* fault, uint64_t limit = kRecordedMessageBytesMax) {
    std::vector<std::string> messages;
    auto reader = RecordingReader::Open(path_, limit);
    *fault = reader.status();
    if (!reader.ok()) return messages;
    while (true) {
      auto next = reader->Next();
      *fault = next.status();
      if (!next.ok() || !next->has_value()) return messages;
      messages.emplace_back((*next)->bytes);
    }
  }

  const std::string path_;
};

TEST_F(RecordingTest, WhatIsWrittenIsRead) {
  EXPECT_TRUE(rc::check([this](const std::vector<std::string>& messages, bool long_one) {
    std::vector<std::string> expected = messages;
    if (long_one) expected.push_back(std::string(70000, 'x'));
    auto writer = RecordingWriter::Create(path_);
    RC_ASSERT(writer.ok());
    std::string joined;
    for (const std::string& message : expected) {
      RC_ASSERT(writer->Append(message).ok());
      AppendRecorded(message, &joined);
    }
    RC_ASSERT(writer->Close().ok());
    RC_ASSERT(std::filesystem::file_size(path_) == joined.size());
    absl::Status fault;
    RC_ASSERT(ReadAll(&fault) == expected);
    RC_ASSERT(fault.ok());
  }));
}

// A file cut anywhere gives every whole message and then either its end or an error at the first byte that is not
// whole.
TEST_F(RecordingTest, ACutNamesTheOffset) {
  const std::vector<std::string> messages = {"", "abc", std::string(300, 'y'), "z"};
  std::string file;
  std::vector<size_t> begins;
  for (const std::string& message : messages) {
    begins.push_back(file.size());
    AppendRecorded(message, &file);
  }
  for (size_t size = 0; size <= file.size(); ++size) {
    WriteFile(file.substr(0, size));
    size_t whole = 0;
    while (whole < messages.size() && (whole + 1 < messages.size() ? begins[whole + 1] : file.size()) <= size) ++whole;
    absl::Status fault;
    ASSERT_EQ(ReadAll(&fault).size(), whole) << size;
    const bool clean = whole == messages.size() || begins[whole] == size;
    ASSERT_EQ(fault.ok(), clean) << size << ": " << fault;
    if (clean) continue;
    EXPECT_EQ(fault.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(fault.message()), HasSubstr(path_ + ": at offset " + std::to_string(begins[whole]) + ":"));
  }
}

TEST_F(RecordingTest, LengthsThatCannotBeAreRefused) {
  absl::Status fault;
  WriteFile(std::string("\x01x", 2) + std::string(11, '\xff'));
  EXPECT_EQ(ReadAll(&fault).size(), 1u);
  EXPECT_THAT(std::string(fault.message()), HasSubstr("at offset 2: the length of the message is no varint"));

  WriteFile(std::string("\x05hello\x06world!", 13));
  EXPECT_EQ(ReadAll(&fault, 5).size(), 1u);
  EXPECT_THAT(std::string(fault.message()), HasSubstr("at offset 6: a message of 6 bytes is beyond the limit of 5"));
}

TEST_F(RecordingTest, AFaultStays) {
  WriteFile("\x05hi");
  auto reader = RecordingReader::Open(path_);
  ASSERT_TRUE(reader.ok());
  const absl::Status first = reader->Next().status();
  EXPECT_FALSE(first.ok());
  EXPECT_EQ(reader->Next().status(), first);
}

// What was opened is read to its end, whatever becomes of the file meanwhile.
TEST_F(RecordingTest, AFileThatIsCutAfterwardsDoesNoHarm) {
  std::string file;
  for (int i = 0; i < 1000; ++i) AppendRecorded(std::string(100, static_cast<char>(i)), &file);
  WriteFile(file);
  auto reader = RecordingReader::Open(path_);
  ASSERT_TRUE(reader.ok());
  ASSERT_TRUE(reader->Next().ok());
  std::filesystem::resize_file(path_, 0);
  RecordingReader moved = *std::move(reader);
  for (int i = 1; i < 1000; ++i) {
    const auto next = moved.Next();
    ASSERT_TRUE(next.ok() && next->has_value());
    EXPECT_EQ((*next)->bytes, std::string(100, static_cast<char>(i)));
  }
  EXPECT_FALSE(moved.Next()->has_value());
}

TEST_F(RecordingTest, FilesThatAreNoneAreNamed) {
  auto missing = RecordingReader::Open(path_ + ".missing");
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.status().message()), HasSubstr(path_ + ".missing"));
  EXPECT_THAT(std::string(RecordingReader::Open(::testing::TempDir()).status().message()),
              HasSubstr("not a regular file"));
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);  // nobody writes into it
  EXPECT_THAT(std::string(RecordingReader::Open(path_).status().message()), HasSubstr("not a regular file"));
  EXPECT_THAT(std::string(RecordingReader::Open("-").status().message()), HasSubstr("standard input is not read"));
  EXPECT_FALSE(RecordingWriter::Create("/nonexistent/folder/x.updates").ok());
}

// A disk without room for all of it, at every place of two messages and inside of them.
TEST_F(RecordingTest, AWriterThatFailsLeavesWhatWasFlushed) {
  const std::string first(100, 'a'), second(2 << 20, 'b');
  for (const size_t room : {101, 102, 150, 1 << 20, (2 << 20) + 104}) {
    auto writer = RecordingWriter::Create(path_);
    ASSERT_TRUE(writer.ok());
    absl::Status failed;
    {
      const FileSizeLimit limit(room);
      ASSERT_TRUE(writer->Append(first).ok());
      ASSERT_TRUE(writer->Flush().ok());
      failed = writer->Append(second);
      if (failed.ok()) failed = writer->Flush();
    }
    EXPECT_THAT(std::string(failed.message()), HasSubstr("cannot write recording " + path_ + ": File too large"));
    absl::Status fault;
    EXPECT_EQ(ReadAll(&fault), std::vector<std::string>{first}) << room;
    EXPECT_TRUE(fault.ok()) << fault;
    EXPECT_EQ(writer->Append("x").code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_TRUE(writer->Close().ok());
  }
}

TEST_F(RecordingTest, AClosedWriterTakesNothing) {
  auto writer = RecordingWriter::Create(path_);
  ASSERT_TRUE(writer.ok());
  EXPECT_TRUE(writer->Close().ok());
  EXPECT_TRUE(writer->Close().ok());
  EXPECT_EQ(writer->Append("x").code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace everstate
