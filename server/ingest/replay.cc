#include "server/ingest/replay.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/base58.h"
#include "server/base/listen_address.h"
#include "server/ingest/replay_service.h"

namespace everstate {
namespace {

constexpr std::chrono::milliseconds kStopGrace{200};  // for ends that clients read; then calls are cancelled

absl::Status CheckOptions(const ReplayOptions& options) {
  if (options.files.empty()) return absl::InvalidArgumentError("files: a replay needs at least one recording");
  if (options.slots_per_second &&
      !(*options.slots_per_second > 0 && *options.slots_per_second <= kReplaySlotsPerSecondMax)) {
    return absl::InvalidArgumentError(
        absl::StrCat("slots_per_second: must be above 0 and at most ", kReplaySlotsPerSecondMax));
  }
  if (options.wait_subscribers == 0) return absl::InvalidArgumentError("wait_subscribers: must be at least 1");
  if (options.start_delay.count() < 0) return absl::InvalidArgumentError("start_delay: must not be negative");
  if (options.ping_interval.count() <= 0) return absl::InvalidArgumentError("ping_interval: must be above 0");
  return absl::OkStatus();
}

// A loop continues the chain: it needs blocks, and hashes that can be changed and written again.
absl::Status CheckLoop(const replay::ReplayIndex& index) {
  if (index.blocks().empty())
    return absl::InvalidArgumentError("loop: the recording has no block_meta, so no chain to continue");
  for (const replay::ReplayBlock& block : index.blocks()) {
    for (const std::string& hash : {block.blockhash, block.parent_blockhash}) {
      if (DecodeBase58Key32(hash)) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("loop: the block_meta of slot ", block.slot, " has \"", hash, "\", which is no block hash"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckAddress(const std::string& listen) {
  const auto address = ParseListenAddress(listen);
  if (address.ok()) return TryToListen(*address);
  return absl::InvalidArgumentError(absl::StrCat("listen: ", std::string(address.status().message())));
}

}  // namespace

class ReplayServer::Impl {
 public:
  explicit Impl(std::shared_ptr<replay::ReplayCore> core) : core_(std::move(core)), service_(core_) {}
  ~Impl() { Stop(); }

  absl::Status Listen(const std::string& address) {
    if (absl::Status s = CheckAddress(address); !s.ok()) return s;
    grpc::ServerBuilder builder;
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    if (!server_ || port_ == 0) return absl::UnavailableError(absl::StrCat("cannot listen on ", address));
    ticker_ = std::make_unique<replay::ReplayTicker>(core_);
    return absl::OkStatus();
  }

  void Stop() {
    if (ticker_) ticker_->Stop();
    {
      std::lock_guard lock(core_->streams_mutex);
      core_->stopping = true;
    }
    for (const auto& stream : replay::OpenStreams(*core_)) {
      stream->End({grpc::StatusCode::UNAVAILABLE, "server is shutting down"});
    }
    if (server_) server_->Shutdown(std::chrono::system_clock::now() + kStopGrace);
    std::lock_guard lock(core_->event_mutex);
    core_->on_subscribe = nullptr;
  }

  int port() const { return port_; }
  replay::ReplayCore& core() { return *core_; }

 private:
  std::shared_ptr<replay::ReplayCore> core_;
  replay::ReplayService service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<replay::ReplayTicker> ticker_;
};

ReplayServer::ReplayServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ReplayServer::~ReplayServer() = default;

absl::StatusOr<std::unique_ptr<ReplayServer>> ReplayServer::Start(ReplayOptions options) {
  if (absl::Status s = CheckOptions(options); !s.ok()) return s;
  absl::StatusOr<replay::ReplayIndex> index = replay::ReplayIndex::Load(options.files);
  if (!index.ok()) return index.status();
  if (options.loop) {
    if (absl::Status s = CheckLoop(*index); !s.ok()) return s;
  }
  replay::ReplayClockOptions clock{options.slots_per_second, options.wait_subscribers, options.start_delay,
                                   options.replay_slots};
  auto core = std::make_shared<replay::ReplayCore>(*std::move(index), options.loop, clock);
  core->ping_interval = options.ping_interval;
  {
    std::lock_guard lock(core->event_mutex);
    core->on_subscribe = std::move(options.on_subscribe);
  }
  auto impl = std::make_unique<Impl>(std::move(core));
  if (absl::Status s = impl->Listen(options.listen); !s.ok()) return s;
  return std::unique_ptr<ReplayServer>(new ReplayServer(std::move(impl)));
}

void ReplayServer::Stop() { impl_->Stop(); }
int ReplayServer::port() const { return impl_->port(); }

uint64_t ReplayServer::slot_first() const {
  const replay::ReplayIndex& index = impl_->core().index;
  return index.blocks().empty() ? index.slot_first() : index.blocks().front().slot;
}

uint64_t ReplayServer::slot_last() const {
  const replay::ReplayIndex& index = impl_->core().index;
  return index.blocks().empty() ? index.slot_last() : index.blocks().back().slot;
}

ReplayServer::Progress ReplayServer::progress() const {
  replay::ReplayCore& core = impl_->core();
  Progress progress;
  progress.begun = core.clock.begun();
  if (std::optional<replay::BlockNumber> tip = core.clock.Tip()) {
    progress.slot = core.timeline.BlockSlot(*tip);
    progress.pass = core.timeline.BlockPass(*tip);
  }
  std::lock_guard lock(core.streams_mutex);
  progress.streams = core.streams.size();
  return progress;
}

}  // namespace everstate
