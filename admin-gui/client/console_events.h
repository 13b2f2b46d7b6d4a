// What the network side tells the model: one event per thing that happened. Plain data, moved once.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "proto/admin.pb.h"

namespace everstate::console {

namespace api = ::everstate::admin::v1;

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;

// The version of proto/admin.proto that this console was built for.
inline constexpr uint32_t kInterfaceVersion = 1;

struct Connecting {
  uint64_t attempt = 1;  // since the server was lost, or since the start
};
struct Connected {
  std::optional<api::Info> info;  // absent: the server knows no GetInfo
};
struct Lost {
  std::string why;
  Time retry_at;
};
struct StatusArrived {
  api::Status status;
};
struct TailArrived {
  api::TailChunk chunk;
};
struct TailEnded {
  std::string why;
  Time retry_at;
};
struct CheckpointsArrived {
  api::Checkpoints checkpoints;
};
struct CheckpointsFailed {
  std::string why;
};
struct CommandStarted {
  std::string command;  // "create a checkpoint"
};
struct CommandDone {
  std::string command;
  bool ok = false;
  std::string text;  // for a person: what was done, or what the server said against it
};

struct Event {
  Time at;
  std::variant<Connecting, Connected, Lost, StatusArrived, TailArrived, TailEnded, CheckpointsArrived,
               CheckpointsFailed, CommandStarted, CommandDone>
      what;
};

}  // namespace everstate::console
