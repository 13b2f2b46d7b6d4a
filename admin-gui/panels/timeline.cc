#include "admin-gui/panels/timeline.h"

#include <algorithm>
#include <cmath>

#include "admin-gui/format.h"

namespace everstate::console {
namespace {

// Where slots lie on the timeline. A long archive must not press the checkpoints together: it runs out at the left.
struct Timeline {
  ImVec2 at, end;           // the picture
  float left, right, line;  // of the slots, and their height
  uint64_t low = UINT64_MAX, high = 0;
  bool hovered, clicked;

  void Spread(uint64_t slot) { low = std::min(low, slot), high = std::max(high, slot); }
  float X(uint64_t slot, float margin) const {
    const double width = std::max<double>(static_cast<double>(high - low), 1);
    const double share =
        slot >= low ? static_cast<double>(slot - low) / width : -static_cast<double>(low - slot) / width;
    return std::max(left + static_cast<float>(share) * (right - left), at.x + margin);
  }
};

// What the archive reaches, a rewind on its way, and the slot that is served now; answers the same in words.
std::string DrawPresent(Widgets& ui, const api::Status& status, const Timeline& line) {
  ImDrawList& draw = *ImGui::GetWindowDrawList();
  const auto grey = [&](ImU32 colour) { return ui.stale() ? ui.palette().stale : colour; };
  const auto x = [&](uint64_t slot) { return line.X(slot, ui.px(10)); };
  std::string words;
  if (const api::Archive& archive = status.archive(); archive.has_first_slot() && archive.has_last_slot()) {
    draw.AddRectFilled({x(archive.first_slot()), line.line + ui.px(10)},
                       {x(archive.last_slot()), line.line + ui.px(18)},
                       (grey(ui.palette().good) & 0x00FFFFFF) | 0x70000000, ui.px(3));
    const std::string label = "the archive reaches back to slot " + std::to_string(archive.first_slot());
    const float room = line.end.x - ui.px(10) - ImGui::CalcTextSize(label.c_str()).x;
    draw.AddText({std::min(x(archive.first_slot()), room), line.line + ui.px(22)}, ui.palette().dim, label.c_str());
    words += "archive " + std::to_string(archive.first_slot()) + " to " + std::to_string(archive.last_slot()) + "; ";
  }
  if (status.rewind().state() == "filling" && status.rewind().slot() >= status.rewind().from_slot()) {
    draw.AddLine({x(status.rewind().from_slot()), line.line}, {x(status.rewind().slot()), line.line},
                 grey(ui.palette().warn), ui.px(4));
  }
  if (status.store().has_slot()) {
    const float here = x(status.store().slot());
    draw.AddLine({here, line.line - ui.px(26)}, {here, line.line + ui.px(8)}, grey(ui.palette().accent), ui.px(2));
    draw.AddText({here - ui.px(10), line.line - ui.px(46)}, grey(ui.palette().accent), "now");
    words += "now " + std::to_string(status.store().slot()) + "; ";
  }
  return words;
}

// The checkpoints; answers the name of the one that was clicked.
std::optional<std::string> DrawMarks(Widgets& ui, const api::Checkpoints& checkpoints, const std::string& selected,
                                     const Timeline& line) {
  std::optional<std::string> clicked;
  ImDrawList& draw = *ImGui::GetWindowDrawList();
  float labelled = 0;  // up to where labels reach
  for (const api::Checkpoint& one : checkpoints.checkpoints()) {
    if (!one.has_slot()) continue;
    const ImVec2 centre(line.X(one.slot(), ui.px(10)), line.line);
    const bool chosen = one.name() == selected;
    const ImU32 colour = ui.stale()              ? ui.palette().stale
                         : !one.damage().empty() ? ui.palette().bad
                         : !one.ours()           ? ui.palette().dim
                         : !one.reach().empty()  ? ui.palette().warn
                                                 : ui.palette().good;
    draw.AddCircleFilled(centre, ui.px(chosen ? 8 : 6), colour);
    if (chosen) draw.AddCircle(centre, ui.px(11), ui.palette().text, 0, ui.px(1.5f));
    const std::string label = std::to_string(one.slot());
    const float half = ImGui::CalcTextSize(label.c_str()).x / 2;
    if (centre.x - half > labelled && centre.x + half < line.right + ui.px(40)) {
      draw.AddText({std::max(centre.x - half, line.at.x + ui.px(10)), line.line - ui.px(30)}, ui.palette().dim,
                   label.c_str());
      labelled = centre.x + half + ui.px(12);
    }
    const ImVec2 mouse = ImGui::GetIO().MousePos;
    if (line.hovered && std::abs(mouse.x - centre.x) < ui.px(8) && std::abs(mouse.y - centre.y) < ui.px(12)) {
      ImGui::SetTooltip("%s\nslot %llu", Clip(one.name(), 80).c_str(), static_cast<unsigned long long>(one.slot()));
      if (line.clicked) clicked = one.name();
    }
  }
  return clicked;
}

}  // namespace

std::optional<std::string> DrawTimeline(DrawContext& context, const std::string& selected, ImVec2 size) {
  Widgets& ui = context.ui;
  const ConsoleModel& model = context.model;
  const auto& status = model.status();
  ImDrawList& draw = *ImGui::GetWindowDrawList();
  const ImVec2 at = ImGui::GetCursorScreenPos(), end(at.x + size.x, at.y + size.y);
  ImGui::InvisibleButton("timeline", size);
  Timeline line{.at = at,
                .end = end,
                .left = at.x + ui.px(40),
                .right = end.x - ui.px(70),
                .line = at.y + ui.px(70),
                .hovered = ImGui::IsItemHovered(),
                .clicked = ImGui::IsItemClicked()};
  draw.AddRectFilled(at, end, ui.palette().panel, ui.px(5));
  draw.AddRect(at, end, ui.palette().grid, ui.px(5));
  draw.AddText({at.x + ui.px(10), at.y + ui.px(6)}, ui.palette().dim, "Slots that can be gone back to");

  std::string words;
  if (status && status->has_store()) {
    words = "generation " + std::to_string(status->store().generation());
    draw.AddText({end.x - ui.px(10) - ImGui::CalcTextSize(words.c_str()).x, at.y + ui.px(6)},
                 ui.stale() ? ui.palette().stale : ui.palette().text, words.c_str());
    words += "; ";
  }
  if (model.checkpoints()) {
    for (const api::Checkpoint& one : model.checkpoints()->checkpoints()) {
      if (one.has_slot()) line.Spread(one.slot());
    }
  }
  if (status && status->has_store() && status->store().has_slot()) line.Spread(status->store().slot());
  if (status && status->archive().has_last_slot()) line.Spread(status->archive().last_slot());
  if (line.low > line.high) {
    draw.AddText({at.x + ui.px(10), at.y + ui.px(50)}, ui.palette().dim, ui.theme().unknown());
    ui.NoteRect("timeline", "timeline", ui.theme().unknown(), at, end);
    return std::nullopt;
  }
  draw.AddLine({at.x + ui.px(10), line.line}, {end.x - ui.px(10), line.line}, ui.palette().grid, ui.px(2));
  if (status) words += DrawPresent(ui, *status, line);
  std::optional<std::string> clicked;
  if (model.checkpoints()) {
    clicked = DrawMarks(ui, *model.checkpoints(), selected, line);
    words += std::to_string(model.checkpoints()->checkpoints_size()) + " checkpoints";
  }
  ui.NoteRect("timeline", "timeline", words, at, end, "Checkpoints.slot");
  return clicked;
}

}  // namespace everstate::console
