// everstate archive: what the archive of a data directory reaches, read from its files.
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "server/base/base58.h"
#include "server/cli/cli.h"
#include "server/config.h"
#include "server/ingest/archive.h"
#include "storage/inspect.h"

namespace everstate::cli {
namespace {

using Json = nlohmann::ordered_json;

struct ArchiveListOptions {
  std::string data_dir;
  bool json = false, verify = false;
};

Json ToJson(const BlockId& block) { return {{"slot", block.slot}, {"blockhash", EncodeBase58(block.blockhash)}}; }

void PrintJson(const ingest::ArchiveListing& listing) {
  Json runs = Json::array();
  for (const ingest::ArchiveReach& run : listing.runs) {
    runs.push_back({{"first_slot", run.first_slot},
                    {"before", ToJson(run.before)},
                    {"last", ToJson(run.last)},
                    {"blocks", run.blocks},
                    {"bytes", run.bytes}});
  }
  const Json report = {
      {"runs", runs}, {"segments", listing.segments}, {"bytes", listing.bytes}, {"faults", listing.faults}};
  std::printf("%s\n", report.dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
}

void PrintTable(const ingest::ArchiveListing& listing) {
  std::printf("%14s %14s %14s %12s %16s\n", "FROM STATE AT", "FIRST SLOT", "LAST SLOT", "BLOCKS", "BYTES");
  for (const ingest::ArchiveReach& run : listing.runs) {
    std::printf("%14llu %14llu %14llu %12llu %16llu\n", static_cast<unsigned long long>(run.before.slot),
                static_cast<unsigned long long>(run.first_slot), static_cast<unsigned long long>(run.last.slot),
                static_cast<unsigned long long>(run.blocks), static_cast<unsigned long long>(run.bytes));
  }
  std::printf("%llu segments, %llu bytes\n", static_cast<unsigned long long>(listing.segments),
              static_cast<unsigned long long>(listing.bytes));
  for (const std::string& fault : listing.faults) std::printf("fault: %s\n", fault.c_str());
}

int List(const ArchiveListOptions& options) {
  const auto listing =
      ingest::ListArchive(std::filesystem::path(options.data_dir) / "archive",
                          options.verify ? ingest::ArchiveCheck::kFrames : ingest::ArchiveCheck::kHeaders);
  if (!listing.ok()) return Refuse(listing.status());
  const bool nothing = listing->segments == 0 && listing->faults.empty();
  if (nothing) {  // a store may be without an archive; a folder that is no store was meant to be another one
    if (const absl::Status store = CheckStoreIn(options.data_dir); !store.ok()) return Refuse(store);
  }
  if (options.json) {
    PrintJson(*listing);
  } else if (nothing) {
    std::printf("%s has no archive\n", options.data_dir.c_str());
  } else {
    PrintTable(*listing);
  }
  return static_cast<int>(listing->faults.empty() ? ExitCode::kOrderly : ExitCode::kStore);
}

}  // namespace

void AddArchiveCommand(CLI::App& app, int* exit_code) {
  CLI::App* archive = app.add_subcommand("archive", "The blocks that a data directory keeps for a rewind");
  archive->require_subcommand(1);
  auto options = std::make_shared<ArchiveListOptions>();
  CLI::App* list =
      archive->add_subcommand("list", "Print what the archive reaches; exit code 3 when a segment is damaged");
  AddDataOption(list, &options->data_dir);
  list->add_flag("--json", options->json, "Print one JSON object");
  list->add_flag("--verify", options->verify, "Read the blocks too and compare their checksums");
  list->callback([options, exit_code] { *exit_code = List(*options); });
}

}  // namespace everstate::cli
