// An IDL as a stack carries it (or as an IDL file of its own says it), checked and typed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace everstate::stack {

// A type as written. `name` is set for kDefined; `args` are the element types (array, vec, option: one; map: key and value).
struct IdlType {
  enum class Kind {
    kU8, kU16, kU32, kU64, kU128, kI8, kI16, kI32, kI64, kI128, kF32, kF64, kBool, kString, kBytes, kPubkey, kArray, kVec, kOption, kMap, kDefined
  } kind = Kind::kU8;
  std::string name;
  uint64_t count = 0;  // kArray
  std::vector<IdlType> args;
};

struct IdlField {
  std::string name;  // as written; empty in tuples
  IdlType type;
};

enum class Serialization { kBorsh, kBytemuck, kBytemuckUnsafe };

struct IdlTypeDef {
  std::string name;
  Serialization serialization = Serialization::kBorsh;
  bool is_enum = false;
  bool is_tuple = false;                 // struct whose fields have no names
  std::vector<IdlField> fields;          // struct
  struct Variant {
    std::string name;
    std::vector<IdlField> fields;        // payload; names empty for tuple variants
  };
  std::vector<Variant> variants;         // enum
};

struct IdlAccount {
  std::string name;
  std::vector<uint8_t> discriminator;    // may be empty: recognised by exact length
  Serialization serialization = Serialization::kBorsh;
  std::vector<IdlField> fields;          // inline type; else `types` has one of the same name
};

struct IdlInstruction {
  std::string name;
  std::vector<uint8_t> discriminator;
  std::vector<std::string> accounts;     // names in order
  std::vector<IdlField> args;
};

struct IdlEvent {
  std::string name;
  std::vector<uint8_t> discriminator;
};

struct Idl {
  std::string name;        // prefix of event types
  std::string program_id;  // base58
  unsigned discriminant_size = 8;  // of instructions: 1 (Steel style) or 8
  std::vector<IdlAccount> accounts;
  std::vector<IdlInstruction> instructions;
  std::vector<IdlTypeDef> types;
  std::vector<IdlEvent> events;
};

}  // namespace everstate::stack
