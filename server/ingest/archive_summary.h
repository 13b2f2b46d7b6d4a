// What a segment holds, in a few words, and the listing that many of them make.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/ingest/archive.h"
#include "server/ingest/archive_segment.h"

namespace everstate::ingest {

struct SegmentSummary {
  SegmentName name;
  ArchiveReach reach;  // blocks 0: nothing can be read
  std::string fault;   // empty: none; else what ends the reach
};

// `growing`: the segment may be in the middle of an append, so that half a record at its end is no fault. Errors:
// NotFound: it was deleted in this moment. Everything else is a fault of the summary.
absl::StatusOr<SegmentSummary> Summarize(const SegmentName& name, ArchiveCheck check, bool growing);

// By first slot, ascending.
ArchiveListing ListingOf(const std::vector<SegmentSummary>& segments);

}  // namespace everstate::ingest
