#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <mutex>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/base58.h"
#include "server/base/file_status.h"
#include "server/base/log.h"
#include "server/ingest/archive.h"
#include "server/ingest/archive_record.h"
#include "server/ingest/archive_segment.h"
#include "server/ingest/archive_summary.h"

namespace everstate::ingest {
namespace {

using Hashes = std::vector<std::pair<Slot, Hash32>>;  // ascending by slot

std::optional<Hash32> Find(const Hashes& hashes, Slot slot) {
  const auto it =
      std::lower_bound(hashes.begin(), hashes.end(), slot, [](const auto& e, Slot s) { return e.first < s; });
  if (it == hashes.end() || it->first != slot) return std::nullopt;
  return it->second;
}

// All of `parts`, from the file's position on.
absl::Status WriteAll(int fd, const std::filesystem::path& path, std::vector<std::string_view> parts) {
  size_t next = 0;
  while (next < parts.size()) {
    iovec vectors[3];
    int count = 0;
    for (size_t i = next; i < parts.size() && count < 3; ++i, ++count)
      vectors[count] = {const_cast<char*>(parts[i].data()), parts[i].size()};
    ssize_t n = writev(fd, vectors, count);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return FileStatus(errno, absl::StrCat("cannot write ", path.string()));
    for (; next < parts.size() && static_cast<size_t>(n) >= parts[next].size(); ++next)
      n -= static_cast<ssize_t>(parts[next].size());
    if (next < parts.size()) parts[next].remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

}  // namespace

struct ArchiveWriter::Impl {
  Impl(ArchiveOptions o, Subscription s)
      : options(std::move(o)), subscription(std::move(s)), maker(subscription.commitment) {}
  ~Impl() { CloseSegment(); }

  absl::Status Open();
  absl::Status AddExisting(const SegmentName& name, bool whole);
  absl::Status Recover(SegmentName* name, bool* whole);
  absl::Status Cut(SegmentName* name, uint64_t bytes);

  absl::Status Append(const Block& block);
  absl::Status Take(const Block& block);
  absl::Status CheckKnown(const BlockId& id);
  std::optional<Hash32> KnownHash(Slot slot);
  absl::Status Begin(const BlockId& id);
  absl::Status Extend();
  void CountBytes(uint64_t bytes);  // that the newest segment has got
  void CountBlock(const BlockId& id, uint64_t bytes);
  void CloseSegment();
  void Prune();

  ArchiveOptions options;
  const Subscription subscription;  // canonical
  ArchiveCounters counters;

  // Of Append's thread. The segment that is written is the last one of `segments` whenever fd is open.
  uint64_t total_bytes = 0;
  int fd = -1;
  Hashes hashes;           // of the blocks in the newest segment
  Slot known_segment = 0;  // of which known_hashes are: the older segment that was asked for last
  Hashes known_hashes;
  bool said_before_all = false;
  RecordMaker maker;  // of the present block

  // Written by Append's thread only, which may thus read them without the mutex.
  mutable std::mutex mutex;
  std::optional<BlockId> last;
  std::vector<SegmentSummary> segments;
};

absl::Status ArchiveWriter::Impl::Open() {
  if (options.keep_bytes == 0 || options.segment_bytes == 0)
    return absl::InvalidArgumentError("archive: keep_bytes and segment_bytes must be above 0");
  if (!maker.usable()) return absl::ResourceExhaustedError("archive: no memory for a compressor");
  // A segment must be small against the whole, because it is what goes at once.
  options.segment_bytes = std::min(options.segment_bytes, std::max<uint64_t>(options.keep_bytes / 8, 1));
  if (const auto header = EncodeSegmentHeader({subscription, 0, {}}); !header.ok()) return header.status();
  std::error_code error;
  std::filesystem::create_directories(options.dir, error);
  if (error) return FileStatus(error.value(), absl::StrCat("archive ", options.dir.string()));
  for (std::filesystem::directory_iterator it(options.dir, error), end; !error && it != end; it.increment(error)) {
    std::error_code stays;  // it is in nobody's way
    if (absl::EndsWith(it->path().string(), kUnfinishedSuffix)) std::filesystem::remove(it->path(), stays);
  }
  if (error) return FileStatus(error.value(), absl::StrCat("archive ", options.dir.string()));
  absl::StatusOr<std::vector<SegmentName>> names = ListSegments(options.dir);
  if (!names.ok()) return names.status();
  // The newest one is read whole: what a crash left at its end is cut, and it is gone on with when nothing speaks
  // against it. When nothing is left of it, the one before it is the newest.
  bool whole = true;
  for (; !names->empty(); names->pop_back()) {
    if (absl::Status status = Recover(&names->back(), &whole); !status.ok()) return status;
    if (names->back().bytes > 0) break;
  }
  for (const SegmentName& name : *names) {
    absl::Status status = AddExisting(name, whole || &name != &names->back());
    if (!status.ok()) return status;
  }
  Prune();
  return absl::OkStatus();
}

// `whole`: what its headers say is believed.
absl::Status ArchiveWriter::Impl::AddExisting(const SegmentName& name, bool whole) {
  absl::StatusOr<SegmentSummary> summary =
      Summarize(name, whole ? ArchiveCheck::kHeaders : ArchiveCheck::kFrames, false);
  if (!summary.ok()) return summary.status();
  if (!summary->fault.empty()) LogWarn(Room::kIngest, "archive: {}; the segment ends there", summary->fault);
  if (summary->reach.blocks > 0) last = summary->reach.last;
  total_bytes += name.bytes;
  segments.push_back(*std::move(summary));
  return absl::OkStatus();
}

// *whole: it has no fault, or none any more.
absl::Status ArchiveWriter::Impl::Recover(SegmentName* name, bool* whole) {
  absl::StatusOr<SegmentFile> segment = SegmentFile::Open(name->path);
  *whole = segment.ok();
  if (!segment.ok()) {
    if (!absl::IsDataLoss(segment.status())) return absl::OkStatus();
    const absl::StatusOr<bool> nothing = IsZeroFrom(name->path, 0);
    if (!nothing.ok()) return nothing.status();
    return *nothing || name->bytes < kSegmentPrefixBytes ? Cut(name, 0) : absl::OkStatus();
  }
  uint64_t good = segment->offset();  // the end of what is whole and right
  absl::Status fault;
  while (fault.ok()) {
    const absl::StatusOr<std::optional<RecordHeader>> record = segment->Next();
    fault = record.status();
    if (!fault.ok() || !record->has_value()) break;
    fault = segment->ReadFrame().status();
    if (!fault.ok()) break;
    good = segment->offset();
    hashes.emplace_back((*record)->block.slot, (*record)->block.blockhash);
  }
  bool cut = fault.ok() && good < segment->bytes();  // the file ends inside a record
  if (absl::IsDataLoss(fault)) {
    // Nothing of worth lies behind a bad last record, nor behind the header of one where the file system has put zeros
    // for what it had not written. (No frame is all zeros, so this is not a header that was flipped.)
    const bool bad_frame = segment->offset() > good;
    const absl::StatusOr<bool> zero = IsZeroFrom(name->path, segment->offset() + (bad_frame ? 0 : kRecordHeaderBytes));
    if (!zero.ok()) return zero.status();
    cut = *zero;
  }
  *whole = fault.ok() || cut;
  if (cut) {
    if (absl::Status status = Cut(name, hashes.empty() ? 0 : good); !status.ok()) return status;
  }
  if (hashes.empty() || !*whole || HashOf(segment->header().subscription) != HashOf(subscription))
    return absl::OkStatus();
  fd = open(name->path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (fd < 0) return FileStatus(errno, absl::StrCat("cannot open ", name->path.string()));
  return absl::OkStatus();
}

// To the first `bytes` bytes; a segment of which nothing is left is removed.
absl::Status ArchiveWriter::Impl::Cut(SegmentName* name, uint64_t bytes) {
  LogWarn(Room::kIngest, "archive: {}: a torn tail of {} bytes at offset {} is cut", name->path.string(),
          name->bytes - bytes, bytes);
  name->bytes = bytes;
  const int failed = bytes == 0 ? unlink(name->path.c_str()) : truncate(name->path.c_str(), static_cast<off_t>(bytes));
  if (failed == 0) return absl::OkStatus();
  return FileStatus(errno, absl::StrCat("cannot cut ", name->path.string()));
}

std::optional<Hash32> ArchiveWriter::Impl::KnownHash(Slot slot) {
  if (last->slot == slot) return last->blockhash;
  const auto after =
      std::upper_bound(segments.begin(), segments.end(), slot,
                       [](Slot s, const SegmentSummary& segment) { return s < segment.name.first_slot; });
  if (after == segments.begin()) return std::nullopt;
  const SegmentName& segment = std::prev(after)->name;
  if (after == segments.end()) return Find(hashes, slot);
  if (known_segment != segment.first_slot || known_hashes.empty()) {
    known_segment = segment.first_slot;
    known_hashes.clear();
    absl::StatusOr<SegmentFile> file = SegmentFile::Open(segment.path);
    while (file.ok()) {
      const absl::StatusOr<std::optional<RecordHeader>> record = file->Next();
      if (!record.ok() || !record->has_value()) break;  // what is damaged is not known
      known_hashes.emplace_back((*record)->block.slot, (*record)->block.blockhash);
    }
  }
  return Find(known_hashes, slot);
}

// A block at or below the last one: what the archive has of it, and of its parent, must be the same.
absl::Status ArchiveWriter::Impl::CheckKnown(const BlockId& id) {
  for (const auto& [slot, hash] : {std::pair(id.slot, id.blockhash), std::pair(id.parent_slot, id.parent_blockhash)}) {
    const std::optional<Hash32> known = KnownHash(slot);
    if (!known.has_value() || *known == hash) continue;
    return absl::FailedPreconditionError(absl::StrCat("archive ", options.dir.string(), ": another chain: it has slot ",
                                                      slot, " with blockhash ", EncodeBase58(*known), ", block ",
                                                      id.slot, " says ", EncodeBase58(hash)));
  }
  counters.blocks_known.Add();
  if (!segments.empty() && id.slot < segments.front().name.first_slot && !std::exchange(said_before_all, true)) {
    LogWarn(Room::kIngest, "archive: block {} and what follows lie before its first block, {}, and are not archived",
            id.slot, segments.front().name.first_slot);
  }
  return absl::OkStatus();
}

// Another segment, with this record. It has its name only when the record is in it.
absl::Status ArchiveWriter::Impl::Begin(const BlockId& id) {
  CloseSegment();
  const std::filesystem::path path = SegmentPath(options.dir, id.slot);
  std::filesystem::path unfinished = path;
  unfinished.replace_extension(kUnfinishedSuffix);
  const absl::StatusOr<std::string> beginning =
      EncodeSegmentHeader({subscription, id.parent_slot, id.parent_blockhash});
  if (!beginning.ok()) return beginning.status();
  fd = open(unfinished.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) return FileStatus(errno, absl::StrCat("cannot create ", unfinished.string()));
  absl::Status status = WriteAll(fd, unfinished, {*beginning, maker.header(), maker.frame()});
  if (status.ok() && rename(unfinished.c_str(), path.c_str()) != 0)
    status = FileStatus(errno, absl::StrCat("cannot rename ", unfinished.string()));
  if (!status.ok()) {
    unlink(unfinished.c_str());
    CloseSegment();
    return status;
  }
  hashes.clear();
  SegmentSummary summary;
  summary.name = {id.slot, path, 0};
  summary.reach.before.slot = id.parent_slot;
  summary.reach.before.blockhash = id.parent_blockhash;
  summary.reach.first_slot = id.slot;
  {
    std::lock_guard lock(mutex);
    if (!segments.empty() && segments.back().name.first_slot == id.slot) {  // it was unreadable and is replaced
      total_bytes -= segments.back().name.bytes;
      segments.pop_back();
    }
    segments.push_back(std::move(summary));
  }
  CountBytes(beginning->size());
  return absl::OkStatus();
}

absl::Status ArchiveWriter::Impl::Extend() {
  const SegmentName& segment = segments.back().name;
  absl::Status status = WriteAll(fd, segment.path, {maker.header(), maker.frame()});
  if (status.ok()) return status;
  if (ftruncate(fd, static_cast<off_t>(segment.bytes)) != 0) {
    LogError(Room::kIngest, "archive: {} cannot be cut back to {} bytes: {}", segment.path.string(), segment.bytes,
             std::generic_category().message(errno));
  }
  CloseSegment();
  return status;
}

void ArchiveWriter::Impl::CountBytes(uint64_t bytes) {
  std::lock_guard lock(mutex);
  segments.back().name.bytes += bytes;
  total_bytes += bytes;
  counters.bytes_written.Add(bytes);
}

void ArchiveWriter::Impl::CountBlock(const BlockId& id, uint64_t bytes) {
  CountBytes(bytes);
  counters.blocks_written.Add();
  hashes.emplace_back(id.slot, id.blockhash);
  std::lock_guard lock(mutex);
  ArchiveReach& reach = segments.back().reach;
  reach.last = id;
  ++reach.blocks;
  reach.bytes += bytes;
  last = id;
}

void ArchiveWriter::Impl::CloseSegment() {
  if (fd >= 0) close(std::exchange(fd, -1));
}

void ArchiveWriter::Impl::Prune() {
  while (total_bytes > options.keep_bytes && segments.size() > 1) {
    const SegmentName& oldest = segments.front().name;
    if (unlink(oldest.path.c_str()) != 0 && errno != ENOENT) {
      LogWarn(Room::kIngest, "archive: {} cannot be removed: {}", oldest.path.string(),
              std::generic_category().message(errno));
      return;
    }
    total_bytes -= oldest.bytes;
    std::lock_guard lock(mutex);
    segments.erase(segments.begin());
    counters.segments_deleted.Add();
  }
}

absl::Status ArchiveWriter::Impl::Append(const Block& block) {
  absl::Status status = Take(block);
  if (!status.ok()) counters.failures.Add();
  return status;
}

absl::Status ArchiveWriter::Impl::Take(const Block& block) {
  const BlockId& id = block.id;
  if (last.has_value() && id.slot <= last->slot) return CheckKnown(id);
  const bool follows = last.has_value() && id.parent_slot == last->slot && id.parent_blockhash == last->blockhash;
  if (last.has_value() && !follows && id.parent_slot <= last->slot) {
    return absl::FailedPreconditionError(
        absl::StrCat("archive ", options.dir.string(), ": another chain: its last block is slot ", last->slot,
                     " with blockhash ", EncodeBase58(last->blockhash), ", but the parent of block ", id.slot,
                     " is slot ", id.parent_slot, " with blockhash ", EncodeBase58(id.parent_blockhash)));
  }
  absl::Status status = maker.Make(block);
  if (status.ok()) {
    const bool room_left = fd >= 0 && segments.back().name.bytes < options.segment_bytes;
    status = follows && room_left ? Extend() : Begin(id);
  }
  if (status.ok()) {
    CountBlock(id, maker.header().size() + maker.frame().size());
    Prune();
  }
  maker.Forget();
  return status;
}

ArchiveWriter::ArchiveWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ArchiveWriter::~ArchiveWriter() = default;

absl::StatusOr<std::unique_ptr<ArchiveWriter>> ArchiveWriter::Open(const ArchiveOptions& options,
                                                                   const Subscription& subscription) {
  auto impl = std::make_unique<Impl>(options, Canonical(subscription));
  if (absl::Status status = impl->Open(); !status.ok()) return status;
  return std::unique_ptr<ArchiveWriter>(new ArchiveWriter(std::move(impl)));
}

absl::Status ArchiveWriter::Append(const Block& block) {
  const auto begin = std::chrono::steady_clock::now();
  absl::Status status = impl_->Append(block);
  const auto busy = std::chrono::steady_clock::now() - begin;
  impl_->counters.busy_us.Add(
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(busy).count()));
  return status;
}

std::optional<BlockId> ArchiveWriter::last() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->last;
}

ArchiveListing ArchiveWriter::listing() const {
  std::lock_guard lock(impl_->mutex);
  return ListingOf(impl_->segments);
}

const ArchiveCounters& ArchiveWriter::counters() const { return impl_->counters; }

}  // namespace everstate::ingest
