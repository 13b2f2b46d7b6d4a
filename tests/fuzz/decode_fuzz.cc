// Bytes of accounts, instructions, events and logs, decoded by every layout of a few IDLs: as JSON for people, whole
// into a register, and each field alone.
#include <fstream>
#include <iterator>
#include <optional>
#include <vector>

#include "server/idl/body_json.h"
#include "server/idl/extract.h"
#include "server/idl/layout.h"
#include "server/idl/program_log.h"
#include "server/stack/stack.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/source_dir.h"

namespace everstate::idl {
namespace {

struct Layout {
  TypeId body = 0;
  bool pad = false;
  std::optional<Plan> whole;  // none: there is a map in it
  std::vector<Plan> fields;   // of a struct, ascending by name
};
struct Decoders {
  std::shared_ptr<const Program> program;
  std::vector<Layout> accounts, instructions, events;
};

Layout LayoutOf(const std::shared_ptr<const Program>& program, TypeId body, bool pad, ShapeTable* shapes) {
  Layout layout{body, pad, std::nullopt, {}};
  auto whole = Plan::Compile(program, body, {{{}, 0}}, shapes);
  FUZZ_CHECK(whole.ok() || absl::IsUnimplemented(whole.status()));
  if (!whole.ok()) return layout;
  layout.whole = *std::move(whole);
  const Type& type = program->types()[body];
  for (const uint16_t field : type.by_key) {
    auto plan = Plan::Compile(program, body, {{{type.fields[field].name}, 0}}, shapes);
    FUZZ_CHECK(plan.ok());
    layout.fields.push_back(*std::move(plan));
  }
  return layout;
}

Decoders DecodersOf(const stack::Idl& idl, ShapeTable* shapes) {
  auto program = Program::Compile(idl);
  if (!program.ok()) std::fprintf(stderr, "%s\n", program.status().ToString().c_str());
  FUZZ_CHECK(program.ok());
  Decoders decoders{*program, {}, {}, {}};
  for (const auto& account : (*program)->accounts())
    decoders.accounts.push_back(LayoutOf(*program, account.body, false, shapes));
  for (const auto& event : (*program)->events())
    decoders.events.push_back(LayoutOf(*program, event.body, false, shapes));
  for (const auto& instruction : (*program)->instructions()) {
    decoders.instructions.push_back(LayoutOf(*program, instruction.args, true, shapes));
  }
  return decoders;
}

std::vector<Decoders> AllDecoders() {
  ShapeTable shapes;
  std::vector<Decoders> all;
  for (const char* name : {"anchor", "codama", "steel"}) {
    const auto idl = stack::LoadIdl(InSource(std::string("tests/fuzz/idls/") + name + ".json"), "");
    if (!idl.ok()) std::fprintf(stderr, "%s\n", idl.status().ToString().c_str());
    FUZZ_CHECK(idl.ok());
    all.push_back(DecodersOf(*idl, &shapes));
  }
  const auto stack = stack::LoadStack(InSource("tests/stacks/SplStream.stack.json"));
  FUZZ_CHECK(stack.ok());
  all.push_back(DecodersOf((*stack)->idls[0], &shapes));
  return all;
}

std::string EncodingOf(const Value& value) {
  std::string bytes;
  AppendValue(value, &bytes);
  return bytes;
}

// What is taken whole is taken field by field, with the same values.
void CompareFields(const Layout& layout, std::span<const uint8_t> body, const Value& whole) {
  if (layout.fields.empty()) return;
  const auto composite = OpenComposite(whole);
  FUZZ_CHECK(composite.ok());
  ValueReader values(composite->payload);
  for (const Plan& plan : layout.fields) {
    static Arena arena;
    arena.Clear();
    Value alone;
    FUZZ_CHECK(plan.Run(body, layout.pad, &arena, &alone).error == DecodeError::kNone);
    const auto value = values.Next();
    FUZZ_CHECK(value.ok() && EncodingOf(alone) == EncodingOf(*value));
  }
  FUZZ_CHECK(values.done());
}

void Decode(const Program& program, const Layout& layout, std::span<const uint8_t> body) {
  std::string json;
  const BodyJson text = AppendBodyJson(program, layout.body, body, layout.pad, &json);
  FUZZ_CHECK((text.result.error == DecodeError::kNone) == !json.empty());
  FUZZ_CHECK(text.bytes <= body.size());
  if (!layout.whole) return;
  static Arena arena;
  arena.Clear();
  Value whole;
  const DecodeResult result = layout.whole->Run(body, layout.pad, &arena, &whole);
  // Which of several faults is met first depends on the order of the names.
  FUZZ_CHECK((result.error == DecodeError::kNone) == (text.result.error == DecodeError::kNone));
  FUZZ_CHECK(result.zeros_padded == text.result.zeros_padded);
  if (result.error == DecodeError::kNone) CompareFields(layout, body, whole);
}

void DecodeByAll(const Program& program, const std::vector<Layout>& layouts, std::span<const uint8_t> body) {
  for (const Layout& layout : layouts) Decode(program, layout, body);
}

void FollowLog(const Program& program, std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    lines.push_back(text.substr(0, text.find('\n')));
    text.remove_prefix(std::min(text.size(), lines.back().size() + 1));
  }
  ProgramLog log;
  log.Begin(lines);
  ProgramLog::Data data;
  while (log.Next(&data)) {
    FUZZ_CHECK(data.line < lines.size() && data.invocation < data.begun);
    const EventMatch match = program.FindLogEvent(data.bytes);
    FUZZ_CHECK(match.event < 0 || match.body_at <= data.bytes.size());
  }
}

}  // namespace
}  // namespace everstate::idl

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace everstate::idl;
  static const std::vector<Decoders> all = AllDecoders();
  everstate::fuzz::Input input(data, size);
  const Decoders& decoders = all[input.Byte() % all.size()];
  const Program& program = *decoders.program;
  const uint8_t kind = input.Byte() % 4;
  const std::string_view rest = input.Rest();
  const std::span<const uint8_t> bytes = everstate::fuzz::Span(rest);
  if (kind == 0) {
    FUZZ_CHECK(program.MatchAccount(bytes) < static_cast<int>(decoders.accounts.size()));
    DecodeByAll(program, decoders.accounts, bytes);
  } else if (kind == 1) {
    FUZZ_CHECK(program.MatchInstruction(bytes) < static_cast<int>(decoders.instructions.size()));
    DecodeByAll(program, decoders.instructions, bytes);
  } else if (kind == 2) {
    for (const EventMatch& match :
         {program.FindCpiEvent(bytes), program.FindLogEvent(bytes), program.FindLoggedEvent(bytes)}) {
      FUZZ_CHECK(match.event < static_cast<int>(decoders.events.size()) && match.body_at <= bytes.size());
    }
    DecodeByAll(program, decoders.events, bytes);
  } else {
    FollowLog(program, rest);
  }
  return 0;
}
