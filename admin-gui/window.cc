#include "admin-gui/window.h"

#include <GLFW/glfw3.h>
#include <backends/imgui_impl_glfw.h>
#include <backends/imgui_impl_opengl3.h>
#include <imgui.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <vector>

#include "admin-gui/format.h"
#include "admin-gui/panel.h"
#include "admin-gui/script.h"
#include "admin-gui/shell.h"
#include "admin-gui/theme.h"
#include "admin-gui/widgets.h"

namespace everstate::console {
namespace {

constexpr int kExitNoWindow = 3;
constexpr double kIdleSeconds = 0.25;  // ages on the screen go on although nothing happens
constexpr int kFramesAfterInput = 3;   // ImGui needs them to come to rest

std::string glfw_error;

bool WritePpm(const std::string& path, GLFWwindow* window) {
  int width = 0, height = 0;
  glfwGetFramebufferSize(window, &width, &height);
  std::vector<unsigned char> pixels(static_cast<size_t>(width) * static_cast<size_t>(height) * 3);
  glPixelStorei(GL_PACK_ALIGNMENT, 1);
  glReadBuffer(GL_BACK);
  glReadPixels(0, 0, width, height, GL_RGB, GL_UNSIGNED_BYTE, pixels.data());
  FILE* file = std::fopen(path.c_str(), "wb");
  if (!file) return false;
  std::fprintf(file, "P6\n%d %d\n255\n", width, height);
  const size_t line = static_cast<size_t>(width) * 3;
  bool good = true;
  for (int y = height; y-- > 0;)
    good &= std::fwrite(pixels.data() + static_cast<size_t>(y) * line, 1, line, file) == line;
  return std::fclose(file) == 0 && good;
}

class Window {
 public:
  explicit Window(const WindowOptions& options) : options_(options), theme_(options.fonts_dir), ui_(&theme_) {}
  ~Window() {
    if (handle_ && ImGui::GetCurrentContext()) {
      ImGui_ImplOpenGL3_Shutdown();
      ImGui_ImplGlfw_Shutdown();
      ImGui::DestroyContext();
    }
    if (handle_) glfwDestroyWindow(handle_);
    glfwTerminate();
  }

  bool Open();
  int Run();

 private:
  void DrawFrame(Shell& shell, Script* script);
  void SetTheme(bool light, float scale);

  const WindowOptions& options_;
  GLFWwindow* handle_ = nullptr;
  Theme theme_;
  Widgets ui_;
};

bool Window::Open() {
  glfwSetErrorCallback([](int, const char* text) { glfw_error = text; });
  if (!glfwInit()) return false;
  glfwWindowHint(GLFW_CONTEXT_VERSION_MAJOR, 3);
  glfwWindowHint(GLFW_CONTEXT_VERSION_MINOR, 2);
  glfwWindowHint(GLFW_OPENGL_PROFILE, GLFW_OPENGL_CORE_PROFILE);
  glfwWindowHint(GLFW_OPENGL_FORWARD_COMPAT, GLFW_TRUE);
  handle_ = glfwCreateWindow(options_.width, options_.height,
                             ("Everstate console, " + Clip(options_.client.address, 80)).c_str(), nullptr, nullptr);
  if (!handle_) return false;
  glfwSetWindowSizeLimits(handle_, 640, 400, GLFW_DONT_CARE, GLFW_DONT_CARE);
  glfwMakeContextCurrent(handle_);
  glfwSwapInterval(1);

  IMGUI_CHECKVERSION();
  ImGui::CreateContext();
  ImGuiIO& io = ImGui::GetIO();
  io.ConfigFlags |= ImGuiConfigFlags_NavEnableKeyboard;
  io.IniFilename = nullptr;  // the layout is fixed: nothing to remember, no file to leave behind
  ImGui_ImplGlfw_InitForOpenGL(handle_, true);
  ImGui_ImplOpenGL3_Init("#version 150");
  float scale = options_.scale;
  if (scale <= 0) {
    float y = 1;
    glfwGetWindowContentScale(handle_, &scale, &y);
  }
  SetTheme(options_.light, std::clamp(scale, kScaleMin, kScaleMax));
  if (!theme_.has_dash())
    std::fprintf(
        stderr,
        "everstate-console: found no DejaVuSans.ttf (package fonts-dejavu-core): what is unknown is shown as \"-\"\n");
  return true;
}

void Window::SetTheme(bool light, float scale) {
  const bool new_fonts = scale != theme_.scale() || !theme_.bold();
  theme_.Apply(light, scale);
  if (!new_fonts) return;
  ImGui_ImplOpenGL3_DestroyFontsTexture();
  ImGui_ImplOpenGL3_CreateFontsTexture();
}

void Window::DrawFrame(Shell& shell, Script* script) {
  ImGui_ImplOpenGL3_NewFrame();
  ImGui_ImplGlfw_NewFrame();
  if (script) script->BeforeFrame();
  ImGui::NewFrame();
  ui_.BeginFrame(Clock::now(), script != nullptr);
  shell.Draw(ui_);
  ImGui::Render();
  int width = 0, height = 0;
  glfwGetFramebufferSize(handle_, &width, &height);
  glViewport(0, 0, width, height);
  glClearColor(0, 0, 0, 1);
  glClear(GL_COLOR_BUFFER_BIT);
  ImGui_ImplOpenGL3_RenderDrawData(ImGui::GetDrawData());
  if (script) script->AfterFrame(ui_);
  glfwSwapBuffers(handle_);
}

int Window::Run() {
  ClientOptions client_options = options_.client;
  client_options.wake = [] { glfwPostEmptyEvent(); };
  Shell shell(std::move(client_options), theme_.light(), theme_.scale());
  std::optional<Script> script;
  if (options_.script_fd >= 0) {
    script.emplace(options_.script_fd,
                   Script::Window{handle_, [this](const std::string& path) { return WritePpm(path, handle_); },
                                  [this](int width, int height) { glfwSetWindowSize(handle_, width, height); }});
  }
  int frames = kFramesAfterInput;
  while (!glfwWindowShouldClose(handle_) && !(script && script->finished())) {
    // Something happened, or time passed; after that a few frames without waiting, then rest again.
    if (frames > 0 || script) {
      glfwPollEvents();
      --frames;
    } else {
      glfwWaitEventsTimeout(kIdleSeconds);
      frames = kFramesAfterInput;
    }
    shell.TakeEvents();
    if (glfwGetWindowAttrib(handle_, GLFW_ICONIFIED)) {
      glfwWaitEventsTimeout(kIdleSeconds);
      continue;
    }
    DrawFrame(shell, script ? &*script : nullptr);
    if (shell.wanted_light() != theme_.light() || shell.wanted_scale() != theme_.scale())
      SetTheme(shell.wanted_light(), shell.wanted_scale());
  }
  return script ? script->exit_code() : 0;
}

}  // namespace

int RunWindow(const WindowOptions& options) {
  Window window(options);
  if (window.Open()) return window.Run();
  const char* display = std::getenv("DISPLAY");
  std::fprintf(stderr,
               "everstate-console: cannot open a window (%s; DISPLAY is %s). `everstate-console --once` needs none.\n",
               glfw_error.empty() ? "no reason given" : glfw_error.c_str(), display ? display : "not set");
  return kExitNoWindow;
}

}  // namespace everstate::console
