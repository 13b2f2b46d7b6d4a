// everstate inspect: what a store holds, read from outside.
#include <cstdio>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/base/base58.h"
#include "server/cli/cli.h"
#include "server/config.h"
#include "storage/inspect.h"
#include "storage/row.h"

namespace everstate::cli {
namespace {

using Json = nlohmann::ordered_json;

struct InspectOptions {
  std::string data_dir, view, key;
  std::optional<uint64_t> generation;
  bool digest = false;
};

// What cannot be read of a damaged checkpoint is null.
Json CheckpointJson(const CheckpointEntry& entry) {
  Json json = {{"name", entry.info.name}, {"slot", nullptr},       {"lineage", nullptr}, {"entities", nullptr},
               {"bytes", nullptr},        {"created_at", nullptr}, {"damage", nullptr}};
  if (entry.info.watermark.number != 0) {
    json["slot"] = entry.info.watermark.block.slot;
    json["lineage"] = entry.info.lineage;
    json["entities"] = entry.info.entities;
    json["bytes"] = entry.info.bytes;
    json["created_at"] = entry.info.created_at;
  }
  if (!entry.status.ok()) json["damage"] = entry.status.message();
  return json;
}

Json ReportJson(const StoreReport& report) {
  Json watermark = nullptr;
  if (report.watermark.number != 0) {
    watermark = {{"number", report.watermark.number},
                 {"slot", report.watermark.block.slot},
                 {"blockhash", EncodeBase58(report.watermark.block.blockhash)},
                 {"block_time", report.watermark.block.block_time.has_value() ? Json(*report.watermark.block.block_time)
                                                                              : Json(nullptr)}};
  }
  Json entities = Json::object(), sizes = Json::object(), gaps = Json::array(), checkpoints = Json::array();
  for (const auto& [name, count] : report.entities) entities[name] = count;
  for (const auto& [name, bytes] : report.sizes) sizes[name] = bytes;
  for (const Gap& gap : report.gaps) gaps.push_back({{"from", gap.from}, {"to", gap.to}, {"cause", gap.cause}});
  for (const CheckpointEntry& entry : report.checkpoints) checkpoints.push_back(CheckpointJson(entry));
  return {{"stack", {{"name", report.stack_name}, {"hash", report.stack_hash_hex}}},
          {"lineage", report.lineage_hex},
          {"generation", report.generation},
          {"watermark", watermark},
          {"entities", entities},
          {"gaps", gaps},
          {"checkpoints", checkpoints},
          {"sizes", sizes}};
}

void PrintRow(const RowSchema& schema, const EntitySchema& entity, std::string_view key, const Row& row,
              std::string* line) {
  line->assign("{\"key\":");
  AppendJsonString(key, line);
  absl::StrAppend(line, ",\"seq\":\"", row.cursor().ToSeq(), "\",\"data\":");
  AppendEntityJson(schema, entity, row, line);
  line->append("}\n");
  std::fwrite(line->data(), 1, line->size(), stdout);
}

absl::Status PrintView(const InspectOptions& options, StoreInspector* inspector) {
  const RowSchema& schema = inspector->schema();
  const ViewDef* view = schema.FindView(options.view);
  if (view == nullptr)
    return absl::InvalidArgumentError(absl::StrCat("--view ", options.view, ": the stack has no such view"));
  if (!view->unsupported.empty())
    return absl::InvalidArgumentError(absl::StrCat("--view ", options.view, ": ", view->unsupported));
  const EntitySchema& entity = schema.entity(view->entity);
  std::string line;
  if (!options.key.empty()) {
    auto row = inspector->Get(view->entity, options.key);
    if (!row.ok()) return row.status();
    if (*row == nullptr)
      return absl::NotFoundError(absl::StrCat("--key ", options.key, ": ", entity.name, " has no such key"));
    PrintRow(schema, entity, options.key, **row, &line);
    return absl::OkStatus();
  }
  return inspector->Scan(view->entity, [&](std::string_view key, const Row& row) {
    PrintRow(schema, entity, key, row, &line);
    return true;
  });
}

absl::Status Inspect(const InspectOptions& options) {
  auto inspector = StoreInspector::Open(options.data_dir, options.generation);
  if (!inspector.ok()) return inspector.status();
  if (!options.view.empty()) return PrintView(options, inspector->get());
  if (options.digest) {
    auto digest = (*inspector)->Digest();
    if (!digest.ok()) return digest.status();
    std::printf("%s\n", digest->c_str());
    return absl::OkStatus();
  }
  auto report = (*inspector)->Report();
  if (!report.ok()) return report.status();
  // A directory among the checkpoints may have any name.
  std::printf("%s\n", ReportJson(*report).dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
  return absl::OkStatus();
}

}  // namespace

void AddInspectCommand(CLI::App& app, int* exit_code) {
  auto options = std::make_shared<InspectOptions>();
  CLI::App* inspect = app.add_subcommand("inspect", "Read a store, also a running server's, without disturbing it");
  AddDataOption(inspect, &options->data_dir);
  inspect->add_option("--generation", options->generation, "Read this generation instead of the one in force")
      ->check(WholeNumber(1, std::numeric_limits<int64_t>::max()))
      ->type_name("G");
  auto* view = inspect->add_option("--view", options->view, "Print this view's entities as JSON lines, in key order")
                   ->check(NotEmpty())
                   ->type_name("ENTITY/list");
  inspect->add_option("--key", options->key, "Only this entity")->needs(view)->check(NotEmpty())->type_name("K");
  inspect->add_flag("--digest", options->digest, "Print one hash over the rows of state")->excludes(view);
  inspect->callback([options, exit_code] {
    if (const absl::Status status = Inspect(*options); !status.ok()) *exit_code = Refuse(status);
  });
}

}  // namespace everstate::cli
