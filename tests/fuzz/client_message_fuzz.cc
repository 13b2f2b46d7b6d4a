// What a client says: JSON read without a tree.
#include <nlohmann/json.hpp>

#include "server/fanout/client_message.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace everstate;
  using Kind = ClientMessage::Kind;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const ClientMessage message = ParseClientMessage(text);
  FUZZ_CHECK((message.kind == Kind::kInvalid) == !message.problem.empty());

  // A message that is written another way means the same: read by the library's own parser, whose objects hold each
  // name once, the last one, and written again without spaces and escapes that need not be.
  const auto tree = nlohmann::json::parse(text, nullptr, false);
  if (tree.is_discarded()) {
    FUZZ_CHECK(message.kind == Kind::kInvalid);
    return 0;
  }
  if (message.problem.find("nested deeper") != std::string::npos) return 0;  // perhaps in a name that comes again later
  const ClientMessage again = ParseClientMessage(tree.dump());
  FUZZ_CHECK(again.kind == message.kind);
  FUZZ_CHECK(again.problem == message.problem);
  FUZZ_CHECK(again.view == message.view);
  FUZZ_CHECK(again.key == message.key);
  FUZZ_CHECK(again.with_snapshot == message.with_snapshot);
  FUZZ_CHECK(again.unsupported == message.unsupported);
  FUZZ_CHECK(again.has_token == message.has_token);
  return 0;
}
