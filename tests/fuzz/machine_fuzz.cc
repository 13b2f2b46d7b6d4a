// Blocks made of pieces, run through a projection that uses most of what the machine can: the same batches come out
// when it begins anew before each block, with all that it remembers read back from bytes.
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "tests/fuzz/fuzz.h"
#include "tests/server/vm/vm_fixture.h"

namespace everstate::vm {
namespace {

constexpr int kKeys = 8;  // few, so that things meet

// Led by address, waiting until it leads somewhere; conditions, captures, unique sets, stops, computed fields.
std::vector<EntityText> Entities() {
  EntityText led;
  led.handlers = {
      Handler(kBoom, "data.who",
              {Mapping("booms", From("data"), "Count"), Mapping("sum", From("data.amount"), "Sum"),
               Mapping("whole", R"("WholeSource")", "Append")}),
      LookupHandler(kThing, "__account_address",
                    {Mapping("thing.amount", From("amount"), "LastWrite"), Mapping("thing.maybe", From("maybe"), "Max"),
                     Mapping("thing.capture", R"({"AsCapture":{"field_transforms":{}}})", "LastWrite"),
                     Mapping("thing.stopped", From("delta"), "LastWrite", R"(,"stop":"mini::HaltIxState")")}),
      LookupHandler(kDoIt, "accounts.target",
                    {Mapping("deeds.n", From("data"), "Count"), Mapping("deeds.all", From("data.amount"), "Append"),
                     Mapping("deeds.users", From("accounts.user"), "UniqueCount"),
                     Mapping("deeds.low", From("data.delta"), "Min"), Mapping("deeds.ratio", From("data.ratio"), "Sum"),
                     Mapping("deeds.big", From("data.amount"), "SetOnce",
                             R"(,"condition":)" + Compare("data.amount", "GreaterThan", "1000"))})};
  led.hooks = {
      Hook(kLink, "",
           {absl::StrCat(R"({"RegisterPdaMapping":{"pda_field":)", PathJson("accounts.from"), R"(,"seed_field":)",
                         PathJson("accounts.to"), R"(,"lookup_name":"any"}})")}),
      Hook(kFreeze, "accounts.target",
           {R"({"IncrementField":{"target_field":"frozen","increment_by":1,"condition":null}})"}),
      Hook(kHalt, "accounts.target",
           {R"({"SetField":{"target_field":"__stop:thing.stopped","source":{"Constant":true},"condition":null}})",
            R"({"SetField":{"target_field":"halted","source":{"FromContext":{"field":"slot"}},"condition":null}})"})};
  led.resolver_hooks = absl::StrCat(R"([{"account_type":")", kThing, R"(","strategy":{"PdaReverseLookup":)",
                                    R"({"lookup_name":"any","queue_discriminators":[[12]]}}}])");
  const auto part = [](const std::string& of, const std::string& by) {
    return absl::StrCat(R"({"Binary":{"op":"Div","left":)", of, R"(,"right":)", by, "}}");
  };
  const auto field = [](const std::string& path) { return absl::StrCat(R"({"FieldRef":{"path":")", path, R"("}})"); };
  const auto real = [&](const std::string& path) {
    return absl::StrCat(R"({"Cast":{"expr":)", field(path), R"(,"to_type":"f64"}})");
  };
  led.computed = {Computed("computed.slot", "\"ContextSlot\""),
                  Computed("computed.part", part(field("sum"), field("deeds.n"))),
                  Computed("computed.ratio", part(real("thing.amount"), real("thing.maybe")))};
  EntityText plain;
  plain.name = "F";
  plain.handlers = {Handler(kThing, "id",
                            {Mapping("owner", From("owner"), "LastWrite"), Mapping("amounts", From("amount"), "Append"),
                             Mapping("big", From("big"), "Sum"),
                             Mapping("when", From("amount"), "LastWrite", R"(,"when":"mini::DoItIxState")")})};
  plain.indexes = {R"({"field_name":"owner","temporal_field":null})"};
  return {led, plain};
}

// Small, so that both are reached.
Settings SmallSettings() {
  Settings settings;
  settings.append_keep = 3;
  settings.waiting_slots_max = 4;
  settings.waiting_per_address_max = 3;
  settings.waiting_bytes_max = 2000;
  return settings;
}

InstructionText DrawInstruction(fuzz::Input* input) {
  InstructionText text;
  const uint8_t kind = input->Byte();
  text.height = 1 + (kind >> 6);
  for (int accounts = (kind >> 4) & 3; accounts > 0; --accounts) text.accounts.push_back(input->Byte() % kKeys);
  switch (kind % 8) {
    case 0:
      text.data = DoIt(input->Byte() * 8u, static_cast<int8_t>(input->Byte()), input->Byte());
      break;
    case 1:
      text.data = kLinkData;
      break;
    case 2:
      text.data = BoomData(input->Byte() % kKeys, input->Byte(), (input->Byte() & 1) != 0);
      break;
    case 3:
      text.data = "\n";
      break;
    case 4:
      text.data = "\v";
      break;
    case 5:
      text.program = "11111111111111111111111111111112";
      break;
    default:
      text.data = std::string(input->Piece());
  }
  return text;
}

void AddTransaction(fuzz::Input* input, BlockBuilder* block) {
  const uint8_t flags = input->Byte();
  std::vector<InstructionText> instructions;
  for (int count = flags & 7; count > 0; --count) instructions.push_back(DrawInstruction(input));
  std::vector<int> writable;
  for (int count = (flags >> 3) & 3; count > 0; --count) writable.push_back(input->Byte() % kKeys);
  block->Transaction(static_cast<uint8_t>(block->block().transactions.size()), instructions, writable,
                     (flags & 32) != 0);
  if ((flags & 64) == 0) return;
  std::vector<std::string> lines;
  for (int count = input->Byte() % 8; count > 0; --count) {
    switch (input->Byte() % 4) {
      case 0:
        lines.push_back(absl::StrCat("Program ", kProgramId, " invoke [", input->Byte() % 4, "]"));
        break;
      case 1:
        lines.push_back(absl::StrCat("Program ", kProgramId, " success"));
        break;
      case 2:
        lines.push_back(absl::StrCat("Program data: ", absl::Base64Escape(Boom(input->Byte() % kKeys, input->Byte()))));
        break;
      default:
        lines.emplace_back(input->Piece());
    }
  }
  block->Log(lines);
}

void AddAccount(fuzz::Input* input, BlockBuilder* block) {
  const int key = input->Byte() % kKeys;
  const uint8_t flags = input->Byte();
  Thing thing;
  thing.id = input->Byte() % 4;
  thing.owner = input->Byte() % kKeys;
  thing.amount = input->Byte();
  if ((flags & 1) != 0) thing.maybe = input->Byte();
  const std::string data = (flags & 2) != 0 ? std::string(input->Piece()) : thing.Bytes();
  std::optional<uint8_t> signature;
  if ((flags & 4) != 0) signature = static_cast<uint8_t>(input->Byte() % 4);
  block->Account(key, data, signature, (flags & 8) != 0 ? 0 : 1);
}

BatchRef Project(Machine* machine, const Block& block, MapView* view) {
  machine->Begin(block.id, view);
  for (const TransactionUpdate& t : block.transactions) FUZZ_CHECK(machine->Feed(t).ok());
  for (const AccountUpdate& a : block.accounts) FUZZ_CHECK(machine->Feed(a).ok());
  auto layer = machine->Seal();
  FUZZ_CHECK(layer.ok());
  return layer->batch;
}

void CheckRows(const RowSchema& schema, const Batch& batch, MapView* view) {
  for (const Mutation& m : batch.mutations) {
    FUZZ_CHECK(m.after != nullptr && m.after->cursor() == m.cursor);
    std::string text;
    AppendPatchJson(schema, schema.entity(m.entity), m, &text);
    FUZZ_CHECK(nlohmann::json::accept(text));
  }
  for (auto& [id, row] : view->rows) {
    auto parsed = Row::Parse(row->bytes(), schema.entity(id.first).fields.size());
    FUZZ_CHECK(parsed.ok());
    row = *parsed;
  }
}

}  // namespace
}  // namespace everstate::vm

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace everstate::vm;
  static const auto projection = [] {
    auto compiled = CompileText(Entities(), SmallSettings());
    if (!compiled.ok()) std::fprintf(stderr, "%s\n", compiled.status().ToString().c_str());
    FUZZ_CHECK(compiled.ok());
    return *compiled;
  }();
  everstate::fuzz::Input input(data, size);
  Machine steady(projection);
  MapView kept, reloaded;
  everstate::Slot slot = 10;
  while (!input.empty()) {
    const uint8_t step = input.Byte();
    slot += 1 + step % 4;
    BlockBuilder block(slot, (step & 4) != 0 ? std::nullopt : std::optional<int64_t>(slot * 10));
    for (int count = (step >> 3) & 3; count > 0; --count) AddTransaction(&input, &block);
    for (int count = (step >> 5) & 3; count > 0; --count) AddAccount(&input, &block);

    Machine fresh(projection);
    const everstate::BatchRef batch = Project(&steady, block.block(), &kept);
    FUZZ_CHECK(Describe(*batch) == Describe(*Project(&fresh, block.block(), &reloaded)));
    kept.Apply(*batch);
    reloaded.Apply(*batch);
    CheckRows(*projection->schema(), *batch, &reloaded);
  }
  return 0;
}
