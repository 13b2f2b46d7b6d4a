#include "tests/server/ingest/replay_support.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <span>
#include <thread>

#include "server/base/base58.h"
#include "server/ingest/recording.h"

#ifdef __SANITIZE_THREAD__
// What gRPC, which is not instrumented, receives into its buffers is no race of ours; to find that out by the list of
// suppressions, for every message that a test reads, takes forty times as long as the test.
extern "C" const char* __tsan_default_options() { return "ignore_noninstrumented_modules=1"; }
#endif

namespace everstate::testing {
namespace {

constexpr std::chrono::minutes kPatience{2};

std::string Signature(uint64_t slot, int index) {
  std::string signature(64, static_cast<char>(index + 1));
  for (size_t i = 0; i < 8; ++i) signature[i] = static_cast<char>(slot >> (8 * i));
  return signature;
}

geyser::SubscribeUpdate Status(uint64_t slot, geyser::SlotStatus status,
                               std::optional<uint64_t> parent = std::nullopt) {
  geyser::SubscribeUpdate update;
  update.mutable_slot()->set_slot(slot);
  update.mutable_slot()->set_status(status);
  if (parent) update.mutable_slot()->set_parent(*parent);
  return update;
}

geyser::SubscribeUpdate Account(uint64_t slot, int key, int owner, uint64_t lamports, std::string data,
                                uint64_t write_version, std::optional<std::string> signature) {
  geyser::SubscribeUpdate update;
  update.mutable_account()->set_slot(slot);
  auto* info = update.mutable_account()->mutable_account();
  info->set_pubkey(Key(key));
  info->set_owner(Key(owner));
  info->set_lamports(lamports);
  info->set_data(std::move(data));
  info->set_write_version(write_version);
  if (signature) info->set_txn_signature(*signature);
  return update;
}

geyser::SubscribeUpdate Transaction(uint64_t slot, int index, bool vote, bool failed) {
  geyser::SubscribeUpdate update;
  update.mutable_transaction()->set_slot(slot);
  auto* info = update.mutable_transaction()->mutable_transaction();
  info->set_signature(Signature(slot, index));
  info->set_is_vote(vote);
  info->set_index(static_cast<uint64_t>(index));
  info->mutable_transaction()->add_signatures(Signature(slot, index));
  info->mutable_transaction()->add_signatures(std::string(64, '\x7f'));
  auto* message = info->mutable_transaction()->mutable_message();
  message->add_account_keys(Key(1));
  message->add_account_keys(Key(10 + static_cast<int>(slot % 3)));
  auto* meta = info->mutable_meta();
  meta->set_fee(5000);
  if (index == 1) meta->add_loaded_writable_addresses(Key(20));
  if (index == 2) meta->add_loaded_readonly_addresses(Key(21));
  if (failed) meta->mutable_err()->set_err(std::string("\x08\0\0\0", 4));
  return update;
}

void AddContent(uint64_t slot, Updates* out) {
  std::string token(165, '\1');
  if (slot % 2 == 0) token[108] = 0;  // not initialized
  std::string token_2022(170, '\1');
  token_2022[165] = '\2';
  const uint64_t version = slot * 10;
  out->push_back(Account(slot, 1, 2, slot % 5, "abcdefghij", version + 1, Signature(slot, 0)));
  out->push_back(Transaction(slot, 0, false, false));
  out->push_back(Transaction(slot, 3, true, false));
  out->push_back(Account(slot, 3, 4, 100, token, version + 2, Signature(slot, 1)));
  out->push_back(
      Account(slot, 5, 4, 100, slot % 3 == 0 ? token_2022 : std::string(355, '\2'), version + 3, Signature(slot, 1)));
  out->push_back(Transaction(slot, 1, false, slot % 4 == 0));
  out->push_back(Transaction(slot, 2, false, true));
  out->push_back(Account(slot, 6, 7, 1, "clock", version + 4, std::nullopt));
  geyser::SubscribeUpdate entry;
  entry.mutable_entry()->set_slot(slot);
  entry.mutable_entry()->set_hash(Key(99));
  out->push_back(entry);
}

geyser::SubscribeUpdate Meta(uint64_t slot, uint64_t parent, uint64_t height) {
  geyser::SubscribeUpdate update;
  auto* meta = update.mutable_block_meta();
  meta->set_slot(slot);
  meta->set_blockhash(HashText(slot));
  meta->set_parent_slot(parent);
  meta->set_parent_blockhash(HashText(parent));
  meta->mutable_block_height()->set_block_height(height);
  meta->mutable_block_time()->set_timestamp(1'700'000'000 + static_cast<int64_t>(height) / 2);
  meta->set_executed_transaction_count(4);
  return update;
}

}  // namespace

std::string Key(int n) {
  std::string key(32, '\x11');
  key[0] = static_cast<char>(n);
  return key;
}

std::string Base58(const std::string& bytes) {
  return EncodeBase58(std::span(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()));
}

std::string HashText(uint64_t slot) {
  std::string hash(32, '\x22');
  for (size_t i = 0; i < 8; ++i) hash[i] = static_cast<char>(slot * 7 >> (8 * i));
  return Base58(hash);
}

Updates MadeRecording() {
  Updates out;
  // 1004 is skipped, 1011 dies.
  std::vector<uint64_t> blocks;
  for (uint64_t slot = kMadeFirstSlot; slot <= kMadeLastSlot; ++slot) {
    if (slot != 1004 && slot != 1011) blocks.push_back(slot);
  }
  auto open = [&out](uint64_t slot, uint64_t parent) {
    out.push_back(Status(slot, geyser::SLOT_CREATED_BANK, parent));
    out.push_back(Status(slot, geyser::SLOT_FIRST_SHRED_RECEIVED));
  };
  auto complete = [&out](uint64_t slot, uint64_t parent) {
    out.push_back(Status(slot, geyser::SLOT_COMPLETED));
    out.push_back(Status(slot, geyser::SLOT_PROCESSED, parent));
  };
  open(blocks[0], kMadeFirstSlot - 1);
  complete(blocks[0], kMadeFirstSlot - 1);
  for (size_t b = 0; b < blocks.size(); ++b) {
    const uint64_t slot = blocks[b];
    const uint64_t parent = b == 0 ? kMadeFirstSlot - 1 : blocks[b - 1];
    if (b + 1 < blocks.size()) open(blocks[b + 1], slot);
    AddContent(slot, &out);
    out.push_back(Meta(slot, parent, 500 + b));
    out.push_back(Status(slot, geyser::SLOT_CONFIRMED));
    if (b + 1 < blocks.size()) complete(blocks[b + 1], slot);
    if (slot == 1010) {
      open(1011, 1010);
      out.push_back(Status(1011, geyser::SLOT_DEAD, 1010));
    }
    const uint64_t finalized = b < 3 ? kMadeFirstSlot - 3 + b : blocks[b - 3];
    out.push_back(Status(finalized, geyser::SLOT_FINALIZED,
                         b < 3 ? finalized - 1 : (b == 3 ? kMadeFirstSlot - 1 : blocks[b - 4])));
  }
  for (geyser::SubscribeUpdate& update : out) update.mutable_created_at()->set_seconds(1'700'000'000);
  return out;
}

TemporaryRecording::TemporaryRecording(const Updates& updates, bool cut_last_byte) {
  static std::atomic<int> count = 0;
  path_ = ::testing::TempDir() + "replay-" + std::to_string(getpid()) + "-" + std::to_string(++count) + ".updates";
  std::string bytes;
  for (const geyser::SubscribeUpdate& update : updates) AppendRecorded(update.SerializeAsString(), &bytes);
  if (cut_last_byte) bytes.pop_back();
  std::ofstream(path_, std::ios::binary) << bytes;
}

TemporaryRecording::~TemporaryRecording() { std::filesystem::remove(path_); }

Updates ReadRecording(const std::string& path) {
  Updates updates;
  auto reader = RecordingReader::Open(path);
  EXPECT_TRUE(reader.ok()) << reader.status();
  while (reader.ok()) {
    auto next = reader->Next();
    EXPECT_TRUE(next.ok()) << next.status();
    if (!next.ok() || !next->has_value()) break;
    EXPECT_TRUE(updates.emplace_back().ParseFromString(std::string((*next)->bytes)));
  }
  return updates;
}

geyser::SubscribeUpdate Bare(geyser::SubscribeUpdate update) {
  update.clear_filters();
  update.clear_created_at();
  return update;
}

std::vector<std::string> BareBytes(const Updates& updates) {
  std::vector<std::string> bytes;
  for (const geyser::SubscribeUpdate& update : updates) bytes.push_back(Bare(update).SerializeAsString());
  return bytes;
}

uint64_t SlotOf(const geyser::SubscribeUpdate& update) {
  if (update.has_account()) return update.account().slot();
  if (update.has_transaction()) return update.transaction().slot();
  if (update.has_transaction_status()) return update.transaction_status().slot();
  if (update.has_block_meta()) return update.block_meta().slot();
  if (update.has_entry()) return update.entry().slot();
  return update.slot().slot();
}

bool IsContent(const geyser::SubscribeUpdate& update) {
  return update.has_account() || update.has_transaction() || update.has_entry();
}

geyser::SubscribeRequest All(std::optional<uint64_t> from_slot) {
  geyser::SubscribeRequest request;
  (*request.mutable_accounts())["all"];
  (*request.mutable_transactions())["all"];
  (*request.mutable_slots())["all"].set_interslot_updates(true);
  (*request.mutable_blocks_meta())["all"];
  (*request.mutable_entry())["all"];
  request.set_commitment(geyser::CONFIRMED);
  if (from_slot) request.set_from_slot(*from_slot);
  return request;
}

std::unique_ptr<geyser::Geyser::Stub> Stub(int port) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return geyser::Geyser::NewStub(
      grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials(), arguments));
}

StreamClient::StreamClient(int port) : stub_(Stub(port)) {
  context_.set_deadline(std::chrono::system_clock::now() + kPatience);
  stream_ = stub_->Subscribe(&context_);
}

StreamClient::~StreamClient() {
  context_.TryCancel();
  if (!finished_) stream_->Finish();
}

void StreamClient::Send(const geyser::SubscribeRequest& request) { EXPECT_TRUE(stream_->Write(request)); }

void StreamClient::Ping(int id) {
  geyser::SubscribeRequest request;
  request.mutable_ping()->set_id(id);
  Send(request);
}

bool StreamClient::Read(geyser::SubscribeUpdate* update) { return stream_->Read(update); }

bool StreamClient::ReadNoPing(geyser::SubscribeUpdate* update) {
  while (Read(update)) {
    if (!update->has_ping()) return true;
  }
  return false;
}

bool StreamClient::ReadData(geyser::SubscribeUpdate* update) {
  while (Read(update)) {
    if (!update->has_ping() && !update->has_pong()) return true;
  }
  return false;
}

Updates StreamClient::ReadData(size_t count) {
  Updates updates;
  geyser::SubscribeUpdate update;
  while (updates.size() < count && ReadData(&update)) updates.push_back(update);
  EXPECT_EQ(updates.size(), count);
  return updates;
}

Updates StreamClient::ReadUntil(const Predicate& last) {
  Updates updates;
  geyser::SubscribeUpdate update;
  while (ReadData(&update)) {
    updates.push_back(update);
    if (last(update)) return updates;
  }
  ADD_FAILURE() << "the stream ended after " << updates.size() << " updates";
  return updates;
}

grpc::Status StreamClient::Finish() {
  geyser::SubscribeUpdate update;
  while (Read(&update)) {
  }
  finished_ = true;
  return stream_->Finish();
}

std::unique_ptr<ReplayServer> StartReplay(ReplayOptions options) {
  auto server = ReplayServer::Start(std::move(options));
  EXPECT_TRUE(server.ok()) << server.status();
  return server.ok() ? *std::move(server) : nullptr;
}

void WaitFor(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "waited in vain";
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

}  // namespace everstate::testing
