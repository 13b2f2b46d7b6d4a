// Extraction: one walk over a body's bytes that reads just the wanted fields into registers.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/idl/layout.h"
#include "storage/value.h"

namespace everstate::idl {

// Arena: memory for values made while a block runs. Addresses stay; all is given back at once by Clear, which keeps
// what small ones need.
//   Thread: one.
class Arena {
 public:
  uint8_t* Allocate(size_t bytes);
  std::string_view Copy(std::string_view bytes);
  void Clear();

 private:
  friend class Plan;
  struct Chunk {
    std::unique_ptr<uint8_t[]> bytes;
    size_t size = 0;
  };
  std::vector<Chunk> chunks_;
  size_t chunk_ = 0, used_ = 0;
  std::string scratch_;  // where a composite is encoded before its length is known
};

enum class DecodeError : uint8_t { kNone, kTooShort, kBadBool, kBadOptionTag, kBadEnumIndex, kBadUtf8, kTooLarge };
std::string_view Name(DecodeError e);

struct DecodeResult {
  DecodeError error = DecodeError::kNone;
  uint32_t offset = 0;        // in the body, where the error is
  bool zeros_padded = false;  // bytes were missing and counted as zero
};

// Plan: which fields of a body go to which registers.
//   Thread:  immutable, any thread.
class Plan {
 public:
  struct Wanted {
    // Struct fields by JSON key (or as written in the IDL, retried in snake_case); numeric = tuple position; empty =
    // the whole body
    std::vector<std::string> path;
    uint16_t reg = 0;
  };
  // Errors: NotFound naming the path when the layout has no such field; Unimplemented naming it when a map is in what
  // it wants (its keys are not known before it is read). Passing over a map is no error.
  static absl::StatusOr<Plan> Compile(std::shared_ptr<const Program> program, TypeId body,
                                      const std::vector<Wanted>& wanted, ShapeTable* shapes);

  // Reads. Simple fields point into `body` or are numbers; composites (structs, arrays, options of them, enums with
  // fields) are encoded into `arena`, which is the only memory used. A body must be whole to its end, whatever is
  // wanted of it; trailing bytes are ignored. What is not wanted is passed over by its length, its content is not
  // judged. With pad_with_zeros a body that ends early counts as followed by zeros (instruction arguments), by as many
  // as the layout needs at least but no fewer than 256, unless it needs more than an instruction can have (10 KiB); the
  // padded body lives in `arena`. On an error registers already read stay, the others are untouched.
  DecodeResult Run(std::span<const uint8_t> body, bool pad_with_zeros, Arena* arena, Value* registers) const;

 private:
  friend class PlanCompiler;
  struct Step {
    enum class Op : uint8_t {
      kReadSimple,  // into reg, a value that has no others inside
      kRead,        // into reg, any other
      kPeek,        // into reg, and stay there: more is wanted of the same bytes
      kPass,        // over one value of no fixed size
      kEnd,         // of the body
    } op = Op::kEnd;
    Kind kind = Kind::kPad;  // of type
    uint16_t reg = 0;
    uint32_t skip = 0;  // bytes of no interest before
    TypeId type = 0;
  };
  DecodeResult RunOnce(std::span<const uint8_t> body, Arena* arena, Value* registers) const;

  std::shared_ptr<const Program> program_;
  TypeId body_ = 0;
  std::vector<Step> steps_;
  // By TypeId, where some read needs it: the shape of a struct, or of the {"Variant": payload} that an enum makes of a
  // payload.
  std::vector<ShapeId> struct_shapes_, payload_shapes_;
};

}  // namespace everstate::idl
