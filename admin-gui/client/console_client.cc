#include "admin-gui/client/console_client.h"

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <mutex>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "admin-gui/client/channel.h"
#include "admin-gui/client/connection.h"
#include "proto/admin.grpc.pb.h"

namespace everstate::console {
namespace {

using std::chrono::milliseconds;

// A list is wanted again soon. Work at the server is waited for: it may read or copy a whole store, and goes on there
// whether we wait or not.
constexpr milliseconds kListTimeout{60000};
constexpr milliseconds kWorkTimeout{std::chrono::minutes(30)};

}  // namespace

struct ConsoleClient::Impl {
  explicit Impl(ClientOptions given)
      : options(std::move(given)),
        channel(Connect(options)),
        stub(api::Admin::NewStub(channel)),
        connection(options, stub.get()) {}

  template <typename Request, typename Reply>
  struct Call {
    grpc::ClientContext context;
    Request request;
    Reply reply;
  };
  // Starts a unary call; `done` runs on a thread of gRPC's and must only post.
  template <typename Request, typename Reply, typename Start>
  void Begin(Request request, milliseconds timeout, Start start, std::function<void(const grpc::Status&, Reply*)> done);
  template <typename Request, typename Reply, typename Start>
  void Command(const char* command, Request request, Start start, std::function<std::string(const Reply&)> words);

  const ClientOptions options;
  const std::shared_ptr<grpc::Channel> channel;
  const std::unique_ptr<api::Admin::Stub> stub;
  Connection connection;

  std::mutex mutex;
  std::condition_variable ended;         // guarded by mutex: `calls` became smaller
  std::set<grpc::ClientContext*> calls;  // guarded by mutex: under way
};

template <typename Request, typename Reply, typename Start>
void ConsoleClient::Impl::Begin(Request request, milliseconds timeout, Start start,
                                std::function<void(const grpc::Status&, Reply*)> done) {
  auto* const call = new Call<Request, Reply>;
  call->request = std::move(request);
  call->context.set_deadline(std::chrono::system_clock::now() + timeout);
  {
    const std::lock_guard lock(mutex);
    calls.insert(&call->context);
  }
  start(&call->context, &call->request, &call->reply, [this, call, done = std::move(done)](grpc::Status status) {
    done(status, &call->reply);
    // The last touch of this client: once the set is empty it may be gone. The context is gone before that, as those of
    // the streams are.
    const std::lock_guard lock(mutex);
    calls.erase(&call->context);
    delete call;
    ended.notify_all();
  });
}

template <typename Request, typename Reply, typename Start>
void ConsoleClient::Impl::Command(const char* command, Request request, Start start,
                                  std::function<std::string(const Reply&)> words) {
  connection.Post(CommandStarted{command});
  Begin<Request, Reply>(
      std::move(request), kWorkTimeout, start,
      [this, command, words = std::move(words)](const grpc::Status& status, Reply* reply) {
        connection.Post(CommandDone{command, status.ok(), status.ok() ? words(*reply) : Words(status)});
      });
}

ConsoleClient::ConsoleClient(ClientOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}

ConsoleClient::~ConsoleClient() {
  std::unique_lock lock(impl_->mutex);
  for (grpc::ClientContext* context : impl_->calls) context->TryCancel();
  impl_->ended.wait(lock, [&] { return impl_->calls.empty(); });
}

std::vector<Event> ConsoleClient::Take() { return impl_->connection.Take(); }
void ConsoleClient::SetTail(const api::TailRequest& request) { impl_->connection.SetTail(request); }

void ConsoleClient::ListCheckpoints() {
  Impl* const impl = impl_.get();
  impl->Begin<api::ListCheckpointsRequest, api::Checkpoints>(
      {}, kListTimeout, [impl](auto... arguments) { impl->stub->async()->ListCheckpoints(std::move(arguments)...); },
      [impl](const grpc::Status& status, api::Checkpoints* reply) {
        if (status.ok()) {
          impl->connection.Post(CheckpointsArrived{std::move(*reply)});
        } else {
          impl->connection.Post(CheckpointsFailed{Words(status)});
        }
      });
}

void ConsoleClient::CreateCheckpoint() {
  Impl* const impl = impl_.get();
  impl->Command<api::CreateCheckpointRequest, api::Checkpoint>(
      kCreateCheckpoint, {},
      [impl](auto... arguments) { impl->stub->async()->CreateCheckpoint(std::move(arguments)...); },
      [](const api::Checkpoint& made) { return absl::StrCat("made ", made.name(), " at slot ", made.slot()); });
}

void ConsoleClient::VerifyCheckpoint(const std::string& name) {
  Impl* const impl = impl_.get();
  api::VerifyCheckpointRequest request;
  request.set_name(name);
  impl->Command<api::VerifyCheckpointRequest, api::Checkpoint>(
      kVerifyCheckpoint, std::move(request),
      [impl](auto... arguments) { impl->stub->async()->VerifyCheckpoint(std::move(arguments)...); },
      [](const api::Checkpoint& good) {
        return absl::StrCat(good.name(), " is whole: ", good.entities(), " entities");
      });
}

void ConsoleClient::PruneCheckpoints(uint32_t keep) {
  Impl* const impl = impl_.get();
  api::PruneCheckpointsRequest request;
  request.set_keep(keep);
  impl->Command<api::PruneCheckpointsRequest, api::PrunedCheckpoints>(
      kPruneCheckpoints, std::move(request),
      [impl](auto... arguments) { impl->stub->async()->PruneCheckpoints(std::move(arguments)...); },
      [](const api::PrunedCheckpoints& gone) {
        return gone.names().empty() ? std::string("nothing to delete")
                                    : absl::StrCat("deleted ", absl::StrJoin(gone.names(), ", "));
      });
}

void ConsoleClient::ResumeFrom(uint64_t slot, bool again, bool accept_gap) {
  Impl* const impl = impl_.get();
  api::ResumeFromRequest request;
  request.set_slot(slot);
  request.set_again(again);
  request.set_accept_gap(accept_gap);
  impl->Command<api::ResumeFromRequest, api::ResumeFromReply>(
      kRewind, std::move(request),
      [impl](auto... arguments) { impl->stub->async()->ResumeFrom(std::move(arguments)...); },
      [](const api::ResumeFromReply& reply) {
        if (reply.nothing_to_do())
          return absl::StrCat("nothing to do: generation ", reply.generation(),
                              " was made by this rewind; repeat it with \"again\"");
        return absl::StrCat("begun from ", reply.checkpoint(), ", filling generation ", reply.generation());
      });
}

}  // namespace everstate::console
