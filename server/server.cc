#include <chrono>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "server/admin/admin_server.h"
#include "server/base/last_words.h"
#include "server/base/log.h"
#include "server/deployment/deployment.h"
#include "server/fanout/fanout.h"
#include "server/health/health.h"
#include "server/ingest/yellowstone.h"
#include "server/progress_line.h"
#include "server/run.h"
#include "server/stack/stack.h"
#include "server/vm/projection.h"
#include "storage/data_dir.h"
#include "storage/entity_store.h"

namespace everstate {
namespace {

Outcome Fail(ExitCode code, const absl::Status& status) {
  std::string why(status.message());
  LogErrorLines(Room::kServer, why);
  return {code, std::move(why)};
}

// Another stack, other settings or a rewind that cannot be are matters of configuration; everything else is the
// store's.
ExitCode OpenExitCode(const absl::Status& status) {
  return status.code() == absl::StatusCode::kFailedPrecondition ? ExitCode::kConfiguration : ExitCode::kStore;
}

Outcome FailToListen(const absl::Status& status) {
  if (status.code() != absl::StatusCode::kAlreadyExists) return Fail(ExitCode::kConfiguration, status);
  return Fail(ExitCode::kAddressInUse, absl::AlreadyExistsError(absl::StrCat(
                                           status.message(), "; another port may be said, and 0 takes a free one")));
}

absl::Status CheckAdminAddress(const Config& config) {
  return config.admin == "off" ? absl::OkStatus() : AdminServer::CheckAddress(config.admin);
}

// Or how the server ends; everything that stands against it was logged.
std::variant<std::shared_ptr<const vm::Projection>, Outcome> LoadProjection(const Config& config,
                                                                            stack::Diagnostics* diagnostics) {
  const auto stack = stack::ReadStackFile(diagnostics);
  if (!stack.ok()) return Fail(ExitCode::kConfiguration, stack.status());
  auto projection = vm::Projection::Compile(*stack, config.projection, diagnostics);
  if (projection == nullptr) return Fail(ExitCode::kConfiguration, diagnostics->ToStatus());
  return projection;
}

// What of the stack is not as somebody may expect: said when nothing stands against the start any more.
void SayWhatIsNotServed(const stack::Diagnostics& diagnostics, const vm::Projection& projection) {
  for (const stack::Finding& note : diagnostics.notes()) LogWarn(Room::kServer, "{}", diagnostics.Text(note));
  for (const ViewDef& view : projection.schema()->views()) {
    if (!view.unsupported.empty()) LogWarn(Room::kServer, "view {} is not served: {}", view.id, view.unsupported);
  }
}

DeploymentOptions MakeDeploymentOptions(const Config& config, const stack::Stack& stack) {
  DeploymentOptions options;
  options.store = config.store;
  options.store.data_dir = config.data_dir.empty() ? "data/" + stack.name : config.data_dir;
  options.endpoint = config.endpoint;
  options.commitment = config.commitment;
  options.from_slot = config.from_slot;
  options.inbox_blocks_max = config.inbox_blocks_max;
  options.inbox_bytes_max = config.inbox_bytes_max;
  options.archive_keep_bytes = config.archive_keep_bytes;
  options.checkpoints = config.checkpoints;
  options.rewind = config.rewind;
  options.stream = config.stream;
  options.projector = config.projector;
  return options;
}

FanoutOptions MakeFanoutOptions(const Config& config) {
  FanoutOptions options = config.fanout;
  options.listen = config.listen;
  if (config.health_listen != "off") options.health_listen = config.health_listen;
  return options;
}

ingest::YellowstoneOptions MakeYellowstoneOptions(const Config& config) {
  ingest::YellowstoneOptions options = config.provider;
  options.endpoint = config.endpoint;
  options.x_token = config.x_token;
  return options;
}

void SayWhereItStands(const Config& config, const Deployment& deployment) {
  const std::shared_ptr<const EntityStore> store = deployment.store();
  const std::string dir = deployment.options().store.data_dir.string();
  const Watermark watermark = store->watermark();
  if (watermark.number == 0) {
    LogInfo(Room::kServer, "store {}: empty, generation {}", dir, store->generation());
    return;
  }
  LogInfo(Room::kServer, "store {}: generation {}, resuming at slot {} (batch {})", dir, store->generation(),
          watermark.block.slot, watermark.number);
  if (config.from_slot.has_value()) {
    LogWarn(Room::kServer, "--from-slot {} is ignored: the store is at slot {} and goes on from there",
            *config.from_slot, watermark.block.slot);
  }
}

void SayWhereItStopped(const Watermark& watermark) {
  FlushLog();
  if (watermark.number == 0) {
    LogInfo(Room::kServer, "stopped before any slot was applied");
  } else {
    LogInfo(Room::kServer, "stopped at slot {}", watermark.block.slot);
  }
}

ExitCode ExitCodeOf(const Deployment::Failure& failure) {
  switch (failure.where) {
    case Deployment::Failure::Where::kStore:
      return ExitCode::kStore;
    case Deployment::Failure::Where::kStream:
      return failure.status.code() == absl::StatusCode::kAborted ? ExitCode::kOtherChain : ExitCode::kConfiguration;
    case Deployment::Failure::Where::kRewind:
      return ExitCode::kConfiguration;
  }
  return ExitCode::kStore;
}

// Says in the log that the stream is in trouble, every so often, and once that it is well again.
class TroubleLog {
 public:
  explicit TroubleLog(std::chrono::milliseconds heartbeat)
      : heartbeat_(heartbeat), next_(std::chrono::steady_clock::now() + heartbeat) {}

  void Look(const Health& health, std::chrono::steady_clock::time_point now) {
    if (heartbeat_.count() == 0 || now < next_) return;
    next_ = now + heartbeat_;
    const std::string trouble = health.Trouble();
    if (!trouble.empty()) {
      LogWarn(Room::kServer, "not ready: {}", trouble);
    } else if (in_trouble_) {
      LogInfo(Room::kServer, "ready again, at slot {}", health.progress().slot);
    }
    in_trouble_ = !trouble.empty();
  }

 private:
  const std::chrono::milliseconds heartbeat_;
  std::chrono::steady_clock::time_point next_;
  bool in_trouble_ = false;
};

// Waits until somebody asks to stop or a thread gives up; says when the server is ready and keeps the progress line
// alive.
void WaitWhileRunning(const Config& config, const std::string& address, const Health& health, const RunHooks& hooks,
                      const Deployment& deployment) {
  bool said_ready = false;
  ProgressLine line;
  TroubleLog trouble_log(config.health_heartbeat);
  while (!hooks.stopping() && !deployment.failed()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    TickLog();
    const auto now = std::chrono::steady_clock::now();
    trouble_log.Look(health, now);
    if (!said_ready && health.ready()) {
      said_ready = true;
      hooks.on_event({Event::Kind::kReady, address, health.progress().slot});
    }
    if (config.progress && said_ready && line.Due(now)) line.Update(health.progress(), now);
  }
  if (config.progress) line.Finish();
}

}  // namespace

Outcome RunServer(const Config& config, const RunHooks& hooks) {
  stack::Diagnostics diagnostics(config.stack_file);
  const auto loaded = LoadProjection(config, &diagnostics);
  if (const auto* refused = std::get_if<Outcome>(&loaded)) return *refused;
  const auto& projection = std::get<std::shared_ptr<const vm::Projection>>(loaded);
  auto source = ingest::OpenYellowstone(MakeYellowstoneOptions(config));
  if (!source.ok()) return Fail(ExitCode::kConfiguration, source.status());
  DeploymentOptions options = MakeDeploymentOptions(config, projection->stack());
  if (const absl::Status free = DataDir::CheckFree(options.store.data_dir); !free.ok())
    return Fail(ExitCode::kStore, free);

  // The listener comes before the store: clients give up after a few tries, and opening a large store may take longer
  // than they wait. And a store is made, and bears the name of its stack, only when nothing known stands against it.
  Health health(config.health_slot_silence);
  auto fanout =
      Fanout::Start(MakeFanoutOptions(config), [&health](std::string_view path) { return health.Answer(path); });
  if (!fanout.ok()) return FailToListen(fanout.status());
  if (const absl::Status status = CheckAdminAddress(config); !status.ok()) return FailToListen(status);
  hooks.on_event({Event::Kind::kListening, (*fanout)->address()});
  if (config.health_listen != "off") hooks.on_event({Event::Kind::kHealth, (*fanout)->health_address()});

  auto opened = Deployment::Open(std::move(options), projection, *std::move(source));
  if (!opened.ok()) {
    (*fanout)->Stop();
    return Fail(OpenExitCode(opened.status()), opened.status());
  }
  Deployment& deployment = **opened;
  SayWhatIsNotServed(diagnostics, *projection);
  SayWhereItStands(config, deployment);
  (*fanout)->AttachStore(deployment.store());
  health.Attach({&deployment, fanout->get()});
  // Also when a hook throws: the lanes answer until Fanout has stopped, which takes longer than the deployment lives.
  absl::Cleanup detach = [&health] { health.Detach(); };

  std::unique_ptr<AdminServer> admin;
  if (config.admin != "off") {
    auto started = AdminServer::Start({.listen = config.admin, .threads_max = config.admin_threads_max},
                                      {&deployment, fanout->get(), &health});
    if (!started.ok()) {
      (*fanout)->Stop();
      return FailToListen(started.status());
    }
    admin = *std::move(started);
    hooks.on_event({Event::Kind::kAdmin, admin->address()});
  }

  deployment.Start(
      {.publish = [&](const Applied& applied) { (*fanout)->Publish(applied); },
       .switch_store = [&](std::shared_ptr<const EntityStore> store) { (*fanout)->SwitchStore(std::move(store)); }});
  WaitWhileRunning(config, (*fanout)->address(), health, hooks, deployment);

  // Top-down: no commands and no new blocks, then what is queued is applied and published, then the sessions are told.
  if (admin != nullptr) admin->Stop();
  deployment.Stop();
  std::move(detach).Invoke();
  (*fanout)->Stop();
  if (deployment.failed()) return Fail(ExitCodeOf(deployment.failure()), deployment.failure().status);
  SayWhereItStopped(deployment.store()->watermark());
  return {};
}

}  // namespace everstate
