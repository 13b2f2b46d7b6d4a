#include "admin-gui/shell.h"

#include <GLFW/glfw3.h>

#include <algorithm>

#include "admin-gui/format.h"
#include "admin-gui/window.h"

namespace everstate::console {
namespace {

constexpr char kKeys[] =
    "Ctrl+1, 2, 3  panels\nCtrl+P  pause or resume the bus\nCtrl+F  filter the bus\nCtrl+T  dark or light\nCtrl+= "
    "Ctrl+-  larger, smaller\nCtrl+0  as large as at first\nTab, arrows, Space, Enter  move and press";

double Age(Time now, Time then) { return std::chrono::duration<double>(now - then).count(); }

// The wall clock's time of something that was measured by the steady clock.
std::string WallTime(Time now, Time then) {
  const auto wall = std::chrono::system_clock::now() - (now - then);
  return TimeOfDay(std::chrono::duration_cast<std::chrono::milliseconds>(wall.time_since_epoch()).count()).substr(0, 8);
}

}  // namespace

Shell::Shell(ClientOptions options, bool light, float scale)
    : address_(options.address),
      client_(std::move(options)),
      panels_(MakePanels()),
      light_(light),
      first_scale_(scale),
      scale_(scale) {}

void Shell::TakeEvents() {
  for (Event& event : client_.Take()) model_.Apply(std::move(event));
}

void Shell::Draw(Widgets& ui) {
  const ImGuiViewport& viewport = *ImGui::GetMainViewport();
  ImGui::SetNextWindowPos(viewport.WorkPos);
  ImGui::SetNextWindowSize(viewport.WorkSize);
  constexpr ImGuiWindowFlags kFlags = ImGuiWindowFlags_NoDecoration | ImGuiWindowFlags_NoMove |
                                      ImGuiWindowFlags_NoSavedSettings | ImGuiWindowFlags_NoBringToFrontOnFocus;
  ImGui::Begin("console", nullptr, kFlags);
  TakeKeys();
  ui.SetPanel("");
  DrawBar(ui);
  DrawContext context{model_, client_, ui, ui.now()};
  const float footer = ImGui::GetTextLineHeightWithSpacing() + ui.px(4);
  ImGui::BeginChild("body", {0, ImGui::GetContentRegionAvail().y - footer}, false, ImGuiWindowFlags_NoBackground);
  DrawTabs(context);
  ImGui::EndChild();
  ui.SetPanel("");
  DrawNotices(ui);
  ImGui::End();
}

void Shell::TakeKeys() {
  const ImGuiIO& io = ImGui::GetIO();
  if (!io.KeyCtrl) return;
  const auto pressed = [](int key) { return ImGui::IsKeyPressed(key, false); };
  for (size_t i = 0; i < panels_.size(); ++i) {
    if (pressed(GLFW_KEY_1 + static_cast<int>(i))) go_to_ = i;
  }
  if (pressed(GLFW_KEY_T)) light_ = !light_;
  if (pressed(GLFW_KEY_EQUAL) || pressed(GLFW_KEY_KP_ADD)) scale_ = std::min(scale_ * 1.1f, kScaleMax);
  if (pressed(GLFW_KEY_MINUS) || pressed(GLFW_KEY_KP_SUBTRACT)) scale_ = std::max(scale_ / 1.1f, kScaleMin);
  if (pressed(GLFW_KEY_0)) scale_ = first_scale_;
}

void Shell::DrawLink(Widgets& ui) {
  const Link& link = model_.link();
  ImU32 colour = ui.palette().warn;
  std::string words = "connecting to " + address_;
  if (link.state == Link::State::kUp) {
    const bool silent = model_.stale(ui.now());
    colour = silent ? ui.palette().warn : ui.palette().good;
    words = "connected to " + address_ + " for " + Seconds(Age(ui.now(), link.since));
    if (silent && model_.status_at()) words += ", silent for " + Seconds(Age(ui.now(), *model_.status_at()));
    if (link.losses) words += ", lost " + Counted(link.losses, "time") + " before";
  } else if (link.state == Link::State::kLost) {
    colour = ui.palette().bad;
    words = (model_.status() ? "LOST " : "NO SERVER at ") + address_ + " since " + WallTime(ui.now(), link.since) +
            " (" + Seconds(Age(ui.now(), link.since)) + ")";
    if (link.retry_at) {
      words += ", next try in " + Seconds(std::max(0.0, Age(*link.retry_at, ui.now())));
    } else {
      words += ", trying again";
    }
    words += ": " + link.why;
  }
  const ImVec2 at = ImGui::GetCursorScreenPos();
  const float radius = ui.px(5);
  ImGui::GetWindowDrawList()->AddCircleFilled({at.x + radius, at.y + ImGui::GetTextLineHeight() / 2}, radius, colour);
  ImGui::Dummy({radius * 2, 0});
  ImGui::SameLine();
  ImGui::BeginGroup();
  ui.Text("server", words, link.state == Link::State::kUp ? 0 : colour);
  ImGui::EndGroup();
}

void Shell::DrawBar(Widgets& ui) {
  const auto& info = model_.info();
  const auto& status = model_.status();
  ImGui::BeginChild("bar", {0, ui.px(model_.version_remark().empty() ? 74 : 96)}, true, ImGuiWindowFlags_NoScrollbar);
  const float right = ImGui::GetWindowContentRegionMax().x;
  ImGui::BeginChild("link", {right - ui.px(160), ImGui::GetTextLineHeight()}, false,
                    ImGuiWindowFlags_NoScrollbar | ImGuiWindowFlags_NoBackground);
  DrawLink(ui);
  ImGui::EndChild();
  ImGui::SameLine(right - ui.px(110));
  ImGui::SetCursorPosY(ImGui::GetCursorPosY() - ui.px(4));
  if (ui.Button("theme", light_ ? "Dark" : "Light", true, "Ctrl+T")) light_ = !light_;
  ImGui::SameLine();
  ui.Button("keys", "Keys", true, kKeys);
  if (!model_.version_remark().empty()) ui.Text("version remark", model_.version_remark(), ui.palette().warn);
  ui.SetSource(model_.info_at(), model_.link().state != Link::State::kUp);
  ImGui::SetCursorPosY(ImGui::GetCursorPosY() - ui.px(4));
  if (ui.BeginGrid("facts", 6)) {
    const auto small = [&](const char* name, const char* metric, const MaybeText& text, ImU32 colour = 0) {
      ImGui::TableNextColumn();
      ImGui::PushStyleColor(ImGuiCol_Text, ui.palette().dim);
      ImGui::TextUnformatted(name);
      ImGui::PopStyleColor();
      ImGui::SetCursorPosY(ImGui::GetCursorPosY() - ui.px(5));
      ui.Value(name, metric, text && text->empty() ? MaybeText() : text, colour);
    };
    small("stack", "Info.stack_name", When(info.has_value(), [&] { return info->stack_name(); }));
    small("provider", "Info.endpoint", When(info.has_value(), [&] { return info->endpoint(); }));
    small("commitment", "Info.commitment", When(info.has_value(), [&] { return info->commitment(); }));
    small("version", "Info.version", When(info.has_value(), [&] { return info->version(); }));
    ui.SetSource(model_.status_at(), model_.stale(ui.now()));
    small("up for", "Status.uptime_us",
          When(status.has_value(), [&] { return Seconds(static_cast<double>(status->uptime_us()) / 1e6); }));
    small("health", "Status.ready", When(status.has_value(), [&] { return status->ready() ? "ready" : "not ready"; }),
          status && status->ready() ? ui.palette().good : ui.palette().bad);
    ui.EndGrid();
  }
  ImGui::EndChild();
}

void Shell::DrawTabs(DrawContext& context) {
  Widgets& ui = context.ui;
  if (!ImGui::BeginTabBar("panels")) return;
  for (size_t i = 0; i < panels_.size(); ++i) {
    Panel& panel = *panels_[i];
    const bool open = ImGui::BeginTabItem(panel.title(), nullptr,
                                          go_to_ == i ? ImGuiTabItemFlags_SetSelected : ImGuiTabItemFlags_None);
    ui.SetPanel("");
    ui.NoteItem(panel.title(), "tab", open ? "open" : "closed");
    ui.SetPanel(panel.title());
    if (!open) {
      panel.Hidden(context);
      continue;
    }
    panel.Draw(context);
    ImGui::EndTabItem();
  }
  go_to_.reset();
  ImGui::EndTabBar();
}

void Shell::DrawNotices(Widgets& ui) {
  const auto& notices = model_.notices();
  if (notices.empty()) return ui.Text("notice", "nothing to report", ui.palette().dim);
  const Notice& last = notices.back();
  ui.Text("notice", WallTime(ui.now(), last.at) + "  " + last.text, last.ok ? ui.palette().dim : ui.palette().bad);
  if (!ImGui::IsItemHovered()) return;
  ImGui::BeginTooltip();
  ImGui::PushTextWrapPos(ui.px(700));
  const size_t first = notices.size() > 12 ? notices.size() - 12 : 0;
  for (size_t i = first; i < notices.size(); ++i) {
    ui.Text("notice " + std::to_string(i), WallTime(ui.now(), notices[i].at) + "  " + Clip(notices[i].text, 600),
            notices[i].ok ? ui.palette().text : ui.palette().bad, true);
  }
  ImGui::PopTextWrapPos();
  ImGui::EndTooltip();
}

}  // namespace everstate::console
