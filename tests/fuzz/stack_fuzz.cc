// stack.json: read, checked and compiled into a projection.
#include "server/stack/stack.h"
#include "server/vm/projection.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace everstate;
  const auto stack = stack::ParseStack(std::string(reinterpret_cast<const char*>(data), size), "in.stack.json");
  if (!stack.ok()) {
    FUZZ_CHECK(stack.status().message().find("in.stack.json") != std::string_view::npos);
    return 0;
  }
  const auto projection = vm::Projection::Compile(*stack, {});
  if (!projection.ok()) {
    FUZZ_CHECK(!projection.status().message().empty());
    return 0;
  }
  // What the store keeps of it is read back as it was.
  const std::string text = (*projection)->schema()->Serialize();
  const auto schema = RowSchema::Parse(text);
  FUZZ_CHECK(schema.ok());
  FUZZ_CHECK((*schema)->Serialize() == text);
  return 0;
}
