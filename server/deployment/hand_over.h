// HandOver: what lies between the stream and the projector: the archive, then the inbox. Inside this room only.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <variant>

#include "server/base/bounded_queue.h"
#include "server/ingest/archive.h"
#include "server/ingest/ingest.h"
#include "server/ingest/ledger.h"
#include "server/projector/projector.h"

namespace everstate {

struct RewindPlan;

// HandOver
//   Thread:    Take from the ingest thread; Pop, ForgetUntil, Hold and Release from the projector's; the rest from any.
//   Errors:    a block that the archive could not take is counted there and warned of; the stream goes on.
//   Invariant: a block is in the archive before anybody can pop it. While held, blocks go to the archive only, so that
//              whoever reads the archive to its end and then releases has missed none.
class HandOver {
 public:
  using Order = std::shared_ptr<RewindPlan>;
  using Item = std::variant<BlockRef, Gap, Order>;

  HandOver(std::unique_ptr<ingest::ArchiveWriter> archive, size_t blocks_max, size_t bytes_max)
      : archive_(std::move(archive)), inbox_("inbox", blocks_max, bytes_max) {}

  // False: closed.
  bool Take(ingest::LedgerEvent event) EVERSTATE_ON_INGEST;
  bool Post(Order order) { return inbox_.Push(std::move(order), 0); }
  // Empty when the deadline passed, or when it is closed and drained.
  std::optional<Item> PopUntil(std::chrono::steady_clock::time_point deadline) EVERSTATE_ON_PROJECTOR;
  std::optional<Item> Pop() EVERSTATE_ON_PROJECTOR;

  // The stream was asked to begin anew at `position`: what comes before its mark Restarted{position} belongs to a
  // position that was given up and is passed over. An order is of no position.
  void ForgetUntil(const BlockId& position) EVERSTATE_ON_PROJECTOR { awaited_ = position; }

  // From here on blocks are archived and not handed over. What is queued is forgotten, and so is what ForgetUntil
  // waited for: the archive has it, and who has read it to its end tells by the slots what is new.
  void Hold() EVERSTATE_ON_PROJECTOR;
  // Asks `caught_up` while no block can be added; when it answers true, blocks are handed over again. Answers the same.
  bool Release(const std::function<bool()>& caught_up) EVERSTATE_ON_PROJECTOR;

  void Close() { inbox_.Close(); }
  bool closed() const { return inbox_.closed(); }
  QueueStats stats() const { return inbox_.stats(); }
  ingest::ArchiveWriter* archive() const { return archive_.get(); }  // null: off

 private:
  using Queued = std::variant<BlockRef, Gap, ingest::Restarted, Order>;

  void Archive(const Block& block) EVERSTATE_ON_INGEST;
  // What the projector is to see; nothing for a mark and for what lies before the awaited one.
  std::optional<Item> Judge(Queued queued) EVERSTATE_ON_PROJECTOR;

  const std::unique_ptr<ingest::ArchiveWriter> archive_;
  std::optional<BlockId> awaited_ EVERSTATE_OF_PROJECTOR;
  std::mutex mutex_;
  bool held_ = false;
  bool archive_failing_ = false;  // so that one full disk is one warning
  BoundedQueue<Queued> inbox_;
};

}  // namespace everstate
