// Automation: a script that uses the console as a person does, through the mouse and the keyboard, and reads what its
// widgets show. One command per line, answered by one line on standard output, `ok …` or `failed …: why`; the first
// failure ends the program with exit code 1. Commands are in README.md.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "admin-gui/widgets.h"

struct GLFWwindow;

namespace everstate::console {

// Script
//   Thread:    the one that draws.
//   Owns:      nothing; the file descriptor is the caller's.
//   Invariant: input goes in where the window's own callbacks put it; nothing is clicked that is not visible and
//              enabled.
class Script {
 public:
  // What it needs of the window. Screenshot writes a binary PPM and says whether it could.
  struct Window {
    GLFWwindow* handle;
    std::function<bool(const std::string& path)> screenshot;
    std::function<void(int width, int height)> resize;
  };
  Script(int fd, Window window) : fd_(fd), window_(std::move(window)) {}

  void BeforeFrame();                       // between the backend's NewFrame and ImGui's
  void AfterFrame(const Widgets& widgets);  // when the frame has been drawn, before it is shown
  bool finished() const { return finished_; }
  int exit_code() const { return exit_code_; }

 private:
  void ReadLines();
  void Begin(std::string line);
  void Run(const Widgets& widgets);
  void RunClick(const Widgets& widgets);
  void RunWait(const Widgets& widgets);
  bool RunFile(const Widgets& widgets);
  void Key(const std::string& chord, int action);
  void Done();
  void Fail(const std::string& why);

  const int fd_;
  const Window window_;
  std::string input_;
  bool input_ended_ = false;
  std::string line_, verb_, argument_;  // the command under way; line_ is empty when there is none
  int step_ = 0;                        // frames since the command got hold of its widget
  Time began_{};
  ImVec2 mouse_{-1, -1}, target_{-1, -1};
  bool pressed_ = false;
  float wheel_ = 0;
  bool finished_ = false;
  int exit_code_ = 0;
};

}  // namespace everstate::console
