#include "admin-gui/script.h"

#include <GLFW/glfw3.h>
#include <backends/imgui_impl_glfw.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>

#include "admin-gui/format.h"

namespace everstate::console {
namespace {

constexpr std::chrono::seconds kPatience{30};  // for a widget to appear or to say something
constexpr int kFramesToSettle = 3;             // ImGui shows the effect of an input one or two frames later

const std::map<std::string, int>& Keys() {
  static const auto& keys = *new std::map<std::string, int>{{"Enter", GLFW_KEY_ENTER},
                                                            {"Escape", GLFW_KEY_ESCAPE},
                                                            {"Tab", GLFW_KEY_TAB},
                                                            {"Space", GLFW_KEY_SPACE},
                                                            {"Backspace", GLFW_KEY_BACKSPACE},
                                                            {"Delete", GLFW_KEY_DELETE},
                                                            {"Up", GLFW_KEY_UP},
                                                            {"Down", GLFW_KEY_DOWN},
                                                            {"Left", GLFW_KEY_LEFT},
                                                            {"Right", GLFW_KEY_RIGHT},
                                                            {"Home", GLFW_KEY_HOME},
                                                            {"End", GLFW_KEY_END},
                                                            {"Ctrl", GLFW_KEY_LEFT_CONTROL},
                                                            {"Shift", GLFW_KEY_LEFT_SHIFT},
                                                            {"=", GLFW_KEY_EQUAL},
                                                            {"-", GLFW_KEY_MINUS}};
  return keys;
}

int KeyOf(const std::string& name) {
  if (const auto found = Keys().find(name); found != Keys().end()) return found->second;
  if (name.size() == 1 && name[0] >= 'A' && name[0] <= 'Z') return GLFW_KEY_A + (name[0] - 'A');
  if (name.size() == 1 && name[0] >= '0' && name[0] <= '9') return GLFW_KEY_0 + (name[0] - '0');
  return 0;
}

std::vector<std::string> Split(const std::string& text, const std::string& by) {
  std::vector<std::string> parts;
  size_t begin = 0;
  for (size_t at = text.find(by); at != std::string::npos; at = text.find(by, begin)) {
    parts.push_back(text.substr(begin, at - begin));
    begin = at + by.size();
  }
  parts.push_back(text.substr(begin));
  return parts;
}

// By name, or by panel and name with a slash between. The last one drawn wins: it lies on top.
const Widget* Find(const Widgets& widgets, const std::string& name) {
  const auto& all = widgets.record();
  for (auto it = all.rbegin(); it != all.rend(); ++it) {
    if (it->kind != "tooltip" && (it->name == name || it->panel + "/" + it->name == name)) return &*it;
  }
  return nullptr;
}

}  // namespace

void Script::Done() {
  std::printf("ok %s\n", line_.c_str());
  std::fflush(stdout);
  line_.clear();
}

void Script::Fail(const std::string& why) {
  std::printf("failed %s: %s\n", line_.c_str(), Clip(why, 400).c_str());  // one line, whatever a widget shows
  std::fflush(stdout);
  finished_ = true;
  exit_code_ = 1;
}

void Script::ReadLines() {
  pollfd readable{fd_, POLLIN, 0};
  while (!input_ended_ && poll(&readable, 1, 0) > 0) {
    char buffer[4096];
    const ssize_t got = read(fd_, buffer, sizeof(buffer));
    if (got <= 0) {
      input_ended_ = true;
      if (!input_.empty() && input_.back() != '\n') input_ += '\n';
    } else {
      input_.append(buffer, static_cast<size_t>(got));
    }
  }
}

void Script::Begin(std::string line) {
  line_ = std::move(line);
  const size_t space = line_.find(' ');
  verb_ = line_.substr(0, space);
  argument_ = space == std::string::npos ? "" : line_.substr(space + 1);
  step_ = 0;
  began_ = Clock::now();
}

void Script::BeforeFrame() {
  ImGuiIO& io = ImGui::GetIO();
  io.MousePos = mouse_.x < 0 ? ImVec2(-FLT_MAX, -FLT_MAX) : mouse_;
  io.MouseDown[0] = pressed_;
  io.MouseWheel += std::exchange(wheel_, 0.0f);
}

void Script::AfterFrame(const Widgets& widgets) {
  if (finished_) return;
  if (line_.empty()) {
    ReadLines();
    while (line_.empty()) {
      const size_t end = input_.find('\n');
      if (end == std::string::npos) {
        finished_ = input_ended_;
        return;
      }
      std::string line = input_.substr(0, end);
      input_.erase(0, end + 1);
      if (!line.empty() && line[0] != '#') Begin(std::move(line));
    }
  }
  Run(widgets);
}

void Script::Run(const Widgets& widgets) {
  if (verb_ == "click" || verb_ == "hover" || verb_ == "scroll") return RunClick(widgets);
  if (verb_ == "wait") return RunWait(widgets);
  if (verb_ == "dump" || verb_ == "screenshot") {
    if (!RunFile(widgets)) return Fail("cannot write " + argument_);
    return Done();
  }
  if (verb_ == "type") {
    if (step_ == 0) ImGui::GetIO().AddInputCharactersUTF8(argument_.c_str());
  } else if (verb_ == "key") {
    if (step_ == 0) Key(argument_, GLFW_PRESS);
    if (step_ == 1 && !finished_) Key(argument_, GLFW_RELEASE);
    if (finished_) return;
  } else if (verb_ == "rest") {
    if (Clock::now() - began_ < std::chrono::duration<double>(std::atof(argument_.c_str()))) return;
  } else if (verb_ == "resize") {
    int width = 0, height = 0;
    if (std::sscanf(argument_.c_str(), "%d %d", &width, &height) != 2 || width < 1 || height < 1)
      return Fail("resize takes a width and a height in pixels");
    if (step_ == 0) window_.resize(width, height);
  } else if (verb_ == "quit") {
    finished_ = true;
    return Done();
  } else {
    return Fail("there is no command " + verb_);
  }
  if (++step_ > kFramesToSettle) Done();
}

void Script::Key(const std::string& chord, int action) {
  for (const std::string& name : Split(chord, "+")) {
    const int key = KeyOf(name);
    if (key == 0) return Fail("there is no key " + name);
    ImGui_ImplGlfw_KeyCallback(window_.handle, key, 0, action, 0);
  }
}

// scroll NAME by LINES; click NAME; hover NAME.
void Script::RunClick(const Widgets& widgets) {
  const auto parts = verb_ == "scroll" ? Split(argument_, " by ") : std::vector<std::string>{argument_};
  const Widget* widget = Find(widgets, parts[0]);
  if (step_ == 0) {
    // It must stand still, and be there for a hand to reach.
    const bool reachable = widget && widget->visible && (widget->enabled || verb_ == "hover");
    const ImVec2 centre =
        widget ? ImVec2((widget->min.x + widget->max.x) / 2, (widget->min.y + widget->max.y) / 2) : ImVec2(-1, -1);
    const bool still = reachable && centre.x == target_.x && centre.y == target_.y;
    target_ = reachable ? centre : ImVec2(-1, -1);
    if (!still) {
      if (Clock::now() - began_ > kPatience)
        Fail(!widget ? "there is no such widget" : !widget->visible ? "it is not visible" : "it is disabled");
      return;
    }
    mouse_ = target_;
    target_ = ImVec2(-1, -1);
  }
  if (verb_ == "click") {
    if (step_ == 1) pressed_ = true;
    if (step_ == 2) pressed_ = false;
  }
  if (verb_ == "scroll" && step_ == 1) wheel_ = parts.size() == 2 ? static_cast<float>(std::atof(parts[1].c_str())) : 0;
  if (++step_ > 2 + kFramesToSettle) Done();
}

// wait NAME; wait NAME contains TEXT; wait NAME is TEXT; wait NAME gone; wait NAME disabled; wait NAME enabled; wait
// NAME stale; wait NAME fresh.
void Script::RunWait(const Widgets& widgets) {
  bool holds = false;
  const Widget* widget = nullptr;
  const auto contains = Split(argument_, " contains ");
  const auto is = Split(argument_, " is ");
  const auto ends = [&](const char* word) {
    const std::string tail = std::string(" ") + word;
    return argument_.size() > tail.size() && argument_.compare(argument_.size() - tail.size(), tail.size(), tail) == 0;
  };
  const auto without = [&](const char* word) {
    return argument_.substr(0, argument_.size() - std::string(word).size() - 1);
  };
  if (contains.size() == 2) {
    widget = Find(widgets, contains[0]);
    holds = widget && widget->text.find(contains[1]) != std::string::npos;
  } else if (is.size() == 2) {
    widget = Find(widgets, is[0]);
    holds = widget && widget->text == is[1];
  } else if (ends("gone")) {
    holds = !(widget = Find(widgets, without("gone")));
  } else if (ends("disabled")) {
    holds = (widget = Find(widgets, without("disabled"))) && !widget->enabled;
  } else if (ends("enabled")) {
    holds = (widget = Find(widgets, without("enabled"))) && widget->enabled;
  } else if (ends("stale")) {
    holds = (widget = Find(widgets, without("stale"))) && widget->stale;
  } else if (ends("fresh")) {
    holds = (widget = Find(widgets, without("fresh"))) && !widget->stale;
  } else {
    holds = (widget = Find(widgets, argument_)) != nullptr;
  }
  if (holds) return Done();
  if (Clock::now() - began_ > kPatience) Fail(widget ? "it shows \"" + widget->text + "\"" : "there is no such widget");
}

bool Script::RunFile(const Widgets& widgets) {
  if (verb_ == "screenshot") return window_.screenshot(argument_);
  int width = 0, height = 0;
  glfwGetWindowSize(window_.handle, &width, &height);
  const char* clipboard = ImGui::GetClipboardText();
  // Written aside and renamed, so that a reader never sees half of it.
  const std::string aside = argument_ + ".new";
  std::ofstream out(aside);
  out << WidgetDump(widgets.record(), clipboard ? clipboard : "", width, height);
  out.close();
  return out.good() && std::rename(aside.c_str(), argument_.c_str()) == 0;
}

}  // namespace everstate::console
