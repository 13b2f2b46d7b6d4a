// What a server is started with: one struct, every value with its unit and default. Checked once, before anything is
// opened. Each value has a name, a flag and a variable in server/settings.h.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "server/base/log.h"
#include "server/deployment/deployment.h"
#include "server/fanout/fanout.h"
#include "server/ingest/yellowstone.h"
#include "server/server.h"
#include "server/vm/projection.h"
#include "storage/model.h"

namespace everstate {

struct Config {
  std::string stack_file;
  std::string endpoint;      // http(s)://host[:port]
  std::string x_token;       // secret: never logged
  std::string x_token_file;  // where x_token was read from; empty: it was said itself
  std::string listen = "[::]:8877";
  std::string admin = "127.0.0.1:8880";  // ADDR:PORT of the admin service; "off": none
  int admin_threads_max = 64;
  std::string health_listen = "off";  // ADDR:PORT that answers health, status and metrics beside `listen`; "off": none
  std::chrono::milliseconds health_slot_silence{30000};  // no slot was heard for this long: not ready
  std::chrono::milliseconds health_heartbeat{30000};     // a stream that is not ready is logged so often; 0: never
  std::string data_dir;                                  // empty: ./data/<stack name>
  Commitment commitment = Commitment::kConfirmed;
  std::optional<Slot> from_slot;  // where an empty store begins
  bool progress = false;          // one line on stdout that lives
  size_t inbox_blocks_max = 64;   // blocks waiting for the projector
  size_t inbox_bytes_max = 512u << 20;
  uint64_t archive_keep_bytes = 8ull << 30;  // 0: no archive
  CheckpointSchedule checkpoints{.every = std::chrono::minutes(10)};
  std::optional<RewindRequest> rewind;  // begun before the first block is applied

  vm::Settings projection;              // part of the store's lineage
  StoreOptions store;                   // without data_dir
  ingest::YellowstoneOptions provider;  // without endpoint and x_token
  ingest::IngestOptions stream;         // without subscription, commitment and position
  ProjectorOptions projector;
  FanoutOptions fanout;  // without listen
  LogOptions log;
};

// The least that FanoutOptions::session_queue_bytes_max may be: two frames of a snapshot. Less would close a session
// that has done nothing but ask for one.
size_t SessionQueueBytesMin(const FanoutOptions& fanout);

// The following read a value as it stands in a flag, a variable or a file. Errors are InvalidArgument, and their
// message says what is wrong with the value and what can be said; whoever asks knows the name.

// "confirmed" or "finalized". "processed" is refused by name, saying what to use instead.
absl::StatusOr<Commitment> ParseCommitment(const std::string& text);

// When checkpoints are made: "off", a time, or a number of slots ("5000slots"). `keep` is left at its default.
absl::StatusOr<CheckpointSchedule> ParseCheckpointEvery(const std::string& text);
std::string FormatCheckpointEvery(const CheckpointSchedule& schedule);

// A whole number, in decimal.
absl::StatusOr<uint64_t> ParseNumber(const std::string& text, uint64_t min, uint64_t max);

// A number of bytes: "0", "1048576", "512MiB", "8GiB" (B, KiB, MiB, GiB, TiB).
absl::StatusOr<uint64_t> ParseBytes(const std::string& text);
std::string FormatBytes(uint64_t bytes);  // in the largest unit that is exact

inline constexpr std::chrono::milliseconds kSaidTimeMax = std::chrono::hours(366 * 24);

// A time up to kSaidTimeMax: "100ms", "20s", "10m", "6h", "1d".
absl::StatusOr<std::chrono::milliseconds> ParseTime(const std::string& text);
std::string FormatTime(std::chrono::milliseconds time);  // in the largest unit that is exact

// Levels of single rooms: "ingest=debug,fanout=warn".
absl::StatusOr<std::map<Room, LogLevel>> ParseLogLevels(const std::string& text);
std::string FormatLogLevels(const std::map<Room, LogLevel>& levels);

// The first line of a token file, without the line end; a token that can be sent. Errors name the file and why, and
// never its content.
absl::StatusOr<std::string> ReadTokenFile(const std::string& file);

}  // namespace everstate
