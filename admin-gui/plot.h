// Plots with ImDrawList: a line over scrolling time, and a bar per slot.
#pragma once

#include <deque>
#include <functional>
#include <string>

#include "admin-gui/console_model.h"
#include "admin-gui/widgets.h"

namespace everstate::console {

struct LinePlot {
  const char* name;
  const char* metric;
  const Series* series;
  std::function<std::string(double)> format;
  ImU32 colour;
};

// The newest `span`, now at the right edge; holes in the series are holes in the line. Hovering reads the line at a
// time.
void Draw(Widgets& ui, const LinePlot& plot, ImVec2 size, std::chrono::seconds span);

// One bar per block as it came, its height the time from the first thing heard of the slot to its settlement; an
// unknown one is an outline. A skipped slot leaves a narrow space. Hovering says all of the slot.
void DrawSlots(Widgets& ui, const std::deque<admin::v1::SlotSeen>& slots, ImVec2 size);

}  // namespace everstate::console
