// everstate check: what a stack is, or everything that is wrong with it.
#include <fmt/format.h>

#include <cstdio>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/base/printable.h"
#include "server/base/sha256.h"
#include "server/cli/cli.h"
#include "server/config.h"
#include "server/ingest/yellowstone.h"
#include "server/stack/stack.h"
#include "server/vm/projection.h"
#include "storage/row_schema.h"

namespace everstate::cli {
namespace {

using Json = nlohmann::ordered_json;

struct CheckOptions {
  std::string stack;
  bool json = false;
};

std::string KindText(stack::Finding::Kind kind) {
  switch (kind) {
    case stack::Finding::Kind::kInvalid:
      return "invalid";
    case stack::Finding::Kind::kUnsupported:
      return "unsupported";
    case stack::Finding::Kind::kNote:
      return "note";
  }
  return "";
}

Json FindingsJson(const std::string& file, const std::vector<stack::Finding>& findings) {
  Json out = Json::array();
  for (const stack::Finding& finding : findings)
    out.push_back({{"file", file}, {"path", finding.path}, {"kind", KindText(finding.kind)}, {"rule", finding.rule}});
  return out;
}

// What the file says of its content, null when it says nothing, and what is true.
Json HashJson(const stack::Stack& stack) {
  Json found = nullptr;
  if (!stack.recorded_hash.empty()) found = stack.recorded_hash;
  const std::string_view bytes(reinterpret_cast<const char*>(stack.hash.data()), stack.hash.size());
  return {{"found", std::move(found)}, {"computed", HexOf(bytes)}, {"differs", stack.hash_differs}};
}

Json ProgramJson(const stack::Idl& idl) {
  const auto names = [](const auto& items) {
    Json out = Json::array();
    for (const auto& item : items) out.push_back(item.name);
    return out;
  };
  return {{"name", idl.name},
          {"id", idl.program_id},
          {"accounts", names(idl.accounts)},
          {"instructions", names(idl.instructions)},
          {"events", names(idl.events)}};
}

Json EntityJson(const stack::Entity& entity, EntityId id, const vm::Projection& projection) {
  Json keys = Json::array(), indexes = Json::array(), fields = Json::array();
  std::set<std::string_view> named;  // stacks name a key as often as it is mapped
  for (const std::string& key : entity.primary_keys) {
    if (named.insert(key).second) keys.push_back(key);
  }
  for (const stack::LookupIndex& index : entity.lookup_indexes) indexes.push_back(index.field_name);
  const std::vector<FieldDef>& defs = projection.schema()->entity(id).fields;
  for (size_t f = 0; f < defs.size(); ++f) {
    fields.push_back({{"path", defs[f].path}, {"type", projection.field_types(id)[f]}, {"emit", defs[f].emit}});
  }
  return {{"name", entity.name},
          {"keys", std::move(keys)},
          {"lookup_indexes", std::move(indexes)},
          {"fields", std::move(fields)}};
}

Json StackJson(const vm::Projection& projection) {
  const stack::Stack& stack = projection.stack();
  Json programs = Json::array(), entities = Json::array(), views = Json::array();
  for (const stack::Idl& idl : stack.idls) programs.push_back(ProgramJson(idl));
  for (size_t e = 0; e < stack.entities.size(); ++e)
    entities.push_back(EntityJson(stack.entities[e], static_cast<EntityId>(e), projection));
  for (const ViewDef& view : projection.schema()->views()) {
    Json one = {{"view", view.id},
                {"entity", stack.entities[view.entity].name},
                {"mode", std::string(ViewModeName(view.mode))},
                {"unsupported", nullptr}};
    if (!view.unsupported.empty()) one["unsupported"] = view.unsupported;
    views.push_back(std::move(one));
  }
  ingest::Subscription subscription;
  subscription.transaction_programs = projection.transaction_programs();
  subscription.account_owners = projection.account_owners();
  return {{"file", stack.file},
          {"stack", stack.name},
          {"programs", std::move(programs)},
          {"entities", std::move(entities)},
          {"views", std::move(views)},
          {"subscription", Json::parse(ingest::SubscribeRequestJson(subscription))}};
}

// Names come from the file, which is anybody's.
std::string Text(const Json& json) { return Printable(json.get<std::string>()); }

std::string Listed(const Json& names) {
  std::string out;
  for (const Json& name : names) out += (out.empty() ? "" : ", ") + Text(name);
  return out.empty() ? "none" : out;
}

// The same for people.
std::string StackText(const Json& stack) {
  std::string out = fmt::format("stack {} ({})\n\nprograms\n", Text(stack["stack"]), Text(stack["file"]));
  const auto add = [&]<typename... Args>(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out), format, std::forward<Args>(args)...);
  };
  for (const Json& program : stack["programs"]) {
    add("  {} {}: {} accounts, {} instructions, {} events\n", Text(program["name"]), Text(program["id"]),
        program["accounts"].size(), program["instructions"].size(), program["events"].size());
  }
  for (const Json& entity : stack["entities"]) {
    add("\nentity {}\n  key: {}\n  looked up by: {}\n", Text(entity["name"]), Listed(entity["keys"]),
        Listed(entity["lookup_indexes"]));
    for (const Json& field : entity["fields"]) {
      add("  {:<40} {}{}\n", Text(field["path"]), Text(field["type"]), field["emit"].get<bool>() ? "" : " (not sent)");
    }
  }
  out += "\nviews\n";
  for (const Json& view : stack["views"]) {
    const Json& unsupported = view["unsupported"];
    add("  {:<40} {} of {}{}\n", Text(view["view"]), Text(view["mode"]), Text(view["entity"]),
        unsupported.is_null() ? "" : ", not served: " + Text(unsupported));
  }
  add("\nsubscription\n  {}\n", stack["subscription"].dump());
  if (!stack["notes"].empty()) out += "\nnotes\n";
  for (const Json& note : stack["notes"]) add("  {}: {}\n", Text(note["path"]), Text(note["rule"]));
  return out;
}

std::string FindingsText(const stack::Diagnostics& diagnostics) {
  std::string out;
  for (const auto* findings : {&diagnostics.findings(), &diagnostics.notes()}) {
    for (const stack::Finding& finding : *findings)
      out += fmt::format("{}: {}\n", KindText(finding.kind), diagnostics.Text(finding));
  }
  return out;
}

ExitCode Check(const CheckOptions& options) {
  stack::Diagnostics diagnostics(options.stack);
  const auto stack = stack::ReadStackFile(&diagnostics);
  std::shared_ptr<const vm::Projection> projection;
  if (!stack.ok()) {
    // The file as a whole; the message names it, and so does the finding.
    std::string rule(stack.status().message());
    for (const std::string& prefix : {options.stack + ": ", std::string("top level: ")}) {
      if (rule.starts_with(prefix)) rule.erase(0, prefix.size());
    }
    diagnostics.Add({stack::Finding::Kind::kInvalid, "", std::move(rule)});
  } else {
    projection = vm::Projection::Compile(*stack, vm::Settings{}, &diagnostics);
  }
  Json json = projection != nullptr
                  ? StackJson(*projection)
                  : Json{{"file", options.stack}, {"findings", FindingsJson(options.stack, diagnostics.findings())}};
  if (stack.ok()) json["content_hash"] = HashJson(**stack);
  json["notes"] = FindingsJson(options.stack, diagnostics.notes());
  // The file's name may be any bytes.
  const std::string text = options.json            ? json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"
                           : projection != nullptr ? StackText(json)
                                                   : FindingsText(diagnostics);
  std::fwrite(text.data(), 1, text.size(), stdout);
  return projection != nullptr ? ExitCode::kOrderly : ExitCode::kConfiguration;
}

}  // namespace

void AddCheckCommand(CLI::App& app, int* exit_code) {
  auto options = std::make_shared<CheckOptions>();
  CLI::App* check =
      app.add_subcommand("check", "Say what a stack is, or everything that is wrong with it or not supported in it");
  check->add_flag("--json", options->json, "As one JSON object");
  check->add_option("STACK", options->stack, "Stack file (*.stack.json)")->required();
  check->callback([options, exit_code] { *exit_code = static_cast<int>(Check(*options)); });
}

}  // namespace everstate::cli
