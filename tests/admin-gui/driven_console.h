// A real console in a real window on a display of its own (Xvfb, software GL), used through its script: what a test
// does goes in as mouse and keys, what it compares is what the widgets show.
#pragma once

#include <sys/types.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace everstate::console {

// A display without a screen. start() is false when there is no Xvfb on this machine.
class Display {
 public:
  Display() = default;
  ~Display();
  bool Start();
  const std::string& name() const { return name_; }  // ":99"

 private:
  pid_t pid_ = -1;
  std::string name_;
};

class DrivenConsole {
 public:
  // Runs `program` with these arguments and `--script -`.
  DrivenConsole(const std::string& program, const Display& display, std::vector<std::string> arguments);
  ~DrivenConsole();

  // Sends one command and returns its answer: "" when it is ok, else why it failed (the console has ended then).
  std::string Do(const std::string& command);
  // All widgets as they are now.
  nlohmann::json Dump();
  // The text of a widget, or of the first whose name begins so; "(none)" when there is none.
  std::string TextOf(const std::string& name);
  nlohmann::json Find(const std::string& name);
  // Ends the script and returns the exit code.
  int Quit();

 private:
  pid_t pid_ = -1;
  FILE *in_ = nullptr, *out_ = nullptr;
  std::string folder_;
};

}  // namespace everstate::console
