#include "server/ingest/archive_record.h"

#include <zstd.h>

#include <limits>

#include "absl/strings/str_cat.h"
#include "proto/geyser.pb.h"
#include "server/base/base58.h"
#include "server/ingest/archive_format.h"
#include "server/ingest/recording.h"

namespace everstate::ingest {
namespace {

// A fast one: the ingest thread pays for it.
constexpr int kCompressionLevel = -1;
constexpr size_t kKeptBytesMax = 64u << 20;

}  // namespace

RecordMaker::RecordMaker(Commitment commitment) : commitment_(commitment), compressor_(ZSTD_createCCtx()) {
  if (compressor_ != nullptr) ZSTD_CCtx_setParameter(compressor_, ZSTD_c_compressionLevel, kCompressionLevel);
}
RecordMaker::~RecordMaker() { ZSTD_freeCCtx(compressor_); }

absl::Status RecordMaker::Make(const Block& block) {
  raw_.clear();
  raw_.reserve(block.bytes + block.buffers.size() * 5 + 512);
  for (const std::string& message : block.buffers) AppendRecorded(message, &raw_);
  geyser::SubscribeUpdate update;
  auto* meta = update.mutable_block_meta();
  meta->set_slot(block.id.slot);
  meta->set_blockhash(EncodeBase58(block.id.blockhash));
  meta->set_parent_slot(block.id.parent_slot);
  meta->set_parent_blockhash(EncodeBase58(block.id.parent_blockhash));
  if (block.id.block_time.has_value()) meta->mutable_block_time()->set_timestamp(*block.id.block_time);
  AppendRecorded(update.SerializeAsString(), &raw_);
  auto* slot = update.mutable_slot();
  slot->set_slot(block.id.slot);
  slot->set_parent(block.id.parent_slot);
  slot->set_status(commitment_ == Commitment::kFinalized ? geyser::SLOT_FINALIZED : geyser::SLOT_CONFIRMED);
  AppendRecorded(update.SerializeAsString(), &raw_);

  const size_t bound = ZSTD_compressBound(raw_.size());
  if (raw_.size() > std::numeric_limits<uint32_t>::max() || bound > std::numeric_limits<uint32_t>::max())
    return absl::InvalidArgumentError(absl::StrCat("archive: block ", block.id.slot, " is larger than 4 GiB"));
  if (room_.size() < bound) room_.resize(bound);
  const size_t size = ZSTD_compress2(compressor_, room_.data(), room_.size(), raw_.data(), raw_.size());
  if (ZSTD_isError(size)) {
    return absl::InternalError(
        absl::StrCat("archive: block ", block.id.slot, " cannot be compressed: ", ZSTD_getErrorName(size)));
  }
  frame_ = {room_.data(), size};
  RecordHeader record;
  record.block = block.id;
  record.frame_bytes = static_cast<uint32_t>(size);
  record.raw_bytes = static_cast<uint32_t>(raw_.size());
  record.frame_crc = ChecksumOf(frame_);
  header_ = EncodeRecordHeader(record);
  return absl::OkStatus();
}

void RecordMaker::Forget() {
  header_.clear();
  frame_ = {};
  if (room_.size() <= kKeptBytesMax) return;
  room_ = std::string();
  raw_ = std::string();
}

}  // namespace everstate::ingest
