#include "server/ingest/archive_segment.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/base/file_status.h"

namespace everstate::ingest {
namespace {

constexpr size_t kLookBytes = 64u << 10;

absl::Status OfFile(const std::error_code& error, const std::filesystem::path& path) {
  return FileStatus(error.value(), absl::StrCat("archive ", path.string()));
}

}  // namespace

std::filesystem::path SegmentPath(const std::filesystem::path& dir, Slot first_slot) {
  return dir / absl::StrFormat("%020d%s", first_slot, kSegmentSuffix);
}

absl::StatusOr<std::vector<SegmentName>> ListSegments(const std::filesystem::path& dir) {
  std::vector<SegmentName> segments;
  std::error_code error;
  std::filesystem::directory_iterator it(dir, error), end;
  if (error == std::errc::no_such_file_or_directory) return segments;
  for (; !error && it != end; it.increment(error)) {
    SegmentName segment;
    segment.path = it->path();
    if (segment.path.extension() != kSegmentSuffix) continue;
    if (!absl::SimpleAtoi(segment.path.stem().string(), &segment.first_slot)) continue;
    std::error_code gone;  // pruned in this moment
    segment.bytes = std::filesystem::file_size(segment.path, gone);
    if (!gone) segments.push_back(std::move(segment));
  }
  if (error) return OfFile(error, dir);
  std::sort(segments.begin(), segments.end(), [](const auto& a, const auto& b) { return a.first_slot < b.first_slot; });
  return segments;
}

absl::StatusOr<bool> IsZeroFrom(const std::filesystem::path& path, uint64_t offset) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path.string()));
  const absl::Cleanup close_file = [fd] { close(fd); };
  std::string look(kLookBytes, '\0');
  for (;;) {
    const ssize_t n = pread(fd, look.data(), look.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path.string()));
    if (n == 0) return true;
    if (look.find_first_not_of('\0') < static_cast<size_t>(n)) return false;
    offset += static_cast<uint64_t>(n);
  }
}

SegmentFile::SegmentFile(SegmentFile&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      header_(std::move(other.header_)),
      next_(other.next_),
      bytes_(other.bytes_),
      frame_(other.frame_),
      record_(other.record_),
      buffer_(std::move(other.buffer_)) {}

SegmentFile& SegmentFile::operator=(SegmentFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(header_, other.header_);
  std::swap(next_, other.next_);
  std::swap(bytes_, other.bytes_);
  std::swap(frame_, other.frame_);
  std::swap(record_, other.record_);
  std::swap(buffer_, other.buffer_);
  return *this;
}

SegmentFile::~SegmentFile() {
  if (fd_ >= 0) close(fd_);
}

absl::StatusOr<SegmentFile> SegmentFile::Open(const std::filesystem::path& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return FileStatus(errno, absl::StrCat("cannot open ", path.string()));
  SegmentFile segment(path, fd);
  if (absl::Status status = segment.ReadHeader(); !status.ok()) return status;
  return segment;
}

absl::Status SegmentFile::Fault(uint64_t offset, const absl::Status& why) const {
  return absl::Status(why.code(), absl::StrCat(path_.string(), ": at offset ", offset, ": ", why.message()));
}

absl::Status SegmentFile::Measure() {
  struct stat info = {};
  if (fstat(fd_, &info) != 0) return FileStatus(errno, absl::StrCat("cannot read ", path_.string()));
  bytes_ = static_cast<uint64_t>(info.st_size);
  return absl::OkStatus();
}

absl::Status SegmentFile::Read(uint64_t offset, size_t bytes, std::string* out) const {
  out->resize(bytes);
  for (size_t done = 0; done < bytes;) {
    const ssize_t n = pread(fd_, out->data() + done, bytes - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return FileStatus(errno, absl::StrCat("cannot read ", path_.string()));
    if (n == 0) return Fault(offset + done, absl::DataLossError("the file ends here, it was cut while it was read"));
    done += static_cast<size_t>(n);
  }
  return absl::OkStatus();
}

absl::Status SegmentFile::ReadHeader() {
  if (absl::Status status = Measure(); !status.ok()) return status;
  const absl::Status cut = absl::DataLossError("the file ends inside the segment's header");
  if (bytes_ < kSegmentPrefixBytes) return Fault(0, cut);
  if (absl::Status status = Read(0, kSegmentPrefixBytes, &buffer_); !status.ok()) return status;
  const absl::StatusOr<size_t> bytes = SegmentHeaderBytes(buffer_);
  if (!bytes.ok()) return Fault(0, bytes.status());
  if (bytes_ < *bytes) return Fault(0, cut);
  if (absl::Status status = Read(0, *bytes, &buffer_); !status.ok()) return status;
  absl::StatusOr<SegmentHeader> header = DecodeSegmentHeader(buffer_);
  if (!header.ok()) return Fault(0, header.status());
  header_ = *std::move(header);
  next_ = *bytes;
  return absl::OkStatus();
}

absl::StatusOr<std::optional<RecordHeader>> SegmentFile::Next() {
  // The file may have grown since it was measured.
  for (bool measured = false;; measured = true) {
    if (bytes_ - next_ >= kRecordHeaderBytes) {
      if (absl::Status status = Read(next_, kRecordHeaderBytes, &buffer_); !status.ok()) return status;
      const absl::StatusOr<RecordHeader> header = DecodeRecordHeader(buffer_);
      if (!header.ok()) return Fault(next_, header.status());
      if (bytes_ - next_ - kRecordHeaderBytes >= header->frame_bytes) {
        record_ = *header;
        frame_ = next_ + kRecordHeaderBytes;
        next_ = frame_ + record_.frame_bytes;
        return std::optional<RecordHeader>(record_);
      }
    }
    if (measured) return std::optional<RecordHeader>();
    if (absl::Status status = Measure(); !status.ok()) return status;
    if (bytes_ < next_) return Fault(bytes_, absl::DataLossError("the file ends here, although it was longer before"));
  }
}

absl::StatusOr<std::string_view> SegmentFile::ReadFrame() {
  if (absl::Status status = Read(frame_, record_.frame_bytes, &buffer_); !status.ok()) return status;
  if (ChecksumOf(buffer_) != record_.frame_crc) {
    return Fault(frame_,
                 absl::DataLossError(absl::StrCat("the checksum of block ", record_.block.slot, " does not fit")));
  }
  return buffer_;
}

}  // namespace everstate::ingest
