// The walk against the generated classes: on everything that was recorded, and on recorded bytes that were damaged.
#include "server/ingest/wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <filesystem>
#include <random>

#include "proto/geyser.pb.h"
#include "server/base/base58.h"
#include "server/ingest/recording.h"
#include "tests/support/geyser_builder.h"
#include "tests/support/source_dir.h"

namespace everstate::ingest {
namespace {

using Kind = WalkedMessage::Kind;

std::string_view View(const uint8_t* bytes, size_t size) { return {reinterpret_cast<const char*>(bytes), size}; }
std::string_view View(std::span<const uint8_t> bytes) { return View(bytes.data(), bytes.size()); }

struct Differ {
  std::string message;
  int count = 0;
  uint64_t fields = 0;
  template <typename A, typename B>
  void Check(const char* field, const A& walked, const B& generated) {
    ++fields;
    if (walked == generated) return;
    if (count++ < 10) ADD_FAILURE() << field << " differs in " << message;
  }
};

void CompareAccount(const AccountUpdate& a, const geyser::SubscribeUpdateAccountInfo& b, Differ* differ) {
  differ->Check("pubkey", View(a.pubkey, 32), b.pubkey());
  differ->Check("owner", View(a.owner, 32), b.owner());
  differ->Check("lamports", a.lamports, b.lamports());
  differ->Check("write_version", a.write_version, b.write_version());
  differ->Check("data", View(a.data), b.data());
  differ->Check("has signature", a.signature != nullptr, !b.txn_signature().empty());
  if (a.signature != nullptr) differ->Check("signature", View(a.signature, 64), b.txn_signature());
}

template <typename Generated>
void CompareInstruction(const InstructionUpdate& a, const Generated& b, const std::vector<std::string>& keys,
                        Differ* differ) {
  differ->Check("program", View(a.program, 32), keys.at(b.program_id_index()));
  differ->Check("instruction accounts", View(a.accounts), b.accounts());
  differ->Check("instruction data", View(a.data), b.data());
}

void CompareInstructions(const TransactionUpdate& a, const geyser::SubscribeUpdateTransactionInfo& b,
                         const std::vector<std::string>& keys, Differ* differ) {
  size_t next = 0;
  const auto& message = b.transaction().message();
  for (int outer = 0; outer < message.instructions_size(); ++outer) {
    ASSERT_LT(next, a.instructions.size());
    const InstructionUpdate& placed = a.instructions[next++];
    CompareInstruction(placed, message.instructions(outer), keys, differ);
    differ->Check("outer", placed.outer, outer);
    differ->Check("inner", placed.inner, -1);
    differ->Check("height", placed.height, 1u);
    int inner = 0;
    for (const auto& group : b.meta().inner_instructions()) {
      if (static_cast<int>(group.index()) != outer) continue;
      for (const auto& instruction : group.instructions()) {
        ASSERT_LT(next, a.instructions.size());
        const InstructionUpdate& called = a.instructions[next++];
        CompareInstruction(called, instruction, keys, differ);
        differ->Check("outer", called.outer, outer);
        differ->Check("inner", called.inner, inner++);
        differ->Check("height", called.height, instruction.has_stack_height() ? instruction.stack_height() : 2u);
      }
    }
  }
  differ->Check("instructions", a.instructions.size(), next);
}

void CompareTransaction(const TransactionUpdate& a, const geyser::SubscribeUpdateTransactionInfo& b, Differ* differ) {
  const auto& message = b.transaction().message();
  differ->Check("index", a.index, b.index());
  differ->Check("signature", View(a.signature, 64), b.signature());
  differ->Check("failed", a.failed, b.meta().has_err());
  differ->Check("logs missing", a.logs_missing, !b.has_meta() || b.meta().log_messages_none());
  differ->Check("inner missing", a.inner_missing, !b.has_meta() || b.meta().inner_instructions_none());
  std::vector<std::string> keys(message.account_keys().begin(), message.account_keys().end());
  std::vector<bool> writable;
  const size_t signers = message.header().num_required_signatures();
  for (size_t i = 0; i < keys.size(); ++i) {
    const bool signer = i < signers;
    const size_t readonly =
        signer ? message.header().num_readonly_signed_accounts() : message.header().num_readonly_unsigned_accounts();
    writable.push_back(i < (signer ? signers : keys.size()) - readonly);
  }
  for (const std::string& key : b.meta().loaded_writable_addresses()) {
    keys.push_back(key);
    writable.push_back(true);
  }
  for (const std::string& key : b.meta().loaded_readonly_addresses()) {
    keys.push_back(key);
    writable.push_back(false);
  }
  differ->Check("keys", a.keys.size(), keys.size());
  differ->Check("writables", a.writable.size(), keys.size());
  for (size_t i = 0; i < std::min(a.keys.size(), keys.size()); ++i) {
    differ->Check("key", View(a.keys[i], 32), keys[i]);
    differ->Check("writable", static_cast<bool>(a.writable[i]), static_cast<bool>(writable[i]));
  }
  CompareInstructions(a, b, keys, differ);
  differ->Check("logs", a.logs.size(), static_cast<size_t>(b.meta().log_messages_size()));
  for (size_t i = 0; i < a.logs.size(); ++i)
    differ->Check("log", a.logs[i], b.meta().log_messages(static_cast<int>(i)));
}

void CompareMeta(const WalkedMessage& a, const geyser::SubscribeUpdateBlockMeta& b, Differ* differ) {
  differ->Check("meta slot", a.slot, b.slot());
  differ->Check("blockhash", EncodeBase58(a.meta.blockhash), b.blockhash());
  differ->Check("parent slot", a.meta.parent_slot, b.parent_slot());
  differ->Check("parent blockhash", EncodeBase58(a.meta.parent_blockhash), b.parent_blockhash());
  differ->Check("has block time", a.meta.block_time.has_value(), b.has_block_time());
  differ->Check("block time", a.meta.block_time.value_or(0), b.block_time().timestamp());
  differ->Check("has height", a.meta.block_height.has_value(), b.has_block_height());
  differ->Check("height", a.meta.block_height.value_or(0), b.block_height().block_height());
}

// Both read the same, if both read at all. False when the walk refused the message.
bool Compare(const std::string& bytes, const geyser::SubscribeUpdate& update, TransactionWalker* walker,
             Differ* differ) {
  const auto walked = WalkMessage(bytes);
  if (!walked.ok()) return false;
  std::pmr::monotonic_buffer_resource arena;
  switch (update.update_oneof_case()) {
    case geyser::SubscribeUpdate::kAccount:
      differ->Check("kind", walked->kind, Kind::kAccount);
      differ->Check("slot", walked->slot, update.account().slot());
      CompareAccount(walked->account, update.account().account(), differ);
      return true;
    case geyser::SubscribeUpdate::kSlot:
      differ->Check("kind", walked->kind, Kind::kSlot);
      differ->Check("slot", walked->slot, update.slot().slot());
      differ->Check("status", static_cast<int>(walked->status.status), static_cast<int>(update.slot().status()));
      differ->Check("has parent", walked->status.parent.has_value(), update.slot().has_parent());
      differ->Check("parent", walked->status.parent.value_or(0), update.slot().parent());
      return true;
    case geyser::SubscribeUpdate::kTransaction: {
      differ->Check("kind", walked->kind, Kind::kTransaction);
      differ->Check("slot", walked->slot, update.transaction().slot());
      const auto transaction = walker->Walk(bytes, &arena);
      if (!transaction.ok()) return false;
      CompareTransaction(*transaction, update.transaction().transaction(), differ);
      return true;
    }
    case geyser::SubscribeUpdate::kBlockMeta:
      differ->Check("kind", walked->kind, Kind::kBlockMeta);
      CompareMeta(*walked, update.block_meta(), differ);
      return true;
    case geyser::SubscribeUpdate::kPing:
      differ->Check("kind", walked->kind, Kind::kPing);
      return true;
    case geyser::SubscribeUpdate::kPong:
      differ->Check("kind", walked->kind, Kind::kPong);
      return true;
    default:
      differ->Check("kind", walked->kind, Kind::kUnknown);
      return true;
  }
}

std::vector<std::string> RecordingFiles() {
  std::vector<std::string> files = {InSource("tests/recordings/spl-small.updates")};
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(InSharedData("recordings"), none)) {
    if (entry.path().extension() == ".updates") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

TEST(Wire, ReadsEveryRecordedMessageAsTheGeneratedClassesDo) {
  TransactionWalker walker;
  for (const std::string& file : RecordingFiles()) {
    auto recording = RecordingReader::Open(file);
    ASSERT_TRUE(recording.ok()) << recording.status();
    Differ differ;
    uint64_t messages = 0, transactions = 0, accounts = 0;
    while (true) {
      const auto message = recording->Next();
      ASSERT_TRUE(message.ok()) << message.status();
      if (!message->has_value()) break;
      const std::string bytes((*message)->bytes);
      differ.message = file + " at " + std::to_string((*message)->offset);
      geyser::SubscribeUpdate update;
      ASSERT_TRUE(update.ParseFromString(bytes)) << differ.message;
      EXPECT_TRUE(Compare(bytes, update, &walker, &differ)) << differ.message;
      ++messages;
      transactions += update.has_transaction();
      accounts += update.has_account();
    }
    EXPECT_EQ(differ.count, 0);
    EXPECT_GT(messages, 0u);
    std::printf("%s: %lu messages, %lu transactions, %lu accounts, %lu fields compared, %d differ\n",
                file.substr(file.rfind('/') + 1).c_str(), messages, transactions, accounts, differ.fields,
                differ.count);
  }
}

// Damaged bytes never crash the walk; where both readers accept them, both read the same.
TEST(Wire, ReadsDamagedMessagesAsTheGeneratedClassesDo) {
  auto recording = RecordingReader::Open(InSource("tests/recordings/spl-small.updates"));
  ASSERT_TRUE(recording.ok());
  std::vector<std::string> messages;
  while (messages.size() < 2000) {
    const auto message = recording->Next();
    ASSERT_TRUE(message.ok() && message->has_value());
    messages.emplace_back((*message)->bytes);
  }
  const google::protobuf::LogSilencer silent;  // it says of each damaged string that it is no UTF-8
  std::mt19937_64 random(20261125);
  TransactionWalker walker;
  Differ differ;
  uint64_t both = 0, walk_refused = 0, only_walk = 0;
  for (int round = 0; round < 60000; ++round) {
    std::string bytes = messages[random() % messages.size()];
    for (uint64_t i = 0; i <= random() % 3; ++i) {
      const size_t at = random() % bytes.size();
      switch (random() % 4) {
        case 0:
          bytes[at] = static_cast<char>(random());
          break;
        case 1:
          bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8));
          break;
        case 2:
          bytes.resize(at + 1);
          break;
        default:  // another message behind: fields that come twice, another member of the oneof
          bytes += messages[random() % messages.size()];
      }
    }
    differ.message = "round " + std::to_string(round);
    geyser::SubscribeUpdate update;
    if (update.ParseFromString(bytes)) {
      ++(Compare(bytes, update, &walker, &differ) ? both : walk_refused);
    } else if (const auto walked = WalkMessage(bytes); walked.ok()) {
      std::pmr::monotonic_buffer_resource arena;
      if (walked->kind == Kind::kTransaction) only_walk += walker.Walk(bytes, &arena).ok();
    }
  }
  EXPECT_EQ(differ.count, 0);
  EXPECT_GT(both, 20000u);
  EXPECT_GT(walk_refused, 100u);
  std::printf("%lu read by both, %lu refused by the walk only, %lu transactions read by the walk only\n", both,
              walk_refused, only_walk);
}

absl::Status WalkTransaction(const geyser::SubscribeUpdate& update) {
  std::pmr::monotonic_buffer_resource arena;
  const std::string bytes = update.SerializeAsString();
  return TransactionWalker().Walk(bytes, &arena).status();
}

TEST(Wire, AnIndexBeyondTheKeysIsRefusedWithTheTransactionsIndex) {
  geyser::SubscribeUpdate update = testing::TransactionMessage(7, 3);
  ASSERT_TRUE(WalkTransaction(update).ok());
  auto broken = update;
  broken.mutable_transaction()
      ->mutable_transaction()
      ->mutable_transaction()
      ->mutable_message()
      ->mutable_instructions(0)
      ->set_program_id_index(6);
  EXPECT_EQ(WalkTransaction(broken).message(),
            "malformed transaction 3: instruction 0 or one that it called names a key beyond the 6 of the transaction");
  broken = update;
  broken.mutable_transaction()
      ->mutable_transaction()
      ->mutable_meta()
      ->mutable_inner_instructions(0)
      ->mutable_instructions(1)
      ->set_accounts("\x06");
  EXPECT_EQ(WalkTransaction(broken).message(),
            "malformed transaction 3: instruction 1 or one that it called names a key beyond the 6 of the transaction");
  broken = update;
  broken.mutable_transaction()->mutable_transaction()->mutable_meta()->mutable_inner_instructions(0)->set_index(2);
  EXPECT_EQ(WalkTransaction(broken).message(),
            "malformed transaction 3: it has inner instructions of instruction 2, but only 2 instructions");
  broken = update;
  broken.mutable_transaction()
      ->mutable_transaction()
      ->mutable_transaction()
      ->mutable_message()
      ->mutable_header()
      ->set_num_required_signatures(5);
  EXPECT_EQ(WalkTransaction(broken).message(), "malformed transaction 3: its header names more keys than there are");
  broken = update;
  broken.mutable_transaction()->mutable_transaction()->mutable_transaction()->mutable_message()->set_account_keys(
      0, "short");
  EXPECT_THAT(std::string(WalkTransaction(broken).message()),
              ::testing::HasSubstr("an account key has 5 bytes instead of 32"));
}

TEST(Wire, InnerGroupsOfOneInstructionCountOn) {
  geyser::SubscribeUpdate update = testing::TransactionMessage(7, 3);
  auto* meta = update.mutable_transaction()->mutable_transaction()->mutable_meta();
  *meta->add_inner_instructions() = meta->inner_instructions(0);
  auto* first = meta->add_inner_instructions();  // out of order, and for the first instruction
  *first->add_instructions() = meta->inner_instructions(0).instructions(0);
  std::pmr::monotonic_buffer_resource arena;
  const std::string bytes = update.SerializeAsString();
  TransactionWalker walker;
  const auto walked = walker.Walk(bytes, &arena);
  ASSERT_TRUE(walked.ok()) << walked.status();
  std::vector<std::pair<int, int>> paths;
  for (const auto& instruction : walked->instructions) paths.emplace_back(instruction.outer, instruction.inner);
  EXPECT_EQ(paths, (std::vector<std::pair<int, int>>{{0, -1}, {0, 0}, {1, -1}, {1, 0}, {1, 1}, {1, 2}, {1, 3}}));
}

TEST(Wire, MalformedBytesAreNamedByOffset) {
  std::string bytes = testing::AccountMessage(5, "a", 1, "data", std::nullopt).SerializeAsString();
  const size_t whole = bytes.size();
  bytes += '\x12';  // field 2, bytes, without a length
  EXPECT_EQ(WalkMessage(bytes).status(),
            absl::InvalidArgumentError("malformed update, byte " + std::to_string(whole) + ": a number is cut off"));
  EXPECT_EQ(WalkMessage("\x13").status(),
            absl::InvalidArgumentError("malformed update, byte 0: a wire type that does not exist"));
  EXPECT_EQ(WalkMessage(std::string_view("\x00", 1)).status(),
            absl::InvalidArgumentError("malformed update, byte 0: a field number that does not exist"));
}

TEST(Wire, WhatIsNotKnownIsPassedOver) {
  EXPECT_EQ(WalkMessage("")->kind, Kind::kUnknown);
  geyser::SubscribeUpdate entry;
  entry.mutable_entry()->set_slot(5);
  EXPECT_EQ(WalkMessage(entry.SerializeAsString())->kind, Kind::kUnknown);
  // Field 99 of a newer server beside a slot.
  const std::string bytes = testing::SlotUpdate(5, geyser::SLOT_DEAD).SerializeAsString() + "\x9a\x06\x03" + "new";
  const auto walked = WalkMessage(bytes);
  ASSERT_TRUE(walked.ok());
  EXPECT_EQ(walked->kind, Kind::kSlot);
  EXPECT_EQ(walked->status.status, SlotStatus::kDead);
}

TEST(Wire, ABlockMetaNeedsItsHashes) {
  geyser::SubscribeUpdate update = testing::MetaUpdate({.slot = 9, .parent = 8});
  update.mutable_block_meta()->set_blockhash("0OIl");
  EXPECT_EQ(WalkMessage(update.SerializeAsString()).status(),
            absl::InvalidArgumentError("malformed update: blockhash of block 9 is not base58 of 32 bytes"));
}

}  // namespace
}  // namespace everstate::ingest
