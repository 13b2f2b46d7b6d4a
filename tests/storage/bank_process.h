// A bank_writer in a process of its own, for tests that kill it.
#pragma once

#include <filesystem>
#include <string>

#include "storage/model.h"
#include "tests/support/child_process.h"

namespace everstate {

// A bank_writer and what it prints.
class BankWriter : public ChildProcess {
 public:
  BankWriter(const char* mode, const std::filesystem::path& data_dir, size_t note_bytes)
      : ChildProcess({EVERSTATE_BANK_WRITER, mode, data_dir.string(), std::to_string(note_bytes)}) {}

  // Kills it and answers the last number that it printed; `last` when it printed none.
  Number KillAndReadLast(Number last) {
    Kill();
    for (std::string line = ReadLine(); !line.empty(); line = ReadLine()) last = NumberOf(line);
    return last;
  }

  static Number NumberOf(const std::string& line) { return std::stoull(line.substr(line.find(' ') + 1)); }
};

}  // namespace everstate
