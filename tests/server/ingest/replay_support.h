// For the tests of the replay server: a small recording made here, and a client on the stock stub.
#pragma once

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proto/geyser.grpc.pb.h"
#include "server/ingest/replay.h"
#include "tests/support/source_dir.h"

namespace everstate::testing {

using Updates = std::vector<geyser::SubscribeUpdate>;
using Predicate = std::function<bool(const geyser::SubscribeUpdate&)>;

inline const std::string kSmallRecording = InSource("tests/recordings/spl-small.updates");
inline constexpr uint64_t kMadeFirstSlot = 1000;  // of the made recording, and its last block
inline constexpr uint64_t kMadeLastSlot = 1019;

std::string Key(int n);  // 32 bytes
std::string Base58(const std::string& bytes);
std::string HashText(uint64_t slot);

// Blocks in the order of a confirmed stream, with all that a filter can ask for: token accounts, writes without a
// signature, votes, failed transactions, loaded keys, entries; a skipped slot, a dead one, statuses of slots before the
// first block, FINALIZED three slots behind.
Updates MadeRecording();

// A file of these updates, removed at the end.
class TemporaryRecording {
 public:
  explicit TemporaryRecording(const Updates& updates, bool cut_last_byte = false);
  ~TemporaryRecording();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Updates ReadRecording(const std::string& path);
// Without what differs on every way: filter names and the time of sending.
geyser::SubscribeUpdate Bare(geyser::SubscribeUpdate update);
std::vector<std::string> BareBytes(const Updates& updates);
uint64_t SlotOf(const geyser::SubscribeUpdate& update);
bool IsContent(const geyser::SubscribeUpdate& update);  // account, transaction, entry

// Everything under the name "all".
geyser::SubscribeRequest All(std::optional<uint64_t> from_slot = std::nullopt);

// One Subscribe stream. Reads give up after two minutes, which fails the test.
class StreamClient {
 public:
  explicit StreamClient(int port);
  StreamClient(int port, const geyser::SubscribeRequest& request) : StreamClient(port) { Send(request); }
  ~StreamClient();

  void Send(const geyser::SubscribeRequest& request);
  void Ping(int id);
  bool Read(geyser::SubscribeUpdate* update);        // any message
  bool ReadNoPing(geyser::SubscribeUpdate* update);  // the server sends a ping whenever it is time
  bool ReadData(geyser::SubscribeUpdate* update);    // neither ping nor pong
  Updates ReadData(size_t count);
  Updates ReadUntil(const Predicate& last);  // data up to and with the one
  grpc::Status Finish();                     // of a stream that the server ended

 private:
  std::unique_ptr<geyser::Geyser::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<geyser::SubscribeRequest, geyser::SubscribeUpdate>> stream_;
  bool finished_ = false;
};

std::unique_ptr<geyser::Geyser::Stub> Stub(int port);
std::unique_ptr<ReplayServer> StartReplay(ReplayOptions options);
void WaitFor(const std::function<bool()>& condition);

}  // namespace everstate::testing
