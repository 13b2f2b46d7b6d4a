// What the tests of the archive share: recordings, their blocks as the ledger makes them, and what is in an archive.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/ingest/archive.h"
#include "server/ingest/ledger.h"
#include "server/ingest/recording.h"
#include "tests/support/geyser_builder.h"
#include "tests/support/temporary_folder.h"

namespace everstate::testing {

inline std::array<uint8_t, 32> KeyBytes(std::string_view name) {
  const std::string key = KeyOf(name);
  std::array<uint8_t, 32> bytes;
  std::copy(key.begin(), key.end(), bytes.begin());
  return bytes;
}

// Of the made blocks: every account belongs to "program", every transaction names it.
inline ingest::Subscription MadeSubscription() {
  return {{KeyBytes("program")}, {KeyBytes("program")}, Commitment::kConfirmed};
}

inline std::vector<std::string> MessagesIn(const std::string& recording) {
  std::vector<std::string> messages;
  auto reader = RecordingReader::Open(recording);
  EXPECT_TRUE(reader.ok()) << reader.status();
  while (reader.ok()) {
    const auto message = reader->Next();
    EXPECT_TRUE(message.ok()) << message.status();
    if (!message.ok() || !message->has_value()) break;
    messages.emplace_back((*message)->bytes);
  }
  return messages;
}

// The blocks that a ledger makes of messages. Gaps are passed over; what waits at the end for a parent comes too.
inline std::vector<BlockRef> BlocksOf(const std::vector<std::string>& messages, ingest::LedgerOptions options = {}) {
  ingest::LedgerCounters counters;
  ingest::Ledger ledger(std::move(options), &counters);
  std::vector<ingest::LedgerEvent> events;
  std::chrono::steady_clock::time_point now{};
  absl::Status status;
  for (const std::string& message : messages) {
    if (status.ok()) status = ledger.Add(message, now, &events);
  }
  for (int i = 0; i < 2 && status.ok(); ++i) status = ledger.Tick(now += std::chrono::hours(1), &events);
  EXPECT_TRUE(status.ok()) << status;
  std::vector<BlockRef> blocks;
  for (const ingest::LedgerEvent& event : events) {
    if (const auto* block = std::get_if<BlockRef>(&event)) blocks.push_back(*block);
  }
  return blocks;
}

// The chain first..last of made blocks, whose content is a function of the slot.
inline std::vector<BlockRef> MadeChain(Slot first, Slot last) {
  std::vector<std::string> messages;
  for (Slot slot = first; slot <= last; ++slot) {
    const int size = static_cast<int>(slot % 7);
    for (std::string& message :
         MessagesOf({.slot = slot, .parent = slot - 1, .transactions = size, .accounts = 2 * size}))
      messages.push_back(std::move(message));
  }
  return BlocksOf(messages);
}

// Everything about a block that is of its content.
inline std::string WholeText(const Block& block) {
  std::string text = TextOf(block) + "bytes " + std::to_string(block.bytes) + "\n";
  for (const std::string& buffer : block.buffers) AppendRecorded(buffer, &text);
  return text;
}

inline std::unique_ptr<ingest::ArchiveWriter> OpenWriter(
    const ingest::ArchiveOptions& options, const ingest::Subscription& subscription = MadeSubscription()) {
  auto writer = ingest::ArchiveWriter::Open(options, subscription);
  if (!writer.ok()) {
    ADD_FAILURE() << writer.status();
    std::abort();
  }
  return *std::move(writer);
}

// Appends all of them to the archive, with a writer that is closed afterwards.
inline void WriteArchive(const ingest::ArchiveOptions& options, const std::vector<BlockRef>& blocks,
                         const ingest::Subscription& subscription = MadeSubscription()) {
  auto writer = OpenWriter(options, subscription);
  for (const BlockRef& block : blocks) ASSERT_TRUE(writer->Append(*block).ok());
}

inline std::string TextOf(const ingest::ArchiveListing& listing) {
  std::string text = std::to_string(listing.segments) + " segments " + std::to_string(listing.bytes) + " bytes\n";
  for (const ingest::ArchiveReach& run : listing.runs) {
    text += std::to_string(run.before.slot) + " " + std::to_string(run.first_slot) + ".." +
            std::to_string(run.last.slot) + " " + std::to_string(run.blocks) + " blocks " + std::to_string(run.bytes) +
            " bytes\n";
  }
  for (const std::string& fault : listing.faults) text += fault + "\n";
  return text;
}

// What a reader finds behind `after`, up to the end or an error.
struct ReadBack {
  std::vector<BlockRef> blocks;
  absl::Status status;

  std::vector<Slot> slots() const {
    std::vector<Slot> list;
    for (const BlockRef& block : blocks) list.push_back(block->id.slot);
    return list;
  }
};

inline ReadBack ReadAfter(const std::filesystem::path& dir, Slot after,
                          const ingest::Subscription& subscription = MadeSubscription()) {
  ReadBack out;
  BlockId id;
  id.slot = after;
  auto reader = ingest::ArchiveReader::Open(dir, subscription, id);
  out.status = reader.status();
  while (out.status.ok()) {
    auto block = (*reader)->Next();
    out.status = block.status();
    if (!block.ok() || *block == nullptr) break;
    out.blocks.push_back(*std::move(block));
  }
  return out;
}

}  // namespace everstate::testing
