#include "server/ingest/subscribe_request.h"

#include <google/protobuf/util/json_util.h>

#include <string>

#include "server/base/base58.h"
#include "server/ingest/yellowstone.h"

namespace everstate::ingest {

geyser::CommitmentLevel LevelOf(Commitment commitment) {
  return commitment == Commitment::kFinalized ? geyser::FINALIZED : geyser::CONFIRMED;
}

geyser::SubscribeRequest MakeRequest(const Subscription& subscription, std::optional<Slot> from_slot) {
  geyser::SubscribeRequest request;
  if (subscription.everything) {  // filters that ask for nothing in particular
    (*request.mutable_accounts())["accounts"];
    (*request.mutable_transactions())["transactions"];
  }
  if (!subscription.account_owners.empty()) {
    auto& accounts = (*request.mutable_accounts())["accounts"];
    for (const auto& owner : subscription.account_owners) accounts.add_owner(EncodeBase58(owner));
  }
  if (!subscription.transaction_programs.empty()) {
    auto& transactions = (*request.mutable_transactions())["transactions"];
    transactions.set_vote(false);
    transactions.set_failed(false);
    for (const auto& program : subscription.transaction_programs)
      transactions.add_account_include(EncodeBase58(program));
  }
  // filter_by_commitment would also filter the statuses between slots, DEAD among them.
  (*request.mutable_slots())["slots"].set_interslot_updates(true);
  (*request.mutable_blocks_meta())["blocks_meta"];
  request.set_commitment(LevelOf(subscription.commitment));
  if (from_slot.has_value()) request.set_from_slot(*from_slot);
  return request;
}

std::string SubscribeRequestJson(const Subscription& subscription) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string json;
  // It cannot fail: the message has no field of a kind that JSON cannot say.
  (void)google::protobuf::util::MessageToJsonString(MakeRequest(subscription, std::nullopt), &json, options);
  return json;
}

}  // namespace everstate::ingest
