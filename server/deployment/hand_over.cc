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
    spdlog::warn("archive: slot {} is not in it: {}; a rewind past it needs the provider", block.id.slot, std::string(status.message()));
  } else {
    spdlog::info("archive: written again, from slot {} on", block.id.slot);
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
  return inbox_.Push(std::visit([](auto&& e) { return Item(std::forward<decltype(e)>(e)); }, std::move(event)), bytes);
}

void HandOver::Hold() {
  {
    std::lock_guard lock(mutex_);
    held_ = true;
  }
  // At most one block is still on its way into the queue; whoever takes over drops what it has seen.
  while (inbox_.PopUntil(std::chrono::steady_clock::time_point{}).has_value()) {
  }
}

bool HandOver::Release(const std::function<bool()>& caught_up) {
  std::lock_guard lock(mutex_);
  if (!caught_up()) return false;
  held_ = false;
  return true;
}

}  // namespace everstate
