// A recording: serialized geyser.SubscribeUpdate messages one after the other, each with its length before it as a
// protobuf varint. This header knows bytes only; what a message means is for others to say.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace everstate {

// No Solana account is larger than 10 MiB and the largest update seen in the wild is a block of 1 GB; a longer length
// is a damaged file.
inline constexpr uint64_t kRecordedMessageBytesMax = uint64_t{1} << 30;

struct RecordedMessage {
  uint64_t offset = 0;  // of the length, from the beginning of the file
  std::string_view bytes;
};

// Messages in memory, in the form of a recording. Thread: one. Borrows: the bytes.
// Errors: DataLoss (a length that is cut off, ends behind the bytes or is beyond the limit), naming the offset.
class RecordedMessages {
 public:
  explicit RecordedMessages(std::string_view bytes, uint64_t message_bytes_max = kRecordedMessageBytesMax)
      : bytes_(bytes), message_bytes_max_(message_bytes_max) {}

  // Nothing at the end. After an error every further call gives the same error.
  absl::StatusOr<std::optional<RecordedMessage>> Next();

 private:
  std::string_view bytes_;
  uint64_t at_ = 0;
  uint64_t message_bytes_max_;
};

// Thread: one thread calls Next; the bytes it returned may be read by any thread.
// Owns: a copy of the file, so that nothing that happens to the file can be felt later. The bytes stay valid, also
//   after the reader was moved, as long as it lives.
// Errors: NotFound or PermissionDenied or Unknown (open); InvalidArgument (no regular file, or "-"); ResourceExhausted
//   (it does not fit into memory); DataLoss (it was cut while it was read, or as RecordedMessages says), naming file
//   and offset. An empty file is a recording without messages.
class RecordingReader {
 public:
  static absl::StatusOr<RecordingReader> Open(const std::string& path,
                                              uint64_t message_bytes_max = kRecordedMessageBytesMax);

  // Nothing at the end of the file. After an error every further call gives the same error.
  absl::StatusOr<std::optional<RecordedMessage>> Next();

  const std::string& path() const { return path_; }
  uint64_t size_bytes() const { return size_bytes_; }

 private:
  RecordingReader(std::string path, std::unique_ptr<char[]> file, uint64_t size_bytes, uint64_t message_bytes_max)
      : path_(std::move(path)),
        file_(std::move(file)),
        size_bytes_(size_bytes),
        messages_({file_.get(), size_bytes}, message_bytes_max) {}

  std::string path_;
  std::unique_ptr<char[]> file_;
  uint64_t size_bytes_;
  RecordedMessages messages_;
};

// Thread: one thread. Owns: the open file.
// Errors: of the file system, naming the file; then the writer is closed.
// Invariant: after an error the file holds what was appended before the last Flush that succeeded, and nothing else:
//   what was written behind that is cut off, so that the recording ends with a whole message. (A process that is killed
//   may leave one that is torn off.) What was not flushed when the writer dies is not in the file.
class RecordingWriter {
 public:
  static absl::StatusOr<RecordingWriter> Create(const std::string& path);
  RecordingWriter(RecordingWriter&& other) noexcept
      : path_(std::move(other.path_)),
        fd_(std::exchange(other.fd_, -1)),
        waiting_(std::move(other.waiting_)),
        written_bytes_(other.written_bytes_),
        flushed_bytes_(other.flushed_bytes_) {}
  RecordingWriter& operator=(RecordingWriter&&) = delete;
  ~RecordingWriter();

  absl::Status Append(std::string_view message);
  absl::Status Flush();  // what was appended survives the process
  absl::Status Close();  // a flush first

 private:
  RecordingWriter(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  absl::Status Write();
  absl::Status Fail(int error_number);

  std::string path_;
  int fd_;               // -1: closed
  std::string waiting_;  // appended, not written yet
  uint64_t written_bytes_ = 0, flushed_bytes_ = 0;
};

// Appends one message with its length to `out`, as a recording holds it.
void AppendRecorded(std::string_view message, std::string* out);

}  // namespace everstate
