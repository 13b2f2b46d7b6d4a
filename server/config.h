// What a server is started with: one struct, every value with its unit and default. Checked once, before anything is opened.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "server/deployment/deployment.h"
#include "server/fanout/fanout.h"
#include "server/server.h"
#include "server/vm/projection.h"
#include "storage/model.h"

namespace everstate {

struct Config {
  std::string stack_file;
  std::string endpoint;               // http(s)://host[:port]
  std::string x_token;                // secret: never logged
  std::string listen = "[::]:8877";
  std::string admin = "127.0.0.1:8880";  // ADDR:PORT of the admin service; "off": none
  std::chrono::milliseconds health_slot_silence{30000};  // no slot was heard for this long: not ready
  std::chrono::milliseconds health_heartbeat{30000};     // a stream that is not ready is logged so often; 0: never
  std::string data_dir;               // empty: ./data/<stack name>
  Commitment commitment = Commitment::kConfirmed;
  std::optional<Slot> from_slot;      // where an empty store begins
  bool progress = false;              // one line on stdout that lives
  size_t inbox_blocks_max = 64;       // blocks waiting for the projector
  size_t inbox_bytes_max = 512u << 20;
  uint64_t archive_keep_bytes = 8ull << 30;  // 0: no archive
  CheckpointSchedule checkpoints{.every = std::chrono::minutes(10)};
  std::optional<RewindRequest> rewind;  // begun before the first block is applied

  vm::Settings projection;  // part of the store's lineage
  FanoutOptions fanout;     // without listen
};

// "confirmed" or "finalized". "processed" is refused by name: InvalidArgument saying what to use instead.
absl::StatusOr<Commitment> ParseCommitment(const std::string& text);

// When checkpoints are made: "off", a time ("90s", "10m", "6h", "1d") or a number of slots ("5000slots"). `keep` is left alone.
// InvalidArgument naming --checkpoint-every, what was said and what can be said.
absl::StatusOr<CheckpointSchedule> ParseCheckpointEvery(const std::string& text);

// A number of bytes: "0", "1048576", "512MiB", "8GiB" (B, KiB, MiB, GiB, TiB). InvalidArgument naming the flag.
absl::StatusOr<uint64_t> ParseBytes(const std::string& flag, const std::string& text);

// The first line of a token file, without the line end. Errors name the file and never its content.
absl::StatusOr<std::string> ReadTokenFile(const std::string& file);

}  // namespace everstate
