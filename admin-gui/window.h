// The window: GLFW, OpenGL 3 and Dear ImGui, and the loop that draws the panels.
#pragma once

#include <string>

#include "admin-gui/client/console_client.h"

namespace everstate::console {

inline constexpr float kScaleMin = 0.5f, kScaleMax = 4.0f;

struct WindowOptions {
  ClientOptions client;
  bool light = false;
  float scale = 0;  // 0: what the display says
  int width = 1280, height = 800;
  std::string fonts_dir;  // empty: the usual folders
  int script_fd = -1;     // commands of a script; -1: none
};

// Runs until the window is closed or the script ends. 0; 1 when a command of the script failed; 3 when there is no
// window to be had (the reason is on standard error).
int RunWindow(const WindowOptions& options);

}  // namespace everstate::console
