// An IDL as a stack carries it, or as an IDL file of its own says it (Anchor's old and new form, Steel's, Codama's),
// checked and typed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace everstate::stack {

// A type as written. `args` are the element types (array, vec, option: one; map: key and value; defined: what its
// generics stand for, in their order).
struct IdlType {
  enum class Kind {
    kU8,
    kU16,
    kU32,
    kU64,
    kU128,
    kI8,
    kI16,
    kI32,
    kI64,
    kI128,
    kF32,
    kF64,
    kBool,
    kString,
    kBytes,
    kPubkey,
    kArray,
    kVec,
    kOption,
    kMap,
    kDefined,
    kGeneric,  // stands for what `name` is bound to where the type that has it as a generic is used
    kConst,    // among the args of kDefined: the number `count`
  } kind = Kind::kU8;
  std::string name;    // kDefined, kGeneric; kArray: the generic that is its length, when it is not empty
  uint64_t count = 0;  // kArray, kConst
  std::vector<IdlType> args;
  // Bytes of the number in front: the length of a string, of bytes, of a vec or map; the tag of an option. 0: there is
  // none and the value goes on to the end of the data (string, bytes, vec). Absent: Borsh's, 4 and of an option 1.
  std::optional<uint8_t> prefix_bytes;
  bool always_there = false;  // kOption: the value has its bytes also when it is absent (Solana's COption)
};

struct IdlField {
  std::string name;  // as written; empty in tuples
  IdlType type;
};

enum class Serialization { kBorsh, kBytemuck, kBytemuckUnsafe };

struct IdlTypeDef {
  std::string name;
  Serialization serialization = Serialization::kBorsh;
  bool packed = false;  // Rust's repr(packed), of a bytemuck type: no padding
  bool is_enum = false;
  bool is_tuple = false;         // struct whose fields have no names
  std::vector<IdlField> fields;  // struct
  struct Variant {
    std::string name;
    std::vector<IdlField> fields;  // payload; names empty for tuple variants
  };
  std::vector<Variant> variants;      // enum
  uint8_t tag_bytes = 1;              // enum: bytes of the variant's index
  std::vector<std::string> generics;  // names that its types may use
  std::optional<IdlType> alias;       // another name of this type, and nothing of the above
};

struct IdlAccount {
  std::string name;
  std::vector<uint8_t> discriminator;  // may be empty: recognised by exact length
  Serialization serialization = Serialization::kBorsh;
  std::vector<IdlField> fields;  // inline type; else `types` has one of the same name
};

struct IdlInstruction {
  std::string name;
  std::vector<uint8_t> discriminator;
  std::vector<std::string> accounts;  // names in order; those of a group as "group.name"
  std::vector<IdlField> args;
  // Of each account: it may be missing, or the program's own id in its place. Empty: none
  std::vector<bool> optional = {};
};

struct IdlEvent {
  std::string name;
  std::vector<uint8_t> discriminator;
  std::optional<std::vector<IdlField>> fields = std::nullopt;  // inline type; else `types` has one of the same name
};

struct Idl {
  std::string name;                // prefix of event types
  std::string program_id;          // base58
  unsigned discriminant_size = 8;  // of instructions: 1 (Steel style) or 8
  std::vector<IdlAccount> accounts;
  std::vector<IdlInstruction> instructions;
  std::vector<IdlTypeDef> types;
  std::vector<IdlEvent> events;
};

// Reads an IDL file of its own, at most 64 MiB and 128 levels of JSON. `program_id` is base58 and goes before what the
// file says; empty: the file has to say it.
//   Errors:  NotFound, PermissionDenied, Unavailable (file); InvalidArgument naming the file, the JSON path and the
//            rule, also for what the format can say and this model cannot. Never crashes, whatever the bytes.
absl::StatusOr<Idl> LoadIdl(const std::string& file, const std::string& program_id);
absl::StatusOr<Idl> ParseIdl(const std::string& text, const std::string& file, const std::string& program_id);

}  // namespace everstate::stack
