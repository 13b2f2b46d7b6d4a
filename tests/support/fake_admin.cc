#include "tests/support/fake_admin.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <deque>
#include <stdexcept>
#include <thread>

#include "proto/admin.grpc.pb.h"

namespace everstate {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

bool Wants(const admin::v1::TailRequest& request, const admin::v1::TailFrame& frame) {
  if (request.paused()) return false;
  if (!request.views().empty() &&
      std::find(request.views().begin(), request.views().end(), frame.view()) == request.views().end())
    return false;
  if (!request.key().empty() && request.key() != frame.key()) return false;
  if (!request.ops().empty() &&
      std::find(request.ops().begin(), request.ops().end(), frame.op()) == request.ops().end())
    return false;
  return frame.json().find(request.text()) != std::string::npos;
}

}  // namespace

struct FakeAdmin::Tail {
  admin::v1::TailRequest request;
  std::deque<admin::v1::TailChunk> pending;
  bool ended = false;
};

// Everything it knows is the FakeAdmin's, guarded by its mutex.
class FakeAdmin::Service final : public admin::v1::Admin::Service {
 public:
  explicit Service(FakeAdmin* fake) : fake_(*fake) {}

  grpc::Status GetInfo(grpc::ServerContext*, const admin::v1::GetInfoRequest*, admin::v1::Info* reply) override {
    const std::lock_guard lock(fake_.mutex_);
    if (!fake_.knows_info) return {grpc::UNIMPLEMENTED, ""};
    *reply = fake_.info;
    return grpc::Status::OK;
  }

  grpc::Status WatchStatus(grpc::ServerContext* context, const admin::v1::WatchStatusRequest* request,
                           grpc::ServerWriter<admin::v1::Status>* writer) override {
    const milliseconds interval(request->interval_ms() == 0 ? 250 : request->interval_ms());
    const auto stopping = [this] { return fake_.stopping_; };
    std::unique_lock lock(fake_.mutex_);
    ++fake_.watchers_;
    ++fake_.watched_;
    for (uint64_t n = 0; !fake_.stopping_ && !context->IsCancelled(); ++n) {
      if (fake_.changed_.wait_for(lock, fake_.pause_before_status, stopping)) break;
      const admin::v1::Status now = StatusLocked(n);
      lock.unlock();
      const bool written = writer->Write(now);
      lock.lock();
      if (!written || fake_.changed_.wait_for(lock, interval, stopping)) break;
    }
    --fake_.watchers_;
    return fake_.stopping_ ? grpc::Status::CANCELLED : grpc::Status::OK;
  }

  grpc::Status TailBus(grpc::ServerContext*,
                       grpc::ServerReaderWriter<admin::v1::TailChunk, admin::v1::TailRequest>* stream) override {
    Tail tail;
    std::thread reader([&] {
      admin::v1::TailRequest request;
      while (stream->Read(&request)) TakeRequest(request, &tail);
      const std::lock_guard lock(fake_.mutex_);
      tail.ended = true;
      fake_.changed_.notify_all();
    });
    {
      std::unique_lock lock(fake_.mutex_);
      while (true) {
        fake_.changed_.wait(lock, [&] { return fake_.stopping_ || tail.ended || !tail.pending.empty(); });
        if (fake_.stopping_ || tail.ended) break;
        admin::v1::TailChunk chunk = std::move(tail.pending.front());
        tail.pending.pop_front();
        chunk.set_paused(tail.request.paused());
        lock.unlock();
        const bool written = stream->Write(chunk);
        lock.lock();
        if (!written) break;
        ++fake_.chunks_sent_;
      }
      std::erase(fake_.tails_, &tail);
    }
    reader.join();  // its read ends when the client or the server goes
    return grpc::Status::OK;
  }

  grpc::Status CreateCheckpoint(grpc::ServerContext*, const admin::v1::CreateCheckpointRequest*,
                                admin::v1::Checkpoint* reply) override {
    const std::lock_guard lock(fake_.mutex_);
    ++fake_.created_;
    if (!fake_.create_answer.ok()) return fake_.create_answer;
    *reply = CheckpointMessage(fake_.status.store().slot());
    *fake_.checkpoints.add_checkpoints() = *reply;
    return grpc::Status::OK;
  }

  grpc::Status ListCheckpoints(grpc::ServerContext*, const admin::v1::ListCheckpointsRequest*,
                               admin::v1::Checkpoints* reply) override {
    const std::lock_guard lock(fake_.mutex_);
    *reply = fake_.checkpoints;
    return grpc::Status::OK;
  }

  grpc::Status VerifyCheckpoint(grpc::ServerContext*, const admin::v1::VerifyCheckpointRequest* request,
                                admin::v1::Checkpoint* reply) override {
    const std::lock_guard lock(fake_.mutex_);
    fake_.verified_.push_back(request->name());
    if (!fake_.verify_answer.ok()) return fake_.verify_answer;
    for (const admin::v1::Checkpoint& one : fake_.checkpoints.checkpoints()) {
      if (one.name() == request->name()) *reply = one;
    }
    return grpc::Status::OK;
  }

  grpc::Status PruneCheckpoints(grpc::ServerContext*, const admin::v1::PruneCheckpointsRequest* request,
                                admin::v1::PrunedCheckpoints* reply) override {
    const std::lock_guard lock(fake_.mutex_);
    fake_.pruned_.push_back(request->keep());
    while (fake_.checkpoints.checkpoints_size() > static_cast<int>(request->keep())) {
      reply->add_names(fake_.checkpoints.checkpoints(0).name());
      fake_.checkpoints.mutable_checkpoints()->DeleteSubrange(0, 1);
    }
    return grpc::Status::OK;
  }

  grpc::Status ResumeFrom(grpc::ServerContext*, const admin::v1::ResumeFromRequest* request,
                          admin::v1::ResumeFromReply* reply) override {
    const std::lock_guard lock(fake_.mutex_);
    fake_.resume_requests_.push_back(*request);
    if (!fake_.resume_answer.ok()) return fake_.resume_answer;
    reply->set_checkpoint("checkpoint-of-" + std::to_string(request->slot()));
    reply->set_generation(fake_.status.store().generation() + 1);
    return grpc::Status::OK;
  }

 private:
  admin::v1::Status StatusLocked(uint64_t n) const {
    admin::v1::Status now = fake_.status;
    const auto unix_time = std::chrono::system_clock::now().time_since_epoch();
    now.set_at_unix_ms(std::chrono::duration_cast<milliseconds>(unix_time).count());
    const auto up = std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now() - fake_.started_);
    now.set_uptime_us(fake_.uptime_base_us + static_cast<uint64_t>(up.count()));
    if (fake_.tick) fake_.tick(&now, n);
    return now;
  }

  void TakeRequest(const admin::v1::TailRequest& request, Tail* tail) {
    const std::lock_guard lock(fake_.mutex_);
    fake_.tail_requests_.push_back(request);
    if (std::find(fake_.tails_.begin(), fake_.tails_.end(), tail) == fake_.tails_.end()) fake_.tails_.push_back(tail);
    tail->request = request;
    tail->pending.emplace_back();  // the answer
    fake_.changed_.notify_all();
  }

  FakeAdmin& fake_;
};

FakeAdmin::FakeAdmin() : service_(std::make_unique<Service>(this)) {}
FakeAdmin::~FakeAdmin() { Stop(); }

void FakeAdmin::Start() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = false;
    started_ = steady_clock::now();
  }
  grpc::ServerBuilder builder;
  int bound = 0;
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddListeningPort("127.0.0.1:" + std::to_string(port_), grpc::InsecureServerCredentials(), &bound);
  builder.RegisterService(service_.get());
  server_ = builder.BuildAndStart();
  if (!server_ || bound == 0)
    throw std::runtime_error("the fake admin server cannot listen on port " + std::to_string(port_));
  port_ = bound;
}

void FakeAdmin::Stop() {
  if (!server_) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
  server_.reset();
}

std::string FakeAdmin::address() const { return "127.0.0.1:" + std::to_string(port_); }

void FakeAdmin::Configure(const std::function<void(FakeAdmin&)>& change) {
  const std::lock_guard lock(mutex_);
  change(*this);
  changed_.notify_all();
}

void FakeAdmin::SendFrames(const std::vector<admin::v1::TailFrame>& frames) {
  const std::lock_guard lock(mutex_);
  for (Tail* tail : tails_) {
    admin::v1::TailChunk chunk;
    for (const admin::v1::TailFrame& frame : frames) {
      if (Wants(tail->request, frame)) *chunk.add_frames() = frame;
    }
    if (!chunk.frames().empty()) tail->pending.push_back(std::move(chunk));
  }
  changed_.notify_all();
}

#define FAKE_ADMIN_GETTER(type, name)   \
  type FakeAdmin::name() const {        \
    const std::lock_guard lock(mutex_); \
    return name##_;                     \
  }
FAKE_ADMIN_GETTER(std::vector<admin::v1::TailRequest>, tail_requests)
FAKE_ADMIN_GETTER(std::vector<admin::v1::ResumeFromRequest>, resume_requests)
FAKE_ADMIN_GETTER(std::vector<std::string>, verified)
FAKE_ADMIN_GETTER(std::vector<uint32_t>, pruned)
FAKE_ADMIN_GETTER(int, created)
FAKE_ADMIN_GETTER(int, watchers)
FAKE_ADMIN_GETTER(int, watched)
FAKE_ADMIN_GETTER(uint64_t, chunks_sent)
#undef FAKE_ADMIN_GETTER

admin::v1::TailFrame TailFrameMessage(const std::string& view, const std::string& key, const std::string& op,
                                      uint64_t number, const std::string& text) {
  admin::v1::TailFrame frame;
  frame.set_view(view);
  frame.set_key(key);
  frame.set_op(op);
  frame.set_number(number);
  frame.set_at_unix_ms(1764083403120 + static_cast<int64_t>(number) * 400);
  frame.set_json(R"({"mode":"list","entity":")" + view + R"(","op":")" + op + R"(","key":")" + key +
                 R"(","data":{"supply":"1000000","note":")" + text + R"(","holders":12},"append":[],"seq":")" +
                 std::to_string(number) + R"(:000000000001"})");
  return frame;
}

admin::v1::Checkpoint CheckpointMessage(uint64_t slot) {
  admin::v1::Checkpoint checkpoint;
  checkpoint.set_name(std::to_string(slot) + "-4kLmN9pQ-a1b2");
  checkpoint.set_slot(slot);
  checkpoint.set_blockhash("4kLmN9pQ7rStUvWxYz2AbCdEfGhJkMnPqRsTuVwXyZ12");
  checkpoint.set_lineage("a1b2c3d4e5f60718");
  checkpoint.set_number(slot - 300000000);
  checkpoint.set_entities(1200 + slot % 1000);
  checkpoint.set_bytes(3456789 + slot % 100000);
  checkpoint.set_created_at(1764080000 + static_cast<int64_t>(slot % 100000));
  checkpoint.set_ours(true);
  checkpoint.set_reach("");
  return checkpoint;
}

namespace {

void Describe(admin::v1::Info* info) {
  info->set_version("0.1.0");
  info->set_stack_name("SplStream");
  info->set_stack_hash("8f14e45fceea167a5a36dedd4bea2543");
  info->set_endpoint("https://solana.example:443");
  info->set_commitment("confirmed");
  info->set_data_dir("/srv/everstate");
  info->set_listen("0.0.0.0:8877");
  info->set_started_at(1764079000);
  info->set_interface_version(1);
  for (const char* id : {"TokenMint/list", "TokenMint/state", "TokenAccount/list"}) {
    auto* view = info->add_views();
    view->set_id(id);
    view->set_mode(std::string(id).substr(std::string(id).find('/') + 1));
  }
}

void AddStagesAndQueues(admin::v1::Status* status) {
  const struct {
    const char *name, *unit;
  } stages[] = {{"receive", "updates"}, {"project", "updates"}, {"apply", "blocks"}, {"publish", "frames"}};
  for (const auto& stage : stages) {
    auto* added = status->add_stages();
    added->set_name(stage.name);
    added->set_unit(stage.unit);
  }
  const struct {
    const char* name;
    uint64_t count, count_max, bytes, bytes_max;
  } queues[] = {{"ledger", 3, 64, 1500000, 268435456}, {"projector", 1, 16, 400000, 67108864}};
  for (const auto& queue : queues) {
    auto* added = status->add_queues();
    added->set_name(queue.name);
    added->set_count(queue.count);
    added->set_count_max(queue.count_max);
    added->set_bytes(queue.bytes);
    added->set_bytes_max(queue.bytes_max);
  }
}

void Describe(admin::v1::Status* message) {
  admin::v1::Status& status = *message;
  status.set_ready(true);
  auto* stream = status.mutable_stream();
  stream->set_state("live");
  stream->set_proven(true);
  stream->set_connects(3);
  stream->set_reconnects(2);
  stream->set_newest_slot(300001002);
  stream->set_since_heard_ms(120);
  auto* store = status.mutable_store();
  store->set_generation(4);
  store->set_slot(300001000);
  store->set_number(1000);
  store->set_blockhash("9xQeWvG816bUx9EPjHmaT23yvVM2ZWbrrpZb9PusVFin");
  store->set_block_time(1764083400);
  store->set_lag_slots(2);
  store->set_lag_seconds(0.9);
  store->set_entities(12345);
  store->set_sst_bytes(45678901);
  store->set_memtable_bytes(1234567);
  store->set_wal_bytes(234567);
  AddStagesAndQueues(&status);
  for (const char* id : {"TokenMint/list", "TokenMint/state", "TokenAccount/list"}) status.add_views()->set_id(id);
  status.set_gaps_total(1);
  auto* gap = status.add_gaps();
  gap->set_from(299990000);
  gap->set_to(299990012);
  gap->set_cause("the provider had forgotten them");
  auto* sessions = status.mutable_sessions();
  sessions->set_sessions(7);
  sessions->set_subscriptions(11);
  sessions->set_queued_bytes(2048);
  auto* archive = status.mutable_archive();
  archive->set_bytes(734003200);
  archive->set_keep_bytes(8589934592);
  archive->set_segments(12);
  archive->set_first_slot(299995000);
  archive->set_last_slot(300001000);
}

// The newest 64.
void SetSlots(uint64_t newest, admin::v1::Status* now) {
  now->clear_slots();
  for (uint64_t back = 64; back-- > 0;) {
    auto* slot = now->add_slots();
    slot->set_slot(newest - back);
    const uint64_t random = (slot->slot() * 2654435761u) >> 7;
    slot->set_updates(30 + random % 25);
    slot->set_mutations(15 + random % 11);
    if (random % 13 != 0) slot->set_confirm_ms(240 + random % 180);
    slot->set_settle_to_apply_us(2000 + random % 900);
  }
}

// Time passes: 2.5 slots a second, 40 updates each.
void Tick(admin::v1::Status* now, uint64_t) {
  const uint64_t ms = now->uptime_us() / 1000;
  const uint64_t blocks = ms / 400;
  now->mutable_store()->set_slot(300000900 + blocks);
  now->mutable_store()->set_number(900 + blocks);
  now->mutable_stream()->set_newest_slot(300000902 + blocks);
  now->mutable_stream()->set_messages(blocks * 45);
  now->mutable_stream()->set_bytes(blocks * 52000);
  now->mutable_stream()->set_blocks_settled(blocks);
  const uint64_t units[] = {blocks * 40, blocks * 40, blocks, blocks * 22};
  const uint64_t busy_us[] = {0, blocks * 21000, blocks * 4000, blocks * 1500};
  for (int i = 0; i < now->stages_size() && i < 4; ++i) {
    now->mutable_stages(i)->set_units(units[i]);
    if (busy_us[i] > 0) now->mutable_stages(i)->set_busy_us(busy_us[i]);  // receiving is not measured
  }
  for (int i = 0; i < now->views_size(); ++i) {
    now->mutable_views(i)->set_frames(blocks * static_cast<uint64_t>(10 - 3 * std::min(i, 3)));
    now->mutable_views(i)->set_bytes(now->views(i).frames() * 640);
    now->mutable_views(i)->set_listeners(static_cast<uint64_t>(3 + i));
  }
  SetSlots(300000900 + blocks, now);
}

}  // namespace

void ConfigureHealthy(FakeAdmin* server) {
  server->Configure([](FakeAdmin& s) {
    Describe(&s.info);
    Describe(&s.status);
    for (uint64_t slot = 299999000; slot <= 300000800; slot += 600)
      *s.checkpoints.add_checkpoints() = CheckpointMessage(slot);
    s.tick = Tick;
  });
}

}  // namespace everstate
