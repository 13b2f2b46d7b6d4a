// SendQueue: the bytes on their way to one socket, as slices of shared immutable buffers, sent with one gather write.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace everstate {

// Whole WebSocket frames, back to back, headers included. Server frames carry no mask (RFC 6455 §5.1), so the bytes are
// the same for every session and a slice is shared by all of them.
struct Slice {
  std::shared_ptr<const void> owner;  // keeps `data` alive; null for static bytes
  const char* data = nullptr;
  size_t size = 0;
  uint32_t frames = 0;
  bool shared = false;  // owner holds more than these bytes, for others

  static Slice Of(std::string bytes, uint32_t frames);  // owns them
  void Own();                                           // copies the bytes when they are shared
};

// SendQueue
//   Thread:    one (the session's lane).
//   Invariant: a slice begins at a frame boundary; whatever is dropped, the peer sees whole frames only.
class SendQueue {
 public:
  void Push(Slice slice);
  bool empty() const { return head_ == slices_.size(); }
  size_t bytes() const { return bytes_; }
  // What it takes in memory, about: many small frames cost more than their bytes.
  size_t cost() const { return bytes_ + (slices_.size() - head_) * kSliceCost; }
  size_t places() const { return slices_.size(); }  // with those of what is sent and not forgotten yet
  static constexpr size_t kSliceCost = 128;  // a slice, the block that owns its bytes, and what the allocator adds

  enum class Outcome : uint8_t { kDrained, kFull, kFailed };
  struct Sent {
    Outcome outcome = Outcome::kDrained;
    size_t bytes = 0, frames = 0, writes = 0;
  };
  // One sendmsg on a non-blocking socket (more only beyond 1,024 slices). kFull: the socket takes no more for now.
  Sent Send(int fd);

  // Makes what is queued its own, so that a socket that takes nothing keeps no more alive than bytes() says.
  void Own();

  // Forgets what is queued: all but the rest of the frame that is partly sent, and the newest slice when `keep_newest`.
  void Drop(bool keep_newest);

 private:
  void Shrink();
  void ForgetSent();

  std::vector<Slice> slices_;
  size_t head_ = 0;       // first slice not wholly sent
  size_t head_sent_ = 0;  // bytes of it that are sent
  size_t bytes_ = 0;      // not sent yet
};

// Appends the header of a server frame (RFC 6455 §5.2): FIN, `opcode`, no mask.
inline constexpr uint8_t kTextFrame = 0x1, kCloseFrame = 0x8, kPingFrame = 0x9;
void AppendFrameHeader(uint8_t opcode, size_t payload_size, std::string* out);
// What a whole server frame holds behind its header.
std::string_view FramePayload(std::string_view frame);

// One text frame holding `payload`.
Slice TextFrame(std::string_view payload);
// A close frame with a code and a reason (at most 123 bytes).
Slice CloseFrame(uint16_t code, std::string_view reason);

}  // namespace everstate
