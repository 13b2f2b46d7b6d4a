#include "server/vm/waiting.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "storage/value.h"

namespace everstate::vm {
namespace {

constexpr uint16_t kEventsName = 0, kBookName = 1, kSlotsName = 2;
constexpr uint8_t kHasTime = 1, kHasSignature = 2, kHasAddress = 4;

absl::Status Torn() { return absl::DataLossError("a row of waiting events is damaged"); }

// Reads the pieces of a row. After an error ok() is false and everything is empty.
class PieceReader {
 public:
  explicit PieceReader(std::string_view bytes) : bytes_(bytes) {}
  bool ok() const { return ok_; }
  bool done() const { return bytes_.empty(); }
  std::string_view rest() const { return bytes_; }

  uint64_t Number() {
    uint64_t number = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (bytes_.empty()) break;
      const auto byte = static_cast<uint8_t>(bytes_.front());
      bytes_.remove_prefix(1);
      number |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return number;
    }
    return Fail(), 0;
  }
  std::string_view Bytes(uint64_t size) {
    if (size > bytes_.size()) return Fail(), std::string_view();
    const std::string_view piece = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return piece;
  }
  const uint8_t* Fixed(uint64_t size) {
    const std::string_view piece = Bytes(size);
    return ok_ ? reinterpret_cast<const uint8_t*>(piece.data()) : nullptr;
  }

 private:
  void Fail() {
    ok_ = false;
    bytes_ = {};
  }
  std::string_view bytes_;
  bool ok_ = true;
};

void AppendFixed(const uint8_t* bytes, size_t size, std::string* out) {
  out->append(reinterpret_cast<const char*>(bytes), size);
}

void Encode(const WaitingEvent& event, std::string* out) {
  out->push_back(static_cast<char>(event.event.kind));
  for (uint64_t number : {uint64_t{event.event.idl}, uint64_t{event.event.layout}, uint64_t{event.unit}, event.slot})
    AppendVarint(number, out);
  out->push_back(static_cast<char>((event.block_time ? kHasTime : 0) |
                                   (event.signature != nullptr ? kHasSignature : 0) |
                                   (event.address != nullptr ? kHasAddress : 0)));
  if (event.block_time) {
    for (int shift = 0; shift < 64; shift += 8)
      out->push_back(static_cast<char>(static_cast<uint64_t>(*event.block_time) >> shift));
  }
  if (event.signature != nullptr) AppendFixed(event.signature, 64, out);
  if (event.address != nullptr) AppendFixed(event.address, 32, out);
  AppendVarint(event.accounts.size(), out);
  for (const uint8_t* account : event.accounts) AppendFixed(account, 32, out);
  AppendVarint(event.when.size(), out);
  for (const EventId& when : event.when) {
    AppendVarint(when.idl, out);
    AppendVarint(when.layout, out);
  }
  AppendFixed(event.body.data(), event.body.size(), out);
}

bool Decode(std::string_view bytes, WaitingEvent* event) {
  PieceReader reader(bytes);
  event->event.kind = static_cast<EventKind>(reader.Number());
  event->event.idl = static_cast<uint16_t>(reader.Number());
  event->event.layout = static_cast<uint16_t>(reader.Number());
  event->unit = static_cast<uint16_t>(reader.Number());
  event->slot = reader.Number();
  const uint64_t flags = reader.Number();
  event->block_time.reset();
  if ((flags & kHasTime) != 0) {
    uint64_t time = 0;
    const std::string_view piece = reader.Bytes(8);
    for (size_t i = piece.size(); i > 0; --i) time = time << 8 | static_cast<uint8_t>(piece[i - 1]);
    event->block_time = static_cast<int64_t>(time);
  }
  event->signature = (flags & kHasSignature) != 0 ? reader.Fixed(64) : nullptr;
  event->address = (flags & kHasAddress) != 0 ? reader.Fixed(32) : nullptr;
  event->accounts.clear();
  for (uint64_t n = reader.Number(); n > 0 && reader.ok(); --n) event->accounts.push_back(reader.Fixed(32));
  event->when.clear();
  for (uint64_t n = reader.Number(); n > 0 && reader.ok(); --n) {
    const auto idl = static_cast<uint16_t>(reader.Number());
    event->when.push_back({EventKind::kInstruction, idl, static_cast<uint16_t>(reader.Number())});
  }
  event->body = {reinterpret_cast<const uint8_t*>(reader.rest().data()), reader.rest().size()};
  return reader.ok();
}

// The same account, read the same way, for the same unit.
bool SameAccount(const WaitingEvent& a, const WaitingEvent& b) {
  return a.address != nullptr && b.address != nullptr && a.event == b.event && a.unit == b.unit &&
         std::memcmp(a.address, b.address, 32) == 0;
}

std::string SlotId(Slot slot) {
  std::string id;
  for (int shift = 56; shift >= 0; shift -= 8) id.push_back(static_cast<char>(slot >> shift));
  return id;
}

}  // namespace

Waiting::Waiting(const Program* program, const Settings& settings, WriteSet* write_set, Faults* faults,
                 MachineCounters* counters)
    : program_(program), settings_(settings), write_set_(write_set), faults_(faults), counters_(counters) {
  key_.kind = SideKind::kWaiting;
}

void Waiting::Begin(Slot slot) {
  slot_ = slot;
  book_.reset();
  book_before_.reset();
}

absl::Status Waiting::OpenBook() {
  if (book_) return absl::OkStatus();
  key_.entity = 0;
  key_.name = kBookName;
  key_.id.clear();
  auto side = write_set_->GetSide(key_);
  if (!side.ok()) return side.status();
  Book book;
  if ((*side)->now) {
    PieceReader reader(*(*side)->now);
    book.oldest = reader.Number();
    book.newest = reader.Number();
    book.bytes = reader.Number();
    if (!reader.ok() || !reader.done()) return Torn();
  }
  book_ = book_before_ = book;
  return absl::OkStatus();
}

absl::StatusOr<WriteSet::Side*> Waiting::Events(EntityId entity, std::string_view address) {
  key_.entity = entity;
  key_.name = kEventsName;
  key_.id.assign(address);
  return write_set_->GetSide(key_);
}

absl::StatusOr<WriteSet::Side*> Waiting::Slots(Slot slot) {
  key_.entity = 0;
  key_.name = kSlotsName;
  key_.id = SlotId(slot);
  return write_set_->GetSide(key_);
}

absl::Status Waiting::Add(EntityId entity, std::string_view address, const WaitingEvent& event) {
  if (absl::Status status = OpenBook(); !status.ok()) return status;
  encoded_.clear();
  Encode(event, &encoded_);
  auto side = Events(entity, address);
  if (!side.ok()) return side.status();
  ++counters_->events_waited;
  const std::string_view before = (*side)->now ? std::string_view(*(*side)->now) : std::string_view();
  auto count = Insert(before, event);
  if (!count.ok()) return count.status();
  if (*count == 0) return absl::OkStatus();
  if (*count > settings_.waiting_per_address_max) {
    std::string_view first = rest_;
    auto next = Next(&first, &other_);
    if (!next.ok()) return next.status();
    Drop(entity, address, other_, false);
    rest_.erase(0, rest_.size() - first.size());
  }
  book_->bytes += rest_.size() - before.size();  // modulo 2^64: it may become less
  (*side)->now = rest_;
  return NoteSlot(event.slot, entity, address);
}

// Puts the event, as encoded_ has it, among those that wait already, into rest_. An event that was led on from another
// address may be older than they are. Answers how many wait now; 0: nothing changed, because a newer write of its
// account waits.
absl::StatusOr<size_t> Waiting::Insert(std::string_view before, const WaitingEvent& event) {
  rest_.clear();
  size_t count = 1;
  bool placed = false;
  const auto place = [&] {
    AppendVarint(encoded_.size(), &rest_);
    rest_.append(encoded_);
    placed = true;
  };
  for (std::string_view at = before; !at.empty();) {
    const std::string_view here = at;
    auto next = Next(&at, &other_);
    if (!next.ok()) return next.status();
    if (SameAccount(event, other_)) {
      ++counters_->waiting_replaced;
      if (other_.slot > event.slot) return 0;
      continue;
    }
    if (!placed && other_.slot > event.slot) place();
    rest_.append(here.substr(0, here.size() - at.size()));
    ++count;
  }
  if (!placed) place();
  return count;
}

absl::Status Waiting::NoteSlot(Slot slot, EntityId entity, std::string_view address) {
  if (book_->oldest > book_->newest) {
    book_->oldest = book_->newest = slot;
  } else {
    book_->oldest = std::min(book_->oldest, slot);
    book_->newest = std::max(book_->newest, slot);
  }
  auto side = Slots(slot);
  if (!side.ok()) return side.status();
  std::string& row = (*side)->now ? *(*side)->now : (*side)->now.emplace();
  AppendVarint(entity, &row);
  AppendVarint(address.size(), &row);
  row.append(address);
  return absl::OkStatus();
}

absl::StatusOr<std::string> Waiting::Take(EntityId entity, std::string_view address) {
  if (absl::Status status = OpenBook(); !status.ok()) return status;
  if (book_->oldest > book_->newest) return std::string();  // nothing waits at all
  auto side = Events(entity, address);
  if (!side.ok()) return side.status();
  if (!(*side)->now) return std::string();
  std::string events = *std::move((*side)->now);
  (*side)->now.reset();
  book_->bytes -= events.size();
  return events;
}

absl::StatusOr<bool> Waiting::Next(std::string_view* events, WaitingEvent* event) {
  if (events->empty()) return false;
  PieceReader reader(*events);
  const std::string_view piece = reader.Bytes(reader.Number());
  if (!reader.ok() || !Decode(piece, event)) return Torn();
  *events = reader.rest();
  return true;
}

absl::Status Waiting::Seal() {
  if (!program_->looks_up) return absl::OkStatus();
  if (absl::Status status = OpenBook(); !status.ok()) return status;
  const auto sweep = [&](bool expired) {
    absl::Status status = DropSlot(book_->oldest, expired);
    if (++book_->oldest > book_->newest) *book_ = Book{1, 0, book_->bytes};
    return status;
  };
  while (book_->oldest <= book_->newest && book_->oldest < slot_ &&
         slot_ - book_->oldest > settings_.waiting_slots_max) {
    if (absl::Status status = sweep(true); !status.ok()) return status;
  }
  while (book_->oldest <= book_->newest && book_->bytes > settings_.waiting_bytes_max) {
    if (absl::Status status = sweep(false); !status.ok()) return status;
  }
  counters_->waiting_bytes = book_->bytes;
  if (book_ == book_before_) return absl::OkStatus();
  key_.entity = 0;
  key_.name = kBookName;
  key_.id.clear();
  auto side = write_set_->GetSide(key_);
  if (!side.ok()) return side.status();
  (*side)->now.reset();
  if (book_->oldest > book_->newest) return absl::OkStatus();
  std::string& row = (*side)->now.emplace();
  for (uint64_t number : {book_->oldest, book_->newest, book_->bytes}) AppendVarint(number, &row);
  return absl::OkStatus();
}

// Everything that began to wait in this slot.
absl::Status Waiting::DropSlot(Slot slot, bool expired) {
  auto side = Slots(slot);
  if (!side.ok()) return side.status();
  if (!(*side)->now) return absl::OkStatus();
  const std::string row = *std::move((*side)->now);
  (*side)->now.reset();
  PieceReader reader(row);
  while (!reader.done()) {
    const uint64_t entity = reader.Number();
    const std::string_view address = reader.Bytes(reader.Number());
    if (!reader.ok() || entity >= program_->entities.size()) return Torn();
    if (absl::Status status = DropEvents(static_cast<EntityId>(entity), address, slot, expired); !status.ok())
      return status;
  }
  return absl::OkStatus();
}

// The events of this slot that wait for this address. They may be gone: taken, or replaced by a newer one.
absl::Status Waiting::DropEvents(EntityId entity, std::string_view address, Slot slot, bool expired) {
  auto side = Events(entity, address);
  if (!side.ok()) return side.status();
  if (!(*side)->now) return absl::OkStatus();
  const std::string_view before = *(*side)->now;
  rest_.clear();
  std::string_view at = before;
  while (!at.empty()) {
    const std::string_view here = at;
    auto next = Next(&at, &other_);
    if (!next.ok()) return next.status();
    if (other_.slot == slot)
      Drop(entity, address, other_, expired);
    else
      rest_.append(here.substr(0, here.size() - at.size()));
  }
  book_->bytes -= before.size() - rest_.size();
  if (rest_.empty())
    (*side)->now.reset();
  else
    (*side)->now = rest_;
  return absl::OkStatus();
}

void Waiting::Drop(EntityId entity, std::string_view address, const WaitingEvent& event, bool expired) {
  ++counters_->waiting_dropped;
  const EventCode* code = program_->Find(event.event);
  faults_->Count({entity, code != nullptr ? code->name : uint16_t{0}},
                 expired ? FaultReason::kWaitingExpired : FaultReason::kWaitingFull, slot_,
                 [&] { return std::string(address); });
}

}  // namespace everstate::vm
