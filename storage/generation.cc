// Another generation of a store: begun from a checkpoint, and put in force.
#include <fmt/core.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "storage/checkpoint_verify.h"
#include "storage/entity_store.h"
#include "storage/files.h"
#include "storage/store_impl.h"

namespace everstate {
namespace {

namespace fs = std::filesystem;

// All files of the checkpoint except its record. Tables never change, so a second name for them is enough.
absl::Status CopyStore(const CheckpointRecord& record, const fs::path& to) {
  std::error_code error;
  fs::create_directory(to, error);
  if (error) return ErrnoStatus(error.value(), "cannot create", to);
  for (const CheckpointFile& file : record.files) {
    const fs::path from = record.info.path / file.name;
    auto status = IsTable(file.name) ? LinkOrCopy(from, to / file.name) : CopyAndSync(from, to / file.name);
    if (!status.ok()) return status;
  }
  return SyncDirectory(to);
}

}  // namespace

absl::StatusOr<std::unique_ptr<EntityStore>> EntityStore::BeginGeneration(const CheckpointInfo& checkpoint) const {
  DataDir& data_dir = impl_->data_dir();
  if (!impl_->IsCurrent()) {
    return absl::FailedPreconditionError(fmt::format("generation {} is not in force: {} names another one",
                                                     generation(), (data_dir.path() / "current").string()));
  }
  const auto record = ReadCheckpointRecord(checkpoint.path);
  if (!record.ok()) return record.status();
  const auto ours = lineages();
  if (!ours.empty() && std::none_of(ours.begin(), ours.end(),
                                    [&](const LineageStart& start) { return start.lineage == record->info.lineage; })) {
    return absl::FailedPreconditionError(
        fmt::format("checkpoint {} is of lineage {}, which did not lead to this store's (its newest is {}): begin with "
                    "an empty data directory",
                    checkpoint.path.string(), record->info.lineage, ours.back().lineage));
  }
  auto claim = data_dir.Claim(generation() + 1);
  if (!claim.ok()) return claim.status();
  {
    const auto verified = VerifyAndOpen(*record);
    if (!verified.ok()) return verified.status();
    if (auto status = CheckIdentity(verified->get(), impl_->identity); !status.ok()) return status;
  }

  const fs::path target = GenerationPath(data_dir.path(), claim->generation());
  if (auto status = data_dir.DeleteNeverNamed(claim->generation()); !status.ok()) return status;
  UnfinishedDirectory making(MakingPath(target));
  std::error_code ignored;
  fs::remove_all(making.path(), ignored);  // of a failed attempt
  if (auto status = CopyStore(*record, making.path()); !status.ok()) return status;
  if (auto status = making.RenameTo(target); !status.ok()) return status;

  auto impl = std::make_unique<Impl>(*std::move(claim), impl_->options, impl_->identity, impl_->counters);
  if (auto status = impl->OpenExisting(); !status.ok()) return status;
  return std::unique_ptr<EntityStore>(new EntityStore(std::move(impl)));
}

absl::Status EntityStore::MakeCurrent(Slot resumed_from) {
  const auto current = ReadCurrent(impl_->data_dir().path());
  if (!current.ok()) return current.status();
  if (!*current || (*current)->generation + 1 != generation()) {
    return absl::FailedPreconditionError(fmt::format("generation {} does not follow the one in force", generation()));
  }
  if (impl_->write_failed) return absl::FailedPreconditionError("the store stopped at a failed write");
  if (auto status = impl_->data_dir().NameCurrent({generation(), resumed_from}); !status.ok()) return status;
  std::lock_guard lock(impl_->mutex);
  impl_->resumed_from = resumed_from;
  return absl::OkStatus();
}

std::optional<Slot> EntityStore::resumed_from() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->resumed_from;
}

}  // namespace everstate
