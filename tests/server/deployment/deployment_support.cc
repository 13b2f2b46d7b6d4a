#include "tests/server/deployment/deployment_support.h"

#include <chrono>
#include <future>
#include <thread>

#include "server/ingest/yellowstone.h"
#include "server/stack/stack.h"
#include "storage/inspect.h"
#include "tests/support/source_dir.h"

namespace everstate::testing {
namespace {

constexpr std::chrono::minutes kPatience{2};

}  // namespace

void DeploymentTest::SetUp() {
  auto stack = stack::LoadStack(InSource("tests/stacks/SplStream.stack.json"));
  ASSERT_TRUE(stack.ok()) << stack.status();
  auto projection = vm::Projection::Compile(*stack, {});
  ASSERT_TRUE(projection.ok()) << projection.status();
  projection_ = *projection;
}

void DeploymentTest::StartProvider(double slots_per_second, std::optional<uint64_t> replay_slots, int port) {
  ReplayOptions options;
  options.slots_per_second = slots_per_second;
  options.replay_slots = replay_slots;
  options.listen = "127.0.0.1:" + std::to_string(port);
  StartProvider(std::move(options));
}

void DeploymentTest::StartEndlessProvider(double slots_per_second, std::optional<uint64_t> replay_slots) {
  ReplayOptions options;
  options.slots_per_second = slots_per_second;
  options.replay_slots = replay_slots;
  options.loop = true;
  StartProvider(std::move(options));
}

void DeploymentTest::StartProvider(ReplayOptions options) {
  options.files = {InSource("tests/recordings/spl-small.updates")};
  provider_.reset();
  auto provider = ReplayServer::Start(std::move(options));
  ASSERT_TRUE(provider.ok()) << provider.status();
  provider_ = *std::move(provider);
}

DeploymentOptions DeploymentTest::Options(const std::string& data) const {
  DeploymentOptions options;
  options.store.data_dir = folder_ / data;
  options.store.block_cache_bytes = 8 << 20;
  options.endpoint = "http://127.0.0.1:" + std::to_string(provider_->port());
  return options;
}

absl::StatusOr<std::unique_ptr<Deployment>> DeploymentTest::TryOpen(const DeploymentOptions& options) {
  // A busy provider must not be taken for one that does not tell how far it reaches back: rewinds are refused by it.
  auto source = ingest::OpenYellowstone({.endpoint = options.endpoint, .x_token = "", .replay_info_timeout_ms = 60000});
  if (!source.ok()) return source.status();
  if (wrap_source_) source = wrap_source_(*std::move(source));
  return Deployment::Open(options, projection_, *std::move(source));
}

std::unique_ptr<Deployment> DeploymentTest::Open(const DeploymentOptions& options) {
  auto deployment = TryOpen(options);
  EXPECT_TRUE(deployment.ok()) << deployment.status();
  return deployment.ok() ? *std::move(deployment) : nullptr;
}

void DeploymentTest::Start(Deployment* deployment, std::function<void(Slot)> published) {
  deployment->Start({.publish =
                         [this, published = std::move(published)](const Applied& applied) {
                           const Slot slot = applied.batch->block.slot;
                           published_.Add({applied.generation, applied.number, slot, false});
                           if (published) published(slot);
                         },
                     .switch_store =
                         [this](std::shared_ptr<const EntityStore> store) {
                           published_.Add({store->generation(), 0, 0, true});
                         }});
}

void DeploymentTest::WaitFor(const std::string& what, const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!done()) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "waited in vain for " << what;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

void DeploymentTest::WaitForSlot(const Deployment& deployment, Slot slot) {
  WaitFor("slot " + std::to_string(slot),
          [&] { return deployment.failed() || deployment.store()->watermark().block.slot >= slot; });
  ASSERT_FALSE(deployment.failed()) << deployment.failure().status;
}

void DeploymentTest::WaitForRewind(const Deployment& deployment) {
  WaitFor("the rewind to end", [&] {
    const auto status = deployment.status();
    return deployment.failed() || (status.rewind.has_value() && status.rewind->state != RewindState::kFilling);
  });
}

std::string DeploymentTest::Digest(const std::string& data, std::optional<uint64_t> generation) const {
  auto inspector = StoreInspector::Open(folder_ / data, generation);
  EXPECT_TRUE(inspector.ok()) << inspector.status();
  if (!inspector.ok()) return "";
  auto digest = (*inspector)->Digest();
  EXPECT_TRUE(digest.ok()) << digest.status();
  return digest.value_or("");
}

std::string DeploymentTest::UninterruptedDigest() {
  StartProvider(200, std::nullopt);
  auto deployment = Open(Options("uninterrupted"));
  Start(deployment.get());
  WaitForSlot(*deployment, kLast);
  deployment->Stop();
  deployment.reset();
  return Digest("uninterrupted");
}

std::unique_ptr<Deployment> RewindTest::RunPastCheckpoint(const DeploymentOptions& options) {
  auto deployment = Open(options);
  // The provider's clock does not wait while a slow disk makes a checkpoint, so the projector does.
  std::promise<void> made_one;
  Start(deployment.get(), [made_one = made_one.get_future().share()](Slot slot) {
    if (slot >= kFirst + 4) made_one.wait();
  });
  WaitForSlot(*deployment, kFirst + 4);
  auto made = deployment->CreateCheckpoint();
  made_one.set_value();
  EXPECT_TRUE(made.ok()) << made.status();
  checkpoint_ = made.value_or(CheckpointInfo{});
  asked_ = checkpoint_.watermark.block.slot + 2;
  WaitForSlot(*deployment, asked_ + 4);
  return deployment;
}

std::string RewindTest::RunToTheEnd(std::unique_ptr<Deployment> deployment, const std::string& data) {
  WaitForSlot(*deployment, kLast);
  EXPECT_TRUE(deployment->store()->gaps().empty());
  deployment->Stop();
  deployment.reset();
  return Digest(data);
}

}  // namespace everstate::testing
