#include <zstd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "server/ingest/archive.h"
#include "server/ingest/archive_segment.h"
#include "server/ingest/block_builder.h"
#include "server/ingest/recording.h"
#include "server/ingest/wire.h"

namespace everstate::ingest {
namespace {

Hash32 KeyAt(const uint8_t* bytes) {
  Hash32 key;
  std::copy(bytes, bytes + key.size(), key.begin());
  return key;
}

// Leaves out what a wider subscription brought, as the server's filters would have: Yellowstone's accounts {owner} and
// transactions {account_include}.
class Selection {
 public:
  explicit Selection(const Subscription& wanted)
      : owners_(wanted.account_owners.begin(), wanted.account_owners.end()),
        programs_(wanted.transaction_programs.begin(), wanted.transaction_programs.end()) {}

  bool Takes(const AccountUpdate& account) const { return owners_.contains(KeyAt(account.owner)); }
  bool Takes(const TransactionUpdate& transaction) const {
    return std::any_of(transaction.keys.begin(), transaction.keys.end(),
                       [&](const uint8_t* key) { return programs_.contains(KeyAt(key)); });
  }

 private:
  const absl::flat_hash_set<Hash32> owners_, programs_;
};

}  // namespace

struct ArchiveReader::Impl {
  Impl(std::filesystem::path d, const Subscription& s, const BlockId& after)
      : dir(std::move(d)), wanted(Canonical(s)), selection(wanted), position(after) {}
  ~Impl() { ZSTD_freeDCtx(decompressor); }

  absl::Status FindFirst();
  absl::StatusOr<bool> FindNext();
  absl::Status Enter(absl::StatusOr<SegmentFile> opened, Slot first_slot);
  absl::StatusOr<BlockRef> Next();
  absl::StatusOr<bool> StepToBlock();
  absl::StatusOr<BlockRef> ReadBlock();
  absl::Status AddMessages(const BlockId& id, BlockBuilder* builder);

  const std::filesystem::path dir;
  const Subscription wanted;  // canonical
  const Selection selection;
  BlockId position;  // of the last block that was handed out, at first what the caller has
  std::optional<SegmentFile> segment;
  Slot segment_slot = 0;
  bool select = false;     // the segment holds more than is wanted
  uint64_t record_at = 0;  // of the record that is read
  RecordHeader record;
  absl::Status failed;
  TransactionWalker walker;
  ZSTD_DCtx* const decompressor = ZSTD_createDCtx();
  std::unique_ptr<char[]> raw;
};

absl::Status ArchiveReader::Impl::Enter(absl::StatusOr<SegmentFile> opened, Slot first_slot) {
  if (!opened.ok()) return opened.status();
  const Subscription& held = opened->header().subscription;
  if (const std::string missing = MissingIn(held, wanted); !missing.empty()) {
    return opened->Fault(0, absl::FailedPreconditionError(absl::StrCat("the segment does not hold ", missing)));
  }
  select = held.account_owners != wanted.account_owners || held.transaction_programs != wanted.transaction_programs;
  segment = *std::move(opened);
  segment_slot = first_slot;
  return absl::OkStatus();
}

// The newest segment that begins at or before the position: everything older lies behind us. Else the oldest one.
absl::Status ArchiveReader::Impl::FindFirst() {
  const absl::StatusOr<std::vector<SegmentName>> segments = ListSegments(dir);
  if (!segments.ok()) return segments.status();
  for (size_t left = segments->size(); left > 0; --left) {
    const SegmentName& name = (*segments)[left - 1];
    absl::StatusOr<SegmentFile> opened = SegmentFile::Open(name.path);
    if (absl::IsNotFound(opened.status())) return FindFirst();  // pruned in this moment
    const bool behind = opened.ok() ? opened->header().before_slot <= position.slot : name.first_slot <= position.slot;
    if (behind || left == 1) return Enter(std::move(opened), name.first_slot);
  }
  return absl::OkStatus();
}

// The segment after the present one. False when there is none.
absl::StatusOr<bool> ArchiveReader::Impl::FindNext() {
  const absl::StatusOr<std::vector<SegmentName>> segments = ListSegments(dir);
  if (!segments.ok()) return segments.status();
  const auto next = std::find_if(segments->begin(), segments->end(),
                                 [&](const SegmentName& name) { return name.first_slot > segment_slot; });
  if (next == segments->end()) return false;
  // Ours is closed: what it lacked a moment ago it may have got before, but not since.
  absl::StatusOr<bool> more = StepToBlock();
  if (!more.ok() || *more) return more;
  if (segment->offset() < segment->bytes())
    return segment->Fault(segment->offset(), absl::DataLossError("the file ends inside a record"));
  absl::StatusOr<SegmentFile> opened = SegmentFile::Open(next->path);
  const bool ours_is_gone = next == segments->begin();
  const bool follows = opened.ok() && opened->header().before_slot == position.slot;
  if (absl::IsNotFound(opened.status()) || (ours_is_gone && opened.ok() && !follows)) {
    return absl::OutOfRangeError(absl::StrCat("archive ", dir.string(), " no longer reaches back to slot ",
                                              position.slot, ": the segments up to ", next->first_slot,
                                              " were deleted before they were read"));
  }
  if (absl::Status status = Enter(std::move(opened), next->first_slot); !status.ok()) return status;
  return StepToBlock();
}

// Steps to the next record above the position. False when the segment has none at the moment.
absl::StatusOr<bool> ArchiveReader::Impl::StepToBlock() {
  while (true) {
    record_at = segment->offset();
    const absl::StatusOr<std::optional<RecordHeader>> next = segment->Next();
    if (!next.ok()) return next.status();
    if (!next->has_value()) return false;
    record = **next;
    if (record.block.slot > position.slot) return true;
  }
}

absl::Status ArchiveReader::Impl::AddMessages(const BlockId& id, BlockBuilder* builder) {
  using Kind = WalkedMessage::Kind;
  RecordedMessages messages(std::string_view(raw.get(), record.raw_bytes));
  bool has_meta = false;
  while (true) {
    const absl::StatusOr<std::optional<RecordedMessage>> message = messages.Next();
    if (!message.ok()) return message.status();
    if (!message->has_value()) break;
    std::string kept((*message)->bytes);  // what is walked leads into the bytes that the block keeps
    const absl::StatusOr<WalkedMessage> walked = WalkMessage(kept);
    if (!walked.ok()) return walked.status();
    if (walked->slot != id.slot) return absl::DataLossError(absl::StrCat("a message of slot ", walked->slot));
    if (walked->kind == Kind::kBlockMeta) {
      has_meta = walked->meta.blockhash == id.blockhash && walked->meta.parent_slot == id.parent_slot &&
                 walked->meta.parent_blockhash == id.parent_blockhash && walked->meta.block_time == id.block_time;
    } else if (walked->kind == Kind::kAccount || walked->kind == Kind::kTransaction) {
      const bool is_account = walked->kind == Kind::kAccount;
      if (select && is_account && !selection.Takes(walked->account)) continue;
      if (absl::Status status = builder->Add(*walked, std::move(kept), &walker); !status.ok()) return status;
      if (select && !is_account && !selection.Takes(builder->last_transaction())) builder->DropLastTransaction();
    } else if (walked->kind != Kind::kSlot) {
      return absl::DataLossError("a message that is no part of a block");
    }
  }
  return has_meta ? absl::OkStatus() : absl::DataLossError("its BlockMeta is missing or of another block");
}

absl::StatusOr<BlockRef> ArchiveReader::Impl::ReadBlock() {
  const absl::StatusOr<std::string_view> frame = segment->ReadFrame();
  if (!frame.ok()) return frame.status();
  const auto fault = [&](const std::string& what) {
    return segment->Fault(record_at, absl::DataLossError(absl::StrCat("block ", record.block.slot, ": ", what)));
  };
  if (ZSTD_getFrameContentSize(frame->data(), frame->size()) != record.raw_bytes)
    return fault("its frame is not of the size that its header says");
  raw.reset(new (std::nothrow) char[record.raw_bytes]);
  if (raw == nullptr) return absl::ResourceExhaustedError(absl::StrCat("no memory for block ", record.block.slot));
  const size_t size = ZSTD_decompressDCtx(decompressor, raw.get(), record.raw_bytes, frame->data(), frame->size());
  if (ZSTD_isError(size)) return fault(ZSTD_getErrorName(size));
  if (size != record.raw_bytes) return fault("its frame is not of the size that its header says");
  BlockBuilder builder;
  if (absl::Status status = AddMessages(record.block, &builder); !status.ok())
    return fault(std::string(status.message()));
  raw.reset();
  SealCounts counts;
  std::shared_ptr<Block> block = builder.Seal(record.block, &counts);
  block->first_heard = block->settled = std::chrono::steady_clock::now();
  position = record.block;
  return BlockRef(std::move(block));
}

absl::StatusOr<BlockRef> ArchiveReader::Impl::Next() {
  if (!segment.has_value()) {
    if (absl::Status status = FindFirst(); !status.ok()) return status;
    if (!segment.has_value()) return BlockRef();
  }
  absl::StatusOr<bool> found = StepToBlock();
  while (found.ok() && !*found) {
    const Slot before = segment_slot;
    found = FindNext();
    if (found.ok() && !*found && segment_slot == before) return BlockRef();
  }
  if (!found.ok()) return found.status();
  return ReadBlock();
}

ArchiveReader::ArchiveReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ArchiveReader::~ArchiveReader() = default;

absl::StatusOr<std::unique_ptr<ArchiveReader>> ArchiveReader::Open(const std::filesystem::path& dir,
                                                                   const Subscription& subscription,
                                                                   const BlockId& after) {
  auto impl = std::make_unique<Impl>(dir, subscription, after);
  if (impl->decompressor == nullptr) return absl::ResourceExhaustedError("archive: no memory for a decompressor");
  if (absl::Status status = impl->FindFirst(); !status.ok()) return status;
  return std::unique_ptr<ArchiveReader>(new ArchiveReader(std::move(impl)));
}

absl::StatusOr<BlockRef> ArchiveReader::Next() {
  if (!impl_->failed.ok()) return impl_->failed;
  absl::StatusOr<BlockRef> block = impl_->Next();
  if (!block.ok()) impl_->failed = block.status();
  return block;
}

}  // namespace everstate::ingest
