// Everstate inside a program of your own. This is the whole of the installed API, and it needs nothing but the standard
// library to be included:
//
//   #include <everstate/server.h>
//
//   int main() {
//     return everstate::Server::builder()
//         .spec("my.stack.json")
//         .websocket()
//         .bind("[::]:8877")
//         .health_monitoring()
//         .start()
//         .exit_code();
//   }
//
// `everstate serve` is a user of it. The names are those of hyperstack-server's builder where it has one.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace everstate {

struct Config;  // every setting; inside (server/config.h)

// How a server ended: the exit codes of `everstate serve`, for supervisors.
enum class ExitCode : int {
  kOrderly = 0,        // stopped when asked
  kConfiguration = 2,  // command line, configuration or stack: doing the same again will not help
  kStore = 3,          // the store cannot be opened or written
  kAddressInUse = 4,
  kOtherChain = 5,  // the stream is not of the chain that the store follows
};

// How it ended, and why. The reason was logged too.
struct [[nodiscard]] Outcome {
  ExitCode code = ExitCode::kOrderly;
  std::string message;  // empty when orderly; a line for each thing that was wrong

  bool ok() const { return code == ExitCode::kOrderly; }
  int exit_code() const { return static_cast<int>(code); }
};

// What is projected: the stack file, and what of its projection is the program's choice. Other choices make another
// projection: a store that was filled with other ones is refused.
struct Spec {
  std::filesystem::path stack_file;                    // *.stack.json
  std::optional<uint32_t> append_keep = std::nullopt;  // arrays keep at least this many newest elements (default 100)
  std::optional<uint64_t> waiting_slots_max = std::nullopt;        // how long an event waits for its key (default 750)
  std::optional<uint32_t> waiting_per_address_max = std::nullopt;  // how many wait for one (default 50)
  std::optional<uint64_t> waiting_bytes_max = std::nullopt;        // how much waits in all (default 16 MiB)

  Spec(std::filesystem::path file) : stack_file(std::move(file)) {}  // NOLINT: a file is a spec
  Spec(std::string file) : stack_file(std::move(file)) {}            // NOLINT
  Spec(const char* file) : stack_file(file) {}                       // NOLINT
};

struct WebSocketConfig {
  std::string bind_addr = "[::]:8877";  // ADDR:PORT, IPv6 in brackets; port 0 takes a free one
  size_t max_clients = 10000;           // sessions at a time; more are answered with 503 and counted; at least 1
  // What may wait for one session before it is closed as too slow (1013); at least 1. Counted in bytes, 16 KiB a
  // message: one block can change thousands of entities at once, and a client that reads on must not be closed for
  // that. Never less than 1 MiB, so that the frames of a snapshot fit.
  size_t message_queue_size = 512;
};

// The stream is watched at any rate (/ready, /status); this is how closely, and what of it is logged.
struct HealthConfig {
  // A stream in trouble is logged so often, and once when it is well again.
  std::chrono::milliseconds heartbeat_interval{30000};
  // No slot heard for this long: not ready.
  std::chrono::milliseconds health_check_timeout{30000};

  HealthConfig& with_heartbeat_interval(std::chrono::milliseconds interval) {
    heartbeat_interval = interval;
    return *this;
  }
  HealthConfig& with_health_check_timeout(std::chrono::milliseconds timeout) {
    health_check_timeout = timeout;
    return *this;
  }
};

struct YellowstoneConfig {
  std::string endpoint = {};  // http(s)://host[:port]
  std::string x_token = {};   // never logged; empty: none
};

// What a server says once, in this order, on the thread that called start().
struct Event {
  enum class Kind : uint8_t {
    kListening,  // clients are accepted at `address`; they are answered as soon as the store is open
    kHealth,     // health and metrics have a port of their own, `address`
    kAdmin,      // the admin service listens at `address`
    kReady,      // the stream is live and proven, and a block is in the store
  } kind;
  std::string address;  // "ADDR:PORT" with the port in force; of kReady: the one of kListening
  uint64_t slot = 0;    // of kReady: the newest block applied
};

// Server: one stack, its store and its listeners.
//   Thread:    start() from one thread, once; it is the server's main thread until it returns, all others are started
//              and joined inside. address() and stop() from any thread; stop() also from a signal handler.
//   Errors:    start() answers how it ended; it does not throw for anything that can be wrong outside of the program.
//   Signals:   none is touched, but by Builder::start().
class Server {
 public:
  class Builder;
  static Builder builder();

  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Serves until stop(), or until it cannot go on: what is queued is then applied and published, sessions are closed
  // with 1012, the store is closed.
  Outcome start();
  void stop() noexcept;  // start() returns soon; before start(): at once

  std::string address() const;  // "ADDR:PORT" of the WebSocket and HTTP listener; empty before it listens

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Server::Builder
//   What was said wrong, or not said at all, is what start() answers: kConfiguration and words.
class Server::Builder {
 public:
  Builder();
  explicit Builder(const Config& config);  // for `everstate serve`; config() is what was said so far
  const Config& config() const;
  ~Builder();
  Builder(Builder&&) noexcept;
  Builder& operator=(Builder&&) noexcept;

  Builder& spec(const Spec& spec);
  // Whom to follow. Not said: YELLOWSTONE_ENDPOINT and YELLOWSTONE_X_TOKEN of the environment.
  Builder& yellowstone(YellowstoneConfig yellowstone);

  // WebSocket and HTTP on one port. One of the three must be said: a server that nobody can reach is refused.
  Builder& websocket();
  Builder& bind(std::string address);
  Builder& websocket_config(WebSocketConfig websocket);

  Builder& health_monitoring();
  Builder& health_config(HealthConfig health);

  // Not in hyperstack-server.
  Builder& data_dir(const std::filesystem::path& dir);  // default: data/<stack name>
  Builder& admin(std::string address);  // of the admin service, ADDR:PORT; default: none. It has no authentication
  Builder& on_event(std::function<void(const Event&)> event);

  Server build();  // the builder may be used again

  // Builds and serves, and makes SIGINT and SIGTERM an orderly stop (one that follows more than a second later ends the
  // process). The signal is for the whole process and is not forgotten: every Builder::start() that runs then ends, and
  // every later one returns at once, orderly, without having begun. A program that goes on after a signal, or has
  // handlers of its own, builds, and calls Server::start() and stop().
  Outcome start();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace everstate
