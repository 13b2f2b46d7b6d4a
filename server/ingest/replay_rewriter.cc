#include "server/ingest/replay_rewriter.h"

#include <algorithm>

#include "proto/geyser.pb.h"
#include "server/ingest/replay_wire.h"
#include "server/ingest/wire_fields.h"

namespace everstate::replay {
namespace {

using ingest::FieldReader;

void RewriteMeta(const ReplayTimeline& timeline, uint64_t pass, geyser::SubscribeUpdateBlockMeta* meta) {
  ReplayBlock recorded;
  recorded.slot = meta->slot();
  recorded.parent_blockhash = meta->parent_blockhash();
  meta->set_parent_slot(timeline.ParentIn(pass, meta->slot(), meta->parent_slot()));
  meta->set_parent_blockhash(timeline.ParentHashIn(pass, recorded));
  meta->set_blockhash(ReplayTimeline::HashIn(pass, meta->blockhash()));
  meta->set_slot(timeline.SlotIn(pass, meta->slot()));
  if (meta->has_block_height()) {
    auto* height = meta->mutable_block_height();
    height->set_block_height(timeline.HeightIn(pass, height->block_height()));
  }
  if (meta->has_block_time()) {
    auto* time = meta->mutable_block_time();
    time->set_timestamp(timeline.TimeIn(pass, time->timestamp()));
  }
}

void RewriteTransaction(uint64_t pass, geyser::SubscribeUpdateTransactionInfo* info) {
  info->set_signature(MixBytes(info->signature(), pass));
  if (info->transaction().signatures_size() > 0) {
    info->mutable_transaction()->set_signatures(0, MixBytes(info->transaction().signatures(0), pass));
  }
}

void RewriteAccount(const ReplayTimeline& timeline, uint64_t pass, geyser::SubscribeUpdateAccountInfo* info) {
  info->set_write_version(timeline.WriteVersionIn(pass, info->write_version()));
  if (info->has_txn_signature()) info->set_txn_signature(MixBytes(info->txn_signature(), pass));
}

}  // namespace

std::string ReplayRewriter::Rewrite(const ReplayTimeline& timeline, Position at) {
  const uint64_t pass = timeline.Pass(at);
  const ReplayItem& item = timeline.Item(at);
  geyser::SubscribeUpdate update;
  // The index has walked these bytes; what the parser may still dislike deeper down is served as far as it understood
  // it.
  update.ParseFromArray(item.bytes.data(), static_cast<int>(item.bytes.size()));
  switch (item.kind) {
    case UpdateKind::kAccount:
      update.mutable_account()->set_slot(timeline.SlotIn(pass, item.slot));
      RewriteAccount(timeline, pass, update.mutable_account()->mutable_account());
      break;
    case UpdateKind::kTransaction:
      update.mutable_transaction()->set_slot(timeline.SlotIn(pass, item.slot));
      RewriteTransaction(pass, update.mutable_transaction()->mutable_transaction());
      break;
    case UpdateKind::kSlot:
      if (update.slot().has_parent()) {
        update.mutable_slot()->set_parent(timeline.ParentIn(pass, item.slot, update.slot().parent()));
      }
      update.mutable_slot()->set_slot(timeline.SlotIn(pass, item.slot));
      break;
    case UpdateKind::kBlockMeta:
      RewriteMeta(timeline, pass, update.mutable_block_meta());
      break;
    case UpdateKind::kEntry:
      update.mutable_entry()->set_slot(timeline.SlotIn(pass, item.slot));
      break;
  }
  return update.SerializeAsString();
}

UpdateBody ReplayRewriter::Body(Position at) {
  if (timeline_.Pass(at) == 0) return {timeline_.Item(at).bytes, nullptr};
  const uint64_t step = timeline_.StepAt(at);
  std::shared_ptr<const Step> bytes = FindStep(step);
  return {(*bytes)[at - timeline_.StepBegin(step)], bytes};
}

std::shared_ptr<const ReplayRewriter::Step> ReplayRewriter::FindStep(uint64_t step) {
  {
    std::lock_guard lock(mutex_);
    for (Cached& cached : cache_) {
      if (cached.step != step) continue;
      cached.used = ++uses_;
      return cached.bytes;
    }
  }
  // Made outside the lock: two streams that arrive together may both make it, with the same result.
  auto made = std::make_shared<Step>();
  const Position end = timeline_.StepBegin(step + 1);
  for (Position at = timeline_.StepBegin(step); at < end; ++at) made->push_back(Rewrite(timeline_, at));
  std::lock_guard lock(mutex_);
  if (cache_.size() == kStepsCached) {
    cache_.erase(std::min_element(cache_.begin(), cache_.end(),
                                  [](const Cached& a, const Cached& b) { return a.used < b.used; }));
  }
  cache_.push_back({step, ++uses_, made});
  return made;
}

std::string SliceAccount(std::string_view body, const std::vector<std::pair<uint64_t, uint64_t>>& slices) {
  FieldReader update(body);
  update.Next();
  std::string account_out;
  for (FieldReader account(update.bytes()); account.Next();) {
    if (!account.IsBytes(1)) {
      account_out.append(account.whole());
      continue;
    }
    std::string info_out;
    for (FieldReader info(account.bytes()); info.Next();) {
      if (!info.IsBytes(6)) {
        info_out.append(info.whole());
        continue;
      }
      std::string data;
      for (const auto& [offset, length] : slices) {
        if (offset < info.bytes().size()) data.append(info.bytes().substr(offset, length));
      }
      if (!data.empty()) AppendBytesField(6, data, &info_out);
    }
    AppendBytesField(1, info_out, &account_out);
  }
  std::string out;
  AppendBytesField(static_cast<uint32_t>(UpdateKind::kAccount), account_out, &out);
  return out;
}

// The fields that both kinds have: slot 2 → 1; of the info: signature 1 → 2, is_vote 2 → 3, index 5 → 4, meta.err → 5.
std::string StatusOfTransaction(std::string_view body) {
  FieldReader update(body);
  update.Next();
  uint64_t slot = 0, vote = 0, index = 0;
  std::string_view signature;
  std::optional<std::string_view> error;
  for (FieldReader transaction(update.bytes()); transaction.Next();) {
    if (transaction.IsNumber(2)) slot = transaction.u64();
    if (!transaction.IsBytes(1)) continue;
    for (FieldReader info(transaction.bytes()); info.Next();) {
      if (info.IsBytes(1)) signature = info.bytes();
      if (info.IsNumber(2)) vote = info.u64();
      if (info.IsNumber(5)) index = info.u64();
      if (!info.IsBytes(4)) continue;
      for (FieldReader meta(info.bytes()); meta.Next();) {
        if (meta.IsBytes(1)) error = meta.bytes();
      }
    }
  }
  std::string status;
  if (slot != 0) AppendNumberField(1, slot, &status);
  if (!signature.empty()) AppendBytesField(2, signature, &status);
  if (vote != 0) AppendNumberField(3, vote, &status);
  if (index != 0) AppendNumberField(4, index, &status);
  if (error) AppendBytesField(5, *error, &status);
  std::string out;
  AppendBytesField(10, status, &out);
  return out;
}

}  // namespace everstate::replay
