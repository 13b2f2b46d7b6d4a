// IDL files of all formats: read, checked, compiled into layouts, and the layouts walked over bytes.
#include "server/idl/body_json.h"
#include "server/idl/extract.h"
#include "server/stack/idl.h"
#include "tests/fuzz/fuzz.h"

namespace everstate {
namespace {

constexpr uint8_t kZeros[256] = {};

// As text, and by plans that want everything and nothing.
void Walk(const std::shared_ptr<const idl::Program>& program, idl::TypeId body, bool pad) {
  idl::ShapeTable shapes;
  const auto whole = idl::Plan::Compile(program, body, {{{}, 0}}, &shapes);
  const auto nothing = idl::Plan::Compile(program, body, {}, &shapes);
  FUZZ_CHECK(whole.ok() || absl::IsUnimplemented(whole.status()));
  FUZZ_CHECK(nothing.ok());
  for (const size_t size : {size_t{0}, size_t{9}, sizeof kZeros}) {
    const std::span<const uint8_t> bytes(kZeros, size);
    std::string text;
    const idl::BodyJson read = AppendBodyJson(*program, body, bytes, pad, &text);
    const bool ok = read.result.error == idl::DecodeError::kNone;
    FUZZ_CHECK(ok == !text.empty());
    FUZZ_CHECK(pad || read.bytes <= size);
    idl::Arena arena;
    Value value;
    FUZZ_CHECK(!ok || nothing->Run(bytes, pad, &arena, &value).error == idl::DecodeError::kNone);
    // The text and the value have bounds of their own.
    if (whole.ok() && read.result.error != idl::DecodeError::kTooLarge) {
      const idl::DecodeError error = whole->Run(bytes, pad, &arena, &value).error;
      FUZZ_CHECK((error == idl::DecodeError::kNone) == ok || error == idl::DecodeError::kTooLarge);
    }
  }
}

}  // namespace
}  // namespace everstate

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace everstate;
  const auto idl = stack::ParseIdl(std::string(reinterpret_cast<const char*>(data), size), "in.json", "");
  if (!idl.ok()) {
    FUZZ_CHECK(idl.status().message().find("in.json") != std::string_view::npos);
    return 0;
  }
  const auto program = idl::Program::Compile(*idl);
  if (!program.ok()) {
    FUZZ_CHECK(!program.status().message().empty());
    return 0;
  }
  for (const idl::AccountLayout& account : (*program)->accounts()) Walk(*program, account.body, false);
  for (const idl::EventLayout& event : (*program)->events()) Walk(*program, event.body, false);
  for (const idl::InstructionLayout& instruction : (*program)->instructions()) Walk(*program, instruction.args, true);
  return 0;
}
