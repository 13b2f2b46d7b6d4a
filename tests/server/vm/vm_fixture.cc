#include "tests/server/vm/vm_fixture.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "server/base/base58.h"
#include "server/idl/layout.h"

namespace everstate::vm {
namespace {

// 34 arrays of one element each, inside of one another: more than a row may hold.
std::string DeepType() {
  std::string type = "\"u64\"";
  for (int i = 0; i < 34; ++i) type = absl::StrCat(R"({"array":[)", type, ",1]}");
  return type;
}

constexpr char kIdl[] =
    R"({"name":"mini","program_id":"TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA","version":"1","discriminant_size":1,
"accounts":[{"name":"Thing","discriminator":[1,2,3,4,5,6,7,8],"fields":[
  {"name":"id","type":"u64"},{"name":"owner","type":"pubkey"},{"name":"amount","type":"u64"},{"name":"delta","type":"i64"},
  {"name":"big","type":"u128"},{"name":"maybe","type":{"option":"u64"}},{"name":"endAt","type":"u64"}]}],
"instructions":[
  {"name":"do_it","discriminator":[9],"accounts":[{"name":"target"},{"name":"user"}],
   "args":[{"name":"amount","type":"u64"},{"name":"delta","type":"i64"},{"name":"ratio","type":"f64"}]},
  {"name":"freeze","discriminator":[10],"accounts":[{"name":"target"}],"args":[]},
  {"name":"halt","discriminator":[11],"accounts":[{"name":"target"}],"args":[]},
  {"name":"nest","discriminator":[13],"accounts":[{"name":"target"}],"args":[{"name":"deep","type":DEEP}]},
  {"name":"link","discriminator":[12],"accounts":[{"name":"from"},{"name":"to"}],"args":[]}],
"types":[{"name":"Boom","type":{"kind":"struct","fields":[
  {"name":"who","type":"pubkey"},{"name":"amount","type":"u64"},{"name":"flag","type":"bool"}]}}],
"events":[{"name":"Boom","discriminator":[1,1,1,1,1,1,1,1]}],"errors":[]})";

std::string Text(std::span<const uint8_t> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

}  // namespace

std::string PathJson(const std::string& dotted) {
  std::vector<std::string> segments;
  if (!dotted.empty()) segments = absl::StrSplit(dotted, '.');
  for (std::string& s : segments) s = absl::StrCat("\"", s, "\"");
  return absl::StrCat(R"({"segments":[)", absl::StrJoin(segments, ","), R"(],"offsets":null})");
}
std::string From(const std::string& dotted, const std::string& members) {
  return absl::StrCat(R"({"FromSource":{"path":)", PathJson(dotted),
                      members.empty() ? R"(,"default":null,"transform":null)" : members, "}}");
}
std::string Mapping(const std::string& target, const std::string& source, const std::string& population,
                    const std::string& members) {
  return absl::StrCat(R"({"target_path":")", target, R"(","source":)", source, R"(,"transform":null,"population":")",
                      population, "\"", members, "}");
}
std::string Compare(const std::string& dotted, const std::string& op, const std::string& value) {
  return absl::StrCat(R"({"expression":"text","parsed":{"Comparison":{"field":)", PathJson(dotted), R"(,"op":")", op,
                      R"(","value":)", value, "}}}");
}
namespace {
std::string HandlerOf(const std::string& kind, const std::string& type, const std::string& key,
                      const std::vector<std::string>& mappings) {
  return absl::StrCat(R"({"source":{"Source":{"program_id":null,"discriminator":null,"type_name":")", type,
                      R"(","is_account":)", type == kThing ? "true" : "false", R"(}},"key_resolution":{")", kind,
                      R"(":{"primary_field":)", PathJson(key), R"(}},"mappings":[)", absl::StrJoin(mappings, ","),
                      R"(],"conditions":[],"emit":true})");
}
}  // namespace

std::string Handler(const std::string& type, const std::string& key, const std::vector<std::string>& mappings) {
  return HandlerOf("Embedded", type, key, mappings);
}
std::string LookupHandler(const std::string& type, const std::string& path, const std::vector<std::string>& mappings) {
  return HandlerOf("Lookup", type, path, mappings);
}
std::string Hook(const std::string& type, const std::string& lookup_by, const std::vector<std::string>& actions) {
  return absl::StrCat(R"({"instruction_type":")", type, R"(","actions":[)", absl::StrJoin(actions, ","),
                      R"(],"lookup_by":)", lookup_by.empty() ? "null" : PathJson(lookup_by), "}");
}
std::string Computed(const std::string& target, const std::string& expression) {
  return absl::StrCat(R"({"target_path":")", target, R"(","expression":)", expression,
                      R"(,"result_type":"Option < u64 >"})");
}

EntityText Things(const std::vector<std::string>& mappings) {
  EntityText entity;
  entity.handlers = {Handler(kThing, "__account_address", mappings)};
  return entity;
}
EntityText Deeds(const std::vector<std::string>& mappings) {
  EntityText entity;
  entity.handlers = {Handler(kDoIt, "accounts.target", mappings)};
  return entity;
}

std::string EntityText::Json() const {
  return absl::StrCat(R"({"ast_version":"0.0.1","state_name":")", name,
                      R"(","program_id":null,"idl":null,"identity":{"primary_keys":[")", primary_key,
                      R"("],"lookup_indexes":[)", absl::StrJoin(indexes, ","), R"(]},"handlers":[)",
                      absl::StrJoin(handlers, ","), R"(],"sections":[],"field_mappings":{},"resolver_hooks":)",
                      resolver_hooks, R"(,"instruction_hooks":[)", absl::StrJoin(hooks, ","), R"(],"resolver_specs":)",
                      resolver_specs, R"(,"computed_fields":)", computed_fields, R"(,"computed_field_specs":[)",
                      absl::StrJoin(computed, ","), R"(],"views":)", views, "}");
}

std::string StackJson(const std::vector<EntityText>& entities) {
  std::vector<std::string> texts;
  for (const EntityText& entity : entities) texts.push_back(entity.Json());
  return absl::StrCat(R"({"ast_version":"0.0.1","stack_name":"Mini","program_ids":[")", kProgramId, R"("],"idls":[)",
                      absl::StrReplaceAll(kIdl, {{"DEEP", DeepType()}}), R"(],"entities":[)", absl::StrJoin(texts, ","),
                      "]}");
}

absl::StatusOr<std::shared_ptr<const Projection>> CompileText(const std::vector<EntityText>& entities,
                                                              const Settings& settings) {
  auto stack = stack::ParseStack(StackJson(entities), "mini.stack.json");
  if (!stack.ok()) return stack.status();
  return Projection::Compile(*stack, settings);
}

Key K(int n) {
  Key key;
  key.fill(static_cast<uint8_t>(n + 1));
  return key;
}
std::string KeyText(int n) { return EncodeBase58(K(n)); }
std::string Little(uint64_t value, size_t bytes) {
  std::string text(bytes, '\0');
  for (size_t i = 0; i < bytes && i < 8; ++i) text[i] = static_cast<char>(value >> (8 * i));
  return text;
}

std::string Thing::Bytes() const {
  std::string bytes = "\1\2\3\4\5\6\7\10";
  absl::StrAppend(&bytes, Little(id, 8), Text(K(owner)), Little(amount, 8), Little(static_cast<uint64_t>(delta), 8),
                  Little(big, 16), Little(maybe ? 1 : 0, 1), maybe ? Little(*maybe, 8) : "", Little(end_at, 8));
  return bytes;
}

std::string DoIt(uint64_t amount, int64_t delta, double ratio) {
  uint64_t bits;
  std::memcpy(&bits, &ratio, 8);
  return absl::StrCat("\t", Little(amount, 8), Little(static_cast<uint64_t>(delta), 8), Little(bits, 8));
}

std::string Boom(int who, uint64_t amount, bool flag) {
  return absl::StrCat(std::string(8, '\1'), Text(K(who)), Little(amount, 8), Little(flag ? 1 : 0, 1));
}
std::string BoomData(int who, uint64_t amount, bool flag) {
  return absl::StrCat(Text(idl::kCpiEventTag), Boom(who, amount, flag));
}

BlockBuilder::BlockBuilder(Slot slot, std::optional<int64_t> time) {
  block_.id.slot = slot;
  block_.id.parent_slot = slot - 1;
  block_.id.block_time = time;
}

const uint8_t* BlockBuilder::Keep(std::string bytes) {
  return reinterpret_cast<const uint8_t*>(bytes_.emplace_back(std::move(bytes)).data());
}

BlockBuilder& BlockBuilder::Transaction(uint8_t signature, const std::vector<InstructionText>& instructions,
                                        const std::vector<int>& writable, bool failed) {
  TransactionUpdate t;
  t.index = block_.transactions.size();
  t.signature = Keep(std::string(64, static_cast<char>(signature)));
  t.failed = failed;
  std::vector<const uint8_t*>& keys = keys_.emplace_back();
  auto index_of = [&](const Key& key) {
    for (size_t i = 0; i < keys.size(); ++i) {
      if (std::memcmp(keys[i], key.data(), 32) == 0) return i;
    }
    keys.push_back(Keep(Text(key)));
    return keys.size() - 1;
  };
  for (int key : writable) index_of(K(key));
  std::vector<InstructionUpdate>& list = instructions_.emplace_back();
  for (const InstructionText& text : instructions) {
    InstructionUpdate update;
    update.program = Keep(Text(*DecodeBase58Key32(text.program)));
    std::string accounts;
    for (int key : text.accounts) accounts.push_back(static_cast<char>(index_of(K(key))));
    update.accounts = {Keep(accounts), accounts.size()};
    update.data = {Keep(text.data), text.data.size()};
    update.outer = static_cast<uint16_t>(list.size());
    update.height = text.height;
    list.push_back(update);
  }
  bool* flags = writable_.emplace_back(std::make_unique<bool[]>(keys.size())).get();
  for (size_t i = 0; i < keys.size(); ++i) flags[i] = i < writable.size();
  t.keys = keys;
  t.writable = {flags, keys.size()};
  t.instructions = list;
  block_.transactions.push_back(t);
  return *this;
}

BlockBuilder& BlockBuilder::Log(const std::vector<std::string>& lines) {
  std::vector<std::string_view>& views = logs_.emplace_back();
  for (const std::string& line : lines) views.push_back(bytes_.emplace_back(line));
  block_.transactions.back().logs = views;
  return *this;
}

BlockBuilder& BlockBuilder::Account(int key, const std::string& data, std::optional<uint8_t> signature,
                                    uint64_t lamports, const std::string& owner) {
  AccountUpdate a;
  a.pubkey = Keep(Text(K(key)));
  a.owner = Keep(Text(*DecodeBase58Key32(owner)));
  a.lamports = lamports;
  if (signature) a.signature = Keep(std::string(64, static_cast<char>(*signature)));
  a.data = {Keep(data), data.size()};
  block_.accounts.push_back(a);
  return *this;
}

absl::StatusOr<RowRef> MapView::Get(EntityId entity, std::string_view key) {
  if (!error.ok()) return error;
  const auto it = rows.find({entity, std::string(key)});
  return it == rows.end() ? RowRef() : it->second;
}
absl::StatusOr<std::optional<std::string>> MapView::GetSide(const SideKey& key) {
  if (!error.ok()) return error;
  const auto it = sides.find(key);
  return it == sides.end() ? std::nullopt : std::optional<std::string>(it->second);
}
void MapView::Apply(const Batch& batch) {
  for (const Mutation& m : batch.mutations) rows[{m.entity, m.key}] = m.after;
  for (const SideWrite& w : batch.side) {
    if (w.value)
      sides[w.key] = *w.value;
    else
      sides.erase(w.key);
  }
}

void MapView::Reload(const RowSchema& schema) {
  for (auto& [id, row] : rows) {
    auto parsed = Row::Parse(row->bytes(), schema.entity(id.first).fields.size());
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    row = *parsed;
  }
}

World::World(const std::vector<EntityText>& entities, const Settings& settings) {
  auto compiled = CompileText(entities, settings);
  EXPECT_TRUE(compiled.ok()) << compiled.status();
  projection = *compiled;
  machine = std::make_unique<Machine>(projection);
}

void World::Restart() {
  machine = std::make_unique<Machine>(projection);
  view.Reload(*projection->schema());
}

BatchRef World::Project(const BlockBuilder& block) {
  machine->Begin(block.block().id, &view);
  for (const TransactionUpdate& t : block.block().transactions) EXPECT_TRUE(machine->Feed(t).ok());
  for (const AccountUpdate& a : block.block().accounts) EXPECT_TRUE(machine->Feed(a).ok());
  auto layer = machine->Seal();
  EXPECT_TRUE(layer.ok()) << layer.status();
  return layer->batch;
}

BatchRef World::Run(const BlockBuilder& block) {
  BatchRef batch = Project(block);
  view.Apply(*batch);
  return batch;
}

std::string World::Field(const std::string& key, const std::string& path, EntityId entity) const {
  const auto row = view.rows.find({entity, key});
  if (row == view.rows.end()) return "no row";
  const auto field = projection->schema()->entity(entity).FieldAt(path);
  if (!field) return "no field";
  const Value value = row->second->Get(*field);
  if (value.absent()) return "absent";
  std::string json;
  AppendValueJson(*projection->schema(), value, &json);
  return json;
}

uint64_t World::Faults(FaultReason reason) const {
  uint64_t count = 0;
  for (const Fault& fault : machine->faults()) count += fault.reason == reason ? fault.count : 0;
  return count;
}
uint64_t World::AllFaults() const {
  uint64_t count = 0;
  for (const Fault& fault : machine->faults()) count += fault.count;
  return count;
}

size_t World::Sides(SideKind kind) const {
  size_t count = 0;
  for (const auto& [key, value] : view.sides) count += key.kind == kind ? 1 : 0;
  return count;
}

std::string Describe(const Batch& batch) {
  std::string text;
  for (const Mutation& m : batch.mutations) {
    absl::StrAppend(&text, m.entity, " ", m.key, " ", m.cursor.ToSeq(), " ", m.changed.to_string(), " ",
                    m.after->bytes(), "|");
    for (const Appended& a : m.appended) absl::StrAppend(&text, a.field, "+", a.count, ";");
    if (m.cause.signature) absl::StrAppend(&text, Text(*m.cause.signature));
    if (m.cause.transaction_index) absl::StrAppend(&text, "@", *m.cause.transaction_index);
    text += "\n";
  }
  for (const SideWrite& w : batch.side) {
    absl::StrAppend(&text, static_cast<int>(w.key.kind), " ", w.key.entity, " ", w.key.name, " ", w.key.id, "=",
                    w.value.value_or("(gone)"), "\n");
  }
  return text;
}

}  // namespace everstate::vm
