#include "tests/support/geyser_builder.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/base/base58.h"
#include "server/base/sha256.h"

namespace everstate::testing {
namespace {

std::string Bytes(const Sha256Digest& digest) { return std::string(digest.begin(), digest.end()); }
std::string Text(const uint8_t* bytes, size_t size) {
  return bytes == nullptr ? "-" : HexOf({reinterpret_cast<const char*>(bytes), size});
}
std::string Text(std::span<const uint8_t> bytes) { return Text(bytes.data(), bytes.size()); }
std::string TransactionName(Slot slot, uint64_t index) { return fmt::format("transaction {} {}", slot, index); }

}  // namespace

std::string KeyOf(std::string_view name) { return Bytes(Sha256Of(name)); }
std::string SignatureOf(std::string_view name) { return KeyOf(name) + KeyOf(fmt::format("{} again", name)); }

Hash32 BlockhashOf(Slot slot, std::string_view fork) {
  const std::string bytes = KeyOf(fmt::format("block {} of {}", slot, fork));
  Hash32 hash;
  std::copy(bytes.begin(), bytes.end(), hash.begin());
  return hash;
}

geyser::SubscribeUpdate SlotUpdate(Slot slot, geyser::SlotStatus status) {
  geyser::SubscribeUpdate update;
  update.mutable_slot()->set_slot(slot);
  update.mutable_slot()->set_status(status);
  return update;
}

geyser::SubscribeUpdate MetaUpdate(const BlockSpec& spec) {
  geyser::SubscribeUpdate update;
  auto* meta = update.mutable_block_meta();
  meta->set_slot(spec.slot);
  meta->set_blockhash(EncodeBase58(BlockhashOf(spec.slot, spec.fork)));
  meta->set_parent_slot(spec.parent);
  meta->set_parent_blockhash(EncodeBase58(BlockhashOf(spec.parent, spec.parent_fork)));
  meta->mutable_block_time()->set_timestamp(spec.time.value_or(1'700'000'000 + static_cast<int64_t>(spec.slot)));
  meta->mutable_block_height()->set_block_height(spec.slot / 2);
  meta->set_executed_transaction_count(static_cast<uint64_t>(spec.transactions));
  return update;
}

geyser::SubscribeUpdate TransactionMessage(Slot slot, uint64_t index) {
  geyser::SubscribeUpdate update;
  update.add_filters("transactions");
  update.mutable_transaction()->set_slot(slot);
  auto* info = update.mutable_transaction()->mutable_transaction();
  const std::string name = TransactionName(slot, index);
  info->set_signature(SignatureOf(name));
  info->set_index(index);
  auto* transaction = info->mutable_transaction();
  transaction->add_signatures(SignatureOf(name));
  auto* message = transaction->mutable_message();
  message->mutable_header()->set_num_required_signatures(2);
  message->mutable_header()->set_num_readonly_signed_accounts(1);
  message->mutable_header()->set_num_readonly_unsigned_accounts(1);
  for (const char* key : {"payer", "cosigner", "state", "program"}) message->add_account_keys(KeyOf(key));
  for (int i = 0; i < 2; ++i) {
    auto* instruction = message->add_instructions();
    instruction->set_program_id_index(3);
    instruction->set_accounts(std::string("\x00\x02\x04", 3));
    instruction->set_data(fmt::format("instruction {} of {}", i, name));
  }
  auto* meta = info->mutable_meta();
  meta->add_loaded_writable_addresses(KeyOf("loaded writable"));
  meta->add_loaded_readonly_addresses(KeyOf("loaded readonly"));
  auto* group = meta->add_inner_instructions();
  group->set_index(1);
  for (int i = 0; i < 2; ++i) {
    auto* inner = group->add_instructions();
    inner->set_program_id_index(5);
    inner->set_accounts(std::string("\x02", 1));
    inner->set_data(fmt::format("inner {} of {}", i, name));
    if (i == 1) inner->set_stack_height(3);
  }
  meta->add_log_messages(fmt::format("Program log: {}", name));
  meta->set_fee(5000);
  if (index % 5 == 4) meta->mutable_err()->set_err("\x08");
  return update;
}

geyser::SubscribeUpdate AccountMessage(Slot slot, std::string_view name, uint64_t write_version, std::string data,
                                       std::optional<std::string> signature) {
  geyser::SubscribeUpdate update;
  update.add_filters("accounts");
  update.mutable_account()->set_slot(slot);
  auto* account = update.mutable_account()->mutable_account();
  account->set_pubkey(KeyOf(name));
  account->set_owner(KeyOf("program"));
  account->set_lamports(1 + write_version);
  account->set_data(std::move(data));
  account->set_write_version(write_version);
  if (signature.has_value()) account->set_txn_signature(*std::move(signature));
  return update;
}

geyser::SubscribeUpdate PingUpdate() {
  geyser::SubscribeUpdate update;
  update.mutable_ping();
  return update;
}

std::vector<std::string> ContentOf(const BlockSpec& spec) {
  std::vector<std::string> messages;
  for (int i = 0; i < spec.accounts; ++i) {
    const std::string name = fmt::format("account {}", i);
    const bool written_by_none = i + 1 == spec.accounts || spec.transactions == 0;
    std::optional<std::string> signature;
    if (!written_by_none)
      signature = SignatureOf(TransactionName(spec.slot, static_cast<uint64_t>(i % spec.transactions)));
    for (uint64_t write = 0; write < 2; ++write) {
      const uint64_t version = spec.slot * 1000 + static_cast<uint64_t>(i) * 2 + write;
      messages.push_back(
          AccountMessage(spec.slot, name, version, fmt::format("{} at {} write {}", name, spec.slot, write), signature)
              .SerializeAsString());
    }
  }
  for (int i = spec.transactions; i-- > 0;)
    messages.push_back(TransactionMessage(spec.slot, static_cast<uint64_t>(i)).SerializeAsString());
  return messages;
}

std::vector<std::string> ReplayOf(const BlockSpec& spec) {
  std::vector<std::string> messages = ContentOf(spec);
  messages.push_back(MetaUpdate(spec).SerializeAsString());
  messages.push_back(SlotUpdate(spec.slot, geyser::SLOT_CONFIRMED).SerializeAsString());
  return messages;
}

std::vector<std::string> MessagesOf(const BlockSpec& spec) {
  std::vector<std::string> messages = ReplayOf(spec);
  messages.insert(messages.begin(), {SlotUpdate(spec.slot, geyser::SLOT_FIRST_SHRED_RECEIVED).SerializeAsString(),
                                     SlotUpdate(spec.slot, geyser::SLOT_CREATED_BANK).SerializeAsString()});
  return messages;
}

std::string TextOf(const Block& block) {
  std::string out = fmt::format(
      "block {} {} parent {} {} time {}\n", block.id.slot,
      HexOf({reinterpret_cast<const char*>(block.id.blockhash.data()), 32}), block.id.parent_slot,
      HexOf({reinterpret_cast<const char*>(block.id.parent_blockhash.data()), 32}), block.id.block_time.value_or(-1));
  for (const TransactionUpdate& t : block.transactions) {
    out += fmt::format("transaction {} {} failed {} missing {} {}\n", t.index, Text(t.signature, 64), t.failed,
                       t.logs_missing, t.inner_missing);
    for (size_t i = 0; i < t.keys.size(); ++i) out += fmt::format("  key {} {}\n", Text(t.keys[i], 32), t.writable[i]);
    for (const InstructionUpdate& i : t.instructions) {
      out += fmt::format("  instruction {} {} height {} {} ({}) {}\n", i.outer, i.inner, i.height, Text(i.program, 32),
                         Text(i.accounts), Text(i.data));
    }
    for (const std::string_view log : t.logs) out += fmt::format("  log {}\n", log);
  }
  for (const AccountUpdate& a : block.accounts) {
    out += fmt::format("account {} {} {} {} {} {}\n", Text(a.pubkey, 32), Text(a.owner, 32), a.lamports,
                       a.write_version, Text(a.signature, 64), Text(a.data));
  }
  return out;
}

}  // namespace everstate::testing
