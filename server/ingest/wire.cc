#include "server/ingest/wire.h"

#include "absl/strings/str_cat.h"
#include "server/base/base58.h"
#include "server/ingest/wire_fields.h"

namespace everstate::ingest {
namespace {

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

}  // namespace everstate::ingest
