// everstate watch: follows a view from the command line.
#include <algorithm>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/websocket.hpp>
#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/log.h"
#include "server/cli/cli.h"
#include "server/config.h"

namespace everstate::cli {
namespace {

namespace beast = boost::beast;
namespace websocket = beast::websocket;
using Tcp = boost::asio::ip::tcp;
using Json = nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kReconnectFirst{500}, kReconnectMax{15000};
constexpr seconds kHandshakeTimeout{10};      // for each of: connect, upgrade, close
constexpr seconds kSilenceMax{60};            // not even an answer to a ping: the connection is dead
constexpr milliseconds kLook{100};            // how often a stop is noticed
constexpr size_t kFrameBytesMax = 128 << 20;  // snapshot.frame_max of a server is 64 MiB at most
constexpr int kDepthMax = 256;                // of a frame's JSON; a value has 64 levels at most

struct WatchOptions {
  std::vector<std::string> words;
  std::string url = "ws://127.0.0.1:8877", view, key;
  bool raw = false, once = false;
};

struct Address {
  std::string host, port, target;
  std::string HostHeader() const {
    return absl::StrCat(absl::StrContains(host, ':') ? "[" + host + "]" : host, ":", port);
  }
};

absl::StatusOr<Address> ParseUrl(const std::string& url) {
  if (absl::StartsWith(url, "wss://"))
    return absl::InvalidArgumentError(
        absl::StrCat(url, ": wss:// is not supported; put a TLS proxy's plain side here"));
  if (!absl::StartsWith(url, "ws://"))
    return absl::InvalidArgumentError(absl::StrCat(url, ": a WebSocket address begins with ws://"));
  std::string rest = url.substr(5);
  Address address;
  const size_t slash = rest.find('/');
  address.target = slash == std::string::npos ? "/" : rest.substr(slash);
  rest.resize(std::min(slash, rest.size()));
  const size_t colon = rest.rfind(':');
  const size_t bracket = rest.find(']');
  const bool has_port = colon != std::string::npos && (bracket == std::string::npos || colon > bracket);
  address.host = has_port ? rest.substr(0, colon) : rest;
  address.port = has_port ? rest.substr(colon + 1) : "80";
  if (address.host.size() > 2 && address.host.front() == '[')
    address.host = address.host.substr(1, address.host.size() - 2);
  if (address.host.empty()) return absl::InvalidArgumentError(absl::StrCat(url, ": it names no host"));
  const auto port = ParseNumber(address.port, 1, 65535);
  if (!port.ok()) return absl::InvalidArgumentError(absl::StrCat(url, ": the port ", port.status().message()));
  return address;
}

// The merge rule of all clients: objects deeply, arrays listed in `append` grow, everything else is replaced.
void Merge(const Json& patch, const Json& append, const std::string& path, Json* target) {
  for (const auto& [name, value] : patch.items()) {
    const std::string here = path.empty() ? name : absl::StrCat(path, ".", name);
    Json& slot = (*target)[name];
    if (value.is_object() && slot.is_object()) {
      Merge(value, append, here, &slot);
    } else if (value.is_array() && slot.is_array() &&
               std::find(append.begin(), append.end(), Json(here)) != append.end()) {
      slot.insert(slot.end(), value.begin(), value.end());
    } else {
      slot = value;
    }
  }
}

// Watcher: one connection after the other, merged entities kept over reconnects.
class Watcher {
 public:
  explicit Watcher(const WatchOptions& options, Address address) : options_(options), address_(std::move(address)) {}

  ExitCode Run() {
    milliseconds pause = kReconnectFirst;
    while (!StopRequested()) {
      const absl::Status status = Follow();
      if (done_) return ExitCode::kOrderly;
      if (status.code() == absl::StatusCode::kFailedPrecondition) {
        LogError(Room::kCli, "refused: {}", std::string(status.message()));
        return ExitCode::kConfiguration;
      }
      if (StopRequested()) break;
      if (live_) pause = kReconnectFirst;
      live_ = false;
      LogWarn(Room::kCli, "{}; connecting again in {} ms", std::string(status.message()), pause.count());
      for (milliseconds slept{0}; slept < pause && !StopRequested(); slept += milliseconds(50))
        std::this_thread::sleep_for(milliseconds(50));
      pause = std::min(pause * 2, kReconnectMax);
    }
    return ExitCode::kOrderly;
  }

 private:
  using Socket = websocket::stream<beast::tcp_stream>;

  // Runs one asynchronous step to its end: start(handler) begins it, and handler takes an error first. A stop closes
  // the socket, which ends the step, and so does Beast when the peer is silent for too long. (A name that is being
  // looked up is waited for.)
  template <typename Start>
  beast::error_code Await(Socket* socket, Start start) {
    std::optional<beast::error_code> result;
    start([&](beast::error_code error, const auto&...) { result = error; });
    while (!result.has_value()) {
      context_.restart();
      context_.run_one_for(kLook);  // Beast's timers are work, too: run_for would wait for its time to pass
      if (!result.has_value() && StopRequested()) beast::get_lowest_layer(*socket).close();
    }
    return *result;
  }

  absl::Status Follow() {
    Socket socket(context_);
    websocket::response_type response;
    const beast::error_code error = Open(&socket, &response);
    if (error == websocket::error::upgrade_declined && response.result_int() / 100 == 4)
      return absl::FailedPreconditionError(
          absl::StrCat(options_.url, ": HTTP ", response.result_int(), " ", response.body()));
    if (error) return absl::UnavailableError(absl::StrCat(options_.url, ": ", error.message()));
    fresh_.clear();
    return ReadFrames(&socket);
  }

  // To the subscription.
  beast::error_code Open(Socket* socket, websocket::response_type* response) {
    beast::tcp_stream& stream = beast::get_lowest_layer(*socket);
    Tcp::resolver resolver(context_);
    Tcp::resolver::results_type found;
    beast::error_code error = Await(socket, [&](auto handler) {
      resolver.async_resolve(address_.host, address_.port,
                             [&found, handler](beast::error_code e, Tcp::resolver::results_type results) {
                               found = std::move(results);
                               handler(e);
                             });
    });
    if (error) return error;
    stream.expires_after(kHandshakeTimeout);
    error = Await(socket, [&](auto handler) { stream.async_connect(found, handler); });
    if (error) return error;
    stream.expires_never();  // from here on the time is the WebSocket's
    socket->set_option(websocket::stream_base::timeout{kHandshakeTimeout, kSilenceMax, /*keep_alive_pings=*/true});
    socket->read_message_max(kFrameBytesMax);
    error = Await(socket, [&](auto handler) {
      socket->async_handshake(*response, address_.HostHeader(), address_.target, handler);
    });
    if (error) return error;
    Json subscribe = {{"type", "subscribe"}, {"view", options_.view}};
    if (!options_.key.empty()) subscribe["key"] = options_.key;
    const std::string text = subscribe.dump(-1, ' ', false, Json::error_handler_t::replace);
    return Await(socket, [&](auto handler) { socket->async_write(boost::asio::buffer(text), handler); });
  }

  absl::Status ReadFrames(Socket* socket) {
    beast::flat_buffer buffer;
    while (!StopRequested()) {  // on a busy stream no read is waited for
      const beast::error_code error = Await(socket, [&](auto handler) { socket->async_read(buffer, handler); });
      if (error) {
        const auto code = socket->reason().code;
        return absl::UnavailableError(
            absl::StrCat("connection ended: ", code != 0 ? absl::StrCat("close code ", code) : error.message()));
      }
      const std::string text = beast::buffers_to_string(buffer.data());
      buffer.consume(buffer.size());
      if (absl::Status status = Take(text); !status.ok()) return status;
      if (std::fflush(stdout) != 0) done_ = true;  // Main says it
      if (!done_) continue;
      Await(socket, [&](auto handler) { socket->async_close(websocket::close_code::normal, handler); });
      return absl::OkStatus();
    }
    return absl::CancelledError("stopped");
  }

  // Whoever is at the other end: what is no frame of this protocol ends the connection and nothing else.
  absl::Status Take(const std::string& text) {
    bool too_deep = false;
    const Json frame = Json::parse(
        text,
        [&](int depth, Json::parse_event_t, Json&) {
          too_deep |= depth > kDepthMax;
          return !too_deep;
        },
        /*allow_exceptions=*/false);
    if (too_deep || !frame.is_object())
      return absl::UnavailableError(absl::StrCat(options_.url, ": a frame that is no JSON object"));
    try {
      return TakeFrame(frame, text);
    } catch (const Json::exception& error) {
      return absl::UnavailableError(
          absl::StrCat(options_.url, ": a frame that is none of this protocol: ", error.what()));
    }
  }

  absl::Status TakeFrame(const Json& frame, const std::string& text) {
    if (frame.value("type", "") == "error")
      return absl::FailedPreconditionError(
          absl::StrCat(frame.value("code", "error"), ": ", frame.value("message", "")));
    const std::string op = frame.value("op", "");
    if (options_.raw) std::printf("%s\n", text.c_str());
    if (op == "snapshot") {
      TakeSnapshot(frame);
    } else if (op == "patch" || op == "upsert" || op == "create") {
      const std::string key = frame.at("key");
      const Json& data = frame.at("data");
      Json& entity = entities_[key];
      if (op == "patch" && entity.is_object()) {
        Merge(data, frame.value("append", Json::array()), "", &entity);
      } else {
        entity = data;
      }
      Print(key, entity);
    } else if (op == "delete") {
      const std::string key = frame.at("key");
      entities_.erase(key);
      fresh_.erase(key);  // a rewind begins the snapshot anew, with deletes before it
      Print(key, nullptr);
    }
    live_ = true;
    return absl::OkStatus();
  }

  // Rows are printed when they are new or differ; what a whole snapshot lacks is gone.
  void TakeSnapshot(const Json& frame) {
    for (const Json& row : frame.at("data")) {
      const std::string key = row.at("key");
      const Json& data = row.at("data");
      const Json* known = Known(key);
      if (known == nullptr || *known != data) Print(key, data);
      fresh_[key] = data;
    }
    if (!frame.value("complete", false)) return;
    for (const auto& [key, data] : entities_) {
      if (!fresh_.contains(key)) Print(key, nullptr);
    }
    entities_ = std::move(fresh_);
    fresh_.clear();
    done_ = options_.once;
  }

  // What was printed last; null when nothing was, or that it is gone.
  const Json* Known(const std::string& key) const {
    for (const auto* rows : {&fresh_, &entities_}) {
      if (const auto it = rows->find(key); it != rows->end()) return &it->second;
    }
    return nullptr;
  }

  void Print(const std::string& key, const Json& data) {
    if (options_.raw) return;
    std::printf("%s\n", Json{{"key", key}, {"data", data}}.dump().c_str());
  }

  const WatchOptions& options_;
  const Address address_;
  boost::asio::io_context context_{1};
  std::map<std::string, Json> entities_, fresh_;
  bool live_ = false, done_ = false;
};

}  // namespace

void AddWatchCommand(CLI::App& app, int* exit_code) {
  auto options = std::make_shared<WatchOptions>();
  CLI::App* watch =
      app.add_subcommand("watch", "Follow a view of a running server: JSON lines {\"key\",\"data\"}, one per change");
  watch
      ->add_option("[URL] VIEW", options->words,
                   "Address (ws://127.0.0.1:8877 when it is not said) and view, e.g. ws://host:8877 TokenMint/list")
      ->required()
      ->expected(1, 2)
      ->check(NotEmpty())
      ->type_name("");
  watch->add_option("--key", options->key, "Only this entity")->check(NotEmpty())->type_name("K");
  watch->add_flag("--raw", options->raw, "Print the server's frames as they come");
  watch->add_flag("--once", options->once, "Stop after the snapshot");
  watch->callback([options, exit_code] {
    options->view = options->words.back();
    if (options->words.size() == 2) options->url = options->words.front();
    auto address = ParseUrl(options->url);
    if (address.ok() && absl::StrContains(options->view, "://"))
      address = absl::InvalidArgumentError(absl::StrCat(
          options->view, " is an address: the view is missing, as in watch ", options->view, " TokenMint/list"));
    if (!address.ok()) {
      *exit_code = Refuse(address.status());
      return;
    }
    EndWithTheReader();
    *exit_code = static_cast<int>(Watcher(*options, *std::move(address)).Run());
  });
}

}  // namespace everstate::cli
