// The socket type of fanout: bound to an io_context's own executor, without type erasure.
#pragma once

#include <unistd.h>

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

namespace everstate {

using Socket = boost::asio::basic_stream_socket<boost::asio::ip::tcp, boost::asio::io_context::executor_type>;

// Takes over an open TCP socket; tcp::v6() serves for both families, because only its descriptor is used.
inline Socket TakeSocket(boost::asio::io_context& io, int descriptor) {
  Socket socket(io);
  boost::system::error_code error;
  socket.assign(boost::asio::ip::tcp::v6(), descriptor, error);
  if (error) {
    ::close(descriptor);  // nobody else has it; the first read of the empty socket fails and ends the connection
    return socket;
  }
  socket.native_non_blocking(true, error);
  return socket;
}

}  // namespace everstate
