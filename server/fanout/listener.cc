#include "server/fanout/listener.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "server/base/listen_address.h"
#include "server/base/log.h"
#include "server/fanout/lane.h"
#include "server/fanout/lingering.h"

namespace everstate {
namespace {

namespace net = boost::asio;
using boost::system::error_code;
using net::ip::tcp;

absl::StatusOr<tcp::endpoint> EndpointOf(const ListenerOptions& options) {
  const auto address = ParseListenAddress(options.address);
  if (!address.ok())
    return absl::InvalidArgumentError(absl::StrCat(options.name, " ", std::string(address.status().message())));
  tcp::endpoint endpoint;
  endpoint.resize(address->size);
  std::memcpy(endpoint.data(), &address->address, address->size);
  return endpoint;
}

class TcpListener : public Listener, public std::enable_shared_from_this<TcpListener> {
 public:
  TcpListener(FanoutState* state, const ListenerOptions& options)
      : state_(state), options_(options), acceptor_(options_.lanes[0]->io()), retry_(options_.lanes[0]->io()) {}

  absl::Status Listen(const tcp::endpoint& endpoint) {
    error_code error;
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error && endpoint.address().is_v6()) acceptor_.set_option(net::ip::v6_only(false), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(4096, error);
    if (!error) return absl::OkStatus();
    const std::string text = absl::StrCat(options_.name, " ", Text(endpoint), ": cannot listen: ", error.message());
    if (error == net::error::address_in_use) return absl::AlreadyExistsError(text);
    return absl::InvalidArgumentError(text);
  }

  void Begin() override { Accept(); }
  void Close() override {
    error_code ignored;
    acceptor_.close(ignored);
    retry_.cancel();
  }
  std::string address() const override {
    error_code ignored;
    return Text(acceptor_.local_endpoint(ignored));
  }

 private:
  static std::string Text(const tcp::endpoint& endpoint) {
    const std::string host = endpoint.address().to_string();
    return absl::StrCat(endpoint.address().is_v6() ? "[" + host + "]" : host, ":", endpoint.port());
  }

  void Accept() {
    acceptor_.async_accept([self = shared_from_this()](error_code error, tcp::socket socket) {
      if (!self->acceptor_.is_open()) return;
      if (!error) {
        self->HandOver(std::move(socket));
        return self->Accept();
      }
      // Out of descriptors, most likely: waiting is all that helps, and going on at once would eat the lane.
      LogWarn(Room::kFanout, "accept: {}", error.message());
      self->retry_.expires_after(std::chrono::milliseconds(100));
      self->retry_.async_wait([self](error_code cancelled) {
        if (!cancelled && self->acceptor_.is_open()) self->Accept();
      });
    });
  }

  void HandOver(tcp::socket socket) {
    const int64_t open = state_->connections.fetch_add(1, std::memory_order_relaxed);
    error_code ignored;
    const int descriptor = socket.release(ignored);
    if (open >= options_.connections_max) {
      state_->counters.sessions_refused.Add();
      return CloseAccepted(descriptor, state_);
    }
    Lane* lane = options_.lanes[next_++ % options_.lanes.size()];
    lane->Post([lane, descriptor] {
      kLaneThread.Assume();
      lane->Adopt(descriptor);
    });
  }

  FanoutState* const state_;
  const ListenerOptions options_;
  tcp::acceptor acceptor_;
  net::steady_timer retry_;
  size_t next_ = 0;
};

}  // namespace

absl::StatusOr<std::shared_ptr<Listener>> Listener::Open(FanoutState* state, const ListenerOptions& options) {
  absl::StatusOr<tcp::endpoint> endpoint = EndpointOf(options);
  if (!endpoint.ok()) return endpoint.status();
  auto listener = std::make_shared<TcpListener>(state, options);
  if (absl::Status status = listener->Listen(*endpoint); !status.ok()) return status;
  return std::shared_ptr<Listener>(std::move(listener));
}

}  // namespace everstate
