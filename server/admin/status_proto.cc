#include "server/admin/status_proto.h"

#include <algorithm>
#include <string>

#include "server/admin/text.h"
#include "server/base/base58.h"

namespace everstate {
namespace {

namespace pb = admin::v1;
using std::chrono::duration_cast;
using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr uint32_t kInterfaceVersion = 1;  // of admin.proto
// Gaps are kept for ever and faults come in as many kinds as a stack has handlers: a message holds so many.
constexpr size_t kGapsMax = 256, kFaultKindsMax = 256;

int64_t UnixMs(std::chrono::system_clock::time_point at) {
  return duration_cast<milliseconds>(at.time_since_epoch()).count();
}
uint64_t Us(std::chrono::nanoseconds time) { return static_cast<uint64_t>(duration_cast<microseconds>(time).count()); }

void FillStream(const ServerStatus& status, const LineStatus& line, pb::Stream* message) {
  const ingest::StreamStatus& stream = line.deployment.stream;
  message->set_state(std::string(ingest::Name(stream.state)));
  message->set_proven(stream.proven);
  message->set_error(ProtoText(stream.error));
  message->set_connects(stream.connects);
  message->set_reconnects(stream.reconnects);
  if (stream.from_slot.has_value()) message->set_from_slot(*stream.from_slot);
  if (const auto newest = line.newest_slot()) message->set_newest_slot(*newest);
  if (const auto since = status.since_slot_heard()) message->set_since_heard_ms(static_cast<uint64_t>(since->count()));
  message->set_messages(line.ingest.messages.value());
  message->set_bytes(line.ingest.bytes.value());
  message->set_blocks_settled(line.ingest.blocks_settled.value());
  message->set_blocks_dead(line.ingest.blocks_dead.value());
  message->set_blocks_duplicate(line.ingest.blocks_duplicate.value());
}

void FillStore(const ServerStatus& status, const LineStatus& line, pb::Store* message) {
  message->set_generation(line.generation);
  message->set_lineage(line.lineage);
  message->set_entities(line.sizes.entities_estimate);
  message->set_sst_bytes(line.sizes.sst_bytes);
  message->set_memtable_bytes(line.sizes.memtable_bytes);
  message->set_wal_bytes(line.sizes.wal_bytes);
  if (line.watermark.number == 0) return;
  const BlockId& block = line.watermark.block;
  message->set_number(line.watermark.number);
  message->set_slot(block.slot);
  message->set_blockhash(EncodeBase58(block.blockhash));
  if (const auto lag = line.lag_slots()) message->set_lag_slots(*lag);
  if (block.block_time.has_value()) {
    message->set_block_time(*block.block_time);
    message->set_lag_seconds(static_cast<double>(status.lag_time()->count()) / 1000);
  }
}

void AddStage(const char* name, uint64_t units, const char* unit, std::optional<std::chrono::nanoseconds> busy,
              pb::Status* message) {
  pb::Stage* stage = message->add_stages();
  stage->set_name(name);
  stage->set_units(units);
  stage->set_unit(unit);
  if (busy.has_value()) stage->set_busy_us(Us(*busy));
}

void FillStages(const LineStatus& line, pb::Status* message) {
  const ProjectorStats& projector = line.deployment.projector;
  AddStage("receive", line.ingest.accounts.value() + line.ingest.transactions.value(), "updates", std::nullopt,
           message);
  if (const auto& archive = line.deployment.archive_counters) {
    AddStage("archive", archive->blocks_written.value(), "blocks", std::chrono::microseconds(archive->busy_us.value()),
             message);
  }
  AddStage("project", projector.updates, "updates", projector.project_time, message);
  AddStage("apply", projector.blocks, "blocks", projector.apply_time, message);
  AddStage("publish", line.fanout.frames_encoded.value(), "frames", projector.publish_time, message);
}

void FillRewind(const RewindStatus& rewind, pb::Rewind* message) {
  message->set_requested_slot(rewind.request.slot);
  message->set_checkpoint(ProtoText(rewind.checkpoint));
  message->set_generation(rewind.generation);
  message->set_from_slot(rewind.from_slot);
  message->set_slot(rewind.slot);
  message->set_target_slot(rewind.target_slot);
  message->set_state(std::string(Name(rewind.state)));
  message->set_error(ProtoText(rewind.error));
}

void FillSessions(const FanoutCounters& fanout, pb::Sessions* message) {
  message->set_sessions(fanout.sessions.value());
  message->set_subscriptions(fanout.subscriptions.value());
  message->set_queued_bytes(fanout.queued_bytes.value());
  message->set_closed_slow(fanout.sessions_closed_slow.value());
  message->set_frames_sent(fanout.frames_sent.value());
  message->set_bytes_sent(fanout.bytes_sent.value());
}

void FillArchive(const DeploymentStatus& deployment, pb::Archive* message) {
  const ingest::ArchiveListing& archive = *deployment.archive;
  message->set_bytes(archive.bytes);
  message->set_keep_bytes(deployment.archive_keep_bytes);
  message->set_segments(archive.segments);
  message->set_failures(deployment.archive_counters->failures.value());
  if (archive.runs.empty()) return;
  message->set_first_slot(archive.runs.back().before.slot);
  message->set_last_slot(archive.runs.back().last.slot);
}

// Zero stands for "not measured": nothing settles or is applied in less than its clock can tell.
void FillSlots(const std::vector<SlotSeen>& slots, pb::Status* message) {
  for (const SlotSeen& seen : slots) {
    pb::SlotSeen* slot = message->add_slots();
    slot->set_slot(seen.slot);
    slot->set_updates(seen.updates);
    slot->set_mutations(seen.mutations);
    if (seen.confirm.count() > 0) slot->set_confirm_ms(static_cast<uint64_t>(seen.confirm.count()));
    if (seen.settle_to_apply.count() > 0)
      slot->set_settle_to_apply_us(static_cast<uint64_t>(seen.settle_to_apply.count()));
  }
}

void FillFaults(const std::vector<vm::Fault>& faults, pb::Status* message) {
  for (size_t i = 0; i < std::min(faults.size(), kFaultKindsMax); ++i) {
    pb::Fault* fault = message->add_fault_kinds();
    fault->set_entity(ProtoText(faults[i].entity));
    fault->set_handler(ProtoText(faults[i].handler));
    fault->set_reason(std::string(vm::Name(faults[i].reason)));
    fault->set_count(faults[i].count);
    fault->set_sample(ProtoText(faults[i].sample));
  }
}

void FillGaps(const std::vector<Gap>& gaps, pb::Status* message) {
  message->set_gaps_total(gaps.size());
  for (size_t i = gaps.size() - std::min(gaps.size(), kGapsMax); i < gaps.size(); ++i) {
    pb::Gap* gap = message->add_gaps();
    gap->set_from(gaps[i].from);
    gap->set_to(gaps[i].to);
    gap->set_cause(ProtoText(gaps[i].cause));
  }
}

void FillLine(const ServerStatus& status, const LineStatus& line, pb::Status* message) {
  const DeploymentStatus& deployment = line.deployment;
  FillStream(status, line, message->mutable_stream());
  FillStore(status, line, message->mutable_store());
  pb::Queue* queue = message->add_queues();
  queue->set_name(deployment.inbox.name);
  queue->set_count(deployment.inbox.count);
  queue->set_count_max(deployment.inbox.count_max);
  queue->set_bytes(deployment.inbox.bytes);
  queue->set_bytes_max(deployment.inbox.bytes_max);
  FillStages(line, message);
  for (const ViewTraffic& traffic : line.traffic) {
    pb::ViewTraffic* view = message->add_views();
    view->set_id(ProtoText(traffic.view));
    view->set_frames(traffic.frames);
    view->set_bytes(traffic.bytes);
    view->set_listeners(traffic.listeners);
  }
  FillGaps(line.gaps, message);
  if (deployment.rewind.has_value()) FillRewind(*deployment.rewind, message->mutable_rewind());
  FillSessions(line.fanout, message->mutable_sessions());
  if (deployment.archive.has_value() && deployment.archive_counters.has_value())
    FillArchive(deployment, message->mutable_archive());
  message->set_faults(line.faults());
  FillSlots(deployment.slots, message);
  FillFaults(deployment.faults, message);
  message->mutable_checkpoints()->set_made(deployment.counters.checkpoints_made);
  message->mutable_checkpoints()->set_failed(deployment.counters.checkpoints_failed);
  message->mutable_checkpoints()->set_error(ProtoText(deployment.checkpoint_error));
}

}  // namespace

void FillInfo(const AdminInfo& info, pb::Info* message) {
  message->set_version(info.version);
  message->set_stack_name(ProtoText(info.stack_name));
  message->set_stack_hash(info.stack_hash);
  message->set_endpoint(ProtoText(info.endpoint));
  message->set_commitment(info.commitment == Commitment::kConfirmed ? "confirmed" : "finalized");
  message->set_data_dir(ProtoText(info.data_dir.string()));
  message->set_listen(ProtoText(info.listen));
  message->set_started_at(info.started_at);
  message->set_interface_version(kInterfaceVersion);
  for (const ViewDef& def : info.views) {
    pb::View* view = message->add_views();
    view->set_id(ProtoText(def.id));
    view->set_mode(std::string(ViewModeName(def.mode)));
    view->set_unsupported(ProtoText(def.unsupported));
  }
}

void FillStatus(const ServerStatus& status, pb::Status* message) {
  message->set_at_unix_ms(UnixMs(status.at));
  message->set_uptime_us(static_cast<uint64_t>(status.uptime.count()));
  message->set_ready(status.ready);
  if (status.line.has_value()) FillLine(status, *status.line, message);
}

void FillCheckpoint(const CheckpointInfo& info, pb::Checkpoint* message) {
  message->set_name(ProtoText(info.name));
  if (info.watermark.number == 0) return;  // nothing of it could be read
  message->set_created_at(info.created_at);
  message->set_slot(info.watermark.block.slot);
  message->set_blockhash(EncodeBase58(info.watermark.block.blockhash));
  message->set_lineage(ProtoText(info.lineage));
  message->set_number(info.watermark.number);
  message->set_entities(info.entities);
  message->set_bytes(info.bytes);
}

}  // namespace everstate
