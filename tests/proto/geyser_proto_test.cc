// The numbers of the Yellowstone interface, written down a second time: a field that moves, is renamed or is added
// without thinking fails here. The recording is the interface as a server really speaks it.
#include "proto/geyser.pb.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/unknown_field_set.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "server/ingest/recording.h"
#include "tests/support/source_dir.h"

namespace everstate {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using google::protobuf::Message;

const char kStorage[] = "solana.storage.ConfirmedBlock.";

// Fields in ascending order of their numbers.
const std::map<std::string, std::string> kMessages = {
    {"geyser.SubscribeRequest",
     "accounts=1 slots=2 transactions=3 blocks=4 blocks_meta=5 commitment=6 accounts_data_slice=7 entry=8 ping=9 "
     "transactions_status=10 from_slot=11"},
    {"geyser.SubscribeRequestFilterAccounts",
     "account=2 owner=3 filters=4 nonempty_txn_signature=5 cuckoo_accounts_filter=6"},
    {"geyser.SubscribeRequestFilterAccountsFilter", "memcmp=1 datasize=2 token_account_state=3 lamports=4"},
    {"geyser.SubscribeRequestFilterAccountsFilterMemcmp", "offset=1 bytes=2 base58=3 base64=4"},
    {"geyser.SubscribeRequestFilterAccountsFilterLamports", "eq=1 ne=2 lt=3 gt=4"},
    {"geyser.CuckooFilter",
     "data=1 bucket_count=2 entries_per_bucket=3 fingerprint_bits=4 hash_seed=5 hash_algorithm=6"},
    {"geyser.SubscribeRequestFilterSlots", "filter_by_commitment=1 interslot_updates=2"},
    {"geyser.SubscribeRequestFilterTransactions",
     "vote=1 failed=2 account_include=3 account_exclude=4 signature=5 account_required=6 cuckoo_account_include=7 "
     "token_accounts=30"},
    {"geyser.SubscribeRequestFilterBlocks",
     "account_include=1 include_transactions=2 include_accounts=3 include_entries=4 cuckoo_account_include=5"},
    {"geyser.SubscribeRequestFilterBlocksMeta", ""},
    {"geyser.SubscribeRequestFilterEntry", ""},
    {"geyser.SubscribeRequestAccountsDataSlice", "offset=1 length=2"},
    {"geyser.SubscribeRequestPing", "id=1"},
    {"geyser.SubscribeUpdate",
     "filters=1 account=2 slot=3 transaction=4 block=5 ping=6 block_meta=7 entry=8 pong=9 transaction_status=10 "
     "created_at=11"},
    {"geyser.SubscribeUpdateAccount", "account=1 slot=2 is_startup=3"},
    {"geyser.SubscribeUpdateAccountInfo",
     "pubkey=1 lamports=2 owner=3 executable=4 rent_epoch=5 data=6 write_version=7 txn_signature=8"},
    {"geyser.SubscribeUpdateSlot", "slot=1 parent=2 status=3 dead_error=4"},
    {"geyser.SubscribeUpdateTransaction", "transaction=1 slot=2"},
    {"geyser.SubscribeUpdateTransactionInfo", "signature=1 is_vote=2 transaction=3 meta=4 index=5"},
    {"geyser.SubscribeUpdateTransactionStatus", "slot=1 signature=2 is_vote=3 index=4 err=5"},
    {"geyser.SubscribeUpdateBlock",
     "slot=1 blockhash=2 rewards=3 block_time=4 block_height=5 transactions=6 parent_slot=7 parent_blockhash=8 "
     "executed_transaction_count=9 updated_account_count=10 accounts=11 entries_count=12 entries=13"},
    {"geyser.SubscribeUpdatePing", ""},
    {"geyser.SubscribeUpdatePong", "id=1"},
    {"geyser.SubscribeUpdateBlockMeta",
     "slot=1 blockhash=2 rewards=3 block_time=4 block_height=5 parent_slot=6 parent_blockhash=7 "
     "executed_transaction_count=8 entries_count=9"},
    {"geyser.SubscribeUpdateEntry",
     "slot=1 index=2 num_hashes=3 hash=4 executed_transaction_count=5 starting_transaction_index=6"},
    {"geyser.SubscribeDeshredRequest", "deshred_transactions=1 ping=2 slots=3"},
    {"geyser.SubscribeRequestFilterDeshredTransactions",
     "vote=1 account_include=2 account_exclude=3 account_required=4"},
    {"geyser.SubscribeUpdateDeshred", "filters=1 deshred_transaction=2 ping=3 pong=4 created_at=5 slot=6"},
    {"geyser.SubscribeUpdateDeshredTransaction", "transaction=1 slot=2"},
    {"geyser.SubscribeUpdateDeshredTransactionInfo",
     "signature=1 is_vote=2 transaction=3 loaded_writable_addresses=4 loaded_readonly_addresses=5 "
     "completed_data_set_starting_shred_index=6 completed_data_set_ending_shred_index_exclusive=7"},
    {"geyser.SubscribeReplayInfoRequest", ""},
    {"geyser.SubscribeReplayInfoResponse", "first_available=1"},
    {"geyser.PingRequest", "count=1"},
    {"geyser.PongResponse", "count=1"},
    {"geyser.GetLatestBlockhashRequest", "commitment=1"},
    {"geyser.GetLatestBlockhashResponse", "slot=1 blockhash=2 last_valid_block_height=3"},
    {"geyser.GetBlockHeightRequest", "commitment=1"},
    {"geyser.GetBlockHeightResponse", "block_height=1"},
    {"geyser.GetSlotRequest", "commitment=1"},
    {"geyser.GetSlotResponse", "slot=1"},
    {"geyser.IsBlockhashValidRequest", "blockhash=1 commitment=2"},
    {"geyser.IsBlockhashValidResponse", "slot=1 valid=2"},
    {"geyser.GetVersionRequest", ""},
    {"geyser.GetVersionResponse", "version=1"},
    {std::string(kStorage) + "ConfirmedBlock",
     "previous_blockhash=1 blockhash=2 parent_slot=3 transactions=4 rewards=5 block_time=6 block_height=7 "
     "num_partitions=8"},
    {std::string(kStorage) + "ConfirmedTransaction", "transaction=1 meta=2"},
    {std::string(kStorage) + "Transaction", "signatures=1 message=2"},
    {std::string(kStorage) + "Message",
     "header=1 account_keys=2 recent_blockhash=3 instructions=4 versioned=5 address_table_lookups=6 config=7"},
    {std::string(kStorage) + "TransactionConfig",
     "priority_fee=1 compute_unit_limit=2 loaded_accounts_data_size_limit=3 heap_size=4"},
    {std::string(kStorage) + "MessageHeader",
     "num_required_signatures=1 num_readonly_signed_accounts=2 num_readonly_unsigned_accounts=3"},
    {std::string(kStorage) + "MessageAddressTableLookup", "account_key=1 writable_indexes=2 readonly_indexes=3"},
    {std::string(kStorage) + "CompiledInstruction", "program_id_index=1 accounts=2 data=3"},
    {std::string(kStorage) + "InnerInstructions", "index=1 instructions=2"},
    {std::string(kStorage) + "InnerInstruction", "program_id_index=1 accounts=2 data=3 stack_height=4"},
    {std::string(kStorage) + "TransactionStatusMeta",
     "err=1 fee=2 pre_balances=3 post_balances=4 inner_instructions=5 log_messages=6 pre_token_balances=7 "
     "post_token_balances=8 rewards=9 inner_instructions_none=10 log_messages_none=11 loaded_writable_addresses=12 "
     "loaded_readonly_addresses=13 return_data=14 return_data_none=15 compute_units_consumed=16 cost_units=17"},
    {std::string(kStorage) + "TransactionError", "err=1"},
    {std::string(kStorage) + "TokenBalance", "account_index=1 mint=2 ui_token_amount=3 owner=4 program_id=5"},
    {std::string(kStorage) + "UiTokenAmount", "ui_amount=1 decimals=2 amount=3 ui_amount_string=4"},
    {std::string(kStorage) + "ReturnData", "program_id=1 data=2"},
    {std::string(kStorage) + "Reward",
     "pubkey=1 lamports=2 post_balance=3 reward_type=4 commission=5 commission_bps=6"},
    {std::string(kStorage) + "Rewards", "rewards=1 num_partitions=2"},
    {std::string(kStorage) + "UnixTimestamp", "timestamp=1"},
    {std::string(kStorage) + "BlockHeight", "block_height=1"},
    {std::string(kStorage) + "NumPartitions", "num_partitions=1"},
};

const std::map<std::string, std::string> kEnums = {
    {"geyser.CommitmentLevel", "PROCESSED=0 CONFIRMED=1 FINALIZED=2"},
    {"geyser.SlotStatus",
     "SLOT_PROCESSED=0 SLOT_CONFIRMED=1 SLOT_FINALIZED=2 SLOT_FIRST_SHRED_RECEIVED=3 SLOT_COMPLETED=4 "
     "SLOT_CREATED_BANK=5 SLOT_DEAD=6"},
    {"geyser.CuckooHashAlgorithm", "SIP_HASH=0"},
    {"geyser.TokenAccountExpansionControlFlag", "ALL=0 BALANCE_CHANGED=1"},
    {std::string(kStorage) + "RewardType", "Unspecified=0 Fee=1 Rent=2 Staking=3 Voting=4 DeactivatedStake=5"},
};

std::string Join(const std::map<int, std::string>& by_number) {
  std::string text;
  for (const auto& [number, name] : by_number) text += (text.empty() ? "" : " ") + name + "=" + std::to_string(number);
  return text;
}

std::string Fields(const Descriptor& message) {
  std::map<int, std::string> fields;
  for (int i = 0; i < message.field_count(); ++i) fields[message.field(i)->number()] = message.field(i)->name();
  return Join(fields);
}

std::string Values(const EnumDescriptor& type) {
  std::map<int, std::string> values;
  for (int i = 0; i < type.value_count(); ++i) values[type.value(i)->number()] = type.value(i)->name();
  return Join(values);
}

std::vector<const FileDescriptor*> Files() {
  const FileDescriptor* geyser = geyser::SubscribeUpdate::descriptor()->file();
  return {geyser, solana::storage::ConfirmedBlock::Transaction::descriptor()->file()};
}

TEST(GeyserProto, MessagesHaveTheirFields) {
  std::map<std::string, std::string> found;
  for (const FileDescriptor* file : Files()) {
    for (int i = 0; i < file->message_type_count(); ++i) {
      found[file->message_type(i)->full_name()] = Fields(*file->message_type(i));
    }
  }
  for (const auto& [name, fields] : kMessages) EXPECT_EQ(found[name], fields) << name;
  EXPECT_EQ(found.size(), kMessages.size());
}

TEST(GeyserProto, EnumsHaveTheirValues) {
  std::map<std::string, std::string> found;
  for (const FileDescriptor* file : Files()) {
    for (int i = 0; i < file->enum_type_count(); ++i) {
      found[file->enum_type(i)->full_name()] = Values(*file->enum_type(i));
    }
  }
  EXPECT_EQ(found, kEnums);
}

TEST(GeyserProto, ServiceHasItsMethods) {
  const auto* service = geyser::SubscribeUpdate::descriptor()->file()->FindServiceByName("Geyser");
  ASSERT_NE(service, nullptr);
  EXPECT_EQ(service->full_name(), "geyser.Geyser");
  std::map<std::string, std::string> found;
  for (int i = 0; i < service->method_count(); ++i) {
    const auto* method = service->method(i);
    found[method->name()] = std::string(method->client_streaming() ? "stream " : "") + method->input_type()->name() +
                            " -> " + (method->server_streaming() ? "stream " : "") + method->output_type()->name();
  }
  const std::map<std::string, std::string> expected = {
      {"Subscribe", "stream SubscribeRequest -> stream SubscribeUpdate"},
      {"SubscribeDeshred", "stream SubscribeDeshredRequest -> stream SubscribeUpdateDeshred"},
      {"SubscribeReplayInfo", "SubscribeReplayInfoRequest -> SubscribeReplayInfoResponse"},
      {"Ping", "PingRequest -> PongResponse"},
      {"GetLatestBlockhash", "GetLatestBlockhashRequest -> GetLatestBlockhashResponse"},
      {"GetBlockHeight", "GetBlockHeightRequest -> GetBlockHeightResponse"},
      {"GetSlot", "GetSlotRequest -> GetSlotResponse"},
      {"IsBlockhashValid", "IsBlockhashValidRequest -> IsBlockhashValidResponse"},
      {"GetVersion", "GetVersionRequest -> GetVersionResponse"},
  };
  EXPECT_EQ(found, expected);
}

// proto3 readers can only tell absent from zero where presence is declared.
TEST(GeyserProto, PresenceWhereAbsentMeansSomething) {
  EXPECT_TRUE(geyser::SubscribeRequest::descriptor()->FindFieldByName("commitment")->has_presence());
  EXPECT_TRUE(geyser::SubscribeRequest::descriptor()->FindFieldByName("from_slot")->has_presence());
  EXPECT_TRUE(geyser::SubscribeUpdateSlot::descriptor()->FindFieldByName("parent")->has_presence());
  EXPECT_TRUE(geyser::SubscribeUpdateAccountInfo::descriptor()->FindFieldByName("txn_signature")->has_presence());
  EXPECT_TRUE(geyser::SubscribeReplayInfoResponse::descriptor()->FindFieldByName("first_available")->has_presence());
}

int UnknownFields(const Message& message) {
  const auto* reflection = message.GetReflection();
  int count = reflection->GetUnknownFields(message).field_count();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      count += UnknownFields(reflection->GetMessage(message, field));
      continue;
    }
    for (int i = 0; i < reflection->FieldSize(message, field); ++i) {
      count += UnknownFields(reflection->GetRepeatedMessage(message, field, i));
    }
  }
  return count;
}

TEST(GeyserProto, ARealRecordingGoesThroughUnchanged) {
  auto reader = RecordingReader::Open(InSource("tests/recordings/spl-small.updates"));
  ASSERT_TRUE(reader.ok()) << reader.status();
  int messages = 0;
  while (true) {
    auto next = reader->Next();
    ASSERT_TRUE(next.ok()) << next.status();
    if (!next->has_value()) break;
    const RecordedMessage recorded = **next;
    geyser::SubscribeUpdate update;
    ASSERT_TRUE(update.ParseFromArray(recorded.bytes.data(), static_cast<int>(recorded.bytes.size())));
    ASSERT_NE(update.update_oneof_case(), geyser::SubscribeUpdate::UPDATE_ONEOF_NOT_SET);
    ASSERT_EQ(UnknownFields(update), 0) << "at offset " << recorded.offset;
    ASSERT_EQ(update.SerializeAsString(), recorded.bytes) << "at offset " << recorded.offset;
    ++messages;
  }
  EXPECT_EQ(messages, 2037);
}

TEST(GeyserProto, UnknownFieldsArePassedOn) {
  const std::string newer =
      std::string("\xf8\x07\x05", 3) + std::string("\x1a\x02\x08\x07", 4);  // field 127, then slot 7
  geyser::SubscribeUpdate update;
  ASSERT_TRUE(update.ParseFromString(newer));
  EXPECT_EQ(update.slot().slot(), 7u);
  EXPECT_EQ(UnknownFields(update), 1);
  EXPECT_EQ(update.SerializeAsString().size(), newer.size());
}

}  // namespace
}  // namespace everstate
