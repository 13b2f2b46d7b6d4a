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

constexpr milliseconds kReconnectFirst{500}, kReconnectMax{15000};
constexpr std::chrono::seconds kPingInterval{15};

struct WatchOptions {
  std::vector<std::string> url_and_view;
  std::string url = "ws://127.0.0.1:8877", view, key;
  bool raw = false, once = false;
};

struct Address {
  std::string host, port, target;
};

absl::StatusOr<Address> ParseUrl(const std::string& url) {
  if (absl::StartsWith(url, "wss://")) return absl::InvalidArgumentError(absl::StrCat(url, ": wss:// is not supported; put a TLS proxy's plain side here"));
  if (!absl::StartsWith(url, "ws://")) return absl::InvalidArgumentError(absl::StrCat(url, ": a WebSocket address begins with ws://"));
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
  if (address.host.size() > 2 && address.host.front() == '[') address.host = address.host.substr(1, address.host.size() - 2);
  if (address.host.empty()) return absl::InvalidArgumentError(absl::StrCat(url, ": it names no host"));
  return address;
}

// The merge rule of all clients: objects deeply, arrays listed in `append` grow, everything else is replaced.
void Merge(const Json& patch, const Json& append, const std::string& path, Json* target) {
  for (const auto& [name, value] : patch.items()) {
    const std::string here = path.empty() ? name : path + "." + name;
    Json& slot = (*target)[name];
    if (value.is_object() && slot.is_object()) {
      Merge(value, append, here, &slot);
    } else if (value.is_array() && slot.is_array() && std::find(append.begin(), append.end(), Json(here)) != append.end()) {
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
      for (milliseconds slept{0}; slept < pause && !StopRequested(); slept += milliseconds(50)) std::this_thread::sleep_for(milliseconds(50));
      pause = std::min(pause * 2, kReconnectMax);
    }
    return ExitCode::kOrderly;
  }

 private:
  absl::Status Follow() {
    boost::asio::io_context context(1);
    websocket::stream<beast::tcp_stream> socket(context);
    beast::error_code error;
    Tcp::resolver resolver(context);
    const auto found = resolver.resolve(address_.host, address_.port, error);
    if (error) return absl::UnavailableError(absl::StrCat(options_.url, ": ", error.message()));
    beast::get_lowest_layer(socket).connect(found, error);
    if (error) return absl::UnavailableError(absl::StrCat(options_.url, ": ", error.message()));
    websocket::response_type response;
    socket.handshake(response, address_.host + ":" + address_.port, address_.target, error);
    if (error) {
      if (response.result_int() >= 400 && response.result_int() < 500) {
        return absl::FailedPreconditionError(absl::StrCat(options_.url, ": HTTP ", response.result_int(), " ", response.body()));
      }
      return absl::UnavailableError(absl::StrCat(options_.url, ": ", error.message()));
    }
    Json subscribe = {{"type", "subscribe"}, {"view", options_.view}};
    if (!options_.key.empty()) subscribe["key"] = options_.key;
    socket.text(true);
    socket.write(boost::asio::buffer(subscribe.dump()), error);
    fresh_.clear();
    return ReadFrames(&context, &socket, error);
  }

  absl::Status ReadFrames(boost::asio::io_context* context, websocket::stream<beast::tcp_stream>* socket, beast::error_code error) {
    auto last_ping = std::chrono::steady_clock::now();
    beast::flat_buffer buffer;
    while (!error) {
      bool read_done = false;
      socket->async_read(buffer, [&](beast::error_code e, size_t) {
        error = e;
        read_done = true;
      });
      // The read is waited for in slices, so that a signal and the ping's time are seen in between.
      while (!read_done) {
        context->restart();
        context->run_for(milliseconds(100));
        if (StopRequested() && !read_done) {
          beast::get_lowest_layer(*socket).cancel();
          beast::error_code ignored;
          beast::get_lowest_layer(*socket).socket().shutdown(Tcp::socket::shutdown_both, ignored);
        }
        if (!read_done && std::chrono::steady_clock::now() - last_ping > kPingInterval) {
          last_ping = std::chrono::steady_clock::now();
          beast::error_code ignored;
          socket->write(boost::asio::buffer(std::string(R"({"type":"ping"})")), ignored);
        }
      }
      if (error) break;
      const std::string text = beast::buffers_to_string(buffer.data());
      buffer.consume(buffer.size());
      if (absl::Status status = Take(text); !status.ok()) return status;
      if (done_) {
        socket->close(websocket::close_code::normal, error);
        return absl::OkStatus();
      }
    }
    return absl::UnavailableError(absl::StrCat("connection ended: ", socket->reason().code != 0 ? absl::StrCat("close code ", socket->reason().code) : error.message()));
  }

  absl::Status Take(const std::string& text) {
    const Json frame = Json::parse(text, nullptr, false);
    if (frame.is_discarded() || !frame.is_object()) return absl::UnavailableError("a frame that is no JSON object");
    if (frame.value("type", "") == "error") return absl::FailedPreconditionError(absl::StrCat(frame.value("code", "error"), ": ", frame.value("message", "")));
    live_ = true;
    if (options_.raw) std::printf("%s\n", text.c_str());
    const std::string op = frame.value("op", "");
    if (op == "snapshot") {
      TakeSnapshot(frame);
    } else if (op == "patch" || op == "upsert" || op == "create") {
      Json& entity = entities_[frame.value("key", "")];
      if (op == "patch" && entity.is_object()) {
        Merge(frame["data"], frame.value("append", Json::array()), "", &entity);
      } else {
        entity = frame["data"];
      }
      Print(frame.value("key", ""), entity);
    } else if (op == "delete") {
      entities_.erase(frame.value("key", ""));
      Print(frame.value("key", ""), nullptr);
    }
    std::fflush(stdout);
    return absl::OkStatus();
  }

  // Rows are printed when they are new or differ; what a whole snapshot lacks is gone.
  void TakeSnapshot(const Json& frame) {
    for (const Json& row : frame["data"]) {
      const std::string key = row.value("key", "");
      fresh_[key] = row["data"];
      if (const auto it = entities_.find(key); it == entities_.end() || it->second != row["data"]) Print(key, row["data"]);
    }
    if (!frame.value("complete", false)) return;
    for (const auto& [key, data] : entities_) {
      if (!fresh_.contains(key)) Print(key, nullptr);
    }
    entities_ = std::move(fresh_);
    fresh_.clear();
    done_ = options_.once;
  }

  void Print(const std::string& key, const Json& data) {
    if (options_.raw) return;
    std::printf("%s\n", Json{{"key", key}, {"data", data}}.dump().c_str());
  }

  const WatchOptions& options_;
  const Address address_;
  std::map<std::string, Json> entities_, fresh_;
  bool live_ = false, done_ = false;
};

}  // namespace

void AddWatchCommand(CLI::App& app, int* exit_code) {
  auto options = std::make_shared<WatchOptions>();
  CLI::App* watch = app.add_subcommand("watch", "Follow a view of a running server: JSON lines {\"key\",\"data\"}, one per change");
  watch->add_option("URL VIEW", options->url_and_view, "Address (default ws://127.0.0.1:8877) and view, e.g. ws://host:8877 TokenMint/list")
      ->required()
      ->expected(1, 2);
  watch->add_option("--key", options->key, "Only this entity")->type_name("K");
  watch->add_flag("--raw", options->raw, "Print the server's frames as they come");
  watch->add_flag("--once", options->once, "Stop after the snapshot");
  watch->callback([options, exit_code] {
    options->view = options->url_and_view.back();
    if (options->url_and_view.size() == 2) options->url = options->url_and_view.front();
    auto address = ParseUrl(options->url);
    if (!address.ok()) {
      LogError(Room::kCli, "{}", std::string(address.status().message()));
      *exit_code = static_cast<int>(ExitCode::kConfiguration);
      return;
    }
    StopRequested();
    *exit_code = static_cast<int>(Watcher(*options, *std::move(address)).Run());
  });
}

}  // namespace everstate::cli
