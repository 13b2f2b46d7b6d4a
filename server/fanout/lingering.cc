#include "server/fanout/lingering.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/buffer.hpp>

#include "server/fanout/lane.h"
#include "server/fanout/sockets.h"

namespace everstate {
namespace {

class Lingering : public Peer {
 public:
  Lingering(Lane* lane, int socket, SendQueue queue, bool slow)
      : lane_(lane),
        socket_(TakeSocket(lane->io(), socket)),
        queue_(std::move(queue)),
        patience_ms_(slow ? lane->state().options.slow_close_timeout_ms : lane->state().options.close_timeout_ms) {
    queue_.Own();
    Renew();
    counted_ = queue_.bytes();
    lane_->state().counters.queued_bytes.Add(counted_);
  }

  void Begin() EVERSTATE_ON_LANE {
    Read();
    Flush();
  }

  void OnTick(SteadyTime now) override EVERSTATE_ON_LANE {
    if (now >= deadline_) End(/*reset=*/!queue_.empty());
  }
  void OnStop() override EVERSTATE_ON_LANE {  // nobody waits for the slow ones
    patience_ms_ = lane_->state().options.close_timeout_ms;
    Renew();
  }

  void Flush() override EVERSTATE_ON_LANE {
    if (ended_ || waiting_) return;
    const SendQueue::Sent sent = queue_.Send(socket_.native_handle());
    FanoutCounters& counters = lane_->state().counters;
    counters.socket_writes.Add(sent.writes);
    counters.bytes_sent.Add(sent.bytes);
    counters.frames_sent.Add(sent.frames);
    counters.queued_bytes.Sub(sent.bytes);
    counted_ -= sent.bytes;
    if (sent.bytes > 0 && !lane_->stopping()) Renew();
    boost::system::error_code ignored;
    switch (sent.outcome) {
      case SendQueue::Outcome::kDrained:
        socket_.shutdown(Socket::shutdown_send, ignored);
        break;
      case SendQueue::Outcome::kFailed:
        End(/*reset=*/true);
        break;
      case SendQueue::Outcome::kFull:
        waiting_ = true;
        socket_.async_wait(Socket::wait_write, [self = Self()](boost::system::error_code error) {
          kLaneThread.Assume();
          self->waiting_ = false;
          if (!error) self->Flush();
        });
        break;
    }
  }

 private:
  std::shared_ptr<Lingering> Self() { return std::static_pointer_cast<Lingering>(shared_from_this()); }

  // A slow peer may take its time as long as it takes something.
  void Renew() EVERSTATE_ON_LANE {
    deadline_ = std::chrono::steady_clock::now() + std::chrono::milliseconds(patience_ms_);
  }

  void Read() EVERSTATE_ON_LANE {
    socket_.async_read_some(boost::asio::buffer(scratch_), [self = Self()](boost::system::error_code error, size_t) {
      kLaneThread.Assume();
      if (self->ended_) return;
      if (error) {
        self->End(/*reset=*/!self->queue_.empty());
      } else {
        self->Read();
      }
    });
  }

  void End(bool reset) EVERSTATE_ON_LANE {
    if (ended_) return;
    ended_ = true;
    auto self = Self();
    boost::system::error_code ignored;
    if (reset) socket_.set_option(boost::asio::socket_base::linger(true, 0), ignored);
    socket_.close(ignored);
    lane_->state().counters.queued_bytes.Sub(counted_);
    lane_->state().connections.fetch_sub(1, std::memory_order_relaxed);
    lane_->Remove(this);
  }

  Lane* const lane_;
  Socket socket_;
  SendQueue queue_;
  uint32_t patience_ms_;
  size_t counted_ = 0;
  SteadyTime deadline_;
  std::array<char, 512> scratch_;
  bool waiting_ = false;
  bool ended_ = false;
};

}  // namespace

void StartLingering(Lane* lane, int socket, SendQueue queue, bool slow) {
  auto lingering = std::make_shared<Lingering>(lane, socket, std::move(queue), slow);
  lane->Add(lingering);
  lingering->Begin();
}

void CloseAccepted(int socket, FanoutState* state) {
  ::close(socket);
  state->connections.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace everstate
