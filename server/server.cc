#include "server/server.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <variant>

#include "server/base/bounded_queue.h"
#include "server/base/log.h"
#include "server/fanout/fanout.h"
#include "server/health/health.h"
#include "server/ingest/ingest.h"
#include "server/ingest/yellowstone.h"
#include "server/progress_line.h"
#include "server/projector/projector.h"
#include "server/stack/stack.h"
#include "server/vm/projection.h"
#include "storage/entity_store.h"

namespace everstate {
namespace {

using Inbox = BoundedQueue<ingest::LedgerEvent>;

struct Failure {
  ExitCode code;
  absl::Status status;
};

ExitCode Fail(ExitCode code, const absl::Status& status) {
  spdlog::error("{}", std::string(status.message()));
  return code;
}

// Another stack or other settings are a matter of configuration; everything else about a store is the store's.
ExitCode StoreExitCode(const absl::Status& status) {
  return status.code() == absl::StatusCode::kFailedPrecondition ? ExitCode::kConfiguration : ExitCode::kStore;
}

absl::StatusOr<std::shared_ptr<const vm::Projection>> LoadProjection(const Config& config, const vm::Settings& settings) {
  auto stack = stack::LoadStack(config.stack_file);
  if (!stack.ok()) return stack.status();
  if ((*stack)->hash_differs) spdlog::warn("{}: its content_hash is not the hash of its content; the recomputed one is used", config.stack_file);
  auto projection = vm::Projection::Compile(*stack, settings);
  if (!projection.ok()) return projection.status();
  for (const ViewDef& view : (*projection)->schema()->views()) {
    if (!view.unsupported.empty()) spdlog::warn("view {} is not served: {}", view.id, view.unsupported);
  }
  return projection;
}

absl::StatusOr<std::unique_ptr<EntityStore>> OpenStore(const Config& config, const vm::Projection& projection) {
  const stack::Stack& stack = projection.stack();
  StoreOptions options;
  options.data_dir = config.data_dir.empty() ? "data/" + stack.name : config.data_dir;
  StoreIdentity identity{stack.name, stack.hash, stack.text, projection.settings().Canonical(), projection.schema()};
  auto store = EntityStore::Open(options, identity);
  if (!store.ok()) return store;
  const Watermark watermark = (*store)->watermark();
  if (watermark.number == 0) {
    spdlog::info("store {}: empty, generation {}", options.data_dir.string(), (*store)->generation());
  } else {
    spdlog::info("store {}: generation {}, resuming at slot {} (batch {})", options.data_dir.string(), (*store)->generation(), watermark.block.slot,
                 watermark.number);
    if (config.from_slot.has_value()) {
      spdlog::warn("--from-slot {} is ignored: the store is at slot {} and goes on from there", *config.from_slot, watermark.block.slot);
    }
  }
  return store;
}

ingest::IngestOptions MakeIngestOptions(const Config& config, const vm::Projection& projection, const EntityStore* store) {
  ingest::IngestOptions options;
  options.subscription = {projection.transaction_programs(), projection.account_owners(), config.commitment};
  options.ledger.commitment = config.commitment;
  if (const Watermark watermark = store->watermark(); watermark.number != 0) options.ledger.position = watermark.block;
  options.ledger.from_slot = config.from_slot;
  options.ledger.applied_blockhash = [store](Slot slot) { return store->BlockhashOf(slot); };
  return options;
}

// The projector thread: one event after the other until the inbox is closed and drained.
absl::Status RunProjector(Inbox* inbox, Projector* projector) {
  while (std::optional<ingest::LedgerEvent> event = inbox->Pop()) {
    absl::Status status;
    if (const BlockRef* block = std::get_if<BlockRef>(&*event)) {
      status = projector->Project(**block);
    } else {
      const Gap& gap = std::get<Gap>(*event);
      spdlog::warn("gap: blocks between slots {} and {} are missing: {}", gap.from, gap.to, gap.cause);
      status = projector->RecordGap(gap);
    }
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

size_t WeightOf(const ingest::LedgerEvent& event) {
  const BlockRef* block = std::get_if<BlockRef>(&event);
  return block == nullptr ? 0 : (*block)->bytes;
}

void PrintLine(const std::string& line) {
  std::fputs((line + "\n").c_str(), stdout);
  std::fflush(stdout);
}

// Waits until somebody asks to stop or a thread gives up; says when the server is ready and keeps the progress line alive.
void WaitWhileRunning(const Config& config, const std::string& address, const Health& health, const std::function<bool()>& stopping,
                      const std::atomic<bool>& failed) {
  bool said_ready = false;
  ProgressLine line;
  while (!stopping() && !failed.load()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
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
  auto projection = LoadProjection(config, vm::Settings{});
  if (!projection.ok()) return Fail(ExitCode::kConfiguration, projection.status());
  auto source = ingest::OpenYellowstone({.endpoint = config.endpoint, .x_token = config.x_token});
  if (!source.ok()) return Fail(ExitCode::kConfiguration, source.status());

  // The listener comes first: clients give up after a few tries, and opening a large store may take longer than they wait.
  Health health;
  FanoutOptions fanout_options;
  fanout_options.listen = config.listen;
  auto fanout = Fanout::Start(fanout_options, [&health](std::string_view path) { return health.Answer(path); });
  if (!fanout.ok()) {
    const bool in_use = fanout.status().code() == absl::StatusCode::kAlreadyExists;
    return Fail(in_use ? ExitCode::kAddressInUse : ExitCode::kConfiguration, fanout.status());
  }
  PrintLine("listening ws://" + (*fanout)->address());

  auto store = OpenStore(config, **projection);
  if (!store.ok()) {
    (*fanout)->Stop();
    return Fail(StoreExitCode(store.status()), store.status());
  }
  (*fanout)->AttachStore(store->get());

  Failure failure{ExitCode::kOrderly, absl::OkStatus()};
  std::mutex failure_mutex;
  std::atomic<bool> failed{false};
  const auto report = [&](ExitCode code, const absl::Status& status) {
    std::lock_guard lock(failure_mutex);
    if (!failed.exchange(true)) failure = {code, status};
  };

  {
    Projector projector({}, *projection, store->get(), [&](const Applied& applied) { (*fanout)->Publish(applied); });
    Inbox inbox("inbox", config.inbox_blocks_max, config.inbox_bytes_max);
    ingest::Ingest feed(MakeIngestOptions(config, **projection, store->get()), std::move(*source), [&](ingest::LedgerEvent event) {
      const size_t bytes = WeightOf(event);
      return inbox.Push(std::move(event), bytes);
    });
    health.Attach({projection->get(), store->get(), &projector, &feed, fanout->get(), [&inbox] { return inbox.stats(); }});

    std::thread projector_thread([&] {
      if (absl::Status status = RunProjector(&inbox, &projector); !status.ok()) {
        report(ExitCode::kStore, status);
        inbox.Close();
      }
    });
    std::thread ingest_thread([&] {
      if (absl::Status status = feed.Run(); !status.ok()) {
        report(status.code() == absl::StatusCode::kAborted ? ExitCode::kOtherChain : ExitCode::kConfiguration, status);
      }
    });

    WaitWhileRunning(config, (*fanout)->address(), health, stopping, failed);

    // Top-down: no new blocks, then what is queued is applied and published, then the sessions are told.
    feed.Stop();
    ingest_thread.join();
    inbox.Close();
    projector_thread.join();
    health.Detach();
    (*fanout)->Stop();
  }
  if (failed.load()) return Fail(failure.code, failure.status);
  spdlog::info("stopped at slot {}", (*store)->watermark().block.slot);
  return ExitCode::kOrderly;
}

}  // namespace everstate
