#include "server/server.h"

#include <chrono>
#include <cstdio>
#include <thread>
#include <utility>

#include "server/admin/admin_server.h"
#include "server/base/log.h"
#include "server/deployment/deployment.h"
#include "server/fanout/fanout.h"
#include "server/health/health.h"
#include "server/ingest/yellowstone.h"
#include "server/progress_line.h"
#include "server/stack/stack.h"
#include "server/vm/projection.h"
#include "storage/entity_store.h"

namespace everstate {
namespace {

ExitCode Fail(ExitCode code, const absl::Status& status) {
  LogError(Room::kServer, "{}", std::string(status.message()));
  return code;
}

// Another stack, other settings or a rewind that cannot be are matters of configuration; everything else is the store's.
ExitCode OpenExitCode(const absl::Status& status) {
  return status.code() == absl::StatusCode::kFailedPrecondition ? ExitCode::kConfiguration : ExitCode::kStore;
}

ExitCode ListenExitCode(const absl::Status& status) {
  return status.code() == absl::StatusCode::kAlreadyExists ? ExitCode::kAddressInUse : ExitCode::kConfiguration;
}

// Null when it cannot be; everything that stands against it was logged.
std::shared_ptr<const vm::Projection> LoadProjection(const Config& config) {
  stack::Diagnostics diagnostics(config.stack_file);
  const auto stack = stack::ReadStackFile(&diagnostics);
  const absl::Status status = stack.ok() ? config.projection.Check() : stack.status();
  if (!status.ok()) {
    LogError(Room::kServer, "{}", std::string(status.message()));
    return nullptr;
  }
  auto projection = vm::Projection::Compile(*stack, config.projection, &diagnostics);
  for (const stack::Finding& finding : diagnostics.findings()) LogError(Room::kServer, "{}", diagnostics.Text(finding));
  if (projection == nullptr) return nullptr;
  if ((*stack)->hash_differs)
    LogWarn(Room::kServer, "{}: its content_hash is not the hash of its content; the recomputed one is used", config.stack_file);
  for (const ViewDef& view : projection->schema()->views()) {
    if (!view.unsupported.empty()) LogWarn(Room::kServer, "view {} is not served: {}", view.id, view.unsupported);
  }
  return projection;
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

void PrintLine(const std::string& line) {
  std::fputs((line + "\n").c_str(), stdout);
  std::fflush(stdout);
}

// Waits until somebody asks to stop or a thread gives up; says when the server is ready and keeps the progress line alive.
void WaitWhileRunning(const Config& config, const std::string& address, const Health& health, const std::function<bool()>& stopping,
                      const Deployment& deployment) {
  bool said_ready = false;
  ProgressLine line;
  while (!stopping() && !deployment.failed()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    TickLog();
    if (!said_ready && health.ready()) {
      said_ready = true;
      PrintLine("ready ws://" + address + " slot=" + std::to_string(health.progress().slot));
    }
    if (config.progress && said_ready) line.Update(health.progress(), std::chrono::steady_clock::now());
  }
  if (config.progress) line.Finish();
}

}  // namespace

ExitCode RunServer(const Config& config, const std::function<bool()>& stopping) {
  const auto projection = LoadProjection(config);
  if (projection == nullptr) return ExitCode::kConfiguration;
  auto source = ingest::OpenYellowstone(MakeYellowstoneOptions(config));
  if (!source.ok()) return Fail(ExitCode::kConfiguration, source.status());

  // The listener comes first: clients give up after a few tries, and opening a large store may take longer than they wait.
  Health health(config.health_slot_silence);
  auto fanout =
      Fanout::Start(MakeFanoutOptions(config), [&health](std::string_view path) { return health.Answer(path); });
  if (!fanout.ok()) return Fail(ListenExitCode(fanout.status()), fanout.status());
  PrintLine("listening ws://" + (*fanout)->address());
  if (config.health_listen != "off") PrintLine("health http://" + (*fanout)->health_address());

  auto opened = Deployment::Open(MakeDeploymentOptions(config, projection->stack()), projection, *std::move(source));
  if (!opened.ok()) {
    (*fanout)->Stop();
    return Fail(OpenExitCode(opened.status()), opened.status());
  }
  Deployment& deployment = **opened;
  SayWhereItStands(config, deployment);
  (*fanout)->AttachStore(deployment.store());
  health.Attach({&deployment, fanout->get()});

  std::unique_ptr<AdminServer> admin;
  if (config.admin != "off") {
    auto started = AdminServer::Start({.listen = config.admin, .threads_max = config.admin_threads_max},
                                      {&deployment, fanout->get(), &health});
    if (!started.ok()) {
      (*fanout)->Stop();
      return Fail(ListenExitCode(started.status()), started.status());
    }
    admin = *std::move(started);
    PrintLine("admin " + admin->address());
  }

  deployment.Start({.publish = [&](const Applied& applied) { (*fanout)->Publish(applied); },
                    .switch_store = [&](std::shared_ptr<const EntityStore> store) { (*fanout)->SwitchStore(std::move(store)); }});
  WaitWhileRunning(config, (*fanout)->address(), health, stopping, deployment);

  // Top-down: no commands and no new blocks, then what is queued is applied and published, then the sessions are told.
  if (admin != nullptr) admin->Stop();
  deployment.Stop();
  health.Detach();
  (*fanout)->Stop();
  if (deployment.failed()) return Fail(ExitCodeOf(deployment.failure()), deployment.failure().status);
  LogInfo(Room::kServer, "stopped at slot {}", deployment.store()->watermark().block.slot);
  return ExitCode::kOrderly;
}

}  // namespace everstate
