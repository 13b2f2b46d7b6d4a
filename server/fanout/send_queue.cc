#include "server/fanout/send_queue.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace everstate {
namespace {

constexpr size_t kSlicesPerWrite = 1024;  // IOV_MAX of Linux

// Cuts `slice` behind the frame that byte `at` lies in (or at `at` when a frame begins there).
void CutBehindFrame(size_t at, Slice* slice) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(slice->data);
  size_t end = 0;
  uint32_t frames = 0;
  while (end < at) {
    uint64_t payload = bytes[end + 1] & 0x7f;
    size_t header = 2;
    if (payload == 126) {
      payload = (uint64_t{bytes[end + 2]} << 8) | bytes[end + 3];
      header = 4;
    } else if (payload == 127) {
      payload = 0;
      for (size_t i = 2; i < 10; ++i) payload = (payload << 8) | bytes[end + i];
      header = 10;
    }
    end += header + payload;
    ++frames;
  }
  slice->size = end;
  slice->frames = std::min(slice->frames, frames);  // a control frame is none that is counted
}

}  // namespace

Slice Slice::Of(std::string bytes, uint32_t frames) {
  auto owned = std::make_shared<const std::string>(std::move(bytes));
  const char* data = owned->data();
  const size_t size = owned->size();
  return {std::move(owned), data, size, frames};
}

void SendQueue::Push(Slice slice) {
  bytes_ += slice.size;
  slices_.push_back(std::move(slice));
}

SendQueue::Sent SendQueue::Send(int fd) {
  Sent sent;
  std::array<iovec, kSlicesPerWrite> parts;
  while (!empty()) {
    const size_t count = std::min(slices_.size() - head_, kSlicesPerWrite);
    size_t wanted = 0;
    for (size_t i = 0; i < count; ++i) {
      const Slice& slice = slices_[head_ + i];
      const size_t skip = i == 0 ? head_sent_ : 0;
      parts[i] = {const_cast<char*>(slice.data) + skip, slice.size - skip};
      wanted += parts[i].iov_len;
    }
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = count;
    ssize_t result;
    do {
      result = ::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (result < 0 && errno == EINTR);
    ++sent.writes;
    if (result < 0) {
      sent.outcome = errno == EAGAIN || errno == EWOULDBLOCK ? Outcome::kFull : Outcome::kFailed;
      return sent;
    }
    sent.bytes += static_cast<size_t>(result);
    bytes_ -= static_cast<size_t>(result);
    size_t left = static_cast<size_t>(result) + head_sent_;
    while (head_ < slices_.size() && left >= slices_[head_].size) {
      left -= slices_[head_].size;
      sent.frames += slices_[head_].frames;
      slices_[head_].owner.reset();
      ++head_;
    }
    head_sent_ = left;
    ForgetSent();
    if (static_cast<size_t>(result) < wanted) {
      sent.outcome = Outcome::kFull;
      return sent;
    }
  }
  Shrink();
  return sent;
}

void Slice::Own() {
  if (!shared) return;
  *this = Of(std::string(data, size), frames);
}

void SendQueue::Own() {
  for (size_t i = head_; i < slices_.size(); ++i) slices_[i].Own();
}

void SendQueue::Drop(bool keep_newest) {
  if (empty()) return;
  std::vector<Slice> kept;
  const size_t newest = slices_.size() - 1;
  if (head_sent_ > 0 && !(keep_newest && head_ == newest)) {
    CutBehindFrame(head_sent_, &slices_[head_]);
    kept.push_back(std::move(slices_[head_]));
  }
  if (keep_newest) kept.push_back(std::move(slices_[newest]));
  slices_ = std::move(kept);
  head_ = 0;
  bytes_ = 0;
  for (const Slice& slice : slices_) bytes_ += slice.size;
  bytes_ -= head_sent_;
}

// An idle session keeps no buffer; a busy one keeps its vector.
void SendQueue::Shrink() {
  slices_.clear();
  head_ = 0;
  if (slices_.capacity() > 8) slices_ = std::vector<Slice>();
}

// A queue that is never empty must not keep a place for everything that ever was in it. Each slice is moved once at
// most for each that was sent.
void SendQueue::ForgetSent() {
  if (head_ < kSlicesPerWrite || head_ < slices_.size() / 2) return;
  slices_.erase(slices_.begin(), slices_.begin() + static_cast<std::ptrdiff_t>(head_));
  head_ = 0;
}

std::string_view FramePayload(std::string_view frame) {
  const uint8_t size = static_cast<uint8_t>(frame[1]) & 0x7f;
  return frame.substr(size < 126 ? 2 : size == 126 ? 4 : 10);
}

void AppendFrameHeader(uint8_t opcode, size_t payload_size, std::string* out) {
  out->push_back(static_cast<char>(0x80 | opcode));
  if (payload_size < 126) {
    out->push_back(static_cast<char>(payload_size));
    return;
  }
  const int bytes = payload_size < 65536 ? 2 : 8;
  out->push_back(static_cast<char>(bytes == 2 ? 126 : 127));
  for (int i = bytes - 1; i >= 0; --i) out->push_back(static_cast<char>(uint64_t{payload_size} >> (8 * i)));
}

Slice TextFrame(std::string_view payload) {
  std::string bytes;
  bytes.reserve(payload.size() + 10);
  AppendFrameHeader(kTextFrame, payload.size(), &bytes);
  bytes.append(payload);
  return Slice::Of(std::move(bytes), 1);
}

Slice CloseFrame(uint16_t code, std::string_view reason) {
  std::string bytes;
  AppendFrameHeader(kCloseFrame, 2 + reason.size(), &bytes);
  bytes.push_back(static_cast<char>(code >> 8));
  bytes.push_back(static_cast<char>(code & 0xff));
  bytes.append(reason);
  return Slice::Of(std::move(bytes), 0);
}

}  // namespace everstate
