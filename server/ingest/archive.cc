#include "server/ingest/archive.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/ingest/archive_summary.h"

namespace everstate::ingest {
namespace {

absl::Status AddRecords(SegmentFile* segment, ArchiveCheck check, bool growing, ArchiveReach* reach) {
  for (uint64_t offset = segment->offset();; offset = segment->offset()) {
    const absl::StatusOr<std::optional<RecordHeader>> record = segment->Next();
    if (!record.ok()) return record.status();
    if (!record->has_value()) break;
    const BlockId& block = (*record)->block;
    if (block.parent_slot != reach->last.slot || block.parent_blockhash != reach->last.blockhash) {
      return segment->Fault(offset, absl::DataLossError(absl::StrCat("block ", block.slot, " is no child of block ",
                                                                     reach->last.slot, ", which stands before it")));
    }
    if (check == ArchiveCheck::kFrames) {
      if (const auto frame = segment->ReadFrame(); !frame.ok()) return frame.status();
    }
    if (reach->blocks == 0) reach->first_slot = block.slot;
    reach->last = block;
    ++reach->blocks;
    reach->bytes += segment->offset() - offset;
  }
  if (growing || segment->offset() == segment->bytes()) return absl::OkStatus();
  return segment->Fault(segment->offset(), absl::DataLossError("the file ends inside a record"));
}

}  // namespace

absl::StatusOr<SegmentSummary> Summarize(const SegmentName& name, ArchiveCheck check, bool growing) {
  SegmentSummary summary;
  summary.name = name;
  absl::StatusOr<SegmentFile> segment = SegmentFile::Open(name.path);
  if (absl::IsNotFound(segment.status())) return segment.status();
  absl::Status status = segment.status();
  if (status.ok()) {
    summary.reach.before.slot = segment->header().before_slot;
    summary.reach.before.blockhash = segment->header().before_hash;
    summary.reach.last = summary.reach.before;
    status = AddRecords(&*segment, check, growing, &summary.reach);
  }
  summary.fault = std::string(status.message());
  return summary;
}

ArchiveListing ListingOf(const std::vector<SegmentSummary>& segments) {
  ArchiveListing listing;
  bool goes_on = false;  // the last run may go on with the next segment
  for (const SegmentSummary& segment : segments) {
    ++listing.segments;
    listing.bytes += segment.name.bytes;
    const ArchiveReach& reach = segment.reach;
    if (reach.blocks > 0) {
      ArchiveReach* const run = goes_on ? &listing.runs.back() : nullptr;
      if (run != nullptr && run->last.slot == reach.before.slot && run->last.blockhash == reach.before.blockhash) {
        run->last = reach.last;
        run->blocks += reach.blocks;
        run->bytes += reach.bytes;
      } else {
        listing.runs.push_back(reach);
      }
      goes_on = true;
    }
    if (segment.fault.empty()) continue;
    listing.faults.push_back(segment.fault);
    goes_on = false;
  }
  return listing;
}

absl::StatusOr<ArchiveListing> ListArchive(const std::filesystem::path& dir, ArchiveCheck check) {
  const absl::StatusOr<std::vector<SegmentName>> names = ListSegments(dir);
  if (!names.ok()) return names.status();
  std::vector<SegmentSummary> segments;
  for (const SegmentName& name : *names) {
    absl::StatusOr<SegmentSummary> summary = Summarize(name, check, &name == &names->back());
    if (summary.ok()) segments.push_back(*std::move(summary));
  }
  return ListingOf(segments);
}

}  // namespace everstate::ingest
