// IDL files of all formats: read, checked, compiled into layouts, and the layouts walked over bytes.
#include "server/idl/body_json.h"
#include "server/stack/idl.h"
#include "tests/fuzz/fuzz.h"

namespace everstate {
namespace {

constexpr uint8_t kZeros[256] = {};

void Walk(const idl::Program& program, idl::TypeId body, bool pad) {
  for (const size_t size : {size_t{0}, size_t{9}, sizeof kZeros}) {
    std::string text;
    const idl::BodyJson read = AppendBodyJson(program, body, {kZeros, size}, pad, &text);
    FUZZ_CHECK((read.result.error == idl::DecodeError::kNone) == !text.empty());
    FUZZ_CHECK(pad || read.bytes <= size);
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
  for (const idl::AccountLayout& account : (*program)->accounts()) Walk(**program, account.body, false);
  for (const idl::EventLayout& event : (*program)->events()) Walk(**program, event.body, false);
  for (const idl::InstructionLayout& instruction : (*program)->instructions()) Walk(**program, instruction.args, true);
  return 0;
}
