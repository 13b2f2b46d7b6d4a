// Compiled layouts: an IDL turned into tables once, so that reading a field later is loads and additions.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "server/stack/diagnostics.h"
#include "server/stack/idl.h"
#include "storage/row_schema.h"
#include "storage/value.h"

namespace everstate::idl {

using TypeId = uint32_t;

enum class Kind : uint8_t {
  // Fixed size, little-endian
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
  kPubkey,       // 32 bytes
  kString,       // u32 length, UTF-8
  kBytes,        // u32 length, bytes
  kText,         // UTF-8, its length a number of `prefix` bytes, or none and up to the body's end
  kBlob,         // bytes, the same way
  kByteArray,    // n bytes, no length ([u8; n])
  kArray,        // count elements, no length
  kVec,          // count, elements; without a count up to the body's end
  kOption,       // tag of 0 or 1, element
  kFixedOption,  // tag of 0 or 1, element in any case
  kMap,          // count, pairs
  kStruct,       // fields in order; a JSON object with snake_case keys
  kTuple,        // fields in order; a JSON array
  kEnum,         // index, then the variant's fields
  kPad,          // count bytes that mean nothing (alignment of bytemuck types)
};

struct Type {
  Kind kind = Kind::kU8;
  uint32_t count = 0;  // kArray, kByteArray, kPad
  // kText, kBlob, kVec, kOption, kFixedOption, kMap, kEnum: bytes of the number in front
  uint8_t prefix = 0;
  bool packed = false;      // kStruct, kTuple of bytemuck: aligned to 1
  bool open_ended = false;  // has a part that goes on to the body's end
  TypeId element = 0, map_value = 0;
  struct Field {
    std::string name;  // JSON key (snake_case)
    TypeId type = 0;
    std::string written;  // as in the IDL
  };
  std::vector<Field> fields;  // kStruct, kTuple (kPad fields have no name)
  struct Variant {
    std::string name;
    TypeId payload = 0;  // a kStruct or kTuple
    bool unit = true;
  };
  std::vector<Variant> variants;       // kEnum
  std::optional<uint32_t> fixed_size;  // when every value has the same number of bytes
  uint32_t min_size = 0;               // no value has fewer bytes
  std::vector<uint16_t> by_key;        // kStruct: positions of its fields, ascending by name, without padding
  std::vector<uint16_t> by_written;    // the same, ascending by written
};

// Shapes: hands out shape ids for the objects that values of these types become. The vm's compiler owns one per stack.
class ShapeTable {
 public:
  ShapeId Intern(std::vector<std::string> sorted_keys);  // the same keys give the same id
  const std::vector<Shape>& shapes() const { return shapes_; }

 private:
  std::vector<Shape> shapes_;
  std::map<std::vector<std::string>, ShapeId> ids_;
};

// `faulty`: the item has findings. It is there only in a program that was not accepted, for its name and its place in
// the list.
struct AccountLayout {
  std::string name;  // as in the IDL; event type = program + "::" + name + "State"
  std::vector<uint8_t> discriminator;
  TypeId body = 0;  // a kStruct, unless the IDL has a tuple or an enum here
  // Set when the discriminator is empty: data of exactly this length is this account
  std::optional<uint32_t> exact_length;
  bool faulty = false;
};
struct InstructionLayout {
  std::string name;  // PascalCase; event type = program + "::" + name + "IxState"
  std::vector<uint8_t> discriminator;
  TypeId args = 0;                    // a kStruct
  std::vector<std::string> accounts;  // as in the IDL
  std::string written;                // the name as in the IDL
  // Of each account: it may be missing, or the program's own id in its place. Empty: none
  std::vector<bool> optional;
  bool faulty = false;
};
struct EventLayout {
  std::string name;  // event type = program + "::" + name + "CpiEvent"
  std::vector<uint8_t> discriminator;
  TypeId body = 0;
  bool faulty = false;
};

// An event found in bytes: which, and where its body begins.
struct EventMatch {
  int event = -1;  // index into Program::events(); -1: none
  uint32_t body_at = 0;
};

// The tag before a CPI event's discriminator (Anchor's emit_cpi!).
inline constexpr std::array<uint8_t, 8> kCpiEventTag = {0xe4, 0x45, 0xa5, 0x2e, 0x51, 0xcb, 0x9a, 0x1d};

// Program: all layouts of one IDL.
//   Thread:  immutable, any thread.
class Program {
 public:
  // What the IDL's layouts are, and findings of items of `idl` ("types.Mint.supply"): an unknown type, one that
  // contains itself without end, one beyond 16 MiB, nested deeper than 64 or with more than 4096 fields, two fields
  // with one JSON key, two accounts, instructions or events of one name or discriminator (or none and equal lengths),
  // two accounts of an instruction with one name, an account without discriminator and fixed size, an event without
  // type, a bytemuck type with a part of no fixed size, a fixed option of such a value, an array of elements without
  // bytes, more than 65,536 types or 16 MiB of them, a generic that is not bound, a value to the end of the body that
  // is not the last one. All at once; an item is faulty when it or a part of it has one. With findings the program is
  // good for its names and for finding more of them only.
  static std::shared_ptr<const Program> Compile(const stack::Idl& idl, const stack::Place& place);
  // The same for whoever wants a sound program or none. Errors: InvalidArgument naming IDL, item and rule of each
  // finding.
  static absl::StatusOr<std::shared_ptr<const Program>> Compile(const stack::Idl& idl);

  const std::string& name() const { return name_; }
  const std::array<uint8_t, 32>& program_id() const { return program_id_; }
  const std::vector<Type>& types() const { return types_; }
  const std::vector<AccountLayout>& accounts() const { return accounts_; }
  const std::vector<InstructionLayout>& instructions() const { return instructions_; }
  const std::vector<EventLayout>& events() const { return events_; }

  // Which layout bytes have, by discriminator (hashed; the longest first) or exact length: an index, or -1. The body
  // begins after the discriminator.
  int MatchAccount(std::span<const uint8_t> data) const;
  int MatchInstruction(std::span<const uint8_t> data) const;
  int MatchCpiEvent(std::span<const uint8_t> data) const;        // data with the tag in front
  EventMatch FindCpiEvent(std::span<const uint8_t> data) const;  // the same with the place of its body
  EventMatch FindLogEvent(std::span<const uint8_t> data) const;  // what a `Program data:` line holds (program_log.h)
  // What the data of a Steel program's instruction `log` holds, which may be anything: an event as it lies in memory,
  // with its own field for the discriminator if it has one, which then is the first and called `disc`. What is shorter
  // is no event.
  EventMatch FindLoggedEvent(std::span<const uint8_t> data) const;

 private:
  friend class ProgramCompiler;
  Program() = default;
  std::string name_;
  std::array<uint8_t, 32> program_id_{};
  std::vector<Type> types_;
  std::vector<AccountLayout> accounts_;
  std::vector<InstructionLayout> instructions_;
  std::vector<EventLayout> events_;
  struct Matcher {  // discriminators of one length
    size_t length = 0;
    absl::flat_hash_map<std::string, int> by_bytes;
  };
  static int Match(const std::vector<Matcher>& matchers, std::span<const uint8_t> data);
  std::vector<Matcher> account_matchers_, instruction_matchers_, event_matchers_;
  std::unordered_map<size_t, int> account_by_length_;
  int log_instruction_ = -1;  // an instruction `log` of one byte without arguments
};

// A type as people write it: "u64", "option<pubkey>", "[u8; 32]"; structs are "object", tuples "tuple".
std::string TypeName(const std::vector<Type>& types, TypeId id);

std::string SnakeCase(std::string_view idl_name);   // each upper-case letter: '_' (not at the start) + lower case
std::string PascalCase(std::string_view idl_name);  // split at '_', first letters upper case

}  // namespace everstate::idl
