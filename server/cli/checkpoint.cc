// everstate checkpoint: makes, lists, verifies and deletes checkpoints. What changes the data directory of a running
// server is done by that server; the rest is read from the files.
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "proto/admin.grpc.pb.h"
#include "server/base/base58.h"
#include "server/cli/cli.h"
#include "server/config.h"
#include "storage/checkpoint.h"
#include "storage/data_dir.h"
#include "storage/entity_store.h"
#include "storage/inspect.h"

namespace everstate::cli {
namespace {

namespace fs = std::filesystem;
namespace pb = admin::v1;
using Json = nlohmann::ordered_json;

constexpr std::chrono::seconds kHello{5};  // for a server to say who it is
constexpr std::chrono::minutes kWork{30};  // for one checkpoint to be made, or for many to be deleted

struct CheckpointOptions {
  std::string data_dir;
  std::string admin = Config{}.admin;
  bool json = false;
  std::vector<std::string> names;  // verify
  uint32_t keep = CheckpointSchedule{}.keep;
};

// One line of the table. What only a running server knows is empty without one.
struct Listed {
  pb::Checkpoint checkpoint;
  bool server_knows = false;  // `ours` and `reach` are the server's word
};

absl::Status FromGrpc(const grpc::Status& status) {
  return {static_cast<absl::StatusCode>(status.error_code()), status.error_message()};
}

// The admin service of the server that holds this data directory.
class AdminClient {
 public:
  // Unavailable: nobody answers there. FailedPrecondition: the server there holds another directory.
  static absl::StatusOr<std::unique_ptr<AdminClient>> Connect(const CheckpointOptions& options) {
    auto server = std::make_unique<AdminClient>(options.admin);
    pb::Info info;
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kHello);
    const grpc::Status status = server->stub_->GetInfo(&context, {}, &info);
    if (!status.ok())
      return absl::UnavailableError(
          absl::StrCat("no admin service answers at ", options.admin, ": ", status.error_message()));
    std::error_code error;
    if (!fs::equivalent(info.data_dir(), options.data_dir, error)) {
      return absl::FailedPreconditionError(
          absl::StrCat("the server at ", options.admin, " holds ", info.data_dir(), ", not ", options.data_dir));
    }
    return server;
  }

  explicit AdminClient(const std::string& address) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(-1);  // a list may be long
    stub_ = pb::Admin::NewStub(grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
  }

  absl::StatusOr<pb::Checkpoint> Create() {
    return Call(pb::CreateCheckpointRequest(), &pb::Admin::Stub::CreateCheckpoint, pb::Checkpoint());
  }
  absl::StatusOr<pb::Checkpoints> List() {
    return Call(pb::ListCheckpointsRequest(), &pb::Admin::Stub::ListCheckpoints, pb::Checkpoints());
  }
  absl::StatusOr<pb::PrunedCheckpoints> Prune(uint32_t keep) {
    pb::PruneCheckpointsRequest request;
    request.set_keep(keep);
    return Call(request, &pb::Admin::Stub::PruneCheckpoints, pb::PrunedCheckpoints());
  }

 private:
  template <typename Request, typename Reply>
  absl::StatusOr<Reply> Call(const Request& request,
                             grpc::Status (pb::Admin::Stub::*method)(grpc::ClientContext*, const Request&, Reply*),
                             Reply reply) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kWork);
    const grpc::Status status = (stub_.get()->*method)(&context, request, &reply);
    if (!status.ok()) return FromGrpc(status);
    return reply;
  }

  std::unique_ptr<pb::Admin::Stub> stub_;
};

// A data directory that a command may change: held by this process, or by a server that does it for us.
struct Access {
  std::shared_ptr<DataDir> lock;
  std::unique_ptr<AdminClient> server;
};

absl::StatusOr<Access> OpenForChange(const CheckpointOptions& options) {
  auto lock = DataDir::Lock(options.data_dir);
  Access access;
  if (lock.ok()) {
    access.lock = *std::move(lock);
    return access;
  }
  if (lock.status().code() != absl::StatusCode::kUnavailable) return lock.status();
  auto server = AdminClient::Connect(options);
  if (!server.ok()) {
    return absl::UnavailableError(absl::StrCat(
        "a running server holds ", options.data_dir, ", and only it may change it, but ", server.status().message(),
        ". Say its address with --admin ADDR:PORT; a server with --admin off must be stopped first"));
  }
  access.server = *std::move(server);
  return access;
}

Listed FromFiles(const CheckpointEntry& entry) {
  Listed listed;
  pb::Checkpoint& checkpoint = listed.checkpoint;
  checkpoint.set_name(entry.info.name);
  checkpoint.set_created_at(entry.info.created_at);
  checkpoint.set_bytes(entry.info.bytes);
  if (!entry.status.ok()) checkpoint.set_damage(std::string(entry.status.message()));
  if (entry.info.watermark.number == 0) return listed;
  checkpoint.set_slot(entry.info.watermark.block.slot);
  checkpoint.set_blockhash(EncodeBase58(entry.info.watermark.block.blockhash));
  checkpoint.set_lineage(entry.info.lineage);
  checkpoint.set_number(entry.info.watermark.number);
  checkpoint.set_entities(entry.info.entities);
  return listed;
}

Json ToJson(const Listed& listed) {
  const pb::Checkpoint& c = listed.checkpoint;
  const bool read = c.number() != 0, judged = listed.server_knows && c.damage().empty();
  const auto if_read = [&](Json value) { return read ? std::move(value) : Json(nullptr); };
  return {{"name", c.name()},
          {"slot", if_read(c.slot())},
          {"blockhash", if_read(c.blockhash())},
          {"lineage", if_read(c.lineage())},
          {"number", if_read(c.number())},
          {"entities", if_read(c.entities())},
          {"bytes", if_read(c.bytes())},
          {"created_at", if_read(c.created_at())},
          {"damage", c.damage().empty() ? Json(nullptr) : Json(c.damage())},
          {"ours", judged ? Json(c.ours()) : Json(nullptr)},
          {"reach", judged ? Json(c.reach().empty() ? "whole" : c.reach()) : Json(nullptr)}};
}

std::string AgeText(int64_t created_at) {
  const int64_t seconds = std::max<int64_t>(std::time(nullptr) - created_at, 0);
  if (seconds < 120) return absl::StrCat(seconds, " s");
  if (seconds < 120 * 60) return absl::StrCat(seconds / 60, " min");
  if (seconds < 48 * 3600) return absl::StrCat(seconds / 3600, " h");
  return absl::StrCat(seconds / 86400, " d");
}

std::string BytesText(uint64_t bytes) {
  if (bytes < 1024) return absl::StrCat(bytes, " B");
  const char* const units[] = {"KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  for (; value >= 1024 && unit < 3; ++unit) value /= 1024;
  return absl::StrFormat("%.1f %s", value, units[unit]);
}

void PrintLine(const Json& json) {
  std::printf("%s\n", json.dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
}

void PrintTable(const std::vector<Listed>& all) {
  size_t name_width = 4;
  for (const Listed& listed : all) name_width = std::max(name_width, listed.checkpoint.name().size());
  const int width = static_cast<int>(std::min<size_t>(name_width, 80));
  std::printf("%12s  %-*s  %7s  %10s  %11s  %-4s  %s\n", "SLOT", width, "NAME", "AGE", "ENTITIES", "SIZE", "OURS",
              "REACH");
  for (const Listed& listed : all) {
    const pb::Checkpoint& c = listed.checkpoint;
    const bool read = c.number() != 0, judged = listed.server_knows && c.damage().empty();
    const auto if_read = [&](const std::string& text) { return read ? text : std::string("—"); };
    const std::string reach = !c.damage().empty() ? "damaged: " + c.damage()
                              : !judged           ? "—"
                              : c.reach().empty() ? "whole"
                                                  : c.reach();
    // "—" takes three bytes and one column.
    const auto pad = [](const std::string& text, int columns) { return text == "—" ? columns + 2 : columns; };
    const std::string slot = if_read(absl::StrCat(c.slot())), age = if_read(AgeText(c.created_at())),
                      entities = if_read(absl::StrCat(c.entities())), bytes = if_read(BytesText(c.bytes())),
                      ours = judged ? (c.ours() ? "yes" : "no") : "—";
    std::printf("%*s  %-*s  %*s  %*s  %*s  %-*s  %s\n", pad(slot, 12), slot.c_str(), width, c.name().c_str(),
                pad(age, 7), age.c_str(), pad(entities, 10), entities.c_str(), pad(bytes, 11), bytes.c_str(),
                pad(ours, 4), ours.c_str(), reach.c_str());
  }
}

// Those of a store that may have none, and of a folder that holds copies of some. A folder with neither was meant to be
// another one: NotFound.
absl::StatusOr<std::vector<CheckpointEntry>> EntriesOf(const CheckpointOptions& options) {
  auto entries = ListCheckpoints(options.data_dir);
  if (!entries.ok() || !entries->empty()) return entries;
  if (absl::Status store = CheckStoreIn(options.data_dir); !store.ok()) return store;
  return entries;
}

void PrintThatThereIsNone(const CheckpointOptions& options) {
  if (!options.json) std::printf("%s has no checkpoints\n", options.data_dir.c_str());
}

absl::Status List(const CheckpointOptions& options) {
  std::vector<Listed> all;
  auto server = AdminClient::Connect(options);
  if (server.ok()) {
    auto checkpoints = (*server)->List();
    if (!checkpoints.ok()) return checkpoints.status();
    for (pb::Checkpoint& checkpoint : *checkpoints->mutable_checkpoints()) all.push_back({std::move(checkpoint), true});
  } else {
    const auto entries = EntriesOf(options);
    if (!entries.ok()) return entries.status();
    for (const CheckpointEntry& entry : *entries) all.push_back(FromFiles(entry));
  }
  if (options.json) {
    for (const Listed& listed : all) PrintLine(ToJson(listed));
    return absl::OkStatus();
  }
  if (all.empty()) {
    PrintThatThereIsNone(options);
    return absl::OkStatus();
  }
  PrintTable(all);
  if (!server.ok())
    std::printf("OURS and REACH are known to a running server only: %s\n",
                std::string(server.status().message()).c_str());
  return absl::OkStatus();
}

// No server runs: the store is opened as it is, with what it says of itself.
absl::StatusOr<Listed> CreateFromFiles(const CheckpointOptions& options) {
  auto inspector = StoreInspector::Open(options.data_dir);
  if (!inspector.ok()) return inspector.status();
  const auto identity = (*inspector)->Identity();
  if (!identity.ok()) return identity.status();
  StoreOptions store_options;
  store_options.data_dir = options.data_dir;
  const auto store = EntityStore::Open(store_options, *identity);
  if (!store.ok()) return store.status();
  auto info = (*store)->CreateCheckpoint();
  if (!info.ok()) return info.status();
  return FromFiles({*std::move(info), absl::OkStatus()});
}

absl::StatusOr<Listed> CreateSomehow(const CheckpointOptions& options) {
  {
    auto access = OpenForChange(options);
    if (!access.ok()) return access.status();
    if (access->server != nullptr) {
      auto checkpoint = access->server->Create();
      if (!checkpoint.ok()) return checkpoint.status();
      return Listed{*std::move(checkpoint), true};
    }
  }  // the store locks the directory itself
  return CreateFromFiles(options);
}

absl::Status Create(const CheckpointOptions& options) {
  const auto created = CreateSomehow(options);
  if (!created.ok()) return created.status();
  const Listed& listed = *created;
  if (options.json) {
    PrintLine(ToJson(listed));
  } else {
    PrintTable({listed});
  }
  return absl::OkStatus();
}

// Every one is looked at; the answer is that of the first that is not whole.
absl::Status Verify(const CheckpointOptions& options) {
  std::vector<std::string> names = options.names;
  if (names.empty()) {
    const auto entries = EntriesOf(options);
    if (!entries.ok()) return entries.status();
    for (const CheckpointEntry& entry : *entries) names.push_back(entry.info.name);
    if (names.empty()) PrintThatThereIsNone(options);
  }
  absl::Status result;
  for (const std::string& name : names) {
    if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", name, "\" is no name of a checkpoint, as `everstate checkpoint list` tells them"));
    }
    const auto info = VerifyCheckpoint(fs::path(options.data_dir) / "checkpoints" / name);
    if (options.json) {
      Json line = {{"name", name}, {"whole", info.ok()}, {"reason", nullptr}};
      if (!info.ok()) line["reason"] = std::string(info.status().message());
      PrintLine(line);
    } else if (info.ok()) {
      std::printf("%s is whole: slot %llu, %llu entities, %s\n", name.c_str(),
                  static_cast<unsigned long long>(info->watermark.block.slot),
                  static_cast<unsigned long long>(info->entities), BytesText(info->bytes).c_str());
    } else {
      std::printf("%s cannot be used: %s\n", name.c_str(), std::string(info.status().message()).c_str());
    }
    std::fflush(stdout);
    if (!info.ok()) result.Update(info.status());
  }
  return result;
}

absl::Status Prune(const CheckpointOptions& options) {
  auto access = OpenForChange(options);
  if (!access.ok()) return access.status();
  std::vector<std::string> names;
  if (access->server != nullptr) {
    auto pruned = access->server->Prune(options.keep);
    if (!pruned.ok()) return pruned.status();
    names.assign(pruned->names().begin(), pruned->names().end());
  } else {
    const auto lineages = LineagesIn(options.data_dir);
    if (!lineages.ok()) return lineages.status();
    auto pruned = PruneCheckpoints(options.data_dir, options.keep, [&](const CheckpointInfo& checkpoint) {
      return lineages->empty() || std::ranges::find(*lineages, checkpoint.lineage) != lineages->end();
    });
    if (!pruned.ok()) return pruned.status();
    names = *std::move(pruned);
  }
  for (const std::string& name : names) {
    if (options.json) {
      PrintLine({{"deleted", name}});
    } else {
      std::printf("deleted %s\n", name.c_str());
    }
  }
  if (names.empty() && !options.json)
    std::printf("nothing to delete: not more than %u led to this state\n", options.keep);
  return absl::OkStatus();
}

}  // namespace

void AddCheckpointCommand(CLI::App& app, int* exit_code) {
  auto options = std::make_shared<CheckpointOptions>();
  CLI::App* checkpoint = app.add_subcommand("checkpoint", "Make, list, verify and delete checkpoints of a store");
  checkpoint->require_subcommand(1);
  const auto add = [&](const char* name, const char* help, absl::Status (*command)(const CheckpointOptions&)) {
    CLI::App* sub = checkpoint->add_subcommand(name, help);
    AddDataOption(sub, &options->data_dir);
    sub->add_flag("--json", options->json, "One JSON object a line");
    sub->callback([options, exit_code, command] {
      if (const absl::Status status = command(*options); !status.ok()) *exit_code = Refuse(status);
    });
    return sub;
  };
  const auto asks_server = [&](CLI::App* sub) {
    sub->add_option("--admin", options->admin, "Admin service of the server that runs on it, if one does")
        ->capture_default_str()
        ->check(NotEmpty())
        ->type_name("ADDR:PORT");
    return sub;
  };
  asks_server(add("create", "Make one of the newest state: the running server does it, or this command when none runs",
                  Create));
  asks_server(add("list",
                  "Print all, oldest slot first; with a running server also whether they are ours and whether the "
                  "archive reaches from them to the head",
                  List));
  add("verify", "Read all of them and check every byte; exit code 3 when one is damaged", Verify)
      ->add_option("NAME", options->names, "Only these")
      ->type_name("");
  asks_server(add("prune", "Delete all but the newest of the whole ones that led to the state in force", Prune))
      ->add_option("--keep", options->keep, "How many stay")
      ->capture_default_str()
      ->check(WholeNumber(1, 100000))
      ->type_name("N");
}

}  // namespace everstate::cli
