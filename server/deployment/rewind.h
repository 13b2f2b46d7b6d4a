// Rewind: a new generation is begun from a checkpoint, filled with the blocks since, and takes the place of the present
// one. Inside this room only.
#pragma once

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/deployment/deployment.h"
#include "server/deployment/hand_over.h"
#include "server/deployment/line.h"

namespace everstate {

// What is decided before anything stands still.
struct RewindPlan {
  RewindRequest request;
  CheckpointInfo checkpoint;
  std::unique_ptr<EntityStore> store;  // the new generation, at the checkpoint
  bool from_archive = false;           // else the stream is reopened at the checkpoint's slot
  std::promise<void> begun;            // the present generation applies nothing more
};

// The archive holds the blocks after `block`, all of them up to its end, and that does not lie below `up_to` (empty);
// or what is missing, in words.
std::string MissingFrom(const ingest::ArchiveListing& listing, const BlockId& block, Slot up_to);

// What a rewind over a hole is refused with: FailedPrecondition naming the missing slots.
absl::Status Hole(const Gap& gap);

// The nearest whole checkpoint at or before the slot; damaged ones are warned of. Errors: FailedPrecondition saying why
// there is none that serves.
absl::StatusOr<CheckpointInfo> ChooseCheckpoint(const EntityStore& store, const std::vector<CheckpointEntry>& entries,
                                                Slot slot);

// Filler: brings a generation on, from the archive and from the queue behind it.
//   Thread:  the projector's.
//   Errors:  FailedPrecondition: a hole (its message names the slots) or another chain;
//            Cancelled: the server stops; those of the store and of the archive.
class Filler {
 public:
  Filler(HandOver* hand_over, std::filesystem::path archive_dir, ingest::Subscription subscription,
         const std::atomic<bool>* stopping)
      : hand_over_(hand_over),
        archive_dir_(std::move(archive_dir)),
        subscription_(std::move(subscription)),
        stopping_(stopping) {}

  // Stops the hand-over, reads the archive to its end and hands over again: the next block comes out of the queue.
  // After an error the hand-over stands still.
  absl::Status FromArchive(Line* line, bool accept_gap, const std::function<void()>& progress) EVERSTATE_ON_PROJECTOR;
  // Takes what comes until the line has reached `target`.
  absl::Status FromQueue(Line* line, bool accept_gap, Slot target,
                         const std::function<void()>& progress) EVERSTATE_ON_PROJECTOR;

 private:
  HandOver* const hand_over_;
  const std::filesystem::path archive_dir_;
  const ingest::Subscription subscription_;
  const std::atomic<bool>* const stopping_;
};

}  // namespace everstate
