#include "admin-gui/plot.h"

#include <algorithm>
#include <cmath>

#include "admin-gui/format.h"

namespace everstate::console {
namespace {

// The next of 1, 2, 4, 10, 20, … at or above the value: half of it is as short to write.
double NiceTop(double value) {
  if (value <= 0) return 1;
  const double power = std::pow(10, std::floor(std::log10(value)));
  for (const double step : {1.0, 2.0, 4.0, 10.0}) {
    if (value <= step * power) return step * power;
  }
  return 10 * power;
}

struct Frame {
  ImVec2 min, max;  // of the plotting area
  double top;

  float Y(double value) const {
    return max.y - static_cast<float>(std::clamp(value / top, 0.0, 1.0)) * (max.y - min.y);
  }
};

// The card, its title and latest value, and a grid with its labels.
Frame Begin(Widgets& ui, const char* name, const char* metric, const std::string& value, bool known, ImVec2 size,
            double top, const std::function<std::string(double)>& format) {
  ImDrawList& draw = *ImGui::GetWindowDrawList();
  const ImVec2 at = ImGui::GetCursorScreenPos();
  const ImVec2 end(at.x + size.x, at.y + size.y);
  ImGui::InvisibleButton(name, size);
  draw.AddRectFilled(at, end, ui.palette().panel, ui.px(5));
  draw.AddRect(at, end, ui.palette().grid, ui.px(5));
  const float pad = ui.px(10);
  const float width = ImGui::CalcTextSize(value.c_str()).x;
  draw.PushClipRect(at, {end.x - 2 * pad - width, end.y}, true);
  draw.AddText({at.x + pad, at.y + ui.px(6)}, ui.palette().dim, name);
  draw.PopClipRect();
  const ImU32 colour = ui.stale() ? ui.palette().stale : known ? ui.palette().text : ui.palette().dim;
  draw.AddText({end.x - pad - width, at.y + ui.px(6)}, colour, value.c_str());
  ui.NoteItem(name, "plot", value, metric);

  const float label = ui.px(70);
  const Frame frame{{at.x + pad + label, at.y + ui.px(30)}, {end.x - pad, end.y - ui.px(10)}, top};
  for (const double share : {0.0, 0.5, 1.0}) {
    const float y = frame.Y(top * share);
    draw.AddLine({frame.min.x, y}, {frame.max.x, y}, ui.palette().grid);
    const std::string text = format(top * share);
    draw.AddText({frame.min.x - ui.px(6) - ImGui::CalcTextSize(text.c_str()).x, y - ImGui::GetTextLineHeight() / 2},
                 ui.palette().dim, text.c_str());
  }
  return frame;
}

}  // namespace

void Draw(Widgets& ui, const LinePlot& plot, ImVec2 size, std::chrono::seconds span) {
  const auto& samples = plot.series->samples();
  const Time from = ui.now() - span;
  double highest = 0;
  for (const Sample& sample : samples) {
    if (sample.at >= from && sample.value) highest = std::max(highest, *sample.value);
  }
  const bool known = !samples.empty() && samples.back().value;
  const Frame frame =
      Begin(ui, plot.name, plot.metric, known ? plot.format(*samples.back().value) : ui.theme().unknown(), known, size,
            NiceTop(highest), plot.format);
  const bool hovered = ImGui::IsItemHovered();
  ImDrawList& draw = *ImGui::GetWindowDrawList();
  const ImU32 colour = ui.stale() ? ui.palette().stale : plot.colour;
  const double seconds = std::chrono::duration<double>(span).count();
  const auto x = [&](Time at) {
    return frame.max.x - static_cast<float>(std::chrono::duration<double>(ui.now() - at).count() / seconds) *
                             (frame.max.x - frame.min.x);
  };

  const ImDrawListFlags flags = draw.Flags;
  const Sample* before = nullptr;
  const Sample* nearest = nullptr;
  for (const Sample& sample : samples) {
    if (sample.at < from) continue;
    if (!sample.value) {
      before = nullptr;
      continue;
    }
    if (before) {
      const ImVec2 a(x(before->at), frame.Y(*before->value)), b(x(sample.at), frame.Y(*sample.value));
      draw.Flags &= ~ImDrawListFlags_AntiAliasedFill;  // smoothed edges of neighbours would show as stripes
      draw.AddQuadFilled({a.x, frame.max.y}, a, b, {b.x, frame.max.y}, (colour & 0x00FFFFFF) | 0x20000000);
      draw.Flags |= flags & ImDrawListFlags_AntiAliasedFill;
      draw.AddLine(a, b, colour, ui.px(1.5f));
    }
    before = &sample;
    const float mouse = ImGui::GetIO().MousePos.x;
    if (hovered && (!nearest || std::fabs(x(sample.at) - mouse) < std::fabs(x(nearest->at) - mouse))) nearest = &sample;
  }
  if (nearest) {
    const ImVec2 at(x(nearest->at), frame.Y(*nearest->value));
    draw.AddLine({at.x, frame.min.y}, {at.x, frame.max.y}, ui.palette().dim);
    draw.AddCircleFilled(at, ui.px(3), colour);
    ImGui::BeginTooltip();
    ImGui::Text("%s, %s ago", plot.format(*nearest->value).c_str(),
                Seconds(std::chrono::duration<double>(ui.now() - nearest->at).count()).c_str());
    ImGui::TextDisabled("%s", plot.metric);
    ImGui::EndTooltip();
  }
}

void DrawSlots(Widgets& ui, const std::deque<admin::v1::SlotSeen>& slots, ImVec2 size) {
  uint64_t slowest = 0;
  for (const auto& slot : slots) slowest = std::max(slowest, slot.confirm_ms());
  const bool known = !slots.empty();
  std::string latest = ui.theme().unknown();
  if (known) {
    latest = "slot " + std::to_string(slots.back().slot()) + ", ";
    latest += slots.back().has_confirm_ms()
                  ? "confirmed after " + Milliseconds(static_cast<double>(slots.back().confirm_ms()))
                  : std::string("confirm delay ") + ui.theme().unknown();
  }
  const Frame frame = Begin(ui, "Confirm delay of the slots as they come", "Status.slots.confirm_ms", latest, known,
                            size, NiceTop(static_cast<double>(slowest)), Milliseconds);
  const bool hovered = ImGui::IsItemHovered();
  if (!known) return;
  ImDrawList& draw = *ImGui::GetWindowDrawList();
  const float step = ui.px(9), width = ui.px(6), hole = ui.px(4);
  float right = frame.max.x;
  for (size_t i = slots.size(); i-- > 0 && right - width >= frame.min.x;) {
    const auto& slot = slots[i];
    const ImVec2 min(right - width, slot.has_confirm_ms() ? std::min(frame.Y(static_cast<double>(slot.confirm_ms())),
                                                                     frame.max.y - ui.px(1))
                                                          : frame.min.y + (frame.max.y - frame.min.y) * 0.7f);
    const ImVec2 max(right, frame.max.y);
    const bool under_mouse =
        hovered && ImGui::GetIO().MousePos.x >= min.x - ui.px(1) && ImGui::GetIO().MousePos.x < max.x + ui.px(2);
    if (slot.has_confirm_ms()) {
      draw.AddRectFilled(min, max,
                         ui.stale()    ? ui.palette().stale
                         : under_mouse ? ui.palette().text
                                       : ui.palette().accent,
                         ui.px(1));
    } else {
      draw.AddRect(min, max, ui.palette().dim, ui.px(1));
    }
    if (under_mouse) {
      ImGui::BeginTooltip();
      ImGui::Text("slot %llu", static_cast<unsigned long long>(slot.slot()));
      ImGui::Text("confirmed after %s", slot.has_confirm_ms()
                                            ? Milliseconds(static_cast<double>(slot.confirm_ms())).c_str()
                                            : ui.theme().unknown());
      ImGui::Text("applied %s after settling",
                  slot.has_settle_to_apply_us()
                      ? Milliseconds(static_cast<double>(slot.settle_to_apply_us()) / 1000).c_str()
                      : ui.theme().unknown());
      ImGui::Text("%s updates, %s mutations", Count(slot.updates()).c_str(), Count(slot.mutations()).c_str());
      ImGui::EndTooltip();
    }
    right -= step;
    if (i > 0 && slots[i - 1].slot() + 1 < slot.slot()) right -= hole;
  }
}

}  // namespace everstate::console
