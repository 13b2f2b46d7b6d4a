// A deployment on the bundled recording, behind a real provider on the loopback interface.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "server/deployment/deployment.h"
#include "server/ingest/replay.h"
#include "server/vm/projection.h"
#include "tests/support/temporary_folder.h"

namespace everstate::testing {

// What left a deployment through its sinks.
struct Published {
  struct Step {
    uint64_t generation = 0;
    Number number = 0;
    Slot slot = 0;  // 0: a switch of stores
    bool switched = false;
  };
  void Add(Step step) {
    std::lock_guard lock(mutex);
    steps.push_back(step);
  }
  std::vector<Step> All() const {
    std::lock_guard lock(mutex);
    return steps;
  }

 private:
  mutable std::mutex mutex;
  std::vector<Step> steps;
};

class DeploymentTest : public ::testing::Test {
 protected:
  static constexpr Slot kFirst = 398210000, kLast = 398210030;  // of the recording

  void SetUp() override;

  // A provider that reaches back so many slots; port 0 takes a free one. The same clock serves all deployments of a
  // test.
  void StartProvider(double slots_per_second, std::optional<uint64_t> replay_slots, int port = 0);
  // One that begins its recording again at the end, as the same chain's continuation: there is always a next block, for
  // a stream that joins late too.
  void StartEndlessProvider(double slots_per_second, std::optional<uint64_t> replay_slots);
  DeploymentOptions Options(const std::string& data) const;
  std::unique_ptr<Deployment> Open(const DeploymentOptions& options);
  // `published` is called on the projector's thread after each batch: as long as it blocks, nothing more is applied.
  void Start(Deployment* deployment, std::function<void(Slot)> published = {});
  absl::StatusOr<std::unique_ptr<Deployment>> TryOpen(const DeploymentOptions& options);
  static void WaitForSlot(const Deployment& deployment, Slot slot);
  static void WaitForRewind(const Deployment& deployment);
  // Waits until `done` answers true; fails the test after a generous while.
  static void WaitFor(const std::string& what, const std::function<bool()>& done);

  std::string Digest(const std::string& data, std::optional<uint64_t> generation = std::nullopt) const;
  // The digest of a run from the first to the last slot without any interruption.
  std::string UninterruptedDigest();

  TemporaryFolder folder_;
  std::unique_ptr<ReplayServer> provider_;
  // What Open gives the deployment instead of the source of its provider.
  std::function<std::unique_ptr<ingest::Source>(std::unique_ptr<ingest::Source>)> wrap_source_;
  std::shared_ptr<const vm::Projection> projection_;
  Published published_;

 private:
  void StartProvider(ReplayOptions options);
};

// Slots per second at which a test has time to act between two slots, and yet ends soon.
inline constexpr double kPace = 10;

class RewindTest : public DeploymentTest {
 protected:
  // A deployment that made a checkpoint at slot kFirst + 4, however slow the machine is, and has gone on for some
  // slots.
  std::unique_ptr<Deployment> RunPastCheckpoint(const DeploymentOptions& options);

  // Runs on to the end of the recording; the digest then.
  std::string RunToTheEnd(std::unique_ptr<Deployment> deployment, const std::string& data);

  CheckpointInfo checkpoint_;
  Slot asked_ = 0;  // a slot behind the checkpoint and before the state, to rewind to
};

inline std::string Message(const absl::Status& status) { return std::string(status.message()); }

}  // namespace everstate::testing
