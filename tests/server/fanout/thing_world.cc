#include "tests/server/fanout/thing_world.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

namespace everstate::testing {
namespace {

using nlohmann::json;

std::shared_ptr<const RowSchema> ThingSchema() {
  std::vector<FieldDef> fields = {{"ev", true},        {"hidden", false}, {"id.rank", true},
                                  {"log.items", true}, {"name", true},    {"kind", true}};
  std::vector<ViewDef> views = {{"Thing/list", 0, ViewMode::kList, ""},
                                {"Thing/state", 0, ViewMode::kState, ""},
                                {"Thing/append", 0, ViewMode::kAppend, ""},
                                {"Thing/top", 0, ViewMode::kList, "derived views are not built"}};
  auto schema = RowSchema::Build({{"Thing", std::move(fields)}}, {{{"a", "b"}}}, std::move(views));
  EXPECT_TRUE(schema.ok()) << schema.status();
  return *schema;
}

void Merge(json& into, const json& patch, const std::string& path, const json& append) {
  for (const auto& [name, value] : patch.items()) {
    const std::string here = path.empty() ? name : path + "." + name;
    json& old = into[name];
    if (old.is_object() && value.is_object()) {
      Merge(old, value, here, append);
    } else if (old.is_array() && value.is_array() && std::find(append.begin(), append.end(), here) != append.end()) {
      old.insert(old.end(), value.begin(), value.end());
    } else {
      old = value;
    }
  }
}

}  // namespace

ThingWorld::ThingWorld() : schema_(ThingSchema()) {
  static std::atomic<int> count{0};
  dir_ = std::filesystem::temp_directory_path() /
         ("everstate-fanout-" + std::to_string(::getpid()) + "-" + std::to_string(count.fetch_add(1)));
  std::filesystem::create_directories(dir_);
  StoreOptions options;
  options.data_dir = dir_;
  options.block_cache_bytes = 8u << 20;
  StoreIdentity identity;
  identity.stack_name = "things";
  identity.schema = schema_;
  auto store = EntityStore::Open(options, identity);
  EXPECT_TRUE(store.ok()) << store.status();
  store_ = *std::move(store);
  writer_ = store_->TakeWriter();
}

void ThingWorld::Close() {
  writer_.reset();
  store_.reset();
}

ThingWorld::~ThingWorld() {
  Close();
  std::error_code ignored;
  std::filesystem::remove_all(dir_, ignored);
}

void ThingWorld::Edit(const std::string& key, const std::function<void(RowEditor&)>& edit) {
  RowEditor editor;
  const RowRef before = rows_.contains(key) ? rows_[key] : nullptr;
  editor.Reset(before, schema_->entity(0).fields.size());
  edit(editor);
  const Cursor cursor{slot_, next_.mutations.size() + 1};
  RowEditor::Built built = editor.Build(cursor, kAppendKeep);
  if (built.after == nullptr) return;
  Mutation mutation;
  mutation.key = key;
  mutation.cursor = cursor;
  mutation.before = before;
  mutation.after = built.after;
  mutation.changed = built.changed;
  mutation.appended = built.appended;
  rows_[key] = built.after;
  next_.mutations.push_back(std::move(mutation));
}

void ThingWorld::SetRank(const std::string& key, uint64_t rank) {
  Edit(key, [rank](RowEditor& editor) { editor.Set(kRank, Value::Uint(rank)); });
}

void ThingWorld::AddEv(const std::string& key, uint64_t element) {
  Edit(key, [element](RowEditor& editor) { EXPECT_TRUE(editor.Append(kEv, Value::Uint(element))); });
}

void ThingWorld::SetKind(const std::string& key, std::optional<uint64_t> a, std::optional<uint64_t> b) {
  std::string payload, object;
  for (const auto& value : {a, b}) AppendValue(value.has_value() ? Value::Uint(*value) : Value(), &payload);
  AppendObject(/*shape=*/0, payload, &object);
  Edit(key, [&object](RowEditor& editor) { editor.Set(kKind, ValueReader(object).Next().value()); });
}

void ThingWorld::Delete(const std::string& key) {
  Mutation mutation;
  mutation.key = key;
  mutation.cursor = {slot_, next_.mutations.size() + 1};
  mutation.before = rows_.at(key);
  for (size_t field = 0; field < schema_->entity(0).fields.size(); ++field) {
    if (mutation.before->present().test(field)) mutation.changed.set(field);
  }
  rows_.erase(key);
  next_.mutations.push_back(std::move(mutation));
}

Applied ThingWorld::Apply() {
  next_.kind = BatchKind::kSlot;
  next_.block.slot = slot_;
  next_.block.blockhash[0] = static_cast<uint8_t>(slot_);
  next_.block.parent_slot = slot_ - 1;
  next_.block.parent_blockhash[0] = static_cast<uint8_t>(slot_ - 1);
  ++slot_;
  auto batch = std::make_shared<const Batch>(std::move(next_));
  next_ = Batch();
  auto number = writer_->Apply(*batch);
  EXPECT_TRUE(number.ok()) << number.status();
  return {store_->generation(), *number, std::move(batch)};
}

std::map<std::string, json> ThingWorld::Truth() const {
  std::map<std::string, json> truth;
  for (const auto& [key, row] : rows_) {
    if ((row->present() & schema_->entity(0).emitted).none()) continue;
    std::string text;
    AppendEntityJson(*schema_, schema_->entity(0), *row, &text);
    truth[key] = json::parse(text);
  }
  return truth;
}

std::string FakeClient::Take(const std::string& text) {
  const json message = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!message.is_object()) return "no JSON object: " + text;
  if (message.value("type", "") == "error") {
    issues.push_back(message);
    return {};
  }
  if (!message.contains("op")) return "neither issue nor frame: " + text;
  const std::string op = message["op"];
  if (op == "subscribed") {
    ++subscribed[message.at("view")];
    return {};
  }
  const std::string view = message.at("entity");
  auto& store = stores[view];
  if (op == "snapshot") {
    for (const json& row : message.at("data")) store[row.at("key")] = row.at("data");
    if (message.contains("reset")) {
      if (message["reset"] != true) return "a reset that is not true: " + text;
      // Another generation's cursors begin below those of the one before.
      std::erase_if(last_seq_, [&](const auto& entry) { return entry.first.first == view; });
      if (message.at("complete")) ++resets[view];
    }
    if (message.at("complete")) ++completes[view];
    return {};
  }
  if (op == "delete" && !message.contains("seq")) {
    if (!message.at("data").is_null()) return "delete with data: " + text;
    ++switch_deletes;
    store.erase(message.at("key"));
    return {};
  }
  ++live_frames;
  if (keep_live) live.push_back(message);
  const std::string key = message.at("key");
  const std::string seq = message.at("seq");
  std::string& last = last_seq_[{view, key}];
  // As numbers: the slot has no leading zeros.
  if (std::pair(seq.size(), seq) <= std::pair(last.size(), last))
    return "seq " + seq + " of " + view + " " + key + " after " + last;
  last = seq;
  if (op == "delete") {
    if (!message.at("data").is_null()) return "delete with data: " + text;
    store.erase(key);
    return {};
  }
  if (op != "patch" && op != "upsert") return "unknown op: " + text;
  if (message.at("data").at("_seq") != seq) return "_seq differs from seq: " + text;
  if (op == "upsert" && message.contains("append")) return "an upsert that appends: " + text;
  if (op == "patch" && store.contains(key)) {
    Merge(store[key], message["data"], "", message.value("append", json::array()));
  } else {
    store[key] = message["data"];
  }
  return {};
}

void FakeClient::Forget(const std::string& view, const std::string& key) {
  stores[view].erase(key);
  last_seq_.erase({view, key});
}

std::string ViewMessage(std::string_view type, std::string_view view, const std::optional<std::string>& key,
                        bool with_snapshot) {
  json message = {{"type", type}, {"view", view}};
  if (key.has_value()) message["key"] = *key;
  if (!with_snapshot) message["withSnapshot"] = false;
  return message.dump();
}

}  // namespace everstate::testing
