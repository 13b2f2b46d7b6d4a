#include "server/fanout/connection.h"

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/websocket/error.hpp>
#include <boost/beast/websocket/rfc6455.hpp>

#include "server/fanout/lane.h"
#include "server/fanout/lingering.h"
#include "server/fanout/page.h"
#include "server/fanout/session.h"
#include "server/fanout/sockets.h"
#include "storage/row.h"

namespace everstate {
namespace {

namespace http = boost::beast::http;
using boost::system::error_code;
using Request = http::request<http::empty_body>;

constexpr uint32_t kHeadBytesMax = 8192;
constexpr std::string_view kPageHeaders =
    "X-Content-Type-Options: nosniff\r\n"
    "Content-Security-Policy: default-src 'self'; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'\r\n";

std::string_view View(boost::beast::string_view text) { return {text.data(), text.size()}; }

// An answer without its body's length, which Answer adds.
struct Answer {
  int status = 200;
  std::string content_type;
  std::string headers;  // further ones, each with its line end
  std::string body;
};

std::string AnswerText(const Answer& answer, bool with_body) {
  const auto reason = http::obsolete_reason(http::int_to_status(static_cast<unsigned>(answer.status)));
  std::string text =
      "HTTP/1.1 " + std::to_string(answer.status) + " " + std::string(reason.data(), reason.size()) + "\r\n";
  if (!answer.content_type.empty()) text += "Content-Type: " + answer.content_type + "\r\n";
  if (answer.status != 304) text += "Content-Length: " + std::to_string(answer.body.size()) + "\r\n";
  text += "Connection: close\r\n" + answer.headers + "\r\n";
  if (with_body) text += answer.body;
  return text;
}

// The shape of the reference's rejections, with the length and the end that it lacks.
Answer Rejection(int status, std::string_view code, std::string_view message, bool retryable,
                 const std::string& headers = {}) {
  Answer answer;
  answer.status = status;
  answer.content_type = "application/json; charset=utf-8";
  answer.headers = "X-Error-Code: " + std::string(code) + "\r\nCache-Control: no-store\r\n" + headers;
  answer.body = "{\"error\":";
  AppendJsonString(code, &answer.body);
  answer.body += ",\"message\":";
  AppendJsonString(message, &answer.body);
  answer.body += ",\"code\":";
  AppendJsonString(code, &answer.body);
  answer.body += retryable ? ",\"retryable\":true}" : ",\"retryable\":false}";
  return answer;
}

// An offer of another protocol may be passed over (RFC 9110 §7.8): `curl --http2` makes one with each request.
bool WantsWebSocket(const Request& request) {
  return request.method() == http::verb::get && http::token_list(request[http::field::upgrade]).exists("websocket");
}

// What stands against an upgrade (RFC 6455 §4.2.1): all that Beast would refuse in its own words.
std::optional<Answer> UpgradeFault(const Request& request) {
  if (!boost::beast::websocket::is_upgrade(request)) {
    return Rejection(400, "bad-upgrade", "A WebSocket upgrade is a GET of HTTP/1.1 with \"Connection: Upgrade\".",
                     false);
  }
  if (View(request[http::field::sec_websocket_version]) != "13") {
    return Rejection(426, "unsupported-version", "Only WebSocket version 13 is spoken here.", false,
                     "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
  }
  if (request.count(http::field::host) == 0) return Rejection(400, "bad-upgrade", "There is no \"Host\".", false);
  const std::string_view key = View(request[http::field::sec_websocket_key]);
  if (key.size() != 24 || !key.ends_with("==")) {
    return Rejection(400, "bad-upgrade", "\"Sec-WebSocket-Key\" must be 16 bytes in base64.", false);
  }
  return std::nullopt;
}

Answer PageAnswer(const PageFile& file, const Request& request) {
  Answer answer;
  answer.headers = std::string(kPageHeaders) + "Cache-Control: no-cache\r\nETag: " + std::string(file.etag) + "\r\n";
  if (View(request[http::field::if_none_match]).find(file.etag) != std::string_view::npos) {
    answer.status = 304;
    return answer;
  }
  answer.content_type = ContentTypeOf(file.name);
  answer.body = file.bytes;
  return answer;
}

// `of_health`: of the port that has no page; an unknown path is answered as the handler says.
Answer AnswerGet(const Request& request, const HttpHandler& handler, bool of_health) {
  const std::string_view target = View(request.target());
  const std::string_view path = target.substr(0, target.find('?'));
  if (handler) {
    HttpReply reply = handler(path);
    if (reply.status != 404 || of_health) {
      return {reply.status, std::move(reply.content_type), "Cache-Control: no-store\r\n", std::move(reply.body)};
    }
  }
  if (const PageFile* file = FindPageFile(path); file != nullptr) return PageAnswer(*file, request);
  return Rejection(404, "not-found", "There is nothing here. WebSocket clients may connect to any path.", false);
}

class Connection : public Peer {
 public:
  Connection(Lane* lane, int socket)
      : lane_(lane),
        socket_(TakeSocket(lane->io(), socket)),
        deadline_(std::chrono::steady_clock::now() +
                  std::chrono::milliseconds(lane->state().options.handshake_timeout_ms)) {
    parser_.header_limit(kHeadBytesMax);
    error_code ignored;
    socket_.set_option(boost::asio::ip::tcp::no_delay(true), ignored);
  }

  void Begin() EVERSTATE_ON_LANE {
    http::async_read_header(socket_, buffer_, parser_, [self = Self()](error_code error, size_t) {
      kLaneThread.Assume();
      if (self->ended_) return;
      self->OnHead(error);
      self->lane_->FlushDirty();
    });
  }

  void OnTick(SteadyTime now) override EVERSTATE_ON_LANE {
    if (now < deadline_) return;
    lane_->state().counters.sessions_refused.Add();
    Drop();
  }
  void OnStop() override EVERSTATE_ON_LANE { Drop(); }

 private:
  std::shared_ptr<Connection> Self() { return std::static_pointer_cast<Connection>(shared_from_this()); }

  void OnHead(error_code error) EVERSTATE_ON_LANE {
    if (error == http::error::header_limit || error == http::error::buffer_overflow) {
      return Refuse(Rejection(431, "head-too-large", "The request's head is larger than 8 KiB.", false));
    }
    // Errors of the category of HTTP are the peer's text, others the socket's end.
    if (error && error.category() == http::make_error_code(http::error::bad_method).category() &&
        error != http::error::end_of_stream && error != http::error::partial_message) {
      return Refuse(Rejection(400, "bad-request", "This is no HTTP request: " + error.message() + ".", false));
    }
    if (error) return Drop();

    const Request& request = parser_.get();
    const bool of_health = lane_ == lane_->state().health_lane.get();
    if (!of_health && WantsWebSocket(request)) return Upgrade();
    if (request.method() != http::verb::get && request.method() != http::verb::head) {
      return Refuse(
          Rejection(405, "method-not-allowed", "Only GET and HEAD are answered.", false, "Allow: GET, HEAD\r\n"));
    }
    Reply(AnswerGet(request, lane_->state().http, of_health), request.method() == http::verb::get);
  }

  void Upgrade() EVERSTATE_ON_LANE {
    FanoutState& state = lane_->state();
    if (std::optional<Answer> fault = UpgradeFault(parser_.get()); fault.has_value()) return Refuse(*fault);
    if (state.sessions.fetch_add(1, std::memory_order_relaxed) >= state.options.sessions_max) {
      state.sessions.fetch_sub(1, std::memory_order_relaxed);
      state.counters.sessions_refused.Add();
      return Reply(Rejection(503, "too-many-sessions", "The server has all the sessions it may have.", true,
                             "Retry-After: 5\r\n"),
                   true);
    }
    ended_ = true;
    const std::shared_ptr<Connection> self = Self();
    const auto rest = buffer_.cdata();
    StartSession(lane_, std::move(socket_), parser_.release(), {static_cast<const char*>(rest.data()), rest.size()});
    lane_->Remove(this);
  }

  void Refuse(const Answer& answer) EVERSTATE_ON_LANE {
    lane_->state().counters.sessions_refused.Add();
    Reply(answer, /*with_body=*/true);
  }

  void Reply(const Answer& answer, bool with_body) EVERSTATE_ON_LANE {
    ended_ = true;
    const std::shared_ptr<Connection> self = Self();
    SendQueue queue;
    queue.Push(Slice::Of(AnswerText(answer, with_body), 0));
    error_code ignored;
    lane_->Linger(socket_.release(ignored), std::move(queue), /*slow=*/false);
    lane_->Remove(this);
  }

  void Drop() EVERSTATE_ON_LANE {
    if (ended_) return;
    ended_ = true;
    const std::shared_ptr<Connection> self = Self();
    error_code ignored;
    socket_.close(ignored);
    lane_->state().connections.fetch_sub(1, std::memory_order_relaxed);
    lane_->Remove(this);
  }

  Lane* const lane_;
  Socket socket_;
  const SteadyTime deadline_;
  boost::beast::flat_buffer buffer_{2 * kHeadBytesMax};
  http::request_parser<http::empty_body> parser_;
  bool ended_ = false;
};

}  // namespace

void StartConnection(Lane* lane, int socket) {
  auto connection = std::make_shared<Connection>(lane, socket);
  lane->Add(connection);
  connection->Begin();
}

}  // namespace everstate
