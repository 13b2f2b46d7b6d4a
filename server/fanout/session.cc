#include "server/fanout/session.h"

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <utility>

#include "server/fanout/client_message.h"
#include "server/fanout/gate.h"
#include "server/fanout/issue.h"
#include "server/fanout/subscriptions.h"

namespace everstate {
namespace {

namespace websocket = boost::beast::websocket;
using boost::system::error_code;
using std::chrono::milliseconds;

// Close codes of our own (RFC 6455 §7.4.1 and the registry it opens). Never 1000 or 1001: some clients then stay away.
constexpr uint16_t kCloseRestart = 1012, kCloseTryAgain = 1013;
constexpr int kPingsUnansweredMax = 2;

// Session
//   Thread:    its lane's.
//   Owns:      the socket (through the gate), its queue, its subscriptions.
//   Invariant: data frames go to the queue and never through Beast; nothing follows a close frame.
class Session final : public Peer, public Outbox, public GateSink {
 public:
  Session(Lane* lane, Socket socket, std::string leftover)
      : lane_(lane),
        options_(lane->state().options),
        counters_(lane->state().counters),
        stream_(std::move(socket), std::move(leftover), this),
        subscriptions_(std::make_shared<Subscriptions>(lane, this)),
        opened_(std::chrono::steady_clock::now()),
        last_heard_(opened_),
        next_ping_(last_heard_ + milliseconds(options_.ping_interval_ms)),
        drained_at_(last_heard_) {}

  void Accept(boost::beast::http::request<boost::beast::http::empty_body> request) EVERSTATE_ON_LANE {
    stream_.set_option(
        websocket::stream_base::timeout{websocket::stream_base::none(), websocket::stream_base::none(), false});
    stream_.read_message_max(options_.client_message_bytes_max);
    stream_.control_callback([this](websocket::frame_type, boost::beast::string_view) {
      kLaneThread.Assume();
      Heard();
    });
    counters_.sessions.Add();
    counters_.sessions_total.Add();
    auto kept = std::make_shared<decltype(request)>(std::move(request));  // Beast reads it until the answer is out
    stream_.async_accept(*kept, [self = Self(), kept](error_code error) {
      kLaneThread.Assume();
      if (self->ended_) return;
      if (!error) return self->Read();
      self->counters_.sessions_closed_error.Add();
      self->End(/*linger=*/true);
    });
  }

  // Peer
  void OnTick(SteadyTime now) override EVERSTATE_ON_LANE;
  void OnStop() override EVERSTATE_ON_LANE { Close(kCloseRestart, "the server is restarting", /*drop_queue=*/false); }
  void OnAttach() override EVERSTATE_ON_LANE { subscriptions_->OnAttach(); }
  void OnSwitch(const StoreRef& old) override EVERSTATE_ON_LANE { subscriptions_->OnSwitch(old); }
  void Flush() override EVERSTATE_ON_LANE;

  // GateSink
  void OnGateWrite(std::string bytes) override {  // inside an operation of Beast's, which runs on the lane
    kLaneThread.Assume();
    if (ended_) return;
    Queue(Slice::Of(std::move(bytes), 0));
    lane_->ScheduleFlush();
  }

  // Outbox
  void Send(Slice slice) override EVERSTATE_ON_LANE {
    if (!ended_ && !stream_.next_layer().closed()) Queue(std::move(slice));
  }
  bool Drained() const override EVERSTATE_ON_LANE { return queue_.empty() && !waiting_; }
  void AddHeldBytes(size_t bytes) override EVERSTATE_ON_LANE {
    held_bytes_ += bytes;
    counters_.queued_bytes.Add(bytes);
    if (TooMuchQueued()) lane_->MarkDirty(this);
  }
  void SubHeldBytes(size_t bytes) override EVERSTATE_ON_LANE {
    held_bytes_ -= bytes;
    counters_.queued_bytes.Sub(bytes);
  }

 private:
  std::shared_ptr<Session> Self() { return std::static_pointer_cast<Session>(shared_from_this()); }
  bool TooMuchQueued() const EVERSTATE_ON_LANE {
    return queue_.cost() + held_bytes_ > options_.session_queue_bytes_max;
  }

  void Heard() EVERSTATE_ON_LANE {
    last_heard_ = std::chrono::steady_clock::now();
    pings_unanswered_ = 0;
  }
  void Read() EVERSTATE_ON_LANE;
  void OnReadError(error_code error) EVERSTATE_ON_LANE;
  void OnMessage(std::string_view text) EVERSTATE_ON_LANE;
  void Queue(Slice slice) EVERSTATE_ON_LANE {
    counters_.queued_bytes.Add(slice.size);
    if (waiting_) slice.Own();
    queue_.Push(std::move(slice));
    lane_->MarkDirty(this);
  }
  void DropQueue(bool keep_newest) EVERSTATE_ON_LANE {
    const size_t before = queue_.bytes();
    queue_.Drop(keep_newest);
    counters_.queued_bytes.Sub(before - queue_.bytes());
  }
  void Close(uint16_t code, std::string_view reason, bool drop_queue) EVERSTATE_ON_LANE;
  void CloseSlow() EVERSTATE_ON_LANE {
    counters_.sessions_closed_slow.Add();
    slow_ = true;
    Close(kCloseTryAgain, "too slow", /*drop_queue=*/true);
  }
  void End(bool linger) EVERSTATE_ON_LANE;

  Lane* const lane_;
  const FanoutOptions& options_;
  FanoutCounters& counters_;
  websocket::stream<Gate, /*deflateSupported=*/false> stream_;
  boost::beast::flat_buffer inbound_ EVERSTATE_OF_LANE;
  SendQueue queue_ EVERSTATE_OF_LANE;
  size_t held_bytes_ EVERSTATE_OF_LANE = 0;
  const std::shared_ptr<Subscriptions> subscriptions_;
  const SteadyTime opened_;
  SteadyTime last_heard_ EVERSTATE_OF_LANE, next_ping_ EVERSTATE_OF_LANE;
  SteadyTime drained_at_
      EVERSTATE_OF_LANE;  // the tick at which the socket had last taken everything since the one before
  bool was_drained_ EVERSTATE_OF_LANE = true;  // since the last tick
  int pings_unanswered_ EVERSTATE_OF_LANE = 0;
  bool waiting_ EVERSTATE_OF_LANE = false;  // for room in the socket
  bool slow_ EVERSTATE_OF_LANE = false;     // that is why it ends
  bool ended_ EVERSTATE_OF_LANE = false;
};

void Session::Read() {
  stream_.async_read(inbound_, [self = Self()](error_code error, size_t) {
    kLaneThread.Assume();
    if (self->ended_) return;
    if (error) {
      self->OnReadError(error);
    } else {
      self->Heard();
      self->counters_.messages_received.Add();
      if (self->stream_.got_text()) {
        const auto bytes = self->inbound_.cdata();
        self->OnMessage({static_cast<const char*>(bytes.data()), bytes.size()});
      } else {
        self->counters_.messages_ignored.Add();
      }
      self->inbound_.clear();
      self->inbound_.shrink_to_fit();
      if (!self->ended_) self->Read();
    }
    self->lane_->FlushDirty();
  });
}

// Either the peer is gone, or Beast has queued a close frame: the echo of the peer's, or the code of a broken rule.
void Session::OnReadError(error_code error) {
  const bool closed = stream_.next_layer().closed();
  if (error != websocket::error::closed && error != boost::asio::error::eof &&
      error != boost::asio::error::connection_reset) {
    counters_.sessions_closed_error.Add();
  }
  if (closed) DropQueue(/*keep_newest=*/true);  // a peer that closes wants no more data
  End(/*linger=*/closed);
}

void Session::OnMessage(std::string_view text) {
  ClientMessage message = ParseClientMessage(text);
  switch (message.kind) {
    case ClientMessage::Kind::kInvalid:
      counters_.messages_ignored.Add();
      return Send(TextFrame(IssueText({"invalid-message", message.problem, false}, std::nullopt, std::nullopt)));
    case ClientMessage::Kind::kPing:
      return;
    case ClientMessage::Kind::kRefreshAuth:
      if (!message.has_token) return counters_.messages_ignored.Add();
      // Nobody is asked for a token, so no token can be right. Both spellings of the expiry: clients read different
      // ones.
      return Send(TextFrame(R"({"success":false,"error":"token-invalid","expiresAt":null,"expires_at":null})"));
    case ClientMessage::Kind::kSubscribe:
    case ClientMessage::Kind::kUnsubscribe:
      return subscriptions_->Take(std::move(message));
  }
}

void Session::OnTick(SteadyTime now) {
  if (now - last_heard_ >= milliseconds(options_.idle_timeout_ms)) {
    counters_.sessions_closed_idle.Add();
    return Close(kCloseRestart, "idle", /*drop_queue=*/false);
  }
  if (std::exchange(was_drained_, Drained())) drained_at_ = now;
  subscriptions_->TellOfLooks();
  if (subscriptions_->pins() && now - drained_at_ >= milliseconds(options_.look_timeout_ms)) return CloseSlow();
  if (now < next_ping_) return;
  if (pings_unanswered_ >= kPingsUnansweredMax) {
    counters_.sessions_closed_idle.Add();
    return Close(kCloseRestart, "no pong", /*drop_queue=*/true);
  }
  ++pings_unanswered_;
  next_ping_ = now + milliseconds(options_.ping_interval_ms);
  static constexpr char kPing[] = {static_cast<char>(0x80 | kPingFrame), 0};
  Send({nullptr, kPing, sizeof kPing, 0});
}

void Session::Flush() {
  if (ended_) return;
  if (!waiting_ && !queue_.empty()) {
    const SendQueue::Sent sent = queue_.Send(stream_.next_layer().socket().native_handle());
    counters_.socket_writes.Add(sent.writes);
    counters_.bytes_sent.Add(sent.bytes);
    counters_.frames_sent.Add(sent.frames);
    counters_.queued_bytes.Sub(sent.bytes);
    if (sent.outcome == SendQueue::Outcome::kFailed) return End(/*linger=*/false);
    if (sent.outcome == SendQueue::Outcome::kFull) {
      waiting_ = true;
      queue_.Own();
      subscriptions_->OnBlocked();
      stream_.next_layer().socket().async_wait(Socket::wait_write, [self = Self()](error_code error) {
        kLaneThread.Assume();
        self->waiting_ = false;
        if (error || self->ended_) return;
        self->Flush();
        self->lane_->FlushDirty();
      });
    }
  }
  if (TooMuchQueued()) return CloseSlow();
  if (!Drained()) return;
  was_drained_ = true;
  subscriptions_->OnDrained();
}

void Session::Close(uint16_t code, std::string_view reason, bool drop_queue) {
  if (ended_) return;
  Gate& gate = stream_.next_layer();
  if (drop_queue) DropQueue(/*keep_newest=*/gate.closed());
  if (!gate.closed()) Queue(CloseFrame(code, reason));
  gate.Close();
  End(/*linger=*/true);
}

void Session::End(bool linger) {
  if (ended_) return;
  ended_ = true;
  const std::shared_ptr<Session> self = Self();
  subscriptions_->End();
  counters_.sessions.Sub();
  counters_.sessions_ended.Add();
  const auto open = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - opened_);
  counters_.session_time_ms.Add(static_cast<uint64_t>(open.count()));
  counters_.session_times.Count(static_cast<uint64_t>(open.count()));
  counters_.queued_bytes.Sub(queue_.bytes());
  lane_->state().sessions.fetch_sub(1, std::memory_order_relaxed);
  error_code ignored;
  Socket& socket = stream_.next_layer().socket();
  if (linger) {
    lane_->Linger(socket.release(ignored), std::move(queue_), slow_);
  } else {
    socket.close(ignored);
    lane_->state().connections.fetch_sub(1, std::memory_order_relaxed);
  }
  lane_->Remove(this);
}

}  // namespace

void StartSession(Lane* lane, Socket socket, boost::beast::http::request<boost::beast::http::empty_body> request,
                  std::string leftover) {
  auto session = std::make_shared<Session>(lane, std::move(socket), std::move(leftover));
  lane->Add(session);
  session->Accept(std::move(request));
}

}  // namespace everstate
