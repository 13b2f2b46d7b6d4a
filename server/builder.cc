// Server and Server::Builder: what a program says, turned into a Config; the running is run.h's.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/last_words.h"
#include "server/base/listen_address.h"
#include "server/base/log.h"
#include "server/base/printable.h"
#include "server/base/stop_signal.h"
#include "server/config.h"
#include "server/run.h"
#include "server/server.h"
#include "server/setting_kinds.h"

namespace everstate {
namespace {

// The reference's queue of 512 messages is then as large as the default of session_queue_bytes_max.
constexpr size_t kBytesPerQueuedMessage = 16u << 10;

Outcome Refuse(std::string why) {
  LogErrorLines(Room::kServer, why);
  return {ExitCode::kConfiguration, std::move(why)};
}

std::string FromEnvironment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

struct Server::Impl {
  Config config;
  std::function<void(const Event&)> on_event;
  std::string fault;  // what was said wrong
  bool ends_at_signals = false;
  std::atomic<bool> started{false}, stopping{false};
  mutable std::mutex mutex;
  std::string address;  // guarded by mutex

  void Tell(const Event& event) {
    if (event.kind == Event::Kind::kListening) {
      std::lock_guard lock(mutex);
      address = event.address;
    }
    if (on_event) on_event(event);
  }
};

static_assert(std::atomic<bool>::is_always_lock_free, "stop() is called from signal handlers");

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

Server::Builder Server::builder() { return Builder(); }

Outcome Server::start() {
  if (impl_->started.exchange(true)) return Refuse("a server is started once: build another one");
  if (!impl_->fault.empty()) return Refuse(impl_->fault);
  const auto stopping = [this] { return impl_->stopping.load() || (impl_->ends_at_signals && StopRequested()); };
  if (stopping()) return {};
  return RunServer(impl_->config,
                   {.stopping = stopping, .on_event = [this](const Event& event) { impl_->Tell(event); }});
}

void Server::stop() noexcept { impl_->stopping.store(true); }

std::string Server::address() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->address;
}

struct Server::Builder::Impl {
  Config config;
  bool reachable = false;  // one of websocket, bind and websocket_config was said
  std::function<void(const Event&)> on_event;

  // Everything that is wrong with what was said, a line each; empty when nothing is.
  std::string Fault() const;
  std::unique_ptr<Server::Impl> Make() const;
};

std::string Server::Builder::Impl::Fault() const {
  std::vector<std::string> wrong;
  const auto check = [&wrong](const char* name, const absl::Status& status) {
    if (!status.ok()) wrong.push_back(absl::StrCat(name, " ", std::string(status.message())));
  };
  const auto check_address = [&check](const char* name, const std::string& address) {
    check(name, ParseListenAddress(address).status());
  };
  if (config.stack_file.empty()) wrong.push_back("spec() was not said: it names the stack file (*.stack.json)");
  if (config.endpoint.empty()) {
    wrong.push_back("there is no endpoint: say yellowstone(), or set YELLOWSTONE_ENDPOINT");
  } else {
    check("the endpoint", ingest::CheckEndpoint(config.endpoint));
  }
  check("the x-token", ingest::CheckToken(config.x_token));
  if (!reachable) wrong.push_back("nobody could reach this server: say websocket(), bind() or websocket_config()");
  check_address("bind", config.listen);
  if (config.admin != "off") check_address("admin", config.admin);
  if (config.health_listen != "off") check_address("health", config.health_listen);
  if (config.fanout.sessions_max == 0) wrong.push_back("websocket_config: max_clients is 0");
  if (config.fanout.session_queue_bytes_max == 0)
    wrong.push_back("websocket_config: message_queue_size is 0, or too large to be counted");
  if (config.health_slot_silence.count() <= 0 || config.health_slot_silence > kTimeMax)
    wrong.push_back("health_config: health_check_timeout does not lie between 1 ms and 49 days");
  if (config.health_heartbeat.count() < 0 || config.health_heartbeat > kTimeMax)
    wrong.push_back("health_config: heartbeat_interval does not lie between 0 and 49 days");
  check("spec:", config.projection.Check());
  for (std::string& fault : wrong) fault = Printable(fault);  // a line each, whatever was said
  return absl::StrJoin(wrong, "\n");
}

std::unique_ptr<Server::Impl> Server::Builder::Impl::Make() const {
  auto made = std::make_unique<Server::Impl>();
  made->fault = Fault();
  made->config = config;
  made->on_event = on_event;
  return made;
}

Server::Builder::Builder() : impl_(std::make_unique<Impl>()) {
  impl_->config.endpoint = FromEnvironment("YELLOWSTONE_ENDPOINT");
  impl_->config.x_token = FromEnvironment("YELLOWSTONE_X_TOKEN");
  impl_->config.admin = "off";
  impl_->config.health_heartbeat = std::chrono::milliseconds(0);
}

Server::Builder::Builder(const Config& config) : impl_(std::make_unique<Impl>()) {
  impl_->config = config;
  impl_->reachable = true;
}

const Config& Server::Builder::config() const { return impl_->config; }

Server::Builder::~Builder() = default;
Server::Builder::Builder(Builder&&) noexcept = default;
Server::Builder& Server::Builder::operator=(Builder&&) noexcept = default;

Server::Builder& Server::Builder::spec(const Spec& spec) {
  impl_->config.stack_file = spec.stack_file.string();
  vm::Settings settings;
  settings.append_keep = spec.append_keep.value_or(settings.append_keep);
  settings.waiting_slots_max = spec.waiting_slots_max.value_or(settings.waiting_slots_max);
  settings.waiting_per_address_max = spec.waiting_per_address_max.value_or(settings.waiting_per_address_max);
  settings.waiting_bytes_max = spec.waiting_bytes_max.value_or(settings.waiting_bytes_max);
  impl_->config.projection = settings;
  return *this;
}

Server::Builder& Server::Builder::yellowstone(YellowstoneConfig yellowstone) {
  impl_->config.endpoint = std::move(yellowstone.endpoint);
  impl_->config.x_token = std::move(yellowstone.x_token);
  return *this;
}

Server::Builder& Server::Builder::websocket() {
  impl_->reachable = true;
  return *this;
}

Server::Builder& Server::Builder::bind(std::string address) {
  impl_->reachable = true;
  impl_->config.listen = std::move(address);
  return *this;
}

Server::Builder& Server::Builder::websocket_config(WebSocketConfig websocket) {
  FanoutOptions& fanout = impl_->config.fanout;
  fanout.sessions_max = websocket.max_clients;
  const size_t bytes = websocket.message_queue_size * kBytesPerQueuedMessage;
  const bool counted = bytes / kBytesPerQueuedMessage == websocket.message_queue_size;
  fanout.session_queue_bytes_max = bytes > 0 && counted ? std::max(bytes, SessionQueueBytesMin(fanout)) : 0;
  return bind(std::move(websocket.bind_addr));
}

Server::Builder& Server::Builder::health_monitoring() { return health_config({}); }

Server::Builder& Server::Builder::health_config(HealthConfig health) {
  impl_->config.health_heartbeat = health.heartbeat_interval;
  impl_->config.health_slot_silence = health.health_check_timeout;
  return *this;
}

Server::Builder& Server::Builder::data_dir(const std::filesystem::path& dir) {
  impl_->config.data_dir = dir.string();
  return *this;
}

Server::Builder& Server::Builder::admin(std::string address) {
  impl_->config.admin = std::move(address);
  return *this;
}

Server::Builder& Server::Builder::on_event(std::function<void(const Event&)> event) {
  impl_->on_event = std::move(event);
  return *this;
}

Server Server::Builder::build() { return Server(impl_->Make()); }

Outcome Server::Builder::start() {
  StopRequested();  // from here on a signal is an orderly stop
  auto made = impl_->Make();
  made->ends_at_signals = true;
  return Server(std::move(made)).start();
}

}  // namespace everstate
