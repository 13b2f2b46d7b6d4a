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

// Arena: memory for values made while a block runs. Addresses stay; all is given back at once by Clear, which keeps the memory.
//   Thread: one.
class Arena {
 public:
  uint8_t* Allocate(size_t bytes);
  std::string_view Copy(std::string_view bytes);
  void Clear();

 private:
  struct Chunk { std::unique_ptr<uint8_t[]> bytes; size_t size = 0; };
  std::vector<Chunk> chunks_;
  size_t chunk_ = 0, used_ = 0;
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
    std::vector<std::string> path;  // struct fields by JSON key (or as written in the IDL, retried in snake_case); numeric = tuple position; empty = the whole body
    uint16_t reg = 0;
  };
  // Errors: NotFound naming the path when the layout has no such field.
  static absl::StatusOr<Plan> Compile(std::shared_ptr<const Program> program, TypeId body, std::vector<Wanted> wanted, ShapeTable* shapes);

  // Reads. Simple fields point into `body` or are numbers; composites (structs, arrays, options of them, enums with fields,
  // maps) are encoded into `arena`. Trailing bytes are ignored. With pad_with_zeros a body that ends early counts as followed
  // by zeros (instruction arguments); the padded tail lives in `arena`. On an error registers already read stay, the others
  // are untouched.
  DecodeResult Run(std::span<const uint8_t> body, bool pad_with_zeros, Arena* arena, Value* registers) const;

 private:
  friend class PlanCompiler;
  struct Step {
    enum class Op : uint8_t { kSkipFixed, kSkip, kRead, kPeek } op;  // kPeek reads and stays where it is
    uint32_t size = 0;   // kSkipFixed
    TypeId type = 0;     // kSkip, kRead, kPeek
    uint16_t reg = 0;    // kRead, kPeek
  };
  DecodeResult RunOnce(std::span<const uint8_t> body, Arena* arena, Value* registers) const;

  std::shared_ptr<const Program> program_;
  std::vector<Step> steps_;
  // By TypeId: the shape of a struct; then, by the TypeId of a payload, the shape of {"Variant": payload}. Only where some read
  // needs one.
  std::vector<ShapeId> shape_of_type_;
};

}  // namespace everstate::idl
