// Segments as files: their names, and reading one record after the other, also while somebody appends.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/ingest/archive_format.h"

namespace everstate::ingest {

inline constexpr char kSegmentSuffix[] = ".blocks";
// What a segment is called while its first record is written: a file with the other suffix is never without a record.
inline constexpr char kUnfinishedSuffix[] = ".blocks.unfinished";

struct SegmentName {
  Slot first_slot = 0;
  std::filesystem::path path;
  uint64_t bytes = 0;
};

std::filesystem::path SegmentPath(const std::filesystem::path& dir, Slot first_slot);
// The segments of a directory, by first slot; none when there is no such directory. Errors: of the file system.
absl::StatusOr<std::vector<SegmentName>> ListSegments(const std::filesystem::path& dir);

// True when nothing but zeros lies from `offset` on: what a power cut leaves of bytes that were not synced.
absl::StatusOr<bool> IsZeroFrom(const std::filesystem::path& path, uint64_t offset);

// SegmentFile: a segment that is read from its beginning.
//   Thread:    one.
//   Owns:      the open file: it stays readable when its name is gone.
//   Errors:    NotFound: the file; DataLoss and Unimplemented naming file and offset.
class SegmentFile {
 public:
  static absl::StatusOr<SegmentFile> Open(const std::filesystem::path& path);
  SegmentFile(SegmentFile&& other) noexcept;
  SegmentFile& operator=(SegmentFile&& other) noexcept;
  ~SegmentFile();

  const std::filesystem::path& path() const { return path_; }
  const SegmentHeader& header() const { return header_; }

  // The next record that is whole, and steps over it. Empty when the rest of the file is less than a record; a later
  // call looks again. An error does not step.
  absl::StatusOr<std::optional<RecordHeader>> Next();
  // The frame of the record that Next answered last, checked against its checksum.
  absl::StatusOr<std::string_view> ReadFrame();

  uint64_t offset() const { return next_; }  // of the next record
  uint64_t bytes() const { return bytes_; }  // of the file, when Next looked last
  // An error about the byte at `offset`.
  absl::Status Fault(uint64_t offset, const absl::Status& why) const;

 private:
  SegmentFile(std::filesystem::path path, int fd) : path_(std::move(path)), fd_(fd) {}
  absl::Status ReadHeader();
  absl::Status Read(uint64_t offset, size_t bytes, std::string* out) const;
  absl::Status Measure();

  std::filesystem::path path_;
  int fd_ = -1;
  SegmentHeader header_;
  uint64_t next_ = 0, bytes_ = 0;
  uint64_t frame_ = 0;  // where the frame of the last record begins
  RecordHeader record_;
  std::string buffer_;
};

}  // namespace everstate::ingest
