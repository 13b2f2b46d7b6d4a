#include "server/ingest/replay_timeline.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <span>

#include "server/base/base58.h"

namespace everstate::replay {
namespace {

// More passes than a replay can live through; beyond it a slot is far in the future, and no product here overflows.
constexpr uint64_t kPassesMax = uint64_t{1} << 24;

}  // namespace

uint64_t Mix64(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

std::string MixBytes(std::string_view bytes, uint64_t pass) {
  std::string out(bytes);
  const uint64_t mix = Mix64(pass);
  for (size_t i = 0; i < 8 && out.size() >= 8; ++i) out[i] = static_cast<char>(out[i] ^ (mix >> (8 * i)));
  return out;
}

std::string ReplayTimeline::HashIn(uint64_t pass, const std::string& base58) {
  if (pass == 0) return base58;
  std::optional<std::string> hash = DecodeBase58(base58);
  if (!hash) return base58;
  const std::string mixed = MixBytes(*hash, pass);
  return EncodeBase58(std::span(reinterpret_cast<const uint8_t*>(mixed.data()), mixed.size()));
}

ReplayTimeline::ReplayTimeline(const ReplayIndex& index, bool loop)
    : index_(index),
      items_(index.items().size()),
      blocks_(index.blocks().size()),
      steps_(index.steps().size()),
      loop_(loop),
      end_(loop ? std::numeric_limits<Position>::max() : items_) {
  write_version_span_ = index.write_version_last() - index.write_version_first() + 1;
  if (blocks_ == 0) return;
  const ReplayBlock& first = index.blocks().front();
  const ReplayBlock& last = index.blocks().back();
  slot_span_ = index.slot_last() - first.slot + 1;
  height_span_ = last.height - first.height + 1;
  time_span_ = last.time_seconds - first.time_seconds + 1;
}

bool ReplayTimeline::Served(Position at) const {
  if (at < items_) return true;
  const ReplayItem& item = Item(at);
  if (item.slot >= index_.blocks().front().slot) return true;
  return item.kind == UpdateKind::kSlot && item.status == kStatusFinalized &&
         index_.FindBlock(item.slot + slot_span_) != nullptr;
}

Position ReplayTimeline::StepBegin(uint64_t step) const {
  if (!loop_ && step >= steps_) return end_;
  return step / steps_ * items_ + index_.steps()[step % steps_];
}

uint64_t ReplayTimeline::StepAt(Position at) const {
  if (at >= end_) return steps_;
  return Pass(at) * steps_ + Item(at).step;
}

std::optional<BlockNumber> ReplayTimeline::TipAt(Position head) const {
  if (blocks_ == 0) return std::nullopt;
  const auto& blocks = index_.blocks();
  auto later = std::upper_bound(blocks.begin(), blocks.end(), head % items_,
                                [](uint64_t at, const ReplayBlock& block) { return at < block.ready; });
  BlockNumber count = Pass(head) * blocks_ + static_cast<uint64_t>(later - blocks.begin());
  if (count == 0) return std::nullopt;
  return count - 1;
}

std::optional<BlockNumber> ReplayTimeline::BlockAtOrAfter(uint64_t slot) const {
  if (blocks_ == 0) return std::nullopt;
  const auto& blocks = index_.blocks();
  const uint64_t first = blocks.front().slot;
  const uint64_t offset = slot < first ? 0 : slot - first;
  const uint64_t pass = offset / slot_span_;
  if (pass >= kPassesMax) return std::nullopt;
  auto found = std::lower_bound(blocks.begin(), blocks.end(), first + offset % slot_span_,
                                [](const ReplayBlock& block, uint64_t wanted) { return block.slot < wanted; });
  BlockNumber b = pass * blocks_ + static_cast<uint64_t>(found - blocks.begin());
  if (!loop_ && b >= blocks_) return std::nullopt;
  return b;
}

uint64_t ReplayTimeline::ParentIn(uint64_t pass, uint64_t recorded_slot, uint64_t recorded_parent) const {
  if (pass == 0) return recorded_parent;
  const ReplayBlock& first = index_.blocks().front();
  if (recorded_slot < first.slot) {  // FINALIZED across the seam: the slot is a block of the pass before
    const ReplayBlock* block = index_.FindBlock(recorded_slot + slot_span_);
    return block == nullptr ? SlotIn(pass, recorded_parent) : ParentIn(pass - 1, block->slot, block->parent_slot);
  }
  if (recorded_slot == first.slot || recorded_parent < first.slot) {
    return SlotIn(pass - 1, index_.blocks().back().slot);
  }
  return SlotIn(pass, recorded_parent);
}

std::string ReplayTimeline::ParentHashIn(uint64_t pass, const ReplayBlock& block) const {
  if (pass > 0 && block.slot == index_.blocks().front().slot) {
    return HashIn(pass - 1, index_.blocks().back().blockhash);
  }
  return HashIn(pass, block.parent_blockhash);
}

}  // namespace everstate::replay
