// A small blocking WebSocket and HTTP client for tests, on plain sockets, with nothing between a test and the wire.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace everstate::testing {

// A TCP connection that waits, but never for ever.
class TcpClient {
 public:
  // `address` as Fanout::address() gives it. `receive_buffer_bytes` 0: the system's default.
  explicit TcpClient(const std::string& address, int receive_buffer_bytes = 0);
  ~TcpClient();
  TcpClient(TcpClient&& other) noexcept;
  TcpClient(const TcpClient&) = delete;

  bool connected() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  bool Send(std::string_view bytes);  // all of it; false when the peer is gone
  // Appends what comes next to `in`. False at the end, on a reset, or when nothing came for `patience`.
  bool Receive(std::chrono::milliseconds patience = std::chrono::seconds(20));
  bool ended() const { return ended_; }  // the peer has closed or reset
  void Close();

  std::string in;

 private:
  int fd_ = -1;
  bool ended_ = false;
};

// One whole HTTP exchange: sends `request`, reads until the peer closes.
std::string HttpExchange(const std::string& address, std::string_view request);
std::string HttpGet(const std::string& address, std::string_view path, std::string_view headers = "");

struct WsMessage {
  uint8_t opcode = 0;  // 1 text, 2 binary, 8 close, 9 ping, 10 pong
  std::string payload;
  uint16_t close_code = 0;  // of a close; 0 when it has none
};

// WsClient: a WebSocket client. Answers pings unless told otherwise; frames may arrive in any cut.
class WsClient {
 public:
  explicit WsClient(const std::string& address, std::string_view path = "/", int receive_buffer_bytes = 0,
                    std::string_view behind_the_head = "");

  bool open() const { return open_; }                    // the upgrade was accepted
  const std::string& answer() const { return answer_; }  // the HTTP head (and what followed, when it was refused)
  bool SendFrame(uint8_t opcode, std::string_view payload, bool fin = true);
  bool SendText(std::string_view text) { return SendFrame(1, text); }
  bool SendClose(uint16_t code);

  // The next message, pings and pongs included only when `control` is set; empty at the end of the connection or when
  // nothing came for `patience`.
  std::optional<WsMessage> Next(std::chrono::milliseconds patience = std::chrono::seconds(20), bool control = false);
  std::optional<std::string> NextText(std::chrono::milliseconds patience = std::chrono::seconds(20));
  // Skips data until the close frame. Empty when the connection ended without one.
  std::optional<WsMessage> WaitClose();
  bool WaitEnd();  // the TCP connection ends

  bool answer_pings = true;
  TcpClient& tcp() { return tcp_; }

 private:
  std::optional<WsMessage> TakeFrame();

  TcpClient tcp_;
  bool open_ = false;
  std::string answer_;
};

// A masked client frame.
std::string ClientFrame(uint8_t opcode, std::string_view payload, bool fin = true);

}  // namespace everstate::testing
