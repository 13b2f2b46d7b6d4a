// Gate: the layer below Beast's WebSocket stream. Beast reads through it from the socket; what Beast writes (the
// handshake, pongs, close frames) is copied into the session's queue, between whole frames of ours, and never touches
// the socket itself.
#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core/bind_handler.hpp>
#include <boost/beast/core/role.hpp>
#include <string>
#include <utility>

#include "server/fanout/sockets.h"

namespace everstate {

// Takes Beast's bytes. Outlives the gate's operations.
class GateSink {
 public:
  virtual void OnGateWrite(std::string bytes) = 0;

 protected:
  ~GateSink() = default;
};

// Gate: an AsyncStream as Beast wants it.
//   Thread:    its lane's.
//   Invariant: one async_write_some takes the whole buffer sequence, so that a frame of Beast's is never cut by one of
//              ours. After a close frame nothing is taken any more (RFC 6455 §5.5.1).
class Gate {
 public:
  using executor_type = Socket::executor_type;
  using error_code = boost::system::error_code;

  // `leftover`: what came behind the request's head.
  Gate(Socket socket, std::string leftover, GateSink* sink)
      : socket_(std::move(socket)), leftover_(std::move(leftover)), sink_(sink) {}

  executor_type get_executor() { return socket_.get_executor(); }
  Socket& socket() { return socket_; }
  bool closed() const { return closed_; }
  void Close() { closed_ = true; }  // a close frame was queued: ours or Beast's

  template <class Buffers, class Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    return boost::asio::async_initiate<Token, void(error_code, size_t)>(
        [this](auto handler, const Buffers& into) {
          if (leftover_.empty()) {
            socket_.async_read_some(into, std::move(handler));
            return;
          }
          const size_t count = boost::asio::buffer_copy(into, boost::asio::buffer(leftover_));
          leftover_.erase(0, count);
          if (leftover_.empty()) leftover_ = std::string();
          boost::asio::post(get_executor(), boost::beast::bind_front_handler(std::move(handler), error_code(), count));
        },
        token, buffers);
  }

  template <class Buffers, class Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    return boost::asio::async_initiate<Token, void(error_code, size_t)>(
        [this](auto handler, const Buffers& from) {
          std::string bytes(boost::asio::buffer_size(from), '\0');
          boost::asio::buffer_copy(boost::asio::buffer(bytes), from);
          const size_t count = bytes.size();
          if (!closed_) {
            // FIN and opcode 8, RFC 6455 §5.2; the handshake's answer begins with 'H'.
            closed_ = !bytes.empty() && static_cast<uint8_t>(bytes[0]) == 0x88;
            sink_->OnGateWrite(std::move(bytes));
          }
          boost::asio::post(get_executor(), boost::beast::bind_front_handler(std::move(handler), error_code(), count));
        },
        token, buffers);
  }

 private:
  Socket socket_;
  std::string leftover_;
  GateSink* const sink_;
  bool closed_ = false;
};

// Beast's customization points. The session ends the connection itself, so a teardown only says that it may.
template <class Handler>
void async_teardown(boost::beast::role_type, Gate& gate, Handler&& handler) {
  boost::asio::post(gate.get_executor(),
                    boost::beast::bind_front_handler(std::forward<Handler>(handler), boost::system::error_code()));
}
inline void teardown(boost::beast::role_type, Gate&, boost::system::error_code& error) { error = {}; }
inline void beast_close_socket(Gate& gate) {
  boost::system::error_code ignored;
  gate.socket().close(ignored);
}

}  // namespace everstate
