#include <algorithm>
#include <limits>
#include <memory>

#include "absl/strings/str_cat.h"
#include "server/ingest/wire.h"
#include "server/ingest/wire_fields.h"

namespace everstate::ingest {
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
