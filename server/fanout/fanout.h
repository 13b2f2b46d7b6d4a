// Fanout: the door between applied batches and everybody who listens: WebSocket sessions with their subscriptions, and
// plain HTTP (status, the page) on the same port.
//
// Join, look, drop. A subscription first joins its lane's topic table, so live frames for it are held; then a reader
// looks at the store at one number N and the rows go out; then held and later frames with a number above N follow.
// Batches are applied before they are published, so a change is either in the look or in a frame above it: never in
// neither, never in both.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/base/buckets.h"
#include "server/base/counters.h"
#include "storage/entity_store.h"
#include "storage/model.h"
#include "storage/row_schema.h"

namespace everstate {

struct HttpReply {
  int status = 404;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

// Answers GET and HEAD of a path (without the query) that is not a WebSocket upgrade. Called on the lanes' threads, on
// several at once: it must not block, and not throw. A reply with status 404 makes the main port look for a file of the
// page.
using HttpHandler = std::function<HttpReply(std::string_view path)>;

struct FanoutOptions {
  std::string listen = "[::]:8877";  // ADDR:PORT, IPv6 in brackets; port 0 takes a free one
  // A second port, of the same form, for the handler's answers alone: no WebSocket, no page, and a thread of its own,
  // so that it answers however busy the lanes are. Empty: none.
  std::string health_listen;
  unsigned lanes = 0;    // 0 = cores - 3, at least 1
  unsigned readers = 2;  // threads that look at the store
  size_t sessions_max = 10000;
  size_t subscriptions_per_session_max = 1000;
  // Live and held bytes of one session; beyond it the session is closed, 1013.
  size_t session_queue_bytes_max = 8u << 20;
  size_t client_message_bytes_max = 64u << 10;                // beyond it the session is closed, 1009
  size_t snapshot_rows_first = 50, snapshot_rows_next = 100;  // rows of the first and of later snapshot frames
  // A snapshot frame of several rows is cut before it grows beyond; below the 1 MiB that some clients take.
  size_t snapshot_frame_bytes_max = 512u << 10;
  uint32_t ping_interval_ms = 20000;  // protocol pings; two without a pong close the session
  uint32_t idle_timeout_ms = 300000;  // nothing heard for this long: closed, 1012
  uint32_t handshake_timeout_ms = 10000;
  uint32_t close_timeout_ms = 2000;  // how long a close may take before the socket is reset
  // The same for a session that is closed because it was slow: only what the kernel holds is kept for it.
  uint32_t slow_close_timeout_ms = 60000;
  // Closed with 1013: a session that keeps a moment of the store readable and has not taken all that is queued for so
  // long.
  uint32_t look_timeout_ms = 120000;
  // What waits for one tap; beyond it batches are dropped and counted.
  size_t tap_batches_max = 1024, tap_bytes_max = 8u << 20;
  // What waits for one lane; at it Publish waits.
  size_t lane_bytes_max = 64u << 20;
};

// Of histograms of how long sessions are open, in milliseconds: 1 s to one day.
inline constexpr std::array<uint64_t, 8> kSessionTimeBoundsMs = {1'000,     10'000,    60'000,     300'000,
                                                                 1'800'000, 7'200'000, 43'200'000, 86'400'000};

// Counted for ever, readable at any time.
struct FanoutCounters {
  Gauge sessions, subscriptions;
  Counter sessions_total, sessions_refused, sessions_closed_slow, sessions_closed_idle, sessions_closed_error;
  Counter sessions_ended, session_time_ms;
  Counter messages_received, subscribes, subscribe_errors, messages_ignored;
  Counter frames_encoded, frames_sent, bytes_sent;
  Counter batches_published, batches_with_frames, socket_writes;
  Counter snapshot_rows_sent, snapshots_total, frames_dropped_by_look;
  Gauge queued_bytes, lane_bytes_waiting;
  Counter switches, switch_deletes_sent;
  Gauge oldest_look_ms;
  Counter tap_batches_dropped;
  Buckets<kSessionTimeBoundsMs> session_times;  // of those that have ended
};

inline constexpr auto kFanoutCounters = std::to_array<Described<FanoutCounters>>({
    {"sessions", &FanoutCounters::sessions, "Open WebSocket sessions"},
    {"subscriptions", &FanoutCounters::subscriptions, "Subscriptions of all sessions"},
    {"sessions_total", &FanoutCounters::sessions_total, "Sessions that were opened"},
    {"sessions_refused", &FanoutCounters::sessions_refused,
     "Connections refused: too many, or none of the requests that are answered"},
    {"sessions_closed_slow", &FanoutCounters::sessions_closed_slow, "Sessions closed because they took too little"},
    {"sessions_closed_idle", &FanoutCounters::sessions_closed_idle,
     "Sessions closed because nothing was heard of them"},
    {"sessions_closed_error", &FanoutCounters::sessions_closed_error,
     "Sessions that ended with an error of the socket or the protocol"},
    {"sessions_ended", &FanoutCounters::sessions_ended, "Sessions that have ended"},
    {"session_time_ms", &FanoutCounters::session_time_ms, "How long the sessions that have ended were open"},
    {"messages_received", &FanoutCounters::messages_received, "Client messages"},
    {"subscribes", &FanoutCounters::subscribes, "Client messages that subscribe"},
    {"subscribe_errors", &FanoutCounters::subscribe_errors, "Subscribes that were answered with an error"},
    {"messages_ignored", &FanoutCounters::messages_ignored, "Client messages that were no known message"},
    {"frames_encoded", &FanoutCounters::frames_encoded, "Live frames encoded, each once however many listen"},
    {"frames_sent", &FanoutCounters::frames_sent, "Frames that the kernel took, each once per session"},
    {"bytes_sent", &FanoutCounters::bytes_sent, "Bytes that the kernel took"},
    {"batches_published", &FanoutCounters::batches_published, "Applied batches that were published"},
    {"batches_with_frames", &FanoutCounters::batches_with_frames, "Published batches that somebody listened to"},
    {"socket_writes", &FanoutCounters::socket_writes, "Calls of sendmsg"},
    {"snapshot_rows_sent", &FanoutCounters::snapshot_rows_sent, "Rows sent in snapshots"},
    {"snapshots_total", &FanoutCounters::snapshots_total, "Snapshots that were sent to their end"},
    {"frames_dropped_by_look", &FanoutCounters::frames_dropped_by_look,
     "Live frames that were not sent because a snapshot contains them"},
    {"queued_bytes", &FanoutCounters::queued_bytes, "Bytes that wait for the sockets of all sessions"},
    {"lane_bytes_waiting", &FanoutCounters::lane_bytes_waiting,
     "Bytes of published batches that lanes have not taken yet, counted for each lane"},
    {"switches", &FanoutCounters::switches, "Changes to another generation of the store"},
    {"switch_deletes_sent", &FanoutCounters::switch_deletes_sent,
     "Rows of an older generation that clients were told to delete"},
    {"oldest_look_ms", &FanoutCounters::oldest_look_ms,
     "Age of the oldest look at the store under way; 0 when there is none"},
    {"tap_batches_dropped", &FanoutCounters::tap_batches_dropped,
     "Batches that a console or script inside was too slow for"},
});
static_assert(DescribesAll(kFanoutCounters, sizeof(Buckets<kSessionTimeBoundsMs>)));

// What went out on one view.
struct ViewTraffic {
  std::string view;
  uint64_t frames = 0, bytes = 0, listeners = 0;
};

// One live frame as a subscriber gets it. The texts live until the next call.
struct TappedFrame {
  std::string_view view, key, op;  // op: "patch", "upsert", "delete"
  std::string_view json;
  Number number = 0;
};

// BusTap: what goes out live, seen from inside. It never holds up Publish: batches that nobody takes in time are
// dropped and counted.
//   Thread:    one at a time; Fanout must outlive it.
class BusTap {
 public:
  virtual ~BusTap() = default;
  // The frames of the next batch that has some; false when the deadline passed. `missed`: batches dropped since the tap
  // opened.
  virtual bool Next(std::chrono::steady_clock::time_point deadline, std::vector<TappedFrame>* frames,
                    uint64_t* missed) = 0;
};

// Fanout
//   Thread:    Start, AttachStore, Publish, SwitchStore, Stop: each from one thread at a time; Publish and SwitchStore
//              only from the projector's. Everything else any.
//   Owns:      lanes (threads), readers (threads), sessions, the listener.
//   Errors:    Start: AlreadyExists when the address is in use, InvalidArgument when it is no address.
//   Invariant: a (session, view, key, number) gets at most one live frame; per subscription and key numbers only rise.
class Fanout {
 public:
  // Listens at once. Until AttachStore the listener accepts, upgrades and answers HTTP; subscribes wait.
  static absl::StatusOr<std::unique_ptr<Fanout>> Start(const FanoutOptions& options, HttpHandler http);
  ~Fanout();  // stops

  std::string address() const;         // "ADDR:PORT" with the port in force
  std::string health_address() const;  // the same of health_listen; empty: none

  // From here on subscribes are answered from this store (its schema names the views). A store lives until nobody reads
  // it.
  void AttachStore(std::shared_ptr<const EntityStore> store);

  // A rewind ends: from here on another generation is served (same schema), and the batches published next are its own.
  // Each session gets, per subscription, a `delete` for every key that it was subscribed to and the new generation
  // lacks, then its snapshot again, its frames with `"reset":true`. Not more than one switch at a time: a second one
  // waits for nothing, sessions that had not finished the first see the second only.
  void SwitchStore(std::shared_ptr<const EntityStore> store);

  // Frames and bytes encoded per view that is served since the start, in the order of the schema's views. Views without
  // listeners encode none. Listeners are subscriptions and taps. Empty before AttachStore.
  std::vector<ViewTraffic> traffic() const;

  // Listens to these views (ids; empty: all that are served) from inside the process. InvalidArgument names an unknown
  // view, or one that cannot be served; FailedPrecondition before AttachStore.
  absl::StatusOr<std::unique_ptr<BusTap>> OpenTap(const std::vector<std::string>& views);

  // Encodes the batch's frames for the views that somebody listens to and posts them, one post per lane. Does not wait
  // for any socket, but for a lane that has lane_bytes_max before it: lanes that are too slow for the stream hold up
  // the line, where lag is seen, and do not fill the memory. Must have returned for good before Stop.
  void Publish(const Applied& applied);

  // Closes every session with 1012 and joins all threads.
  void Stop();

  const FanoutCounters& counters() const;

 private:
  struct Impl;
  explicit Fanout(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace everstate
