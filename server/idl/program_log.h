// The events in a transaction's log: Solana writes what a program logs with sol_log_data as "Program data: <base64> …",
// between the lines that say which program runs.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace everstate::idl {

// ProgramLog: walks the lines of one log after the other; its memory is kept between logs.
//   Thread:  one.
//   Owns:    the data of the present line; borrows the lines.
//   Errors:  none: a line of another form says nothing, and one whose base64 is none is passed over. What a log that
//            was cut leaves out cannot be known.
class ProgramLog {
 public:
  struct Data {
    std::array<uint8_t, 32> program{};  // that ran when it was written
    std::span<const uint8_t> bytes;     // valid until the next call
    uint32_t line = 0;                  // in the log, from 0
    uint32_t invocation = 0;            // the how-manieth invocation of the transaction wrote it, from 0
    uint32_t begun = 0;                 // how many invocations had begun by then
  };

  void Begin(std::span<const std::string_view> lines);
  // The next line with data; false at the end.
  bool Next(Data* data);

 private:
  struct Frame {
    std::string_view program;  // base58: most programs write no data, so it is decoded for those that do
    uint32_t invocation = 0;
  };
  void Follow(std::string_view line);
  bool Decode(std::string_view base64);

  std::span<const std::string_view> lines_;
  uint32_t at_ = 0, invocations_ = 0;
  std::vector<Frame> stack_;  // the programs that run, the outer one first
  std::string bytes_, piece_;
};

}  // namespace everstate::idl
