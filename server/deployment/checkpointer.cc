#include "server/deployment/checkpointer.h"

#include <utility>

namespace everstate {

Checkpointer::Checkpointer(const CheckpointSchedule& schedule, const Made& last, std::function<void()> make)
    : schedule_(schedule), make_(std::move(make)), last_(last.slot), newest_(last.slot), last_at_(last.at) {
  if (schedule_.every_slots.has_value() || schedule_.every.has_value()) thread_ = std::thread([this] { Run(); });
}

Checkpointer::~Checkpointer() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void Checkpointer::Applied(Slot slot) {
  std::lock_guard lock(mutex_);
  // After a rewind the slots begin again below the last checkpoint.
  if (slot < newest_) last_ = slot;
  newest_ = slot;
  if (SlotsDueLocked()) wake_.notify_one();
}

bool Checkpointer::SlotsDueLocked() const {
  return schedule_.every_slots.has_value() && newest_ > last_ && newest_ - last_ >= *schedule_.every_slots;
}

// Nothing new since the last one: nothing is due.
bool Checkpointer::DueLocked() const {
  if (newest_ <= last_) return false;
  if (SlotsDueLocked()) return true;
  return schedule_.every.has_value() && std::chrono::steady_clock::now() >= last_at_ + *schedule_.every;
}

void Checkpointer::Run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (!DueLocked()) {
      // The interval may pass while nothing is applied: look again a second later, that is exact enough for minutes.
      if (schedule_.every.has_value()) {
        wake_.wait_for(lock, std::chrono::seconds(1));
      } else {
        wake_.wait(lock);
      }
      continue;
    }
    last_ = newest_;
    last_at_ = std::chrono::steady_clock::now();
    lock.unlock();
    make_();
    lock.lock();
  }
}

}  // namespace everstate
