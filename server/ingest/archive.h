// The archive: every settled block, raw, as it came, so that a rewind need not ask a provider for what it no longer
// has. It is not state: losing it costs reach, never data.
//
// `<data>/archive/<first slot, 20 digits>.blocks`: a header (format, the subscription, the block that the first one's
// parent is), then records. A record is a small header (kind, sizes, checksum, the block's identity) and one zstd frame
// that holds the block in the recording format: its messages, its BlockMeta and the status that settled it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/counters.h"
#include "server/ingest/source.h"
#include "server/vm/block.h"
#include "storage/model.h"

namespace everstate::ingest {

struct ArchiveOptions {
  std::filesystem::path dir;
  uint64_t keep_bytes = 8ull << 30;      // the oldest segments go when all of them hold more
  uint64_t segment_bytes = 64ull << 20;  // a segment is closed when it holds more, or an eighth of keep_bytes
};

// A run of blocks each of whose parents is the one before it.
struct ArchiveReach {
  BlockId before;  // the parent of the first block, slot and hash: a state at this block can be carried on from here
  BlockId last;
  uint64_t blocks = 0, bytes = 0;
  Slot first_slot = 0;
};

// What an archive holds, oldest first; between two entries blocks are missing. A segment that is damaged ends its run,
// and is told of in `faults` (file, offset, rule).
struct ArchiveListing {
  std::vector<ArchiveReach> runs;
  std::vector<std::string> faults;
  uint64_t segments = 0, bytes = 0;
};

enum class ArchiveCheck : uint8_t {
  kHeaders,  // of segments and records, each with its checksum
  kFrames    // the checksums of the blocks as well: the whole archive is read
};

// May run beside a writer, also another process's. Errors: those of the file system; a missing directory is an empty
// listing.
absl::StatusOr<ArchiveListing> ListArchive(const std::filesystem::path& dir,
                                           ArchiveCheck check = ArchiveCheck::kHeaders);

struct ArchiveCounters {
  Counter blocks_written, bytes_written, blocks_known, segments_deleted, failures, busy_us;
};

inline constexpr auto kArchiveCounters = std::to_array<Described<ArchiveCounters>>({
    {"blocks_written", &ArchiveCounters::blocks_written, "Blocks written to the archive"},
    {"bytes_written", &ArchiveCounters::bytes_written, "Bytes written to the archive, compressed"},
    {"blocks_known", &ArchiveCounters::blocks_known,
     "Blocks at or below the last one: compared with what is there, not written again"},
    {"segments_deleted", &ArchiveCounters::segments_deleted, "Segments deleted to keep the archive within its bytes"},
    {"failures", &ArchiveCounters::failures,
     "Blocks that are not in it: they could not be written, or are of another chain"},
    {"busy_us", &ArchiveCounters::busy_us, "Time spent in taking blocks"},
});
static_assert(DescribesAll(kArchiveCounters));

// ArchiveWriter
//   Thread:    Append from one (ingest), last(), listing() and counters() any.
//   Owns:      the directory while it lives; a torn tail is cut at open, and said.
//   Errors:    FailedPrecondition: the directory holds blocks of another chain: another hash for a slot it has, or a
//              last block that the new one does not follow although it lies above it. InvalidArgument: options; a block
//              of 4 GiB.
//              ResourceExhausted, Internal …: of the file system. After an error of Append the segment is cut back to
//              its last whole record, and the next Append begins another one: a full disk costs reach, not the stream.
//   Invariant: what Append took is in the file (not synced) when it returns, and a reader of this process sees it.
class ArchiveWriter {
 public:
  // Another subscription than that of the newest segment begins a new segment.
  static absl::StatusOr<std::unique_ptr<ArchiveWriter>> Open(const ArchiveOptions& options,
                                                             const Subscription& subscription);
  ~ArchiveWriter();

  // A block that the archive has already is not written again.
  absl::Status Append(const Block& block);
  std::optional<BlockId> last() const;
  // What ListArchive would say, out of memory: cheap, for a status that is asked for often.
  ArchiveListing listing() const;
  const ArchiveCounters& counters() const;

 private:
  struct Impl;
  explicit ArchiveWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// ArchiveReader: blocks after a given one, in chain order, as the ledger made them when they came. Where the archive
// holds more than is asked for, the rest is left out: a block is what a stream of that subscription would have brought.
//   Thread:    one; may run beside the writer, also another process's.
//   Errors:    DataLoss (cut, flipped: names file and offset), Unimplemented (a format or kind of a newer version,
//              named), FailedPrecondition (a segment's subscription does not cover what is asked for; the message names
//              what is missing), OutOfRange (pruning has overtaken the reader). After an error every further call gives
//              the same one.
class ArchiveReader {
 public:
  // The next block handed out is the first one in the archive above after.slot.
  static absl::StatusOr<std::unique_ptr<ArchiveReader>> Open(const std::filesystem::path& dir,
                                                             const Subscription& subscription, const BlockId& after);
  ~ArchiveReader();
  // Null when there is nothing more at the moment; a later call may find more. Whether a block's parent is the one
  // before it is for the caller to judge.
  absl::StatusOr<BlockRef> Next();

 private:
  struct Impl;
  explicit ArchiveReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace everstate::ingest
