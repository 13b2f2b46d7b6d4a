// A whole body as JSON for people: the IDL's own names as they are written, ascending; integers of 64 bits and more are
// decimal text, so that no reader rounds them; public keys are base58; bytes are arrays of numbers; an absent option is
// null; a variant is its name, or an object of one key when it has fields; a map is an object of its keys' text, or an
// array of pairs when a key is neither number, bool, text nor public key.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "server/idl/extract.h"

namespace everstate::idl {

struct BodyJson {
  DecodeResult result;
  uint32_t bytes = 0;  // of the body that were read
};

// Appends to *out, and nothing when there is an error. Padding as Plan::Run has it. The text of one body has at most 64
// MiB (kTooLarge).
BodyJson AppendBodyJson(const Program& program, TypeId body, std::span<const uint8_t> bytes, bool pad_with_zeros,
                        std::string* out);

}  // namespace everstate::idl
