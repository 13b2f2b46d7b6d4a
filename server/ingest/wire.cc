#include "server/ingest/wire.h"

#include <algorithm>
#include <limits>
#include <memory>

#include "absl/strings/str_cat.h"
#include "server/base/base58.h"

namespace everstate::ingest {
namespace {

// FieldReader: the fields of one message, one after the other (protobuf encoding, wire types 0, 1, 2 and 5; groups,
// types 3 and 4, do not exist in proto3). Offsets in errors count from `origin`, the beginning of the outermost
// message.
class FieldReader {
 public:
  FieldReader(std::string_view bytes, const char* origin)
      : origin_(origin), start_(bytes.data()), at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  // Moves to the next field. False at the end and on an error; status() tells which.
  bool Next() {
    if (at_ == end_ || error_ != nullptr) return false;
    start_ = at_;
    uint64_t tag = 0;
    if (!ReadVarint(&tag)) return false;
    if (tag > std::numeric_limits<uint32_t>::max() || tag < 8) return Fail("a field number that does not exist");
    number_ = static_cast<uint32_t>(tag >> 3);
    type_ = static_cast<uint32_t>(tag & 7);
    switch (type_) {
      case 0:
        return ReadVarint(&varint_);
      case 1:
        return Take(8);
      case 2: {
        uint64_t size = 0;
        return ReadVarint(&size) && Take(size);
      }
      case 5:
        return Take(4);
      default:
        return Fail("a wire type that does not exist");
    }
  }

  uint32_t number() const { return number_; }
  // The field `number`, as a number or as bytes. With another wire type it is an unknown field.
  bool IsNumber(uint32_t number) const { return number_ == number && type_ == 0; }
  bool IsBytes(uint32_t number) const { return number_ == number && type_ == 2; }
  bool IsBytes() const { return type_ == 2; }
  uint64_t u64() const { return varint_; }
  uint32_t u32() const { return static_cast<uint32_t>(varint_); }
  std::string_view bytes() const { return bytes_; }

  absl::Status status() const { return error_ == nullptr ? absl::OkStatus() : Fault(error_); }
  // An error about the present field.
  absl::Status Fault(const std::string& what) const {
    return absl::InvalidArgumentError(absl::StrCat("malformed update, byte ", start_ - origin_, ": ", what));
  }
  // The present field as a fixed number of bytes.
  absl::Status ReadFixed(size_t size, const char* name, const uint8_t** out) const {
    if (bytes_.size() != size) return Fault(absl::StrCat(name, " has ", bytes_.size(), " bytes instead of ", size));
    *out = reinterpret_cast<const uint8_t*>(bytes_.data());
    return absl::OkStatus();
  }
  std::span<const uint8_t> span() const { return {reinterpret_cast<const uint8_t*>(bytes_.data()), bytes_.size()}; }

 private:
  bool Fail(const char* why) {
    error_ = why;
    return false;
  }
  bool ReadVarint(uint64_t* value) {
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (at_ == end_) return Fail("a number is cut off");
      const auto byte = static_cast<uint8_t>(*at_++);
      v |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) {
        *value = v;
        return true;
      }
    }
    return Fail("a number longer than 10 bytes");
  }
  bool Take(uint64_t size) {
    if (size > static_cast<uint64_t>(end_ - at_)) return Fail("a field reaches beyond the end");
    bytes_ = {at_, static_cast<size_t>(size)};
    at_ += size;
    return true;
  }

  const char* const origin_;
  const char* start_;  // of the present field
  const char* at_;
  const char* const end_;
  uint32_t number_ = 0, type_ = 0;
  uint64_t varint_ = 0;
  std::string_view bytes_;
  const char* error_ = nullptr;
};

// SubscribeUpdate.update_oneof: its members have the numbers 2 to 10 and are all messages.
constexpr uint32_t kAccountField = 2, kSlotField = 3, kTransactionField = 4, kPingField = 6, kBlockMetaField = 7,
                   kPongField = 9;

bool IsUpdateMember(const FieldReader& field) { return field.IsBytes() && field.number() >= 2 && field.number() <= 10; }

WalkedMessage::Kind KindOf(uint32_t member) {
  using Kind = WalkedMessage::Kind;
  switch (member) {
    case kAccountField:
      return Kind::kAccount;
    case kSlotField:
      return Kind::kSlot;
    case kTransactionField:
      return Kind::kTransaction;
    case kPingField:
      return Kind::kPing;
    case kBlockMetaField:
      return Kind::kBlockMeta;
    case kPongField:
      return Kind::kPong;
    default:
      return Kind::kUnknown;
  }
}

absl::Status WalkAccountInfo(std::string_view bytes, const char* origin, AccountUpdate* account) {
  FieldReader field(bytes, origin);
  while (field.Next()) {
    absl::Status status;
    if (field.IsBytes(1)) {
      status = field.ReadFixed(32, "account.pubkey", &account->pubkey);
    } else if (field.IsNumber(2)) {
      account->lamports = field.u64();
    } else if (field.IsBytes(3)) {
      status = field.ReadFixed(32, "account.owner", &account->owner);
    } else if (field.IsBytes(6)) {
      account->data = field.span();
    } else if (field.IsNumber(7)) {
      account->write_version = field.u64();
    } else if (field.IsBytes(8)) {
      account->signature = nullptr;  // an empty one is what some servers send for none
      if (!field.bytes().empty()) status = field.ReadFixed(64, "account.txn_signature", &account->signature);
    }
    if (!status.ok()) return status;
  }
  return field.status();
}

absl::Status WalkAccount(std::string_view bytes, const char* origin, WalkedMessage* out) {
  FieldReader field(bytes, origin);
  while (field.Next()) {
    if (field.IsBytes(1)) {
      if (absl::Status status = WalkAccountInfo(field.bytes(), origin, &out->account); !status.ok()) return status;
    } else if (field.IsNumber(2)) {
      out->slot = field.u64();
    }
  }
  return field.status();
}

// Only its slot; TransactionWalker reads the rest.
absl::Status WalkTransaction(std::string_view bytes, const char* origin, WalkedMessage* out) {
  FieldReader field(bytes, origin);
  while (field.Next()) {
    if (field.IsNumber(2)) out->slot = field.u64();
  }
  return field.status();
}

absl::Status WalkSlot(std::string_view bytes, const char* origin, WalkedMessage* out) {
  FieldReader field(bytes, origin);
  while (field.Next()) {
    if (field.IsNumber(1)) out->slot = field.u64();
    if (field.IsNumber(2)) out->status.parent = field.u64();
    if (field.IsNumber(3)) out->status.status = static_cast<SlotStatus>(field.u32());
  }
  return field.status();
}

// UnixTimestamp and BlockHeight are messages with one number in field 1, absent when it is 0.
absl::Status WalkNumber(std::string_view bytes, const char* origin, uint64_t* out) {
  FieldReader field(bytes, origin);
  while (field.Next()) {
    if (field.IsNumber(1)) *out = field.u64();
  }
  return field.status();
}

struct MetaText {
  std::string_view blockhash, parent_blockhash;
};

absl::Status WalkBlockMeta(std::string_view bytes, const char* origin, WalkedMessage* out, MetaText* text) {
  FieldReader field(bytes, origin);
  while (field.Next()) {
    absl::Status status;
    if (field.IsNumber(1)) {
      out->slot = field.u64();
    } else if (field.IsBytes(2)) {
      text->blockhash = field.bytes();
    } else if (field.IsBytes(4)) {
      auto time = static_cast<uint64_t>(out->meta.block_time.value_or(0));
      status = WalkNumber(field.bytes(), origin, &time);
      out->meta.block_time = static_cast<int64_t>(time);
    } else if (field.IsBytes(5)) {
      uint64_t height = out->meta.block_height.value_or(0);
      status = WalkNumber(field.bytes(), origin, &height);
      out->meta.block_height = height;
    } else if (field.IsNumber(6)) {
      out->meta.parent_slot = field.u64();
    } else if (field.IsBytes(7)) {
      text->parent_blockhash = field.bytes();
    }
    if (!status.ok()) return status;
  }
  return field.status();
}

absl::Status ReadHash(std::string_view text, const char* name, Slot slot, Hash32* hash) {
  const auto decoded = DecodeBase58Key32(text);
  if (!decoded.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("malformed update: ", name, " of block ", slot, " is not base58 of 32 bytes"));
  }
  *hash = *decoded;
  return absl::OkStatus();
}

// What a message must have once it was read to its end.
absl::Status Complete(const MetaText& text, WalkedMessage* out) {
  if (out->kind == WalkedMessage::Kind::kAccount) {
    if (out->account.pubkey != nullptr && out->account.owner != nullptr) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("malformed update: an account of slot ", out->slot, " without pubkey or owner"));
  }
  if (out->kind == WalkedMessage::Kind::kBlockMeta) {
    if (absl::Status status = ReadHash(text.blockhash, "blockhash", out->slot, &out->meta.blockhash); !status.ok())
      return status;
    return ReadHash(text.parent_blockhash, "parent_blockhash", out->slot, &out->meta.parent_blockhash);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<WalkedMessage> WalkMessage(std::string_view message) {
  const char* const origin = message.data();
  WalkedMessage out;
  MetaText text;
  uint32_t member = 0;
  FieldReader field(message, origin);
  while (field.Next()) {
    if (!IsUpdateMember(field)) continue;
    if (field.number() != member) {
      member = field.number();
      out = WalkedMessage();
      text = MetaText();
      out.kind = KindOf(member);
    }
    absl::Status status;
    if (member == kAccountField) {
      status = WalkAccount(field.bytes(), origin, &out);
    } else if (member == kSlotField) {
      status = WalkSlot(field.bytes(), origin, &out);
    } else if (member == kTransactionField) {
      status = WalkTransaction(field.bytes(), origin, &out);
    } else if (member == kBlockMetaField) {
      status = WalkBlockMeta(field.bytes(), origin, &out, &text);
    }
    if (!status.ok()) return status;
  }
  if (absl::Status status = field.status(); !status.ok()) return status;
  if (absl::Status status = Complete(text, &out); !status.ok()) return status;
  return out;
}

namespace {

// CompiledInstruction and InnerInstruction agree in fields 1 to 3; only the latter has 4, stack_height.
absl::Status WalkInstruction(std::string_view bytes, const char* origin, InstructionUpdate* out,
                             uint32_t* program_index) {
  FieldReader field(bytes, origin);
  while (field.Next()) {
    if (field.IsNumber(1)) *program_index = field.u32();
    if (field.IsBytes(2)) out->accounts = field.span();
    if (field.IsBytes(3)) out->data = field.span();
    if (field.IsNumber(4)) out->height = field.u32();
  }
  return field.status();
}

absl::Status AddKey(const FieldReader& field, std::vector<const uint8_t*>* keys) {
  return field.ReadFixed(32, "an account key", &keys->emplace_back());
}

template <typename T>
T* Allocate(std::pmr::memory_resource* arena, size_t count) {
  return static_cast<T*>(arena->allocate(count * sizeof(T), alignof(T)));
}

template <typename T>
std::span<const T> CopyInto(std::pmr::memory_resource* arena, const std::vector<T>& list) {
  if (list.empty()) return {};
  T* out = Allocate<T>(arena, list.size());
  std::uninitialized_copy(list.begin(), list.end(), out);
  return {out, list.size()};
}

}  // namespace

void TransactionWalker::Begin() {
  out_ = TransactionUpdate();
  keys_.clear();
  loaded_writable_.clear();
  loaded_readonly_.clear();
  outer_.clear();
  groups_used_ = 0;
  logs_.clear();
  signers_ = readonly_signed_ = readonly_unsigned_ = 0;
  has_meta_ = false;
}

absl::Status TransactionWalker::WalkBody(std::string_view bytes, const char* origin) {
  FieldReader field(bytes, origin);
  while (field.Next()) {
    absl::Status status;
    if (field.IsBytes(1)) {
      FieldReader header(field.bytes(), origin);
      while (header.Next()) {
        if (header.IsNumber(1)) signers_ = header.u32();
        if (header.IsNumber(2)) readonly_signed_ = header.u32();
        if (header.IsNumber(3)) readonly_unsigned_ = header.u32();
      }
      status = header.status();
    } else if (field.IsBytes(2)) {
      status = AddKey(field, &keys_);
    } else if (field.IsBytes(4)) {
      Instruction& instruction = outer_.emplace_back();
      status = WalkInstruction(field.bytes(), origin, &instruction.update, &instruction.program_index);
      instruction.update.height = 1;
    }
    if (!status.ok()) return status;
  }
  return field.status();
}

absl::Status TransactionWalker::WalkInnerGroup(std::string_view bytes, const char* origin) {
  if (groups_used_ == groups_.size()) groups_.emplace_back();
  InnerGroup& group = groups_[groups_used_++];
  group.outer = 0;
  group.instructions.clear();
  FieldReader field(bytes, origin);
  while (field.Next()) {
    if (field.IsNumber(1)) group.outer = field.u32();
    if (field.IsBytes(2)) {
      Instruction& instruction = group.instructions.emplace_back();
      instruction.update.height = 2;  // very old nodes do not say it: a flat child of the outer instruction
      absl::Status status = WalkInstruction(field.bytes(), origin, &instruction.update, &instruction.program_index);
      if (!status.ok()) return status;
    }
  }
  return field.status();
}

absl::Status TransactionWalker::WalkMeta(std::string_view bytes, const char* origin) {
  has_meta_ = true;
  FieldReader field(bytes, origin);
  while (field.Next()) {
    absl::Status status;
    if (field.IsBytes(1)) {
      out_.failed = true;  // TransactionStatusMeta.err is absent on success
    } else if (field.IsBytes(5)) {
      status = WalkInnerGroup(field.bytes(), origin);
    } else if (field.IsBytes(6)) {
      logs_.push_back(field.bytes());
    } else if (field.IsNumber(10)) {
      out_.inner_missing = field.u64() != 0;
    } else if (field.IsNumber(11)) {
      out_.logs_missing = field.u64() != 0;
    } else if (field.IsBytes(12)) {
      status = AddKey(field, &loaded_writable_);
    } else if (field.IsBytes(13)) {
      status = AddKey(field, &loaded_readonly_);
    }
    if (!status.ok()) return status;
  }
  return field.status();
}

absl::Status TransactionWalker::WalkInfo(std::string_view bytes, const char* origin) {
  FieldReader field(bytes, origin);
  while (field.Next()) {
    absl::Status status;
    if (field.IsBytes(1)) {
      status = field.ReadFixed(64, "transaction.signature", &out_.signature);
    } else if (field.IsBytes(3)) {
      FieldReader transaction(field.bytes(), origin);
      while (status.ok() && transaction.Next()) {
        if (transaction.IsBytes(2)) status = WalkBody(transaction.bytes(), origin);
      }
      if (status.ok()) status = transaction.status();
    } else if (field.IsBytes(4)) {
      status = WalkMeta(field.bytes(), origin);
    } else if (field.IsNumber(5)) {
      out_.index = field.u64();
    }
    if (!status.ok()) return status;
  }
  return field.status();
}

// Of the static keys the writable signers come first, then read-only signers, writable others, read-only others.
absl::Status TransactionWalker::PlaceWritable(std::pmr::memory_resource* arena) {
  if (signers_ > static_keys_ || readonly_signed_ > signers_ || readonly_unsigned_ > static_keys_ - signers_) {
    return absl::InvalidArgumentError("its header names more keys than there are");
  }
  bool* writable = Allocate<bool>(arena, keys_.size());
  for (size_t i = 0; i < keys_.size(); ++i) {
    if (i < signers_) {
      writable[i] = i < signers_ - readonly_signed_;
    } else if (i < static_keys_) {
      writable[i] = i < static_keys_ - readonly_unsigned_;
    } else {
      writable[i] = i < static_keys_ + loaded_writable_.size();
    }
  }
  out_.writable = {writable, keys_.size()};
  return absl::OkStatus();
}

absl::Status TransactionWalker::OutOfRange(size_t outer) const {
  return absl::InvalidArgumentError(absl::StrCat(
      "instruction ", outer, " or one that it called names a key beyond the ", keys_.size(), " of the transaction"));
}

// Each outer instruction, then those that it called, in the order of their delivery.
absl::Status TransactionWalker::PlaceInstructions(std::pmr::memory_resource* arena) {
  if (outer_.size() > std::numeric_limits<uint16_t>::max())
    return absl::InvalidArgumentError("it has more than 65535 instructions");
  const auto groups = std::span(groups_).first(groups_used_);
  const auto by_outer = [](const InnerGroup& a, const InnerGroup& b) { return a.outer < b.outer; };
  if (!std::is_sorted(groups.begin(), groups.end(), by_outer)) std::stable_sort(groups.begin(), groups.end(), by_outer);

  size_t total = outer_.size();
  for (const InnerGroup& group : groups) total += group.instructions.size();
  if (!groups.empty() && groups.back().outer >= outer_.size()) {
    return absl::InvalidArgumentError(absl::StrCat("it has inner instructions of instruction ", groups.back().outer,
                                                   ", but only ", outer_.size(), " instructions"));
  }
  if (total == 0) return absl::OkStatus();
  auto* const list = Allocate<InstructionUpdate>(arena, total);
  InstructionUpdate* next = list;
  const auto place = [&](const Instruction& instruction, size_t outer, int32_t inner) {
    if (instruction.program_index >= keys_.size()) return false;
    for (const uint8_t index : instruction.update.accounts) {
      if (index >= keys_.size()) return false;
    }
    auto* const placed = std::construct_at(next++, instruction.update);
    placed->program = keys_[instruction.program_index];
    placed->outer = static_cast<uint16_t>(outer);
    placed->inner = inner;
    return true;
  };
  size_t g = 0;
  for (size_t outer = 0; outer < outer_.size(); ++outer) {
    if (!place(outer_[outer], outer, -1)) return OutOfRange(outer);
    int32_t inner = 0;
    for (; g < groups.size() && groups[g].outer == outer; ++g) {
      for (const Instruction& instruction : groups[g].instructions) {
        if (!place(instruction, outer, inner++)) return OutOfRange(outer);
      }
    }
  }
  out_.instructions = {list, total};
  return absl::OkStatus();
}

absl::Status TransactionWalker::Assemble(std::pmr::memory_resource* arena) {
  if (out_.signature == nullptr) return absl::InvalidArgumentError("it has no signature");
  if (!has_meta_) out_.inner_missing = out_.logs_missing = true;
  static_keys_ = keys_.size();
  keys_.insert(keys_.end(), loaded_writable_.begin(), loaded_writable_.end());
  keys_.insert(keys_.end(), loaded_readonly_.begin(), loaded_readonly_.end());
  if (absl::Status status = PlaceWritable(arena); !status.ok()) return status;
  if (absl::Status status = PlaceInstructions(arena); !status.ok()) return status;
  out_.keys = CopyInto(arena, keys_);
  out_.logs = CopyInto(arena, logs_);
  return absl::OkStatus();
}

absl::StatusOr<TransactionUpdate> TransactionWalker::Walk(std::string_view message, std::pmr::memory_resource* arena) {
  const char* const origin = message.data();
  Begin();
  FieldReader update(message, origin);
  while (update.Next()) {
    if (!IsUpdateMember(update)) continue;
    if (update.number() != kTransactionField) {
      Begin();
      continue;
    }
    FieldReader envelope(update.bytes(), origin);
    while (envelope.Next()) {
      if (!envelope.IsBytes(1)) continue;
      if (absl::Status status = WalkInfo(envelope.bytes(), origin); !status.ok()) return status;
    }
    if (absl::Status status = envelope.status(); !status.ok()) return status;
  }
  if (absl::Status status = update.status(); !status.ok()) return status;
  if (absl::Status status = Assemble(arena); !status.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("malformed transaction ", out_.index, ": ", status.message()));
  }
  return out_;
}

}  // namespace everstate::ingest
