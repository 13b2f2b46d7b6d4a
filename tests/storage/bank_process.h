// A bank_writer in a process of its own, for tests that kill it.
#pragma once

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>

#include "storage/model.h"

namespace everstate {

inline constexpr int kCannotMount = 77;  // as bank_writer says it

// A bank_writer and what it prints.   Owns: the process; kills it.
class BankWriter {
 public:
  BankWriter(const char* mode, const std::filesystem::path& data_dir, size_t note_bytes) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) std::abort();
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    const std::string notes = std::to_string(note_bytes);
    const char* argv[] = {EVERSTATE_BANK_WRITER, mode, data_dir.c_str(), notes.c_str(), nullptr};
    if (posix_spawn(&pid_, argv[0], &actions, nullptr, const_cast<char* const*>(argv), environ) != 0) std::abort();
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    output_ = ends[0];
  }
  BankWriter(const BankWriter&) = delete;
  BankWriter& operator=(const BankWriter&) = delete;
  ~BankWriter() {
    Kill();
    close(output_);
  }

  // The next line without its end; empty when the process closed its output.
  std::string ReadLine() {
    for (;;) {
      if (const size_t end = text_.find('\n'); end != std::string::npos) {
        const std::string line = text_.substr(0, end);
        text_.erase(0, end + 1);
        return line;
      }
      char buffer[4096];
      const ssize_t size = read(output_, buffer, sizeof buffer);
      if (size <= 0) return "";
      text_.append(buffer, static_cast<size_t>(size));
    }
  }

  // Kills it and answers the last number that it printed; `last` when it printed none.
  Number KillAndReadLast(Number last) {
    Kill();
    for (std::string line = ReadLine(); !line.empty(); line = ReadLine()) last = NumberOf(line);
    return last;
  }

  // From any thread, also while another reads lines.
  void Kill() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    Wait();
  }

  int Wait() {
    int status = 0;
    waitpid(std::exchange(pid_, 0), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  static Number NumberOf(const std::string& line) { return std::stoull(line.substr(line.find(' ') + 1)); }

 private:
  pid_t pid_ = 0;
  int output_ = -1;
  std::string text_;
};

}  // namespace everstate
