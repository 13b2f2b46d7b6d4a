#include "server/ingest/replay_index.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/geyser.pb.h"
#include "server/ingest/wire_fields.h"

namespace everstate::replay {
namespace {

using ingest::FieldReader;

bool IsServed(uint32_t field) { return field == 2 || field == 3 || field == 4 || field == 7 || field == 8; }

}  // namespace

uint32_t ReplayIndex::KeyId(std::string_view key) {
  return key_ids_.try_emplace(key, static_cast<uint32_t>(key_ids_.size())).first->second;
}

uint32_t ReplayIndex::FindKey(std::string_view key) const {
  auto it = key_ids_.find(key);
  return it == key_ids_.end() ? kNoKey : it->second;
}

const ReplayBlock* ReplayIndex::FindBlock(uint64_t slot) const {
  auto it = block_of_slot_.find(slot);
  return it == block_of_slot_.end() ? nullptr : &blocks_[it->second];
}

absl::StatusOr<ReplayIndex> ReplayIndex::Load(const std::vector<std::string>& files) {
  if (files.empty()) return absl::InvalidArgumentError("a replay needs at least one recording");
  ReplayIndex index;
  for (const std::string& file : files) {
    if (absl::Status s = index.LoadFile(file); !s.ok()) return s;
  }
  if (index.items_.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(files.front(), ": nothing in the recording can be served"));
  }
  index.slot_first_ = std::numeric_limits<uint64_t>::max();
  for (const ReplayItem& item : index.items_) {
    index.slot_first_ = std::min(index.slot_first_, item.slot);
    index.slot_last_ = std::max(index.slot_last_, item.slot);
  }
  index.LinkBlocks();
  index.MarkSteps();
  return index;
}

absl::Status ReplayIndex::LoadFile(const std::string& file) {
  absl::StatusOr<RecordingReader> opened = RecordingReader::Open(file);
  if (!opened.ok()) return opened.status();
  RecordingReader& reader = files_.emplace_back(*std::move(opened));
  const size_t blocks_before = blocks_.size();
  file_block_first_ = std::numeric_limits<uint64_t>::max();
  while (true) {
    absl::StatusOr<std::optional<RecordedMessage>> next = reader.Next();
    if (!next.ok()) return next.status();
    if (!next->has_value()) break;
    if (items_.size() == kNoKey) return absl::InvalidArgumentError(absl::StrCat(file, ": more than 2^32 messages"));
    if (!AddMessage((*next)->bytes)) {
      return absl::InvalidArgumentError(
          absl::StrCat(file, ": at offset ", (*next)->offset, ": the message is no geyser.SubscribeUpdate"));
    }
  }
  if (blocks_before > 0 && file_block_first_ <= blocks_[blocks_before - 1].slot) {
    return absl::InvalidArgumentError(absl::StrCat(
        file, ": its first block is slot ", file_block_first_,
        ", which does not come after the last block of the files before it, slot ", blocks_[blocks_before - 1].slot));
  }
  std::sort(blocks_.begin() + static_cast<ptrdiff_t>(blocks_before), blocks_.end(),
            [](const ReplayBlock& a, const ReplayBlock& b) { return a.slot < b.slot; });
  return absl::OkStatus();
}

bool ReplayIndex::AddMessage(std::string_view message) {
  FieldReader f(message);
  while (f.Next()) {
    if (!f.IsBytes() || !IsServed(f.number())) continue;
    ReplayItem item;
    item.bytes = f.whole();
    item.kind = static_cast<UpdateKind>(f.number());
    bool understood = false;
    switch (item.kind) {
      case UpdateKind::kAccount:
        understood = ReadAccount(f.bytes(), &item);
        break;
      case UpdateKind::kTransaction:
        understood = ReadTransaction(f.bytes(), &item);
        break;
      case UpdateKind::kBlockMeta:
        understood = ReadBlockMeta(f.bytes(), &item);
        break;
      case UpdateKind::kSlot:
      case UpdateKind::kEntry:
        understood = ReadSlot(f.bytes(), &item);
        break;
    }
    if (!understood) return false;
    items_.push_back(item);
  }
  return f.ok();
}

bool ReplayIndex::ReadAccount(std::string_view account, ReplayItem* item) {
  FieldReader f(account);
  while (f.Next()) {
    if (f.IsNumber(2)) item->slot = f.u64();
    if (f.IsBytes(1) && !ReadAccountInfo(f.bytes(), item)) return false;
  }
  return f.ok();
}

bool ReplayIndex::ReadAccountInfo(std::string_view info, ReplayItem* item) {
  uint64_t write_version = 0;
  FieldReader f(info);
  while (f.Next()) {
    if (f.IsBytes(1)) item->key = KeyId(f.bytes());
    if (f.IsNumber(2)) item->lamports = f.u64();
    if (f.IsBytes(3)) item->owner = KeyId(f.bytes());
    if (f.IsBytes(6)) item->data = f.bytes();
    if (f.IsNumber(7)) write_version = f.u64();
    if (f.IsBytes(8)) item->signature = f.bytes();
  }
  if (write_version != 0) {
    if (write_version_first_ == 0) write_version_first_ = write_version;
    write_version_first_ = std::min(write_version_first_, write_version);
    write_version_last_ = std::max(write_version_last_, write_version);
  }
  return f.ok();
}

// Slot updates and entries both have the slot as field 1; a status is field 3 of the former.
bool ReplayIndex::ReadSlot(std::string_view slot, ReplayItem* item) {
  FieldReader f(slot);
  while (f.Next()) {
    if (f.IsNumber(1)) item->slot = f.u64();
    if (item->kind == UpdateKind::kSlot && f.IsNumber(3)) {
      item->status = static_cast<uint8_t>(std::min<uint64_t>(f.u64(), 0xff));
    }
  }
  return f.ok();
}

bool ReplayIndex::ReadTransaction(std::string_view transaction, ReplayItem* item) {
  item->keys_begin = static_cast<uint32_t>(key_pool_.size());
  FieldReader f(transaction);
  while (f.Next()) {
    if (f.IsNumber(2)) item->slot = f.u64();
    if (f.IsBytes(1) && !ReadTransactionInfo(f.bytes(), item)) return false;
  }
  item->keys_count = static_cast<uint32_t>(key_pool_.size()) - item->keys_begin;
  return f.ok();
}

bool ReplayIndex::ReadTransactionInfo(std::string_view info, ReplayItem* item) {
  FieldReader f(info);
  while (f.Next()) {
    if (f.IsBytes(1)) item->signature = f.bytes();
    if (f.IsNumber(2)) item->vote = f.u64() != 0;
    if (f.IsBytes(3)) {
      FieldReader transaction(f.bytes());
      while (transaction.Next()) {
        if (transaction.IsBytes(2) && !AddKeys(2, transaction.bytes())) return false;
      }
      if (!transaction.ok()) return false;
    }
    if (f.IsBytes(4)) {
      FieldReader meta(f.bytes());
      while (meta.Next()) {
        if (meta.IsBytes(1)) item->failed = true;
      }
      if (!meta.ok() || !AddKeys(12, f.bytes()) || !AddKeys(13, f.bytes())) return false;
    }
  }
  return f.ok();
}

bool ReplayIndex::AddKeys(uint32_t field, std::string_view message) {
  FieldReader f(message);
  while (f.Next()) {
    if (f.IsBytes(field)) key_pool_.push_back(KeyId(f.bytes()));
  }
  return f.ok();
}

bool ReplayIndex::ReadBlockMeta(std::string_view bytes, ReplayItem* item) {
  geyser::SubscribeUpdateBlockMeta meta;
  if (!meta.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return false;
  item->slot = meta.slot();
  file_block_first_ = std::min(file_block_first_, meta.slot());
  // A recording of an overlapping reconnect has the same block again; the first copy is the block.
  if (!block_of_slot_.try_emplace(meta.slot(), 0).second) return true;
  ReplayBlock block;
  block.slot = meta.slot();
  block.parent_slot = meta.parent_slot();
  block.blockhash = meta.blockhash();
  block.parent_blockhash = meta.parent_blockhash();
  block.height = meta.block_height().block_height();
  block.time_seconds = meta.block_time().timestamp();
  block.meta = static_cast<uint32_t>(items_.size());
  blocks_.push_back(std::move(block));
  return true;
}

void ReplayIndex::LinkBlocks() {
  for (uint32_t b = 0; b < blocks_.size(); ++b) {
    block_of_slot_[blocks_[b].slot] = b;
    blocks_[b].live_from = blocks_[b].meta;
  }
  constexpr uint32_t kNone = kNoKey;
  std::vector<std::array<uint32_t, 3>> statuses(blocks_.size(), {kNone, kNone, kNone});
  for (uint32_t i = 0; i < items_.size(); ++i) {
    const ReplayItem& item = items_[i];
    auto it = block_of_slot_.find(item.slot);
    if (it == block_of_slot_.end() || item.kind == UpdateKind::kBlockMeta) continue;
    ReplayBlock& block = blocks_[it->second];
    if (item.kind != UpdateKind::kSlot) {
      block.in_replay.push_back(i);
      block.live_from = std::min(block.live_from, i);
    } else if (item.status <= kStatusFinalized) {
      uint32_t& first = statuses[it->second][item.status];
      if (first == kNone) first = i;
    }
  }
  uint32_t ready = 0;
  for (uint32_t b = 0; b < blocks_.size(); ++b) {
    ReplayBlock& block = blocks_[b];
    block.in_replay.push_back(block.meta);
    for (uint32_t status : statuses[b]) {
      if (status != kNone) block.in_replay.push_back(status);
    }
    uint32_t confirmed = statuses[b][kStatusConfirmed];
    ready = std::max({ready, block.meta + 1, confirmed == kNone ? 0 : confirmed + 1});
    block.ready = ready;
  }
  for (size_t b = blocks_.size(); b-- > 1;) {
    blocks_[b - 1].live_from = std::min(blocks_[b - 1].live_from, blocks_[b].live_from);
  }
}

void ReplayIndex::MarkSteps() {
  uint64_t newest = 0;
  for (uint32_t i = 0; i < items_.size(); ++i) {
    if (i == 0 || items_[i].slot > newest) {
      newest = std::max(newest, items_[i].slot);
      steps_.push_back(i);
    }
    items_[i].step = static_cast<uint32_t>(steps_.size() - 1);
  }
}

}  // namespace everstate::replay
