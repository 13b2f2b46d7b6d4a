// What a server is started with: one struct, every value with its unit and default. Checked once, before anything is opened.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "storage/model.h"

namespace everstate {

// Exit codes of the program, for supervisors.
enum class ExitCode : int {
  kOrderly = 0,        // stopped when asked
  kConfiguration = 2,  // command line, configuration or stack: repeating the same command will not help
  kStore = 3,          // the store cannot be opened or written
  kAddressInUse = 4,
  kOtherChain = 5,     // the stream is not of the chain that the store follows
};

struct Config {
  std::string stack_file;
  std::string endpoint;               // http(s)://host[:port]
  std::string x_token;                // secret: never logged
  std::string listen = "[::]:8877";
  std::string data_dir;               // empty: ./data/<stack name>
  Commitment commitment = Commitment::kConfirmed;
  std::optional<Slot> from_slot;      // where an empty store begins
  bool progress = false;              // one line on stdout that lives
  size_t inbox_blocks_max = 64;       // blocks waiting for the projector
  size_t inbox_bytes_max = 512u << 20;
};

// "confirmed" or "finalized". "processed" is refused by name: InvalidArgument saying what to use instead.
absl::StatusOr<Commitment> ParseCommitment(const std::string& text);

// The first line of a token file, without the line end. Errors name the file and never its content.
absl::StatusOr<std::string> ReadTokenFile(const std::string& file);

}  // namespace everstate
