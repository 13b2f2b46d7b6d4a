// The Yellowstone client against a stock gRPC server on the loopback interface.
#include "server/ingest/yellowstone.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <mutex>
#include <thread>

#include "server/base/base58.h"
#include "tests/support/geyser_builder.h"
#include "tests/support/scripted_geyser.h"

namespace everstate::ingest {
namespace {

using testing::ScriptedCall;
using testing::ScriptedGeyser;
using Clock = std::chrono::steady_clock;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr auto kGenerous = std::chrono::seconds(30);

std::array<uint8_t, 32> Key(std::string_view name) {
  std::array<uint8_t, 32> key;
  const std::string bytes = testing::KeyOf(name);
  std::copy(bytes.begin(), bytes.end(), key.begin());
  return key;
}

std::unique_ptr<Source> Open(const ScriptedGeyser& server, YellowstoneOptions options = {}) {
  options.endpoint = server.endpoint();
  auto source = OpenYellowstone(options);
  EXPECT_TRUE(source.ok()) << source.status();
  return *std::move(source);
}

// The next message, or why there is none.
absl::StatusOr<std::string> NextOf(Connection* connection) {
  auto message = connection->Next(Clock::now() + kGenerous);
  if (!message.ok()) return message.status();
  if (!message->has_value()) return absl::DeadlineExceededError("no message within the test's patience");
  return **std::move(message);
}

// Messages until the end; the end's status.
absl::Status Drain(Connection* connection, std::vector<std::string>* messages) {
  while (true) {
    auto message = NextOf(connection);
    if (!message.ok()) return message.status();
    messages->push_back(*std::move(message));
  }
}

TEST(Yellowstone, AsksForOneStreamWithEverythingInIt) {
  ScriptedGeyser server({[](ScriptedCall&) { return grpc::Status::OK; }});
  const auto source = Open(server, {.endpoint = {}, .x_token = "secret"});
  Subscription subscription;
  subscription.transaction_programs = {Key("program a"), Key("program b")};
  subscription.account_owners = {Key("owner")};
  std::vector<std::string> messages;
  auto connection = source->Connect(subscription, 77);
  ASSERT_TRUE(connection.ok()) << connection.status();
  EXPECT_EQ(Drain(connection->get(), &messages).code(), absl::StatusCode::kUnavailable);  // a clean end is a cut

  subscription.commitment = Commitment::kFinalized;
  subscription.account_owners.clear();
  auto again = source->Connect(subscription, std::nullopt);
  ASSERT_TRUE(again.ok());
  EXPECT_FALSE(Drain(again->get(), &messages).ok());

  ASSERT_EQ(server.requests().size(), 2u);
  const geyser::SubscribeRequest first = server.requests()[0];
  EXPECT_EQ(first.from_slot(), 77u);
  EXPECT_EQ(first.commitment(), geyser::CONFIRMED);
  ASSERT_EQ(first.accounts_size(), 1);
  EXPECT_THAT(first.accounts().begin()->second.owner(), ElementsAre(EncodeBase58(Key("owner"))));
  ASSERT_EQ(first.transactions_size(), 1);
  const auto& transactions = first.transactions().begin()->second;
  EXPECT_THAT(transactions.account_include(),
              ElementsAre(EncodeBase58(Key("program a")), EncodeBase58(Key("program b"))));
  EXPECT_TRUE(transactions.has_vote() && !transactions.vote() && transactions.has_failed() && !transactions.failed());
  ASSERT_EQ(first.slots_size(), 1);
  EXPECT_TRUE(first.slots().begin()->second.interslot_updates());
  EXPECT_FALSE(first.slots().begin()->second.has_filter_by_commitment());
  EXPECT_EQ(first.blocks_meta_size(), 1);
  EXPECT_EQ(first.blocks_size() + first.entry_size() + first.transactions_status_size(), 0);
  EXPECT_FALSE(first.has_ping());
  const geyser::SubscribeRequest second = server.requests()[1];
  EXPECT_FALSE(second.has_from_slot());
  EXPECT_EQ(second.commitment(), geyser::FINALIZED);
  EXPECT_EQ(second.accounts_size(), 0);
  EXPECT_THAT(server.tokens(), ElementsAre("secret", "secret"));
}

TEST(Yellowstone, DeliversTheBytesAsTheyCame) {
  const std::vector<std::string> sent =
      testing::MessagesOf({.slot = 10, .parent = 9, .transactions = 100, .accounts = 100});
  const std::string large =
      testing::AccountMessage(10, "large", 1, std::string(9u << 20, 'x'), std::nullopt).SerializeAsString();
  ScriptedGeyser server({[&](ScriptedCall& call) {
    call.Send(sent);
    call.Send(large);
    return grpc::Status(grpc::StatusCode::INTERNAL, "lagged to send an update");
  }});
  const auto source = Open(server);
  auto connection = source->Connect({}, std::nullopt);
  ASSERT_TRUE(connection.ok());
  std::vector<std::string> messages;
  EXPECT_EQ(Drain(connection->get(), &messages), absl::InternalError(server.endpoint() + ": lagged to send an update"));
  ASSERT_EQ(messages.size(), sent.size() + 1);
  EXPECT_EQ(messages.back(), large);
  messages.pop_back();
  EXPECT_EQ(messages, sent);
}

TEST(Yellowstone, AMessageBeyondTheLimitEndsTheStream) {
  ScriptedGeyser server({[&](ScriptedCall& call) {
    call.Send(testing::AccountMessage(10, "large", 1, std::string(200'000, 'x'), std::nullopt));
    return call.Hang();
  }});
  const auto source = Open(server, {.endpoint = {}, .x_token = {}, .receive_bytes_max = 100'000});
  auto connection = source->Connect({}, std::nullopt);
  ASSERT_TRUE(connection.ok());
  std::vector<std::string> messages;
  const absl::Status end = Drain(connection->get(), &messages);
  EXPECT_EQ(end.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(end.message()),
              AllOf(HasSubstr("larger than max"), HasSubstr("stream.message_max is 100000 bytes")));
}

TEST(Yellowstone, TheTokenIsInNoError) {
  ScriptedGeyser server(
      {[](ScriptedCall&) { return grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "No valid auth token: s3cret!"); }});
  const auto source = Open(server, {.endpoint = {}, .x_token = "s3cret!"});
  auto connection = source->Connect({}, std::nullopt);
  ASSERT_TRUE(connection.ok());
  std::vector<std::string> messages;
  const absl::Status status = Drain(connection->get(), &messages);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(status.message(), server.endpoint() +
                                  ": No valid auth token: [token]; the token of --x-token-file (or --x-token) is not "
                                  "the one that the provider wants");
  const auto bad = OpenYellowstone({.endpoint = server.endpoint(), .x_token = "s3cret\n"});
  EXPECT_EQ(bad.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(bad.status().ToString(), Not(HasSubstr("s3cret")));
}

TEST(Yellowstone, ARefusalSaysWhatMayHelp) {
  ScriptedGeyser server(
      {[](ScriptedCall&) { return grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "no"); },
       [](ScriptedCall&) { return grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "no such method"); }});
  const auto source = Open(server);
  for (const char* words : {": no; no token is set: --x-token-file names the file that holds it",
                            ": no such method; this may be no Yellowstone server: check --endpoint"}) {
    auto connection = source->Connect({}, std::nullopt);
    ASSERT_TRUE(connection.ok());
    std::vector<std::string> messages;
    EXPECT_EQ(Drain(connection->get(), &messages).message(), server.endpoint() + words);
  }
}

TEST(Yellowstone, ServerPingsAreAnswered) {
  std::mutex mutex;
  std::vector<int32_t> ids;
  ScriptedGeyser server({[&](ScriptedCall& call) {
    call.Send(testing::PingUpdate());
    return call.ServePings(&mutex, &ids);
  }});
  const auto source = Open(server, {.endpoint = {}, .x_token = {}, .ping_interval_ms = 3'600'000});
  auto connection = source->Connect({}, std::nullopt);
  ASSERT_TRUE(connection.ok());
  std::vector<std::string> messages;
  for (int i = 0; i < 2; ++i)
    messages.push_back(NextOf(connection->get()).value());  // the ping, and the pong to our answer
  geyser::SubscribeUpdate last;
  ASSERT_TRUE(last.ParseFromString(messages.back()));
  EXPECT_EQ(last.pong().id(), 1);
  std::lock_guard lock(mutex);
  EXPECT_THAT(ids, ElementsAre(1));
}

TEST(Yellowstone, TheClientSpeaksAtItsInterval) {
  std::mutex mutex;
  std::vector<int32_t> ids;
  ScriptedGeyser server({[&](ScriptedCall& call) { return call.ServePings(&mutex, &ids); }});
  const auto source = Open(server, {.endpoint = {}, .x_token = {}, .ping_interval_ms = 10});
  auto connection = source->Connect({}, std::nullopt);
  ASSERT_TRUE(connection.ok());
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(NextOf(connection->get()).ok());  // pongs
  std::lock_guard lock(mutex);
  ids.resize(3);
  EXPECT_THAT(ids, ElementsAre(1, 2, 3));
}

TEST(Yellowstone, NextReturnsAtItsDeadlineAndAfterCancel) {
  ScriptedGeyser server({[](ScriptedCall& call) { return call.Hang(); }});
  const auto source = Open(server);
  auto connection = source->Connect({}, std::nullopt);
  ASSERT_TRUE(connection.ok());
  const auto nothing = (*connection)->Next(Clock::now() + std::chrono::milliseconds(20));
  ASSERT_TRUE(nothing.ok());
  EXPECT_FALSE(nothing->has_value());
  std::thread canceller([&] { (*connection)->Cancel(); });
  EXPECT_EQ(NextOf(connection->get()).status().code(), absl::StatusCode::kCancelled);
  canceller.join();
}

TEST(Yellowstone, TellsTheTip) {
  ScriptedGeyser server({[](ScriptedCall& call) { return call.Hang(); }});
  const auto source = Open(server);
  EXPECT_FALSE(source->Tip(Commitment::kConfirmed).ok());  // no connection yet
  auto connection = source->Connect({}, std::nullopt);
  ASSERT_TRUE(connection.ok());
  EXPECT_EQ(source->Tip(Commitment::kConfirmed).status().code(), absl::StatusCode::kUnimplemented);
  server.set_tip(42);
  EXPECT_EQ(source->Tip(Commitment::kConfirmed).value(), 42u);
  source->Cancel();
  EXPECT_EQ(source->Tip(Commitment::kConfirmed).status().code(), absl::StatusCode::kCancelled);
}

// Who has nothing to replay says so: it is not a matter of trying.
TEST(Yellowstone, TellsWhatCanBeReplayed) {
  ScriptedGeyser server({[](ScriptedCall& call) { return call.Hang(); }});
  const auto source = Open(server);
  EXPECT_EQ(source->FirstReplayable().status().code(), absl::StatusCode::kFailedPrecondition);
  auto connection = source->Connect({}, std::nullopt);
  ASSERT_TRUE(connection.ok());
  EXPECT_EQ(source->FirstReplayable().status(), absl::NotFoundError("the provider replays nothing"));
  server.set_first_available(42);
  EXPECT_EQ(source->FirstReplayable().value(), 42u);
  server.set_first_available(UINT64_MAX);  // Yellowstone's word for "nothing yet"
  EXPECT_EQ(source->FirstReplayable().status(), absl::NotFoundError("the provider has nothing to replay yet"));
}

TEST(Yellowstone, SaysWhyThereIsNoConnection) {
  std::string endpoint;
  {
    ScriptedGeyser gone({[](ScriptedCall& call) { return call.Hang(); }});
    endpoint = gone.endpoint();
  }
  const auto source = OpenYellowstone({.endpoint = endpoint, .x_token = {}});
  ASSERT_TRUE(source.ok());
  auto connection = (*source)->Connect({}, std::nullopt);
  absl::Status status = connection.status();
  std::vector<std::string> messages;
  if (connection.ok()) status = Drain(connection->get(), &messages);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("refused; nobody answers there: check host and port of --endpoint"));
}

TEST(Yellowstone, EndpointsAreChecked) {
  for (const char* good : {"http://localhost", "http://localhost:10000", "https://a.example", "https://a.example:443/",
                           "http://[::1]", "http://[::1]:10000"}) {
    EXPECT_TRUE(OpenYellowstone({.endpoint = good, .x_token = {}}).ok()) << good;
  }
  for (const char* bad :
       {"", "localhost:10000", "ftp://a", "http://", "http://:80", "http://a:", "http://a:b", "http://a:0",
        "http://a:70000", "http://a/path", "http://[::1", "http://user@a", "http://[::1]x"}) {
    const auto source = OpenYellowstone({.endpoint = bad, .x_token = {}});
    EXPECT_EQ(source.status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

}  // namespace
}  // namespace everstate::ingest
