// Fanout: the door between applied batches and everybody who listens: WebSocket sessions with their subscriptions, and
// plain HTTP (status, the page) on the same port.
//
// Join, look, drop. A subscription first joins its lane's topic table, so live frames for it are held; then a reader looks at
// the store at one number N and the rows go out; then held and later frames with a number above N follow. Batches are applied
// before they are published, so a change is either in the look or in a frame above it: never in neither, never in both.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
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

// Answers GET and HEAD of a path (without the query) that is not a WebSocket upgrade. Called on a lane's thread: it must not
// block. A reply with status 404 makes the listener look for a file of the page.
using HttpHandler = std::function<HttpReply(std::string_view path)>;

struct FanoutOptions {
  std::string listen = "[::]:8877";               // ADDR:PORT, IPv6 in brackets; port 0 takes a free one
  unsigned lanes = 0;                              // 0 = cores - 3, at least 1
  unsigned readers = 2;                            // threads that look at the store
  size_t sessions_max = 10000;
  size_t subscriptions_per_session_max = 1000;
  size_t session_queue_bytes_max = 8u << 20;       // live and held bytes of one session; beyond it the session is closed, 1013
  size_t client_message_bytes_max = 64u << 10;     // beyond it the session is closed, 1009
  size_t snapshot_rows_first = 50, snapshot_rows_next = 100;  // rows of the first and of later snapshot frames
  size_t snapshot_frame_bytes_max = 512u << 10;    // a snapshot frame is cut before it grows beyond; below the 1 MiB some clients take
  uint32_t ping_interval_ms = 20000;               // protocol pings; two without a pong close the session
  uint32_t idle_timeout_ms = 300000;               // nothing heard for this long: closed, 1012
  uint32_t handshake_timeout_ms = 10000;
  uint32_t close_timeout_ms = 2000;                // how long a close may take before the socket is reset
  uint32_t slow_close_timeout_ms = 60000;          // the same for a session that is closed because it was slow: only what the kernel holds is kept for it
  // A session that keeps a moment of the store readable and takes nothing for this long is closed, 1013.
  uint32_t look_timeout_ms = 120000;
  size_t tap_batches_max = 1024, tap_bytes_max = 8u << 20;  // what waits for one tap; beyond it batches are dropped and counted
};

// Counted for ever, readable at any time.
struct FanoutCounters {
  Gauge sessions, subscriptions;
  Counter sessions_total, sessions_refused, sessions_closed_slow, sessions_closed_idle, sessions_closed_error;
  Counter subscribes, subscribe_errors, messages_ignored;   // client messages that were no known message
  Counter frames_encoded, frames_sent, bytes_sent;          // frames_sent counts a frame once per session
  Counter batches_published, batches_with_frames, socket_writes;  // one sendmsg call is one socket write
  Counter snapshot_rows_sent, snapshots_total, frames_dropped_by_look;  // held frames that a look already contained
  Gauge queued_bytes;                                       // of all sessions
  Counter switches, switch_deletes_sent;                    // other generations served; rows of the old ones taken away
  Gauge oldest_look_ms;                                     // age of the oldest look under way; 0 when there is none
};

// What went out on one view.
struct ViewTraffic {
  std::string view;
  uint64_t frames = 0, bytes = 0, listeners = 0;
};

// One live frame as a subscriber gets it. The texts live until the next call.
struct TappedFrame {
  std::string_view view, key, op;  // op: "patch", "upsert", "create", "delete"
  std::string_view json;
  Number number = 0;
};

// BusTap: what goes out live, seen from inside. It never holds up Publish: batches that nobody takes in time are dropped and
// counted.
//   Thread:    one at a time; Fanout must outlive it.
class BusTap {
 public:
  virtual ~BusTap() = default;
  // The frames of the next batch that has some; false when the deadline passed. `missed`: batches dropped since the tap opened.
  virtual bool Next(std::chrono::steady_clock::time_point deadline, std::vector<TappedFrame>* frames, uint64_t* missed) = 0;
};

// Fanout
//   Thread:    Start, AttachStore, Publish, SwitchStore, Stop: each from one thread at a time; Publish and SwitchStore only from the
//              projector's. Everything else any.
//   Owns:      lanes (threads), readers (threads), sessions, the listener.
//   Errors:    Start: AlreadyExists when the address is in use, InvalidArgument when it is no address.
//   Invariant: a (session, view, key, number) gets at most one live frame; per subscription and key numbers only rise.
class Fanout {
 public:
  // Listens at once. Until AttachStore the listener accepts, upgrades and answers HTTP; subscribes wait.
  static absl::StatusOr<std::unique_ptr<Fanout>> Start(const FanoutOptions& options, HttpHandler http);
  ~Fanout();  // stops

  std::string address() const;  // "ADDR:PORT" with the port in force

  // From here on subscribes are answered from this store (its schema names the views). A store lives until nobody reads it.
  void AttachStore(std::shared_ptr<const EntityStore> store);

  // A rewind ends: from here on another generation is served (same schema), and the batches published next are its own. Each
  // session gets, per subscription, a `delete` for every key that it was subscribed to and the new generation lacks, then its
  // snapshot again, its frames with `"reset":true`. Not more than one switch at a time: a second one waits for nothing, sessions
  // that had not finished the first see the second only.
  void SwitchStore(std::shared_ptr<const EntityStore> store);

  // Frames and bytes encoded per view since the start, in the order of the schema's views. Views without listeners encode none.
  // Listeners are subscriptions and taps. Empty before AttachStore.
  std::vector<ViewTraffic> traffic() const;

  // Listens to these views (ids; empty: all that are served) from inside the process. InvalidArgument names an unknown view,
  // or one that cannot be served; FailedPrecondition before AttachStore.
  absl::StatusOr<std::unique_ptr<BusTap>> OpenTap(const std::vector<std::string>& views);

  // Encodes the batch's frames for the views that somebody listens to and posts them, one post per lane. Does not wait for
  // any socket.
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
