#include "server/ingest/recording.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <new>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"

namespace everstate {
namespace {

constexpr int kVarintBytesMax = 10;
constexpr size_t kWaitingBytesMax = 1 << 20;  // of messages that are written at a time

size_t EncodeVarint(uint64_t value, char* out) {
  size_t n = 0;
  for (; value >= 0x80; value >>= 7) out[n++] = static_cast<char>(value | 0x80);
  out[n++] = static_cast<char>(value);
  return n;
}

}  // namespace

absl::StatusOr<std::optional<RecordedMessage>> RecordedMessages::Next() {
  const auto fault = [&](const std::string& what) {
    return absl::DataLossError(absl::StrCat("at offset ", at_, ": ", what));
  };
  if (at_ == bytes_.size()) return std::nullopt;
  uint64_t length = 0;
  uint64_t p = at_;
  for (int i = 0;; ++i) {
    if (p == bytes_.size()) return fault("the length of the message is cut off by the end of the file");
    if (i == kVarintBytesMax) return fault("the length of the message is no varint (more than 10 bytes)");
    uint8_t byte = static_cast<uint8_t>(bytes_[p++]);
    length |= uint64_t{byte & 0x7fu} << (7 * i);
    if (byte < 0x80) break;
  }
  if (length > message_bytes_max_) {
    return fault(absl::StrCat("a message of ", length, " bytes is beyond the limit of ", message_bytes_max_));
  }
  if (length > bytes_.size() - p) {
    return fault(
        absl::StrCat("a message of ", length, " bytes, but only ", bytes_.size() - p, " are left in the file"));
  }
  RecordedMessage message{at_, bytes_.substr(p, length)};
  at_ = p + length;
  return message;
}

// The file is copied and not mapped: a mapped file that is shortened kills whoever reads it.
absl::StatusOr<RecordingReader> RecordingReader::Open(const std::string& path, uint64_t message_bytes_max) {
  if (path == "-") {
    return absl::InvalidArgumentError(
        "recording -: standard input is not read, a recording is a regular file (one of that name is ./-)");
  }
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open recording ", path));
  const absl::Cleanup close_file = [fd] { close(fd); };
  struct stat info = {};
  if (fstat(fd, &info) != 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read recording ", path));
  if (!S_ISREG(info.st_mode))
    return absl::InvalidArgumentError(
        absl::StrCat("recording ", path, " is not a regular file: what comes through a pipe has to be put into one"));
  const auto size = static_cast<uint64_t>(info.st_size);
  std::unique_ptr<char[]> file(new (std::nothrow) char[size]);
  if (file == nullptr)
    return absl::ResourceExhaustedError(absl::StrCat("recording ", path, ": no memory for its ", size, " bytes"));
  for (uint64_t done = 0; done < size;) {
    const ssize_t n = read(fd, file.get() + done, size - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read recording ", path));
    if (n == 0) {
      return absl::DataLossError(
          absl::StrCat(path, ": at offset ", done, ": the file had ", size, " bytes and was cut while it was read"));
    }
    done += static_cast<uint64_t>(n);
  }
  return RecordingReader(path, std::move(file), size, message_bytes_max);
}

absl::StatusOr<std::optional<RecordedMessage>> RecordingReader::Next() {
  absl::StatusOr<std::optional<RecordedMessage>> message = messages_.Next();
  if (message.ok()) return message;
  return absl::Status(message.status().code(), absl::StrCat(path_, ": ", message.status().message()));
}

absl::StatusOr<RecordingWriter> RecordingWriter::Create(const std::string& path) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot create recording ", path));
  return RecordingWriter(path, fd);
}

RecordingWriter::~RecordingWriter() {
  if (fd_ >= 0) close(fd_);
}

absl::Status RecordingWriter::Append(std::string_view message) {
  if (fd_ < 0) return absl::FailedPreconditionError(absl::StrCat("recording ", path_, " is closed"));
  AppendRecorded(message, &waiting_);
  return waiting_.size() < kWaitingBytesMax ? absl::OkStatus() : Write();
}

absl::Status RecordingWriter::Flush() {
  if (absl::Status status = Write(); !status.ok()) return status;
  flushed_bytes_ = written_bytes_;
  return absl::OkStatus();
}

absl::Status RecordingWriter::Close() {
  if (fd_ < 0) return absl::OkStatus();
  if (absl::Status status = Flush(); !status.ok()) return status;
  if (close(std::exchange(fd_, -1)) != 0)
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot write recording ", path_));
  return absl::OkStatus();
}

absl::Status RecordingWriter::Write() {
  for (size_t done = 0; done < waiting_.size();) {
    const ssize_t n = write(fd_, waiting_.data() + done, waiting_.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Fail(errno);
    done += static_cast<size_t>(n);
    written_bytes_ += static_cast<uint64_t>(n);
  }
  waiting_.clear();
  return absl::OkStatus();
}

absl::Status RecordingWriter::Fail(int error_number) {
  std::string why = absl::StrCat("cannot write recording ", path_);
  if (written_bytes_ > flushed_bytes_ && ftruncate(fd_, static_cast<off_t>(flushed_bytes_)) != 0) {
    absl::StrAppend(&why, ", nor cut it back to its first ", flushed_bytes_, " bytes, which are whole");
  }
  close(std::exchange(fd_, -1));
  waiting_.clear();
  written_bytes_ = flushed_bytes_;
  return absl::ErrnoToStatus(error_number, why);
}

void AppendRecorded(std::string_view message, std::string* out) {
  char length[kVarintBytesMax];
  out->append(length, EncodeVarint(message.size(), length));
  out->append(message);
}

}  // namespace everstate
