#include "tests/server/admin/fake_backend.h"

#include <algorithm>

namespace everstate {

class FakeBus::Tap final : public BusTap {
 public:
  Tap(FakeBus* bus, std::vector<std::string> views) : bus_(bus), views_(std::move(views)) {}
  ~Tap() override {
    std::lock_guard lock(bus_->mutex_);
    std::erase(bus_->taps_, this);
  }

  bool Next(std::chrono::steady_clock::time_point deadline, std::vector<TappedFrame>* frames,
            uint64_t* missed) override {
    std::unique_lock lock(bus_->mutex_);
    const bool some = bus_->published_.wait_until(lock, deadline, [this] { return !held_.empty(); });
    *missed = missed_;
    if (!some) return false;
    present_ = std::move(held_.front());
    held_.pop_front();
    for (const FakeFrame& frame : present_)
      frames->push_back({frame.view, frame.key, frame.op, frame.json, frame.number});
    return true;
  }

 private:
  friend class FakeBus;
  FakeBus* const bus_;
  const std::vector<std::string> views_;
  std::deque<std::vector<FakeFrame>> held_;
  std::vector<FakeFrame> present_;  // its texts are out
  uint64_t missed_ = 0;
};

std::unique_ptr<BusTap> FakeBus::Open(std::vector<std::string> views) {
  auto tap = std::make_unique<Tap>(this, std::move(views));
  std::lock_guard lock(mutex_);
  taps_.push_back(tap.get());
  ++opened_;
  return tap;
}

void FakeBus::Publish(const std::vector<FakeFrame>& batch) {
  std::lock_guard lock(mutex_);
  for (Tap* tap : taps_) {
    std::vector<FakeFrame> mine;
    for (const FakeFrame& frame : batch) {
      const bool wanted =
          tap->views_.empty() || std::find(tap->views_.begin(), tap->views_.end(), frame.view) != tap->views_.end();
      if (wanted) mine.push_back(frame);
    }
    if (mine.empty()) continue;
    if (tap->held_.size() == held_max_) {
      ++tap->missed_;
    } else {
      tap->held_.push_back(std::move(mine));
    }
  }
  published_.notify_all();
}

size_t FakeBus::taps() const {
  std::lock_guard lock(mutex_);
  return taps_.size();
}

uint64_t FakeBus::opened() const {
  std::lock_guard lock(mutex_);
  return opened_;
}

size_t FakeBus::held() const {
  std::lock_guard lock(mutex_);
  size_t held = 0;
  for (const Tap* tap : taps_) held += tap->held_.size();
  return held;
}

FakeBackend::FakeBackend() {
  fields.version = "9.8.7";
  fields.stack_name = "Things";
  fields.stack_hash = "00ff";
  fields.endpoint = "http://127.0.0.1:1";
  fields.listen = "[::]:8877";
  fields.data_dir = "/data/things";
  fields.started_at = 1700000000;
  fields.views = {{"Thing/list", 0, ViewMode::kList, ""},
                  {"Thing/state", 0, ViewMode::kState, ""},
                  {"Thing/derived", 0, ViewMode::kList, "derived views are not supported"}};
}

ServerStatus FakeBackend::status() const { return make_status ? make_status() : ServerStatus{}; }

absl::StatusOr<std::unique_ptr<BusTap>> FakeBackend::OpenTap(const std::vector<std::string>& views) {
  return bus.Open(views);
}

CheckpointInfo FakeCheckpoint(const std::string& name, Slot slot, const std::string& lineage) {
  CheckpointInfo info;
  info.name = name;
  info.lineage = lineage;
  info.watermark.number = slot + 1;
  info.watermark.block.slot = slot;
  info.entities = 12;
  info.bytes = 3456;
  info.created_at = 1700000001;
  return info;
}

void AdminFixture::StartServer(const AdminOptions& options) {
  auto backend = std::make_unique<FakeBackend>();
  backend_ = backend.get();
  server_.reset();
  auto server = AdminServer::Start(options, std::move(backend));
  ASSERT_TRUE(server.ok()) << server.status();
  server_ = *std::move(server);
}

std::unique_ptr<admin::v1::Admin::Stub> AdminFixture::NewStub() const {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return admin::v1::Admin::NewStub(
      grpc::CreateCustomChannel(server_->address(), grpc::InsecureChannelCredentials(), arguments));
}

}  // namespace everstate
