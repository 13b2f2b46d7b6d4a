#include <sys/resource.h>

#include <future>
#include <thread>
#include <vector>

#include "server/fanout/page.h"
#include "tests/server/fanout/fanout_fixture.h"

namespace everstate::testing {
namespace {

class HttpTest : public FanoutTest {};

std::string Status(const std::string& answer) { return answer.substr(0, answer.find("\r\n")); }
std::string Body(const std::string& answer) { return answer.substr(answer.find("\r\n\r\n") + 4); }

void ExpectFramed(const std::string& answer) {
  EXPECT_NE(answer.find("Content-Length: " + std::to_string(Body(answer).size()) + "\r\n"), std::string::npos)
      << answer;
  EXPECT_NE(answer.find("Connection: close\r\n"), std::string::npos) << answer;
}

TEST_F(HttpTest, AsksTheHandlerFirst) {
  Start(Options(), true, [](std::string_view path) {
    if (path == "/health") return HttpReply{200, "application/json", "{\"ok\":true}"};
    if (path == "/ready") return HttpReply{503, "text/plain", "not yet"};
    return HttpReply{};
  });
  const std::string health = HttpGet(fanout_->address(), "/health?verbose");
  EXPECT_EQ(Status(health), "HTTP/1.1 200 OK");
  EXPECT_EQ(Body(health), "{\"ok\":true}");
  EXPECT_NE(health.find("Cache-Control: no-store\r\n"), std::string::npos);
  ExpectFramed(health);
  EXPECT_EQ(Status(HttpGet(fanout_->address(), "/ready")), "HTTP/1.1 503 Service Unavailable");
  const std::string head = HttpExchange(fanout_->address(), "HEAD /health HTTP/1.1\r\nHost: t\r\n\r\n");
  EXPECT_NE(head.find("Content-Length: 11\r\n"), std::string::npos);
  EXPECT_EQ(Body(head), "");
}

HttpReply HealthOnly(std::string_view path) {
  if (path == "/health") return {200, "text/plain", "OK"};
  return {404, "text/plain", "Not Found"};
}

TEST_F(HttpTest, AHealthPortAnswersAsTheHandlerDoesAndNothingElse) {
  FanoutOptions options = Options();
  options.health_listen = "127.0.0.1:0";
  Start(options, true, HealthOnly);
  EXPECT_NE(fanout_->health_address(), fanout_->address());
  const std::string health = HttpGet(fanout_->health_address(), "/health?verbose");
  EXPECT_EQ(Status(health), "HTTP/1.1 200 OK");
  EXPECT_EQ(Body(health), "OK");
  ExpectFramed(health);
  const std::string upgrade =
      "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
      "dGhlIHNhbXBsZSBub25jZQ==\r\n";
  for (const auto& [path, headers] :
       {std::pair("/", ""), std::pair("/index.html", ""), std::pair("/", upgrade.c_str())}) {
    const std::string answer = HttpGet(fanout_->health_address(), path, headers);
    EXPECT_EQ(Status(answer), "HTTP/1.1 404 Not Found") << path;
    EXPECT_NE(answer.find("Content-Type: text/plain\r\n"), std::string::npos) << answer;
    EXPECT_EQ(Body(answer), "Not Found");
    ExpectFramed(answer);
  }
  EXPECT_EQ(counters().sessions_total.value(), 0u);
  EXPECT_EQ(Status(HttpGet(fanout_->address(), "/health")), "HTTP/1.1 200 OK");
}

// However busy the lanes are: here their one thread waits inside of the handler.
TEST_F(HttpTest, AHealthPortAnswersWhileTheLanesAreBusy) {
  FanoutOptions options = Options();
  options.lanes = 1;
  options.health_listen = "127.0.0.1:0";
  std::promise<void> entered, leave;
  Start(options, true, [&, left = leave.get_future().share()](std::string_view path) {
    if (path == "/wait") {
      entered.set_value();
      left.wait();
    }
    return HealthOnly(path);
  });
  std::thread busy([this] { HttpGet(fanout_->address(), "/wait"); });
  entered.get_future().wait();
  EXPECT_EQ(Body(HttpGet(fanout_->health_address(), "/health")), "OK");
  leave.set_value();
  busy.join();
}

// Somebody can still ask how the server is when the main port has all the sockets that it may have.
TEST_F(HttpTest, AHealthPortHasRoomOfItsOwn) {
  FanoutOptions options = Options();
  options.sessions_max = 0;
  options.health_listen = "127.0.0.1:0";
  Start(options, true, HealthOnly);
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = limit.rlim_max;  // both ends of more than a thousand sockets are in this process
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  std::vector<TcpClient> idle;
  ASSERT_TRUE(Eventually([&] {
    idle.emplace_back(fanout_->address());
    return counters().sessions_refused.value() > 0;
  }));
  EXPECT_EQ(Body(HttpGet(fanout_->health_address(), "/health")), "OK");
}

TEST_F(HttpTest, PortsThatCannotBeAreNamed) {
  FanoutOptions options = Options();
  Start(options);
  options.health_listen = fanout_->address();
  const auto taken = Fanout::Start(options, nullptr);
  EXPECT_EQ(taken.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_NE(taken.status().message().find("health-listen address " + fanout_->address()), std::string::npos)
      << taken.status();
  options.health_listen = "8081";
  const auto bad = Fanout::Start(options, nullptr);
  EXPECT_EQ(bad.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(bad.status().message().find("health-listen address \"8081\""), std::string::npos) << bad.status();
}

TEST_F(HttpTest, UnknownPathsAreJson) {
  Start();
  const std::string answer = HttpGet(fanout_->address(), "/no/such");
  EXPECT_EQ(Status(answer), "HTTP/1.1 404 Not Found");
  EXPECT_EQ(nlohmann::json::parse(Body(answer))["code"], "not-found");
  ExpectFramed(answer);
}

TEST_F(HttpTest, ServesThePage) {
  Start();
  ASSERT_FALSE(PageFiles().empty());
  for (const PageFile& file : PageFiles()) {
    const std::string path = "/" + std::string(file.name);
    const std::string answer = HttpGet(fanout_->address(), path);
    EXPECT_EQ(Status(answer), "HTTP/1.1 200 OK") << path;
    EXPECT_EQ(Body(answer), file.bytes) << path;
    EXPECT_NE(answer.find("X-Content-Type-Options: nosniff\r\n"), std::string::npos);
    EXPECT_NE(answer.find("Content-Security-Policy: default-src 'self'"), std::string::npos);
    EXPECT_NE(answer.find("Content-Type: " + std::string(ContentTypeOf(file.name)) + "\r\n"), std::string::npos);
    ExpectFramed(answer);
    const std::string again = HttpGet(fanout_->address(), path, "If-None-Match: " + std::string(file.etag) + "\r\n");
    EXPECT_EQ(Status(again), "HTTP/1.1 304 Not Modified");
    EXPECT_EQ(Body(again), "");
  }
  if (FindPageFile("/index.html") != nullptr) {
    EXPECT_EQ(Body(HttpGet(fanout_->address(), "/")), FindPageFile("/index.html")->bytes);
  }
}

TEST_F(HttpTest, RefusesOtherMethods) {
  Start();
  const std::string answer =
      HttpExchange(fanout_->address(), "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello");
  EXPECT_EQ(Status(answer), "HTTP/1.1 405 Method Not Allowed");
  EXPECT_NE(answer.find("Allow: GET, HEAD\r\n"), std::string::npos);
  ExpectFramed(answer);
}

TEST_F(HttpTest, RefusesBadUpgradesWithABody) {
  Start();
  const std::string upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
  const std::string key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  const auto check = [&](const std::string& headers, std::string_view status) {
    const std::string answer = HttpGet(fanout_->address(), "/", headers);
    EXPECT_EQ(Status(answer), status) << headers;
    EXPECT_FALSE(nlohmann::json::parse(Body(answer))["message"].get<std::string>().empty());
    ExpectFramed(answer);
  };
  check(upgrade + key + "Sec-WebSocket-Version: 8\r\n", "HTTP/1.1 426 Upgrade Required");
  check(upgrade + key, "HTTP/1.1 426 Upgrade Required");
  check(upgrade + "Sec-WebSocket-Version: 13\r\n", "HTTP/1.1 400 Bad Request");
  check(upgrade + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n", "HTTP/1.1 400 Bad Request");
  check("Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" + key, "HTTP/1.1 400 Bad Request");
  const std::string no_host =
      HttpExchange(fanout_->address(), "GET / HTTP/1.1\r\n" + upgrade + key + "Sec-WebSocket-Version: 13\r\n\r\n");
  EXPECT_EQ(Status(no_host), "HTTP/1.1 400 Bad Request");
  EXPECT_NE(no_host.find("\\\"Host\\\""), std::string::npos) << no_host;
  EXPECT_EQ(counters().sessions_total.value(), 0u);
  EXPECT_EQ(counters().sessions_refused.value(), 6u);
}

// RFC 9110 §7.8: who offers a protocol that is not spoken here (as `curl --http2` does) is answered in the one that is.
TEST_F(HttpTest, OtherUpgradesAreNotTaken) {
  Start(Options(), true, HealthOnly);
  const std::string answer =
      HttpGet(fanout_->address(), "/health",
              "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n");
  EXPECT_EQ(Status(answer), "HTTP/1.1 200 OK");
  EXPECT_EQ(Body(answer), "OK");
}

TEST_F(HttpTest, GarbageGetsAnAnswerOrTheDoor) {
  Start();
  EXPECT_EQ(Status(HttpExchange(fanout_->address(), "\x16\x03\x01 hello\r\n\r\n")), "HTTP/1.1 400 Bad Request");
  EXPECT_EQ(Status(HttpExchange(fanout_->address(), "GET / HTTP/1.1\r\nX: " + std::string(9000, 'x') + "\r\n\r\n")),
            "HTTP/1.1 431 Request Header Fields Too Large");
  EXPECT_EQ(counters().sessions_refused.value(), 2u);
  EXPECT_EQ(Status(HttpGet(fanout_->address(), "/x")), "HTTP/1.1 404 Not Found");
  // Those that never end their request are dropped when the time is over; here it is too short for any other.
  FanoutOptions options = Options();
  options.handshake_timeout_ms = 200;
  Start(options);
  for (uint64_t i = 1; i <= 2; ++i) {
    EXPECT_EQ(HttpExchange(fanout_->address(), "GET / HT"), "");
    EXPECT_EQ(counters().sessions_refused.value(), i);
  }
}

}  // namespace
}  // namespace everstate::testing
