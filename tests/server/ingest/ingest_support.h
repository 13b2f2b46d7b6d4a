// An ingest that runs against a scripted server, and what its tests begin with.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "server/ingest/ingest.h"
#include "server/ingest/yellowstone.h"
#include "tests/support/geyser_builder.h"
#include "tests/support/scripted_geyser.h"

namespace everstate::ingest {

inline constexpr std::chrono::seconds kGenerous{300};

inline IngestOptions After(std::optional<Slot> position) {
  IngestOptions options;
  options.backoff_first = std::chrono::milliseconds(1);
  options.backoff_max = std::chrono::milliseconds(20);
  options.ledger.parent_wait = std::chrono::milliseconds(50);
  if (position.has_value()) {
    options.ledger.position = BlockId{*position, testing::BlockhashOf(*position), *position - 1,
                                      testing::BlockhashOf(*position - 1), std::nullopt};
  }
  return options;
}

// Whole blocks as a replay brings them.
inline void SendChain(testing::ScriptedCall& call, Slot first, Slot last) {
  for (Slot slot = first; slot <= last; ++slot) call.Send(testing::ReplayOf({.slot = slot, .parent = slot - 1}));
}

// The same as they happen: with the life of each slot.
inline void SendLive(testing::ScriptedCall& call, Slot first, Slot last) {
  for (Slot slot = first; slot <= last; ++slot) call.Send(testing::MessagesOf({.slot = slot, .parent = slot - 1}));
}

// Runs an Ingest against a server and keeps what comes out as text.
class Runner {
 public:
  // `on_event` runs on the ingest thread, before the event is kept.
  Runner(const testing::ScriptedGeyser& server, IngestOptions options,
         std::function<void(const std::string&)> on_event = {})
      : on_event_(std::move(on_event)),
        ingest_(std::move(options), *OpenYellowstone({.endpoint = server.endpoint(), .x_token = {}}),
                [this](LedgerEvent e) { return Take(std::move(e)); }),
        thread_([this] {
          kIngestThread.Assume();
          absl::Status status = ingest_.Run();
          std::lock_guard lock(mutex_);
          result_ = std::move(status);
          changed_.notify_all();
        }) {}
  ~Runner() {
    ingest_.Stop();
    thread_.join();
  }

  std::vector<std::string> WaitForEvents(size_t count) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, kGenerous, [&] { return events_.size() >= count || result_.has_value(); }))
        << "only " << events_.size();
    return events_;
  }
  absl::Status WaitForEnd() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, kGenerous, [&] { return result_.has_value(); }));
    return result_.value_or(absl::DeadlineExceededError("still running"));
  }
  template <typename F>
  StreamStatus WaitForStatus(F condition) {
    const auto patience = std::chrono::steady_clock::now() + kGenerous;
    while (std::chrono::steady_clock::now() < patience) {
      if (StreamStatus status = ingest_.status(); condition(status)) return status;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    ADD_FAILURE() << "state " << Name(ingest_.status().state) << ", error " << ingest_.status().error;
    return ingest_.status();
  }
  void RefuseEvents() { refuse_ = true; }
  std::vector<std::string> texts() {
    std::lock_guard lock(mutex_);
    return texts_;
  }
  Ingest& ingest() { return ingest_; }

 private:
  bool Take(LedgerEvent event) {
    if (refuse_) return false;
    const std::string name = NameOf(event);
    if (on_event_) on_event_(name);
    std::lock_guard lock(mutex_);
    events_.push_back(name);
    if (const BlockRef* block = std::get_if<BlockRef>(&event)) texts_.push_back(testing::TextOf(**block));
    changed_.notify_all();
    return true;
  }
  static std::string NameOf(const LedgerEvent& event) {
    if (const auto* gap = std::get_if<Gap>(&event))
      return "gap " + std::to_string(gap->from) + " " + std::to_string(gap->to);
    if (const auto* restarted = std::get_if<Restarted>(&event))
      return "restarted " + std::to_string(restarted->at.slot);
    return "block " + std::to_string(std::get<BlockRef>(event)->id.slot);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> events_, texts_;
  std::optional<absl::Status> result_;
  std::atomic<bool> refuse_{false};
  const std::function<void(const std::string&)> on_event_;
  Ingest ingest_;
  std::thread thread_;
};

}  // namespace everstate::ingest
