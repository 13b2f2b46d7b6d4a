#include "server/ingest/recording.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"

namespace everstate {
namespace {

constexpr int kVarintBytesMax = 10;

size_t EncodeVarint(uint64_t value, char* out) {
  size_t n = 0;
  for (; value >= 0x80; value >>= 7) out[n++] = static_cast<char>(value | 0x80);
  out[n++] = static_cast<char>(value);
  return n;
}

}  // namespace

RecordingReader::RecordingReader(std::string path, std::string_view file, uint64_t message_bytes_max)
    : path_(std::move(path)), file_(file), message_bytes_max_(message_bytes_max) {}

RecordingReader::RecordingReader(RecordingReader&& other) noexcept
    : path_(std::move(other.path_)),
      file_(std::exchange(other.file_, {})),
      at_(other.at_),
      message_bytes_max_(other.message_bytes_max_) {}

RecordingReader& RecordingReader::operator=(RecordingReader&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(file_, other.file_);
  std::swap(at_, other.at_);
  std::swap(message_bytes_max_, other.message_bytes_max_);
  return *this;
}

RecordingReader::~RecordingReader() {
  if (!file_.empty()) munmap(const_cast<char*>(file_.data()), file_.size());
}

absl::StatusOr<RecordingReader> RecordingReader::Open(const std::string& path, uint64_t message_bytes_max) {
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open recording ", path));
  struct stat info = {};
  if (fstat(fd, &info) != 0) {
    int error = errno;
    close(fd);
    return absl::ErrnoToStatus(error, absl::StrCat("cannot read recording ", path));
  }
  if (!S_ISREG(info.st_mode)) {
    close(fd);
    return absl::InvalidArgumentError(absl::StrCat("recording ", path, " is not a regular file"));
  }
  std::string_view file;
  if (info.st_size > 0) {
    size_t size = static_cast<size_t>(info.st_size);
    void* base = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (base == MAP_FAILED) {
      int error = errno;
      close(fd);
      return absl::ErrnoToStatus(error, absl::StrCat("cannot map recording ", path));
    }
    file = {static_cast<const char*>(base), size};
  }
  close(fd);
  return RecordingReader(path, file, message_bytes_max);
}

absl::Status RecordingReader::Fault(const std::string& what) const {
  return absl::DataLossError(absl::StrCat(path_, ": at offset ", at_, ": ", what));
}

absl::StatusOr<std::optional<RecordedMessage>> RecordingReader::Next() {
  if (at_ == file_.size()) return std::nullopt;
  uint64_t length = 0;
  uint64_t p = at_;
  for (int i = 0;; ++i) {
    if (p == file_.size()) return Fault("the length of the message is cut off by the end of the file");
    if (i == kVarintBytesMax) return Fault("the length of the message is no varint (more than 10 bytes)");
    uint8_t byte = static_cast<uint8_t>(file_[p++]);
    length |= uint64_t{byte & 0x7fu} << (7 * i);
    if (byte < 0x80) break;
  }
  if (length > message_bytes_max_) {
    return Fault(absl::StrCat("a message of ", length, " bytes is beyond the limit of ", message_bytes_max_));
  }
  if (length > file_.size() - p) {
    return Fault(absl::StrCat("a message of ", length, " bytes, but only ", file_.size() - p, " are left in the file"));
  }
  RecordedMessage message{at_, file_.substr(p, length)};
  at_ = p + length;
  return message;
}

absl::StatusOr<RecordingWriter> RecordingWriter::Create(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "wbe");
  if (file == nullptr) return absl::ErrnoToStatus(errno, absl::StrCat("cannot create recording ", path));
  return RecordingWriter(path, file);
}

absl::Status RecordingWriter::Append(std::string_view message) {
  if (!file_) return absl::FailedPreconditionError(absl::StrCat("recording ", path_, " is closed"));
  char length[kVarintBytesMax];
  size_t n = EncodeVarint(message.size(), length);
  if (std::fwrite(length, 1, n, file_.get()) != n ||
      std::fwrite(message.data(), 1, message.size(), file_.get()) != message.size()) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot write recording ", path_));
  }
  return absl::OkStatus();
}

absl::Status RecordingWriter::Close() {
  if (!file_) return absl::OkStatus();
  if (std::fclose(file_.release()) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot write recording ", path_));
  }
  return absl::OkStatus();
}

void AppendRecorded(std::string_view message, std::string* out) {
  char length[kVarintBytesMax];
  out->append(length, EncodeVarint(message.size(), length));
  out->append(message);
}

}  // namespace everstate
