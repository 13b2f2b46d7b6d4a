// Builds the messages of a Yellowstone stream for tests, with the generated classes. Content is a function of the
// arguments, so two calls with the same ones give the same bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/geyser.pb.h"
#include "server/vm/block.h"
#include "storage/model.h"

namespace everstate::testing {

// 32 and 64 bytes that stand for a name.
std::string KeyOf(std::string_view name);
std::string SignatureOf(std::string_view name);
// The blockhash of a slot; other forks have other hashes.
Hash32 BlockhashOf(Slot slot, std::string_view fork = "main");

struct BlockSpec {
  Slot slot = 0;
  Slot parent = 0;
  int transactions = 3;
  int accounts = 4;  // written by the transactions in turn, each twice; one more is written by no transaction
  std::string fork = "main";
  std::string parent_fork = "main";
  std::optional<int64_t> time = std::nullopt;  // unix seconds; a second per slot when it is absent
};

geyser::SubscribeUpdate SlotUpdate(Slot slot, geyser::SlotStatus status);
geyser::SubscribeUpdate MetaUpdate(const BlockSpec& spec);
geyser::SubscribeUpdate TransactionMessage(Slot slot, uint64_t index);
geyser::SubscribeUpdate AccountMessage(Slot slot, std::string_view name, uint64_t write_version, std::string data,
                                       std::optional<std::string> signature);
geyser::SubscribeUpdate PingUpdate();

// Accounts and transactions of a block, nothing else.
std::vector<std::string> ContentOf(const BlockSpec& spec);
// All messages of a block as a confirmed stream carries them: FIRST_SHRED, CREATED_BANK, content, BlockMeta, CONFIRMED.
std::vector<std::string> MessagesOf(const BlockSpec& spec);
// The same as a replay carries them: without the life of the slot.
std::vector<std::string> ReplayOf(const BlockSpec& spec);

// Everything in a block as text, to compare two of them.
std::string TextOf(const Block& block);

}  // namespace everstate::testing
