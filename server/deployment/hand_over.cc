#include "server/deployment/hand_over.h"

#include <string>
#include <utility>

#include "server/base/log.h"

namespace everstate {

void HandOver::Archive(const Block& block) {
  const absl::Status status = archive_->Append(block);
  if (status.ok() == !archive_failing_) return;
  archive_failing_ = !status.ok();
  if (archive_failing_) {
    LogWarn(Room::kDeployment, "archive: slot {} is not in it: {}; a rewind past it needs the provider", block.id.slot,
            std::string(status.message()));
  } else {
    LogInfo(Room::kDeployment, "archive: written again, from slot {} on", block.id.slot);
  }
}

bool HandOver::Take(ingest::LedgerEvent event) {
  const BlockRef* block = std::get_if<BlockRef>(&event);
  const size_t bytes = block == nullptr ? 0 : (*block)->bytes;
  {
    std::lock_guard lock(mutex_);
    if (block != nullptr && archive_ != nullptr) Archive(**block);
    // A hole in the stream is a hole in the archive, too, which its reader finds. The mark of a restart always passes.
    if (held_ && !std::holds_alternative<ingest::Restarted>(event)) return !inbox_.closed();
  }
  return inbox_.Push(std::visit([](auto&& e) { return Queued(std::forward<decltype(e)>(e)); }, std::move(event)),
                     bytes);
}

std::optional<HandOver::Item> HandOver::Judge(Queued queued) {
  if (Order* order = std::get_if<Order>(&queued)) return std::move(*order);
  if (const auto* mark = std::get_if<ingest::Restarted>(&queued)) {
    // Of several restarts the last one counts: a mark of an earlier one ends nothing.
    if (awaited_ == mark->at) awaited_.reset();
    return std::nullopt;
  }
  if (awaited_.has_value()) return std::nullopt;
  if (BlockRef* block = std::get_if<BlockRef>(&queued)) return std::move(*block);
  return std::get<Gap>(std::move(queued));
}

std::optional<HandOver::Item> HandOver::Pop() {
  while (std::optional<Queued> queued = inbox_.Pop()) {
    if (std::optional<Item> item = Judge(*std::move(queued))) return item;
  }
  return std::nullopt;
}

std::optional<HandOver::Item> HandOver::PopUntil(std::chrono::steady_clock::time_point deadline) {
  while (std::optional<Queued> queued = inbox_.PopUntil(deadline)) {
    if (std::optional<Item> item = Judge(*std::move(queued))) return item;
  }
  return std::nullopt;
}

void HandOver::Hold() {
  {
    std::lock_guard lock(mutex_);
    held_ = true;
  }
  // At most one block is still on its way into the queue; whoever takes over drops what it has seen.
  while (inbox_.PopUntil(std::chrono::steady_clock::time_point{}).has_value()) {
  }
  awaited_.reset();
}

bool HandOver::Release(const std::function<bool()>& caught_up) {
  std::lock_guard lock(mutex_);
  if (!caught_up()) return false;
  held_ = false;
  return true;
}

}  // namespace everstate
