// What a peer sends on the port: HTTP, the upgrade, WebSocket frames, subscribes. A lane with a small store behind it
// is driven by hand, on one thread; whatever is sent, the connection ends and nothing of it stays behind.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <cerrno>

#include "server/fanout/lane.h"
#include "server/fanout/state.h"
#include "tests/fuzz/fuzz.h"
#include "tests/server/fanout/thing_world.h"

namespace everstate {
namespace {

// A port with everything behind it but threads: readers that were stopped work on the caller's thread.
class Port {
 public:
  Port() {
    for (int i = 0; i < 5; ++i) {
      world_.SetRank("key" + std::to_string(i), static_cast<uint64_t>(i));
      world_.Apply();
    }
    state_.readers.Stop();
    state_.views_owner = std::make_unique<const ViewTable>(world_.store()->schema());
    state_.views.store(state_.views_owner.get());
    state_.lanes.push_back(std::make_unique<Lane>(&state_));
    lane().Serve(world_.store());
    lane().io().poll();
  }

  // All of `sent` goes in, then the peer's side is shut; answers what came back.
  std::string Exchange(std::string_view sent) {
    int ends[2];
    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    state_.connections.fetch_add(1);
    kLaneThread.Assume();
    lane().Adopt(ends[0]);
    std::string answer;
    bool shut = false;
    for (int round = 0; state_.connections.load() > 0; ++round) {
      FUZZ_CHECK(round < 100000);
      if (!sent.empty()) {
        const ssize_t count = send(ends[1], sent.data(), sent.size(), MSG_NOSIGNAL);
        if (count > 0)
          sent.remove_prefix(static_cast<size_t>(count));
        else if (errno != EAGAIN)
          sent = {};  // the server ended it
      } else if (!shut) {
        shutdown(ends[1], SHUT_WR);
        shut = true;
      }
      lane().io().poll();
      char bytes[65536];
      for (ssize_t count; (count = recv(ends[1], bytes, sizeof bytes, 0)) > 0;)
        answer.append(bytes, static_cast<size_t>(count));
    }
    close(ends[1]);
    lane().io().poll();
    return answer;
  }

  const FanoutCounters& counters() const { return state_.counters; }

 private:
  static FanoutOptions Options() {
    FanoutOptions options;
    options.readers = 1;
    options.subscriptions_per_session_max = 4;
    options.client_message_bytes_max = 512;
    options.snapshot_rows_first = 2;
    options.snapshot_rows_next = 2;
    return options;
  }
  static HttpReply Http(std::string_view path) {
    if (path == "/health") return {200, "application/json", "{}"};
    return {};
  }
  Lane& lane() { return *state_.lanes[0]; }

  testing::ThingWorld world_;
  FanoutState state_{Options(), Http};
};

}  // namespace
}  // namespace everstate

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace everstate;
  static Port port;
  const std::string answer = port.Exchange({reinterpret_cast<const char*>(data), size});
  FUZZ_CHECK(answer.empty() || answer.starts_with("HTTP/1.1 "));
  FUZZ_CHECK(port.counters().sessions.value() == 0);
  FUZZ_CHECK(port.counters().subscriptions.value() == 0);
  FUZZ_CHECK(port.counters().queued_bytes.value() == 0);
  return 0;
}
