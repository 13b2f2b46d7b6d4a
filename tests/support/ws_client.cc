#include "tests/support/ws_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

namespace everstate::testing {
namespace {

int Connect(const std::string& address, int receive_buffer_bytes) {
  const size_t colon = address.rfind(':');
  const bool v6 = address.front() == '[';
  const std::string host = v6 ? address.substr(1, colon - 2) : address.substr(0, colon);
  const auto port = static_cast<uint16_t>(std::stoi(address.substr(colon + 1)));
  const int fd = ::socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
  if (receive_buffer_bytes > 0)
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  int result;
  if (v6) {
    sockaddr_in6 to{};
    to.sin6_family = AF_INET6;
    to.sin6_port = htons(port);
    ::inet_pton(AF_INET6, host == "::" ? "::1" : host.c_str(), &to.sin6_addr);
    result = ::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to);
  } else {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    ::inet_pton(AF_INET, host.c_str(), &to.sin_addr);
    result = ::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to);
  }
  if (result == 0) return fd;
  ::close(fd);
  return -1;
}

}  // namespace

TcpClient::TcpClient(const std::string& address, int receive_buffer_bytes)
    : fd_(Connect(address, receive_buffer_bytes)) {}
TcpClient::~TcpClient() { Close(); }
TcpClient::TcpClient(TcpClient&& other) noexcept
    : in(std::move(other.in)), fd_(std::exchange(other.fd_, -1)), ended_(other.ended_) {}

void TcpClient::Close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

bool TcpClient::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

bool TcpClient::Receive(std::chrono::milliseconds patience) {
  if (fd_ < 0 || ended_) return false;
  pollfd wait{fd_, POLLIN, 0};
  if (::poll(&wait, 1, static_cast<int>(patience.count())) <= 0) return false;
  char bytes[65536];
  const ssize_t got = ::recv(fd_, bytes, sizeof bytes, 0);
  if (got <= 0) {
    ended_ = true;
    return false;
  }
  in.append(bytes, static_cast<size_t>(got));
  return true;
}

std::string HttpExchange(const std::string& address, std::string_view request) {
  TcpClient client(address);
  client.Send(request);
  while (client.Receive()) {
  }
  return client.in;
}

std::string HttpGet(const std::string& address, std::string_view path, std::string_view headers) {
  return HttpExchange(address,
                      "GET " + std::string(path) + " HTTP/1.1\r\nHost: test\r\n" + std::string(headers) + "\r\n");
}

std::string ClientFrame(uint8_t opcode, std::string_view payload, bool fin) {
  std::string frame;
  frame.push_back(static_cast<char>((fin ? 0x80 : 0) | opcode));
  if (payload.size() < 126) {
    frame.push_back(static_cast<char>(0x80 | payload.size()));
  } else {
    const int bytes = payload.size() < 65536 ? 2 : 8;
    frame.push_back(static_cast<char>(0x80 | (bytes == 2 ? 126 : 127)));
    for (int i = bytes - 1; i >= 0; --i) frame.push_back(static_cast<char>(uint64_t{payload.size()} >> (8 * i)));
  }
  constexpr std::string_view kMask = "\x12\x34\x56\x78";
  frame.append(kMask);
  for (size_t i = 0; i < payload.size(); ++i) frame.push_back(static_cast<char>(payload[i] ^ kMask[i % 4]));
  return frame;
}

WsClient::WsClient(const std::string& address, std::string_view path, int receive_buffer_bytes,
                   std::string_view behind_the_head)
    : tcp_(address, receive_buffer_bytes) {
  tcp_.Send("GET " + std::string(path) +
            " HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" +
            std::string(behind_the_head));
  size_t end;
  while ((end = tcp_.in.find("\r\n\r\n")) == std::string::npos && tcp_.Receive()) {
  }
  open_ = end != std::string::npos && tcp_.in.starts_with("HTTP/1.1 101 ");
  if (open_) {
    answer_ = tcp_.in.substr(0, end + 4);
    tcp_.in.erase(0, end + 4);
    return;
  }
  while (tcp_.Receive()) {
  }
  answer_ = tcp_.in;
}

bool WsClient::SendFrame(uint8_t opcode, std::string_view payload, bool fin) {
  return tcp_.Send(ClientFrame(opcode, payload, fin));
}

bool WsClient::SendClose(uint16_t code) {
  const char payload[] = {static_cast<char>(code >> 8), static_cast<char>(code & 0xff)};
  return SendFrame(8, {payload, 2});
}

std::optional<WsMessage> WsClient::TakeFrame() {
  const auto* bytes = reinterpret_cast<const uint8_t*>(tcp_.in.data());
  const size_t have = tcp_.in.size();
  if (have < 2) return std::nullopt;
  uint64_t size = bytes[1] & 0x7f;
  size_t header = 2;
  if (size >= 126) {
    const size_t more = size == 126 ? 2 : 8;
    if (have < 2 + more) return std::nullopt;
    size = 0;
    for (size_t i = 0; i < more; ++i) size = (size << 8) | bytes[2 + i];
    header += more;
  }
  if (have < header + size) return std::nullopt;
  WsMessage message;
  message.opcode = bytes[0] & 0x0f;
  message.payload = tcp_.in.substr(header, size);
  if (message.opcode == 8 && size >= 2)
    message.close_code = static_cast<uint16_t>((bytes[header] << 8) | bytes[header + 1]);
  tcp_.in.erase(0, header + size);
  return message;
}

std::optional<WsMessage> WsClient::Next(std::chrono::milliseconds patience, bool control) {
  while (true) {
    std::optional<WsMessage> message = TakeFrame();
    if (!message.has_value()) {
      if (!tcp_.Receive(patience)) return std::nullopt;
      continue;
    }
    if (message->opcode == 9 && answer_pings) SendFrame(10, message->payload);
    if ((message->opcode == 9 || message->opcode == 10) && !control) continue;
    return message;
  }
}

std::optional<std::string> WsClient::NextText(std::chrono::milliseconds patience) {
  std::optional<WsMessage> message = Next(patience);
  if (!message.has_value() || message->opcode != 1) return std::nullopt;
  return std::move(message->payload);
}

std::optional<WsMessage> WsClient::WaitClose() {
  while (std::optional<WsMessage> message = Next()) {
    if (message->opcode == 8) return message;
  }
  return std::nullopt;
}

bool WsClient::WaitEnd() {
  while (tcp_.Receive()) {
  }
  return tcp_.ended();
}

}  // namespace everstate::testing
